"""Plain operators that take tensors apart and put them together: NumPy on their pictures, where rows stay whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from inferir.formats.importers.onnx.emit import BOOL, FLOAT, Emitter, storage
from inferir.formats.importers.onnx.plain.broadcasting import Handler, operands_of
from inferir.formats.importers.onnx.plain.shapes import axis_of, check_size, constant_ints, move, picture_of
from inferir.formats.importers.onnx.reader import Node
from inferir.formats.importers.onnx.values import TEXT, Array, Constant, Tensor, Value

__all__ = ["HANDLERS", "ML_HANDLERS"]


def _pick_axis(e: Emitter, node: Node, value: Constant | Tensor, axis: int, index: Any) -> Constant | Tensor:
    """Entries of one axis, which must not be the rows."""
    if axis == value.axis:
        raise e.unsupported(f"{node.op} of rows", f"{node.op} of columns")
    try:
        if isinstance(index, slice):
            return move(value, lambda a: a[(slice(None),) * axis + (index,)], value.axis)
        index = np.asarray(index)
        check_size(node, [picture_of(value).size, max(index.size, 1)])
        new_axis = value.axis
        if new_axis is not None and new_axis > axis:
            new_axis += index.ndim - 1
        return move(value, lambda a: np.take(a, index, axis=axis), new_axis)
    except IndexError:
        raise node.fail(f"expected entries within axis {axis}, of length {picture_of(value).shape[axis]}") from None


def _slice(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """Starts, ends, axes and steps: inputs since opset 10, attributes before."""
    operands = operands_of(node, values)
    value, rank = operands[0], picture_of(operands[0]).ndim
    if len(operands) > 1:
        given = [constant_ints(e, node, operands, k, w) for k, w in enumerate(("starts", "ends", "axes", "steps"), 1)]
    else:
        given = [node.ints(name) if name in node.attributes else None for name in ("starts", "ends", "axes", "steps")]
    starts, ends, axes, steps = (None if array is None else array.reshape(-1) for array in given)
    if starts is None or ends is None:
        raise node.fail("expected starts and ends")
    axes = np.arange(len(starts)) if axes is None else axes
    steps = np.ones(len(starts), np.int64) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise node.fail("expected as many starts as ends, axes and steps")
    for start, stop, at, step in zip(*(a.tolist() for a in (starts, ends, axes, steps)), strict=True):
        axis, end = axis_of(node, at, rank), stop
        if step == 0:
            raise node.fail("expected steps other than 0")
        if axis == value.axis and start == 0 and end >= 2**31 - 1 and step == 1:
            continue  # all rows
        length = picture_of(value).shape[axis]
        end = None if step < 0 and end < -length else end
        value = _pick_axis(e, node, value, axis, slice(start, end, step))
    return value


def _split(e: Emitter, node: Node, values: Sequence[Value]) -> tuple[Value, ...]:
    operands = operands_of(node, values)
    value = operands[0]
    axis = axis_of(node, node.get("axis", int, 0), picture_of(value).ndim)
    length, count = picture_of(value).shape[axis], len(node.outputs)
    sizes = constant_ints(e, node, operands, 1, "sizes")
    sizes = node.ints("split") if sizes is None else sizes
    if not len(sizes):
        each = -(-length // count)
        sizes = np.array([max(0, min(each, length - each * k)) for k in range(count)], np.int64)
    if len(sizes) != count or sizes.sum() != length or (sizes < 0).any():
        raise node.fail(f"expected {count} sizes that add up to {length}, got {sizes.tolist()}")
    ends = np.cumsum(sizes).tolist()
    return tuple(
        _pick_axis(e, node, value, axis, slice(end - size, end)) for size, end in zip(sizes.tolist(), ends, strict=True)
    )


def table_lookup(e: Emitter, node: Node, table: Array, index: Tensor) -> Tensor:
    """table[index] for each element of a tensor of positions or of whole numbers.

    The first axis of `table` is looked up; its others follow those of the index. A number that is no position is
    refused when it comes.
    """
    rows = table.reshape(len(table), -1)
    if index.table is not None and table.ndim == 1:
        within = index.table.astype(np.int64)
        if ((within < -len(table)) | (within >= len(table))).any():
            raise node.fail(f"expected positions below {len(table)}, got {within.min()} to {within.max()}")
        return replace(index, table=table[within], dtype=table.dtype, levels=None)
    if table.dtype == TEXT:
        raise e.unsupported("strings chosen by computed numbers", "strings chosen by ArgMax, TopK or a classifier")
    t = e.numbers(index)
    value, size = e.flat(t, "f64"), index.columns.size
    values = rows.astype(np.float64)
    copies = e.b.op("select", value, tensors={"columns": np.repeat(np.arange(size), values.shape[1])})
    count = size * values.shape[1]
    check_size(node, [count, len(rows)])
    tensors = {
        "begin": np.arange(count + 1) * len(rows),
        "category": np.tile(np.arange(len(rows), dtype=np.float64), count),
        "code": np.tile(values.T, (size, 1)).reshape(-1),
    }
    found = e.b.op("encode", copies, tensors=tensors, unknown="refuse")
    stored = storage(table.dtype)
    shape = np.zeros(index.columns.shape + table.shape[1:])
    return e.tensor(e.cast(found, stored) if stored == "f32" else found, shape, index.axis, table.dtype, stored)


def _gather(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    operands = operands_of(node, values)
    if len(operands) != 2:
        raise node.fail(f"expected 2 inputs, got {len(operands)}")
    data, index = operands
    axis = axis_of(node, node.get("axis", int, 0), picture_of(data).ndim)
    if isinstance(index, Constant):
        if index.array.dtype.kind not in "iu" or index.axis is not None:
            raise node.fail("expected positions of integers")
        return _pick_axis(e, node, data, axis, index.array)
    if isinstance(data, Tensor) or data.axis is not None or axis != 0:
        raise e.unsupported("Gather of rows by rows", "columns, or constants by computed positions")
    return table_lookup(e, node, data.array, index)


def _array_feature_extractor(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """Entries of the last axis, whose positions are all of the second input, whatever its shape."""
    operands = operands_of(node, values)
    if len(operands) != 2:
        raise node.fail(f"expected 2 inputs, got {len(operands)}")
    data, index = operands
    if isinstance(index, Constant):
        if index.array.dtype.kind not in "iu":
            raise node.fail("expected positions of integers")
        picked = _pick_axis(e, node, data, picture_of(data).ndim - 1, index.array.reshape(-1))
        return (
            move(picked, lambda a: a.reshape(1, -1), None)
            if data.axis is None and picture_of(data).ndim == 1
            else picked
        )
    if isinstance(data, Tensor) or data.axis is not None:
        raise e.unsupported("ArrayFeatureExtractor of rows by rows", "columns, or constants by computed positions")
    array = data.array if data.array.ndim > 1 else data.array.reshape(1, -1)
    if index.axis != 0 and any(d != 1 for d in index.columns.shape[: index.axis]):
        raise e.unsupported(f"positions of shape {index.shape()}", "positions with the rows first")
    flat = index.see(index.columns.reshape(-1), 0)
    lead = array.shape[:-1]
    if int(np.prod(lead)) == 1:
        found = table_lookup(e, node, array.reshape(-1), flat)
        return found.see(found.columns.reshape(*lead, -1), len(lead))
    found = table_lookup(e, node, np.moveaxis(array, -1, 0), flat)  # [k N, *lead]
    return found.see(np.moveaxis(found.columns, 0, -1), len(lead))


# -- together


def _concat(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    operands = operands_of(node, values)
    if not operands:
        raise node.fail("expected at least one input")
    rank = max(picture_of(v).ndim for v in operands)
    axis = axis_of(node, node.need("axis", int), rank)
    if all(isinstance(v, Constant) and v.axis is None for v in operands):
        try:
            return Constant(np.concatenate([picture_of(v) for v in operands], axis=axis))
        except ValueError:
            raise node.fail(f"expected shapes that fit, got {[picture_of(v).shape for v in operands]}") from None
    if len(operands) == 1:
        return operands[0]
    return join(e, node, operands, axis)


def join(e: Emitter, node: Node, operands: Sequence[Constant | Tensor], axis: int) -> Constant | Tensor:
    """Tensors side by side."""
    if axis == 0 and all(isinstance(v, Tensor) and v.axis == 0 and v.batch == 1 for v in operands):
        blocks = [v.see(v.columns[None], 1) for v in operands if isinstance(v, Tensor)]
        return _stacked(join(e, node, blocks, 0))
    axes = {v.axis for v in operands if v.axis is not None}
    shapes = [picture_of(v).shape for v in operands]
    rests = {tuple(d for k, d in enumerate(shape) if k != axis) for shape in shapes}
    if len(axes) != 1 or axis in axes or len(rests) != 1 or len({len(shape) for shape in shapes}) != 1:
        told = [v.shape() if isinstance(v, Tensor) else list(v.array.shape) for v in operands]
        raise e.unsupported(f"{node.op} of {', '.join(map(str, told))} along axis {axis}", "columns beside columns")
    batch = axes.pop()
    assert batch is not None
    kinds = {v.dtype for v in operands}
    if len(kinds) != 1:
        raise node.fail(f"expected tensors of one type, got {', '.join(sorted(map(str, kinds)))}")
    if kinds == {TEXT}:
        texts = [v for v in operands if isinstance(v, Tensor) and v.table is None]
        if len(texts) != len(operands):
            raise e.unsupported(f"{node.op} of labels", "text of input columns side by side")
        return replace(texts[0], columns=np.concatenate([t.columns for t in texts], axis=axis))
    tensors = [v if isinstance(v, Tensor) else e.constant(v, v.array.shape, batch) for v in operands]
    return e.place(tensors, [t.columns for t in tensors], batch, axis, tensors[0].dtype)


def _stacked(t: Constant | Tensor) -> Tensor:
    assert isinstance(t, Tensor)
    return replace(t, stacked=True)


def _feature_vectorizer(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """ai.onnx.ml: columns side by side, as float32."""
    tensors = [e.matrix(v) for v in operands_of(node, values) if isinstance(v, Tensor)]
    if len(tensors) != len(values) or not tensors:
        raise e.unsupported("FeatureVectorizer of constants", "tensors")
    if any(t.dtype == BOOL for t in tensors):
        raise node.fail("expected numbers, got bool")
    return e.place(tensors, [t.columns for t in tensors], 0, 1, FLOAT)


def _constant(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    if "value" in node.attributes:
        return Constant(node.need("value", np.ndarray))
    for name, dtype in (
        ("value_float", np.float32),
        ("value_int", np.int64),
        ("value_floats", np.float32),
        ("value_ints", np.int64),
    ):
        if name in node.attributes:
            return Constant(np.array(node.attributes[name], dtype))
    if "value_string" in node.attributes or "value_strings" in node.attributes:
        value = node.attributes.get("value_string", node.attributes.get("value_strings"))
        return Constant(np.array(value, TEXT))
    raise e.unsupported(
        f"Constant with {', '.join(node.attributes) or 'no attribute'}", "value, value_float, value_int, ..."
    )


HANDLERS: dict[str, Handler] = {
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "Concat": _concat,
    "Constant": _constant,
}

#: Of the domain ai.onnx.ml.
ML_HANDLERS: dict[str, Handler] = {
    "ArrayFeatureExtractor": _array_feature_extractor,
    "FeatureVectorizer": _feature_vectorizer,
}
