"""Operators of a tensor: between the tensors of a graph and the matrices of a plan.

float32 tensors are stored as f32 and computed in it, as onnxruntime does. Integers and booleans are whole numbers in a
float matrix; those of more than 53 bits are no business of a classical model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from inferir.errors import UnsupportedModelError
from inferir.formats.importers._builder import Builder
from inferir.formats.importers.onnx.values import TEXT, Array, Constant, Tensor, whole

__all__ = ["BOOL", "FLOAT", "INT", "Emitter", "Predictor", "matrix_of", "storage"]

FLOAT, INT, BOOL = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.bool_)


def storage(dtype: np.dtype[Any]) -> str:
    return "f32" if dtype == FLOAT else "f64"


@dataclass(frozen=True)
class Predictor:
    """A node that predicts: what model it is, its scores before any link, where it has a link, and its labels."""

    model_type: str
    task: str
    raw: str | None = None
    label: str = ""


@dataclass
class Emitter:
    """Adds operators to `b`. What has been selected or cast once is not again.

    `predictors` are the nodes that predict; `nearest` holds values that ArgMin computed, which are numbers of clusters.
    """

    b: Builder
    opset: Mapping[str, int] = field(default_factory=dict)
    predictors: list[Predictor] = field(default_factory=list)
    nearest: set[str] = field(default_factory=set)
    _known: dict[tuple[Any, ...], str] = field(default_factory=dict)

    def unsupported(self, what: str, supported: str) -> UnsupportedModelError:
        return self.b.unsupported(what, supported)

    def _once(self, key: tuple[Any, ...], op: str, value: str, tensors: Any = None, **attributes: Any) -> str:
        if key not in self._known:
            self._known[key] = self.b.op(op, value, tensors=tensors, **attributes)
        return self._known[key]

    def cast(self, value: str, stored: str) -> str:
        return self._once((value, stored), "cast", value, to=stored)

    def numbers(self, t: Tensor) -> Tensor:
        """The tensor as numbers in a float matrix."""
        if t.dtype == TEXT:
            raise self.unsupported("strings where numbers are computed", "strings that are encoded, compared or labels")
        if t.stored != "i64":
            return t
        assert t.table is not None
        table = t.table.astype(np.float64)
        value = self._once((t.value, "take", table.tobytes()), "take", t.value, {"table": table})
        levels = np.unique(t.table)
        return replace(t, value=value, stored="f64", table=None, levels=levels if len(levels) <= 64 else None)

    def flat(self, t: Tensor, stored: str | None = None) -> str:
        """A matrix of just the tensor's elements, in their order, stored as asked."""
        t = self.numbers(t)
        value, columns = t.value, np.ascontiguousarray(t.columns.reshape(-1))
        if len(columns) != t.width or (columns != np.arange(t.width)).any():
            key = (value, "select", columns.tobytes())
            value = self._once(key, "select", value, {"columns": columns.astype(np.int64)})
        return value if stored in (None, t.stored) else self.cast(value, stored)

    def tensor(
        self, value: str, like: Tensor | Array, axis: int, dtype: np.dtype[Any], stored: str, **more: Any
    ) -> Tensor:
        """A new tensor of the shape of `like`, whose elements are the columns of `value` in order."""
        columns = like.columns if isinstance(like, Tensor) else like
        picture = np.arange(columns.size).reshape(columns.shape)
        return Tensor(value, picture, axis, dtype, stored, columns.size, **more)

    def same(self, t: Tensor, value: str, stored: str | None = None, dtype: np.dtype[Any] | None = None) -> Tensor:
        """What an element-wise operator makes of `flat(t)`."""
        return self.tensor(value, t, t.axis, dtype or t.dtype, stored or t.stored)

    def matrix(self, t: Tensor) -> Tensor:
        """The tensor, which must be [N, d] or [N] (then d = 1), as numbers."""
        t = self.numbers(t)
        if t.axis != 0 or t.columns.ndim > 2 or t.batch != 1:
            raise self.unsupported(f"an input of shape {t.shape()}", "[N, columns]")
        return t.see(t.columns.reshape(1, -1), 0)

    def row(self, array: Any, width: int) -> Array:
        """A constant as `width` doubles."""
        row: Array = np.broadcast_to(np.asarray(array, np.float64).reshape(-1), (width,)).copy()
        return row

    def affine(self, value: str, factor: Any, offset: Any, width: int) -> str:
        """value * factor + offset. An offset of -0.0 changes nothing, not even the sign of a zero."""
        return self.b.op(
            "affine", value, tensors={"factor": self.row(factor, width), "offset": self.row(offset, width)}
        )

    def constant(self, c: Constant, shape: Sequence[int], axis: int) -> Tensor:
        """A constant that every row has, as a tensor of `shape` with 1 along the batch axis."""
        array = np.broadcast_to(c.array, tuple(shape)).astype(np.float64)
        stored = storage(c.dtype)
        nothing = self.b.op("select", "input", tensors={"columns": np.zeros(array.size, np.int64)})
        zeros = self.b.op("binarize", nothing, threshold=float("inf"))
        value = self.cast(self.affine(zeros, 1.0, array, array.size), stored)
        return self.tensor(value, array, axis, c.dtype, stored)

    def positions(self, t: Tensor) -> Tensor:
        """Numbers of a few known values as positions in a table of them: what a label must be."""
        if t.stored == "i64":
            return t
        levels = np.array([0, 1]).astype(t.dtype) if t.dtype == BOOL else t.levels
        if levels is None or t.columns.size != 1:
            raise self.unsupported(
                f"a label of shape {t.shape()} computed from numbers",
                "one label a row: of a classifier, ArgMax, or 0/1",
            )
        value, levels = self.flat(t), np.unique(levels)
        if len(levels) <= 2:
            middle = float(np.mean(levels.astype(np.float64)))
            chosen = self.b.op("above", value, threshold=middle if len(levels) == 2 else float("inf"))
        else:
            columns = self.b.op("select", value, tensors={"columns": np.zeros(len(levels), np.int64)})
            apart = self.b.op(
                "apply", self.affine(columns, 1.0, -levels.astype(np.float64), len(levels)), function="absolute"
            )
            chosen = self.b.op("argmin", apart)
        return replace(
            t, value=chosen, columns=np.zeros_like(t.columns), stored="i64", width=1, table=levels, levels=None
        )

    def place(
        self, parts: Sequence[Tensor], pictures: Sequence[Array], axis: int, at: int, dtype: np.dtype[Any]
    ) -> Tensor:
        """Tensors joined along the axis `at` of their pictures."""
        stored = storage(dtype)
        names, starts = [self.flat(t, stored) for t in parts], np.cumsum([0, *[p.size for p in pictures]])
        value = self.b.op("concat", *names) if len(names) > 1 else names[0]
        own = [np.arange(p.size).reshape(p.shape) + start for p, start in zip(pictures, starts, strict=False)]
        margin = any(t.margin for t in parts)
        return Tensor(value, np.concatenate(own, axis=at), axis, dtype, stored, int(starts[-1]), margin=margin)


def matrix_of(value: str, width: int, stored: str, **more: Any) -> Tensor:
    """A computed matrix [N, width] of floats."""
    return whole(value, width, FLOAT if stored == "f32" else np.dtype(np.float64), stored, **more)
