"""What a model is, between the importers that make it and the plan that runs it: values without behaviour.

A model is a list of operators over named values, in an order in which it can be run. Every value is a matrix with one
row per input row. The value named `input` is the rows themselves: numbers as they came, categories as their position in
`ColumnSpec.categories` (-1: not among them, NaN: missing). Four names are what a caller can ask for:

    prediction      class positions (int64), cluster numbers, or the predicted numbers
    probabilities   one column per class
    raw             margin or decision function
    transformed     the rows after preprocessing or projection

`formats.apr` writes a ModelSpec to one file and reads it back; nothing else knows the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = ["DTYPES", "ClassLabel", "ColumnSpec", "ModelSpec", "OperatorSpec", "TensorSpec"]

ClassLabel: TypeAlias = "str | int"
Kind: TypeAlias = Literal["number", "category", "text"]
Task: TypeAlias = Literal["classification", "regression", "clustering", "transform", "ranking", "anomaly"]

#: Tensor dtypes and their item size in bytes; all little-endian.
DTYPES: Mapping[str, int] = {"u8": 1, "u16": 2, "i32": 4, "u32": 4, "i64": 8, "f32": 4, "f64": 8}


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One input column. `categories` are the known strings of a category column, in the order of their codes."""

    name: str
    kind: Kind = "number"
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An array: `data` is a buffer of product(shape) items of `dtype`, row-major, little-endian."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: memoryview


@dataclass(frozen=True, slots=True)
class OperatorSpec:
    """One step: reads the values `inputs`, writes the value `output`. `tensors` maps a role to a tensor's name."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model. `model_type` is its number in `formats.apr.layout.MODEL_TYPES`; `classes` holds one tuple of labels per
    output where a classifier has several outputs. `extra` are metadata keys this version does not know, kept as read.
    """

    name: str
    model_version: str
    model_type: int
    task: Task
    columns: tuple[ColumnSpec, ...]
    operators: tuple[OperatorSpec, ...]
    tensors: Mapping[str, TensorSpec]
    classes: tuple[ClassLabel, ...] | tuple[tuple[ClassLabel, ...], ...] = ()
    framework: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    producer: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
