"""Plain operators that change a tensor's shape: NumPy on its picture, or on a constant.

The batch axis has a length that is not known, so it can be moved, but not cut, joined, or taken from. Shapes that hold
it are constants in which `Rows` stands for that length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from inferir.formats.importers.onnx.emit import Emitter
from inferir.formats.importers.onnx.plain.broadcasting import Handler, operands_of
from inferir.formats.importers.onnx.reader import LIMIT, Node
from inferir.formats.importers.onnx.values import ABSENT, Array, Constant, Tensor, Value, broadcast

__all__ = ["HANDLERS", "Rows", "axis_of", "check_size", "constant_ints", "move", "picture_of", "reshape"]


@dataclass(frozen=True)
class Rows:
    """A length: `times` the number of rows."""

    times: int

    def __mul__(self, other: Any) -> Any:
        return Rows(self.times * int(other))

    __rmul__ = __mul__


def move(value: Constant | Tensor, function: Callable[[Array], Array], axis: int | None) -> Constant | Tensor:
    """Elements placed otherwise; `axis` is the batch axis of the result."""
    if isinstance(value, Constant):
        moved: Any = function(value.array)
        if not isinstance(moved, np.ndarray):  # one element of an array of strings is a string
            element, moved = moved, np.empty((), value.dtype)
            moved[()] = element
        return Constant(moved, axis)
    assert axis is not None
    return value.see(function(value.columns), axis)


def picture_of(value: Constant | Tensor) -> Array:
    return value.columns if isinstance(value, Tensor) else value.array


def axis_of(node: Node, axis: int, rank: int) -> int:
    """An axis from 0; they may be counted from the end."""
    if not -rank <= axis < max(rank, 1):
        raise node.fail(f"expected an axis within a tensor of rank {rank}, got {axis}")
    return axis % rank if rank else 0


def constant_ints(
    e: Emitter, node: Node, values: Sequence[Constant | Tensor], position: int, what: str
) -> Array | None:
    """An input that says how: integers, which may not depend on the rows."""
    if position >= len(values) or values[position] is ABSENT:
        return None
    value = values[position]
    if not isinstance(value, Constant) or value.array.dtype.kind not in "iu":
        raise e.unsupported(f"{node.op} whose {what} depend on the rows", f"constant {what}")
    return value.array.astype(np.int64)


def _axes(e: Emitter, node: Node, values: Sequence[Constant | Tensor], rank: int) -> list[int]:
    """Attribute axes, or since opset 13 the second input."""
    given = constant_ints(e, node, values, 1, "axes")
    axes = node.ints("axes") if given is None else given.reshape(-1)
    return [axis_of(node, int(axis), rank) for axis in axes]


# -- shapes


def _shape(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    value = operands_of(node, values)[0]
    lengths: list[Any] = list(picture_of(value).shape)
    if value.axis is not None:
        lengths[value.axis] = Rows(lengths[value.axis])
    end = node.get("end", int, len(lengths))
    lengths = lengths[node.get("start", int, 0) : end]
    if any(isinstance(length, Rows) for length in lengths):
        out = np.empty(len(lengths), object)
        out[:] = lengths
        return Constant(out)
    return Constant(np.array(lengths, np.int64))


def _lengths(e: Emitter, node: Node, value: Value) -> list[Any]:
    """A shape: integers, with at most one `Rows`."""
    if not isinstance(value, Constant) or value.array.ndim != 1:
        raise e.unsupported(
            f"{node.op} to a shape that depends on the rows", "constant shapes, and the number of rows in them"
        )
    lengths = [v if isinstance(v, Rows) else int(v) if isinstance(v, (int, np.integer)) else None for v in value.array]
    if None in lengths or sum(isinstance(v, Rows) for v in lengths) > 1:
        raise node.fail(f"expected a shape, got {value.array.tolist()}")
    return lengths


def _constant_of_shape(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    lengths = _lengths(e, node, values[0])
    filling = node.get("value", np.ndarray, np.zeros(1, np.float32))
    if filling.size != 1:
        raise node.fail(f"expected a value of one element, got {filling.size}")
    axes = [k for k, v in enumerate(lengths) if isinstance(v, Rows)]
    shape = [v.times if isinstance(v, Rows) else v for v in lengths]
    check_size(node, shape)
    if axes and shape[axes[0]] != 1:
        raise e.unsupported("a constant for several entries a row", "one for each row")
    return Constant(np.full(shape, filling.reshape(-1)[0], filling.dtype), axes[0] if axes else None)


def check_size(node: Node, shape: Sequence[int]) -> None:
    if any(d < 0 for d in shape) or np.prod(shape, dtype=np.float64) > LIMIT:
        raise node.fail(f"expected a shape of at most {LIMIT} elements, got {list(shape)}")


def _reshape(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    operands = operands_of(node, values)
    value = operands[0]
    if len(operands) < 2:
        lengths: list[Any] = node.need("shape", list)
    else:
        lengths = _lengths(e, node, operands[1])
    return reshape(e, node, value, lengths)


def reshape(e: Emitter, node: Node, value: Constant | Tensor, lengths: Sequence[Any]) -> Constant | Tensor:
    """0 keeps a length, -1 is what is left. A row stays a row, or becomes as many as it had entries behind it."""
    picture, axis = picture_of(value), value.axis
    if isinstance(value, Tensor) and value.stacked:
        if 0 in lengths:
            raise e.unsupported("a reshape of stacked rows that keeps lengths", "lengths that are given")
        value = replace(value, stacked=False)
    known: list[Any] = []
    for k, length in enumerate(lengths):
        if isinstance(length, Rows):
            known.append(length)
        elif length == 0 and not node.get("allowzero", int, 0):
            if k >= picture.ndim:
                raise node.fail(f"expected a length for axis {k}, which the input has not")
            known.append(Rows(picture.shape[k]) if k == axis else picture.shape[k])
        else:
            known.append(int(length))
    left = [k for k, v in enumerate(known) if v == -1 and not isinstance(v, Rows)]
    rows = [k for k, v in enumerate(known) if isinstance(v, Rows)]
    if len(left) > 1 or any(v < -1 for v in known if not isinstance(v, Rows)):
        raise node.fail(f"expected lengths with at most one -1, got {list(lengths)}")
    new_axis: int | None = None
    if axis is not None:
        if not rows and not left:
            raise e.unsupported(f"a reshape of the rows to {list(lengths)}", "one length of -1 or 0 for the rows")
        new_axis = rows[0] if rows else left[0]
        before = [int(v) for v in known[:new_axis] if not isinstance(v, Rows) and v != -1]
        if (rows and left and left[0] < new_axis) or np.prod(before, dtype=np.int64) != np.prod(
            picture.shape[:axis], dtype=np.int64
        ):
            shape = value.shape() if isinstance(value, Tensor) else str(picture.shape)
            raise e.unsupported(f"a reshape of {shape} to {list(lengths)}", "reshapes that keep rows apart")
    sizes = [v.times if isinstance(v, Rows) else v for v in known]
    try:
        moved = picture.reshape(sizes)
    except ValueError:
        raise node.fail(f"expected lengths for {picture.size} elements a row, got {list(lengths)}") from None
    if isinstance(value, Constant) and new_axis is not None and moved.shape[new_axis] != 1:
        raise e.unsupported("a constant for several entries a row", "one for each row")
    return move(value, lambda _: moved, new_axis)


def _flatten(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    value = operands_of(node, values)[0]
    picture = picture_of(value)
    axis = node.get("axis", int, 1)
    axis = axis + picture.ndim if axis < 0 else axis
    if not 0 <= axis <= picture.ndim:
        raise node.fail(f"expected an axis within a tensor of rank {picture.ndim}, got {axis}")
    first, second = (int(np.prod(part, dtype=np.int64)) for part in (picture.shape[:axis], picture.shape[axis:]))
    if value.axis is None:
        return reshape(e, node, value, [first, second])
    return reshape(e, node, value, [Rows(first), second] if value.axis < axis else [first, Rows(second)])


def _squeeze(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    operands = operands_of(node, values)
    value = operands[0]
    picture = picture_of(value)
    axes = _axes(e, node, operands, picture.ndim)
    if not axes:
        axes = [k for k, d in enumerate(picture.shape) if d == 1 and k != value.axis]
    if value.axis in axes or any(picture.shape[k] != 1 for k in axes):
        raise e.unsupported(
            f"Squeeze of axes {axes} of shape {list(picture.shape)}", "axes of length 1 that are not the rows"
        )
    axis = None if value.axis is None else value.axis - sum(k < value.axis for k in axes)
    return move(value, lambda a: np.squeeze(a, axis=tuple(axes)), axis)


def _unsqueeze(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    operands = operands_of(node, values)
    value = operands[0]
    given = constant_ints(e, node, operands, 1, "axes")
    wanted = (node.ints("axes") if given is None else given.reshape(-1)).tolist()
    rank = picture_of(value).ndim + len(wanted)
    axes = sorted(axis_of(node, int(axis), rank) for axis in wanted)
    if len(set(axes)) != len(axes) or rank > 8:
        raise node.fail(f"expected different axes, got {wanted}")
    places = [k for k in range(rank) if k not in axes]
    axis = None if value.axis is None else places[value.axis]
    return move(value, lambda a: np.expand_dims(a, tuple(axes)), axis)


def _transpose(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    value = operands_of(node, values)[0]
    rank = picture_of(value).ndim
    order = node.ints("perm", range(rank)[::-1]).tolist()
    if sorted(order) != list(range(rank)):
        raise node.fail(f"expected an order of {rank} axes, got {order}")
    axis = None if value.axis is None else order.index(value.axis)
    return move(value, lambda a: np.transpose(a, order), axis)


def _expand(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    value = operands_of(node, values)[0]
    lengths = _lengths(e, node, values[1]) if len(values) > 1 else []
    rows = [k for k, v in enumerate(lengths) if isinstance(v, Rows)]
    shape = [1 if isinstance(v, Rows) else v for v in lengths]
    check_size(node, shape)
    if value.axis is None and not rows:
        try:
            shape = list(np.broadcast_shapes(picture_of(value).shape, tuple(shape)))
        except ValueError:
            raise node.fail(f"expected a shape that fits, got {lengths}") from None
        check_size(node, shape)
        return move(value, lambda array: np.broadcast_to(array, shape), None)
    found = broadcast([value, Constant(np.broadcast_to(np.int8(0), shape), rows[0] if rows else None)])
    if found is None:
        raise e.unsupported(f"Expand to {lengths}", "shapes whose rows line up")
    (picture, _), axis = found
    check_size(node, picture.shape)
    return move(value, lambda _: picture, axis)


HANDLERS: dict[str, Handler] = {
    "Shape": _shape,
    "ConstantOfShape": _constant_of_shape,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Expand": _expand,
}
