"""Which input column each column of a value comes from: what preprocessing keeps apart, an explanation can add up.

A column of one input column may become several (one-hot), change its numbers (scalers, imputers) or its place. What is
made of several input columns has no one to give its contribution to; the name of the operator that mixed them stands
for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from inferir.explain.answer import tensor_of
from inferir.formats.spec import ModelSpec, OperatorSpec
from inferir.operators import Value

__all__ = ["Origins", "origins"]

#: For each column the number of an input column, or the name of the operator that made it of several.
Origins: TypeAlias = "tuple[int | str, ...]"


def origins(spec: ModelSpec, values: Mapping[str, Value], name: str) -> Origins:
    """Origins of the columns of value `name`."""
    found: dict[str, Origins] = {"input": tuple(range(len(spec.columns)))}
    for operator in spec.operators:
        width = values[operator.output].width
        if all(known in found for known in operator.inputs):
            rule = _RULES.get(operator.op)
            inputs = [found[known] for known in operator.inputs]
            made = tuple(rule(spec, operator, inputs)) if rule else ()
            found[operator.output] = made if len(made) == width else (operator.op,) * width
        if operator.output == name:
            break
    return found[name]


# -- what an operator makes of its inputs' origins

_Rule: TypeAlias = "Callable[[ModelSpec, OperatorSpec, Sequence[Origins]], Iterable[int | str]]"


def _merged(operator: OperatorSpec, columns: Iterable[int | str]) -> int | str:
    """The one input column that all of these come from, or the operator, which mixes them."""
    different = set(columns)
    return different.pop() if len(different) == 1 else operator.op


def _each(spec: ModelSpec, operator: OperatorSpec, inputs: Sequence[Origins]) -> list[int | str]:
    """Column k is made of column k of each input."""
    return [_merged(operator, columns) for columns in zip(*inputs, strict=False)]


def _select(spec: ModelSpec, operator: OperatorSpec, inputs: Sequence[Origins]) -> list[int | str]:
    return [inputs[0][column] for column in tensor_of(spec, operator, "columns")]


def _concat(spec: ModelSpec, operator: OperatorSpec, inputs: Sequence[Origins]) -> list[int | str]:
    return [column for columns in inputs for column in columns]


def _impute(spec: ModelSpec, operator: OperatorSpec, inputs: Sequence[Origins]) -> list[int | str]:
    roles = [tensor_of(spec, operator, role) for role in ("columns", "indicators")]
    return [inputs[0][column] for column in np.concatenate(roles)]


def _one_hot(spec: ModelSpec, operator: OperatorSpec, inputs: Sequence[Origins]) -> list[int | str]:
    begin, column, unknown = (tensor_of(spec, operator, role) for role in ("begin", "column", "unknown"))
    made: list[set[int | str]] = [set() for _ in range(int(operator.attributes["width"]))]
    for j, origin in enumerate(inputs[0]):
        for place in [*column[begin[j] : begin[j + 1]], unknown[j]]:
            if place >= 0:
                made[place].add(origin)
    return [_merged(operator, columns) for columns in made]


def _polynomial(spec: ModelSpec, operator: OperatorSpec, inputs: Sequence[Origins]) -> list[int | str]:
    begin, column = (tensor_of(spec, operator, role) for role in ("begin", "column"))
    runs = itertools.pairwise(begin)
    return [_merged(operator, (inputs[0][c] for c in column[first:end])) for first, end in runs]


_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(
        (
            "identity", "cast", "check_finite", "scale", "min_max", "binarize", "encode", "power", "quantile", "bins",
            "affine", "divide", "combine", "compare", "choose", "apply",
        ),
        _each,
    ),
    "select": _select,
    "concat": _concat,
    "impute": _impute,
    "one_hot": _one_hot,
    "polynomial": _polynomial,
}  # fmt: skip
