"""Plain operators that look along an axis: sums, extremes, their positions, and what is normalised by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from inferir.formats.importers.onnx.emit import INT, Emitter
from inferir.formats.importers.onnx.plain.broadcasting import Handler, operands_of
from inferir.formats.importers.onnx.plain.elementwise import HANDLERS as ELEMENTWISE
from inferir.formats.importers.onnx.plain.shapes import axis_of, constant_ints, picture_of
from inferir.formats.importers.onnx.reader import Node
from inferir.formats.importers.onnx.values import TEXT, Array, Constant, Tensor, Value

__all__ = ["HANDLERS"]


def _along(e: Emitter, node: Node, t: Tensor, axes: Sequence[int]) -> tuple[str, Array]:
    """A matrix in which the elements along `axes` are neighbours, and the picture that is left, with lengths of 1."""
    if t.axis in axes:
        raise e.unsupported(f"{node.op} over the rows", f"{node.op} over columns")
    kept = [k for k in range(t.columns.ndim) if k not in axes]
    moved = np.transpose(t.columns, [*kept, *axes])
    left = [1 if k in axes else d for k, d in enumerate(t.columns.shape)]
    return e.flat(t.see(moved)), np.zeros(left)


def _length(t: Tensor, axes: Sequence[int]) -> int:
    return int(np.prod([t.columns.shape[k] for k in axes], dtype=np.int64))


def _axes(e: Emitter, node: Node, values: Sequence[Constant | Tensor], rank: int) -> list[int]:
    """Attribute axes, or the second input; all of them if none are given."""
    given = constant_ints(e, node, values, 1, "axes")
    wanted = node.ints("axes") if given is None else given.reshape(-1)
    if not len(wanted):
        return [] if node.get("noop_with_empty_axes", int, 0) else list(range(rank))
    return sorted({axis_of(node, int(axis), rank) for axis in wanted})


def _finish(node: Node, t: Tensor, axes: Sequence[int]) -> Tensor:
    """Lengths of 1 dropped, unless they are to be kept."""
    if node.get("keepdims", int, 1):
        return t
    return t.see(np.squeeze(t.columns, tuple(axes)), t.axis - sum(k < t.axis for k in axes))


def _reduced(e: Emitter, node: Node, t: Tensor, axes: Sequence[int], operation: str) -> Tensor:
    """Sum, product, minimum or maximum along axes, which stay with length 1."""
    if not _length(t, axes):
        raise e.unsupported(f"{node.op} of nothing", "at least one element")
    value, left = _along(e, node, t, axes)
    total = e.b.op("reduce", value, operation=operation, length=_length(t, axes))
    return e.tensor(total, left, t.axis, t.dtype, t.stored)


def _apply(e: Emitter, node: Node, op: str, *operands: Constant | Tensor) -> Tensor:
    out = ELEMENTWISE[op](e, node, operands)
    assert isinstance(out, Tensor)
    return out


def _sum(e: Emitter, node: Node, t: Tensor, axes: Sequence[int]) -> Tensor:
    return _reduced(e, node, t, axes, "sum")


def _mean(e: Emitter, node: Node, t: Tensor, axes: Sequence[int]) -> Tensor:
    total = _reduced(e, node, t, axes, "sum")
    return _apply(e, node, "Div", total, Constant(np.array(_length(t, axes), t.dtype)))


def _sum_of_squares(e: Emitter, node: Node, t: Tensor, axes: Sequence[int]) -> Tensor:
    return _sum(e, node, _apply(e, node, "Mul", t, t), axes)


def _norm_1(e: Emitter, node: Node, t: Tensor, axes: Sequence[int]) -> Tensor:
    return _sum(e, node, _apply(e, node, "Abs", t), axes)


def _norm_2(e: Emitter, node: Node, t: Tensor, axes: Sequence[int]) -> Tensor:
    return _apply(e, node, "Sqrt", _sum_of_squares(e, node, t, axes))


def _log_sum(e: Emitter, node: Node, t: Tensor, axes: Sequence[int]) -> Tensor:
    return _apply(e, node, "Log", _sum(e, node, t, axes))


def _log_sum_exp(e: Emitter, node: Node, t: Tensor, axes: Sequence[int]) -> Tensor:
    """max + log of the sum of exp(x - max), so that nothing overflows."""
    most = _reduced(e, node, t, axes, "maximum")
    total = _sum(e, node, _apply(e, node, "Exp", _apply(e, node, "Sub", t, most)), axes)
    return _apply(e, node, "Add", _apply(e, node, "Log", total), most)


def _named(operation: str) -> Callable[[Emitter, Node, Tensor, Sequence[int]], Tensor]:
    return lambda e, node, t, axes: _reduced(e, node, t, axes, operation)


_REDUCTIONS: dict[str, tuple[Callable[..., Tensor], Callable[..., Any]]] = {
    "ReduceSum": (_sum, np.sum),
    "ReduceMean": (_mean, np.mean),
    "ReduceMax": (_named("maximum"), np.max),
    "ReduceMin": (_named("minimum"), np.min),
    "ReduceProd": (_named("product"), np.prod),
    "ReduceSumSquare": (_sum_of_squares, lambda a, **k: np.sum(a * a, **k)),
    "ReduceL1": (_norm_1, lambda a, **k: np.sum(np.abs(a), **k)),
    "ReduceL2": (_norm_2, lambda a, **k: np.sqrt(np.sum(a * a, **k))),
    "ReduceLogSum": (_log_sum, lambda a, **k: np.log(np.sum(a, **k))),
    "ReduceLogSumExp": (_log_sum_exp, lambda a, **k: np.log(np.sum(np.exp(a), **k))),
}


def _reduction(name: str) -> Handler:
    emit, function = _REDUCTIONS[name]

    def handle(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
        operands = operands_of(node, values)
        value = operands[0]
        axes = _axes(e, node, operands, picture_of(value).ndim)
        if value.dtype == TEXT:
            raise node.fail("expected numbers, got strings")
        if not axes:
            return value
        if isinstance(value, Constant):
            if value.axis is not None:
                value = e.constant(value, value.array.shape, value.axis)
            else:
                keep = bool(node.get("keepdims", int, 1))
                try:
                    return Constant(
                        np.asarray(function(value.array, axis=tuple(axes), keepdims=keep)).astype(value.dtype)
                    )
                except ValueError as error:
                    raise node.fail(f"expected something to reduce: {error}") from error
        return _finish(node, emit(e, node, e.numbers(value), axes), axes)

    return handle


def _arg(op: str) -> Handler:
    """ArgMax, ArgMin: the first of equals; a position is an integer whose table is 0, 1, 2, ..."""

    def handle(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
        value = operands_of(node, values)[0]
        if node.get("select_last_index", int, 0):
            raise e.unsupported(f"{node.op} of the last of equals", "the first")
        axis = axis_of(node, node.get("axis", int, 0), picture_of(value).ndim)
        if isinstance(value, Constant):
            if value.axis is not None or not value.array.size:
                raise e.unsupported(f"{node.op} of a constant", f"{node.op} of computed numbers")
            found = np.expand_dims((np.argmax if op == "argmax" else np.argmin)(value.array, axis=axis), axis)
            return Constant(found if node.get("keepdims", int, 1) else np.squeeze(found, axis))
        t = e.numbers(value)
        length = t.columns.shape[axis]
        if not length:
            raise node.fail("expected at least one element")
        matrix, left = _along(e, node, t, [axis])
        if left.size == 1:
            found_value = e.b.op(op, matrix)
        else:
            if op == "argmin":
                matrix = e.affine(matrix, -1.0, -0.0, t.columns.size)
            found_value = e.b.op("argmax", matrix, tensors={"begin": np.arange(left.size + 1) * length})
        if op == "argmin":
            e.nearest.add(found_value)
        positions = e.tensor(found_value, left, t.axis, INT, "i64", table=np.arange(length))
        return _finish(node, positions, [axis])

    return handle


def _top_k(e: Emitter, node: Node, values: Sequence[Value]) -> tuple[Value, ...]:
    """Values and positions of the k largest or smallest, in order; of equals the first."""
    operands = operands_of(node, values)
    t = operands[0]
    if not isinstance(t, Tensor):
        raise e.unsupported("TopK of a constant", "TopK of computed numbers")
    t = e.numbers(t)
    given = constant_ints(e, node, operands, 1, "k")
    k = int(given.reshape(-1)[0]) if given is not None and given.size == 1 else node.need("k", int)
    axis = axis_of(node, node.get("axis", int, -1), t.columns.ndim)
    matrix, left = _along(e, node, t, [axis])
    if left.size != 1:
        raise e.unsupported(f"TopK along one of several axes of {t.shape()}", "[N, columns]")
    if not 1 <= k <= t.columns.shape[axis]:
        raise node.fail(f"expected k within 1 and {t.columns.shape[axis]}, got {k}")
    index = e.b.op("rank", matrix, count=k, largest=bool(node.get("largest", int, 1)))
    shape = np.repeat(left, k, axis)
    picked = e.tensor(e.b.op("pick", matrix, index), shape, t.axis, t.dtype, t.stored)
    return picked, e.tensor(index, shape, t.axis, INT, "i64", table=np.arange(t.columns.shape[axis]))


def _gather_elements(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """data[n, index[n, j]]. Where data are positions themselves, so is the answer."""
    data, index = operands_of(node, values)
    if not isinstance(data, Tensor) or not isinstance(index, Tensor) or index.table is None:
        raise e.unsupported("GatherElements of constants", "rows by the positions of ArgMax, ArgMin or TopK")
    axis = axis_of(node, node.get("axis", int, 0), data.columns.ndim)
    plain = (index.table == np.arange(len(index.table))).all() and len(index.table) <= data.columns.shape[axis]
    flat = data.columns.size == data.columns.shape[axis] and index.columns.size == index.columns.shape[axis]
    whole = (index.columns.reshape(-1) == np.arange(index.width)).all() and index.columns.size == index.width
    if not (plain and flat and whole) or axis == data.axis:
        raise e.unsupported(f"GatherElements of {data.shape()} by {index.shape()}", "columns by positions of columns")
    was = data.table
    t = e.numbers(data)
    value = e.b.op("pick", e.flat(t), index.value)
    out = e.tensor(value, index, index.axis, t.dtype, t.stored)
    if was is not None and len(was) <= 4096:
        return _as_positions(e, out, was)
    return out


def _as_positions(e: Emitter, t: Tensor, table: Array) -> Tensor:
    levels = np.unique(table)
    return (
        e.positions(replace(t, levels=levels)) if t.columns.size == 1 and len(levels) > 1 else replace(t, levels=levels)
    )


def _cumsum(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """Sums so far: a product with a triangle of ones."""
    operands = operands_of(node, values)
    value = operands[0]
    axis = constant_ints(e, node, operands, 1, "axis")
    if axis is None or axis.size != 1:
        raise node.fail("expected one axis")
    along = axis_of(node, int(axis.reshape(-1)[0]), picture_of(value).ndim)
    if along == value.axis or node.get("exclusive", int, 0) or node.get("reverse", int, 0):
        raise e.unsupported("CumSum over the rows, exclusive or reverse", "CumSum over columns")
    if isinstance(value, Constant):
        return Constant(np.cumsum(value.array, axis=along, dtype=value.dtype), value.axis)
    t = e.numbers(value)
    matrix, left = _along(e, node, t, [along])
    if left.size != 1:
        raise e.unsupported(f"CumSum along one of several axes of {t.shape()}", "[N, columns]")
    width, dtype = t.columns.size, np.float32 if t.stored == "f32" else np.float64
    tensors = {"coef": np.tri(width, dtype=dtype), "intercept": np.zeros(width, dtype)}
    return e.same(t, e.b.op("linear", matrix, tensors=tensors, width=t.stored))


def _softmax(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """Along one axis since opset 13; before, over all axes from `axis` on."""
    value = operands_of(node, values)[0]
    if not isinstance(value, Tensor):
        raise e.unsupported("Softmax of a constant", "Softmax of computed numbers")
    t = e.numbers(value)
    axis = axis_of(node, node.get("axis", int, -1), t.columns.ndim)
    if t.columns.size != t.columns.shape[axis] or axis == t.axis:
        raise e.unsupported(f"{node.op} of shape {t.shape()}", "[N, columns]")
    if node.op == "LogSoftmax":
        return _apply(e, node, "Sub", t, _log_sum_exp(e, node, t, [axis]))
    return e.same(t, e.b.op("softmax", e.flat(t)))


def _lp_normalization(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    value = operands_of(node, values)[0]
    if not isinstance(value, Tensor):
        raise e.unsupported("LpNormalization of a constant", "LpNormalization of computed numbers")
    t = e.numbers(value)
    axis, p = axis_of(node, node.get("axis", int, -1), t.columns.ndim), node.get("p", int, 2)
    if t.columns.size != t.columns.shape[axis] or axis == t.axis or p not in (1, 2):
        raise e.unsupported(f"LpNormalization of shape {t.shape()} with p={p}", "[N, columns], p of 1 or 2")
    return e.same(t, e.b.op("normalize", e.flat(t), norm=f"l{p}"))


HANDLERS: dict[str, Handler] = {
    **{name: _reduction(name) for name in _REDUCTIONS},
    "ArgMax": _arg("argmax"),
    "ArgMin": _arg("argmin"),
    "TopK": _top_k,
    "GatherElements": _gather_elements,
    "CumSum": _cumsum,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "LpNormalization": _lp_normalization,
}
