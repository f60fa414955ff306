"""How operators that look at one element at a time are converted, with NumPy's broadcasting.

Each is a NumPy function, which is what happens to constants, to tables and to levels, and what to add to the plan where
an operand depends on the row. There a constant operand becomes one row of numbers, one for each column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from inferir.formats.importers.onnx.emit import BOOL, FLOAT, Emitter, storage
from inferir.formats.importers.onnx.reader import LIMIT, Node
from inferir.formats.importers.onnx.values import TEXT, Array, Constant, Tensor, Value, broadcast

__all__ = ["Elementwise", "Emit", "Function", "Handler", "Operand", "fold_table", "levels_of", "operands_of"]

Operand: TypeAlias = "str | Array"
Emit: TypeAlias = Callable[[Emitter, Sequence[Operand], int], str]
Function: TypeAlias = Callable[..., Array]
Handler: TypeAlias = Callable[[Emitter, Node, Sequence[Value]], "Value | tuple[Value, ...]"]


def operands_of(node: Node, values: Sequence[Value]) -> list[Constant | Tensor]:
    out = []
    for value in values:
        if not isinstance(value, (Constant, Tensor)):
            raise node.fail("expected tensors, got maps")
        out.append(value)
    return out


def _one_tensor(values: Sequence[Constant | Tensor]) -> Tensor | None:
    """The only tensor among scalars."""
    tensors = [v for v in values if isinstance(v, Tensor)]
    scalars = all(v.array.size == 1 for v in values if isinstance(v, Constant))
    return tensors[0] if len(tensors) == 1 and scalars else None


def _of(node: Node, function: Function, arrays: Sequence[Array]) -> Array:
    try:
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays))
    except (TypeError, ValueError) as error:
        raise node.fail(f"expected operands that go together: {error}") from error


def _with(node: Node, function: Function, values: Sequence[Constant | Tensor], array: Array) -> Array:
    """The function with `array` for its one tensor."""
    return _of(node, function, [array if isinstance(v, Tensor) else v.array.reshape(()) for v in values])


def fold_table(node: Node, function: Function, values: Sequence[Constant | Tensor]) -> Tensor | None:
    """A function of one tensor of positions and of scalars: a function of its table."""
    t = _one_tensor(values)
    if t is None or t.table is None:
        return None
    table = _with(node, function, values, t.table)
    return replace(t, table=table, dtype=table.dtype)


def levels_of(node: Node, function: Function, values: Sequence[Constant | Tensor]) -> Array | None:
    t = _one_tensor(values)
    levels = None if t is None else np.array([False, True]) if t.dtype == BOOL else t.levels
    return None if levels is None else np.unique(_with(node, function, values, levels))


def _common(values: Sequence[Constant | Tensor]) -> str:
    """The storage in which operands meet."""
    return "f32" if all(v.dtype in (FLOAT, BOOL) for v in values) else "f64"


#: Operators that make scores of scores; others are links, after which a number may be a probability.
_LINEAR = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Abs", "Sum", "Mean", "Max", "Min", "Where"})


@dataclass(frozen=True)
class Elementwise:
    """The handler of an operator that is `function` of arrays, and `emit` where there are rows."""

    function: Function
    emit: Emit
    arity: int

    def __call__(self, e: Emitter, node: Node, values: Sequence[Value]) -> Value:
        operands = operands_of(node, values)
        if len(operands) != self.arity:
            raise node.fail(f"expected {self.arity} inputs, got {len(operands)}")
        if all(isinstance(v, Constant) for v in operands):
            return fold(e, node, self.function, operands)
        if (folded := fold_table(node, self.function, operands)) is not None:
            return folded
        operands = [e.numbers(v) if isinstance(v, Tensor) else v for v in operands]
        if any(v.dtype == TEXT for v in operands):
            raise e.unsupported(f"{node.op} of strings and numbers", "operands of one kind")
        dtype = _of(node, self.function, [np.ones(1, v.dtype) for v in operands]).dtype
        stored = _common(operands)
        made, shape, axis = place(e, operands, stored)
        value = self.emit(e, made, shape.size)
        if dtype.kind in "iu" and node.op == "Div":
            value = e.b.op("apply", value, function="truncate")
        if dtype != BOOL and storage(dtype) != stored:
            value, stored = e.cast(value, storage(dtype)), storage(dtype)
        levels = np.sign([-1, 0, 1]).astype(dtype) if node.op == "Sign" else levels_of(node, self.function, operands)
        margin = node.op in _LINEAR and any(v.margin for v in operands if isinstance(v, Tensor))
        return e.tensor(value, shape, axis, dtype, stored, levels=levels, margin=margin)


def fold(e: Emitter, node: Node, function: Function, values: Sequence[Constant | Tensor]) -> Constant:
    """A function of constants."""
    constants = [v for v in values if isinstance(v, Constant)]
    try:
        shape = np.broadcast_shapes(*[c.array.shape for c in constants])
    except ValueError:
        raise node.fail(f"expected shapes that fit, got {[c.array.shape for c in constants]}") from None
    if np.prod(shape, dtype=np.float64) > LIMIT:
        raise node.fail(f"expected at most {LIMIT} elements, got {shape}")
    axes = {len(shape) + c.axis - c.array.ndim for c in constants if c.axis is not None}
    if len(axes) > 1 or any(shape[axis] != 1 for axis in axes):
        raise e.unsupported("rows that meet columns", "operands whose rows line up")
    return Constant(_of(node, function, [c.array for c in constants]), axes.pop() if axes else None)


def place(e: Emitter, values: Sequence[Constant | Tensor], stored: str) -> tuple[list[Operand], Array, int]:
    """Operands of one shape: names of matrices, and constants as rows; and that shape, with its batch axis."""
    found = broadcast(values)
    if found is None:
        shapes = ", ".join(v.shape() if isinstance(v, Tensor) else str(list(v.array.shape)) for v in values)
        raise e.unsupported(f"operands of shapes {shapes}", "operands whose rows line up")
    pictures, axis = found
    if pictures[0].size > 2**20:
        raise e.unsupported(f"{pictures[0].size} numbers a row", f"at most {2**20}")
    made: list[Operand] = []
    for value, picture in zip(values, pictures, strict=True):
        if isinstance(value, Tensor):
            made.append(e.flat(value.see(picture, axis), stored))
        else:
            made.append(picture.reshape(-1).astype(np.float64))
    return made, pictures[0], axis
