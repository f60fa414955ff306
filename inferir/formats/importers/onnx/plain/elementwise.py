"""Plain operators that look at one element at a time: what each is to NumPy, and what it adds to a plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from inferir.formats.importers.onnx.emit import BOOL, FLOAT, INT, Emitter, storage
from inferir.formats.importers.onnx.plain.broadcasting import (
    Elementwise,
    Emit,
    Function,
    Handler,
    Operand,
    fold_table,
    levels_of,
    operands_of,
)
from inferir.formats.importers.onnx.reader import Node
from inferir.formats.importers.onnx.values import TEXT, Array, Constant, Tensor, Value, broadcast, dtype_name

__all__ = ["HANDLERS"]


def _combine(operation: str, swapped: str | None = None) -> Emit:
    """x with y. `swapped` is the operation for y with x, where it is another one."""

    def emit(e: Emitter, operands: Sequence[Operand], width: int) -> str:
        x, y = operands
        if isinstance(x, str):
            if isinstance(y, str):
                return e.b.op("combine", x, y, operation=operation)
            return e.b.op("combine", x, tensors={"y": y}, operation=operation)
        assert isinstance(y, str)
        return e.b.op("combine", y, tensors={"y": x}, operation=swapped or operation)

    return emit


def _add(e: Emitter, operands: Sequence[Operand], width: int) -> str:
    names = [x for x in operands if isinstance(x, str)]
    rows = [x for x in operands if not isinstance(x, str)]
    total = e.b.op("add", *names) if len(names) > 1 else names[0]
    return e.affine(total, 1.0, reduce(np.add, rows), width) if rows else total


def _subtract(e: Emitter, operands: Sequence[Operand], width: int) -> str:
    x, y = operands
    if isinstance(x, str):
        if isinstance(y, str):
            return e.b.op("combine", x, y, operation="subtract")
        return e.affine(x, 1.0, -y, width)
    assert isinstance(y, str)
    return e.affine(y, -1.0, x, width)


def _multiply(e: Emitter, operands: Sequence[Operand], width: int) -> str:
    x, y = operands
    if isinstance(x, str) and isinstance(y, str):
        return e.b.op("combine", x, y, operation="multiply")
    name, row = (x, y) if isinstance(x, str) else (y, x)
    assert isinstance(name, str)
    return e.affine(name, row, -0.0, width)


def _divide(e: Emitter, operands: Sequence[Operand], width: int) -> str:
    x, y = operands
    if isinstance(x, str) and not isinstance(y, str):
        return e.b.op("divide", x, tensors={"divisor": y})
    return _combine("divide", "divide_into")(e, operands, width)


def _compare(relation: str, swapped: str) -> Emit:
    def emit(e: Emitter, operands: Sequence[Operand], width: int) -> str:
        x, y = operands
        if isinstance(x, str):
            if isinstance(y, str):
                return e.b.op("compare", x, y, relation=relation)
            return e.b.op("compare", x, tensors={"y": y}, relation=relation)
        assert isinstance(y, str)
        return e.b.op("compare", y, tensors={"y": x}, relation=swapped)

    return emit


def _named(op: str, **attributes: Any) -> Emit:
    def emit(e: Emitter, operands: Sequence[Operand], width: int) -> str:
        assert isinstance(operands[0], str)
        return e.b.op(op, operands[0], **attributes)

    return emit


def _affine(factor: float, offset: float) -> Emit:
    def emit(e: Emitter, operands: Sequence[Operand], width: int) -> str:
        assert isinstance(operands[0], str)
        return e.affine(operands[0], factor, offset, width)

    return emit


def _choose(e: Emitter, operands: Sequence[Operand], width: int) -> str:
    condition, x, y = operands
    if not isinstance(condition, str):  # a constant one: as a matrix, since a plan has no other
        condition = e.flat(e.constant(Constant(condition), condition.shape, 0))
    tensors = {role: row for role, row in (("x", x), ("y", y)) if not isinstance(row, str)}
    return e.b.op("choose", condition, *[v for v in (x, y) if isinstance(v, str)], tensors=tensors)


# -- as NumPy has them


def _quotient(x: Array, y: Array) -> Array:
    """Integers divide as in C: towards zero."""
    return np.trunc(x / y).astype(np.asarray(x).dtype) if np.asarray(x).dtype.kind in "iu" else np.asarray(x / y)


def _power(x: Array, y: Array) -> Array:
    return np.power(np.asarray(x, np.float64), np.asarray(y, np.float64)).astype(np.asarray(x).dtype)


def _in_double(function: Callable[[Array], Array]) -> Function:
    def apply(x: Array) -> Array:
        return np.asarray(function(np.asarray(x, np.float64))).astype(np.asarray(x).dtype)

    return apply


def _reciprocal(e: Emitter, operands: Sequence[Operand], width: int) -> str:
    return _divide(e, [np.ones(width), operands[0]], width)


#: Operators of one, two and three operands: the function, and what adds it to a plan.
_UNARY: dict[str, tuple[Function, Emit]] = {
    "Not": (np.logical_not, _affine(-1.0, 1.0)),
    "Neg": (np.negative, _affine(-1.0, -0.0)),
    "Abs": (np.abs, _named("apply", function="absolute")),
    "Sqrt": (np.sqrt, _named("apply", function="sqrt")),
    "Floor": (np.floor, _named("apply", function="floor")),
    "Ceil": (np.ceil, _named("apply", function="ceil")),
    "Round": (np.rint, _named("apply", function="round")),
    "Sign": (np.sign, _named("apply", function="sign")),
    "IsNaN": (np.isnan, _named("apply", function="is_nan")),
    "Reciprocal": (np.reciprocal, _reciprocal),
    "Exp": (_in_double(np.exp), _named("exp")),
    "Log": (_in_double(np.log), _named("log")),
    "Tanh": (_in_double(np.tanh), _named("tanh")),
    "Sigmoid": (_in_double(lambda x: 1 / (1 + np.exp(-x))), _named("sigmoid", scale=1.0)),
    "Softplus": (_in_double(lambda x: np.logaddexp(0, x)), _named("softplus")),
    "Relu": (lambda x: np.where(x <= 0, x * 0, x), _named("relu")),
    "Erf": (_in_double(np.vectorize(math.erf, otypes=[float])), _named("apply", function="erf")),
}
_BINARY: dict[str, tuple[Function, Emit]] = {
    "Sub": (np.subtract, _subtract),
    "Mul": (np.multiply, _multiply),
    "Div": (_quotient, _divide),
    "Pow": (_power, _combine("power", "power_of")),
    "And": (np.logical_and, _combine("minimum")),
    "Or": (np.logical_or, _combine("maximum")),
    "Equal": (lambda x, y: np.asarray(x == y), _compare("equal", "equal")),
    "Less": (np.less, _compare("less", "greater")),
    "LessOrEqual": (np.less_equal, _compare("at_most", "at_least")),
    "Greater": (np.greater, _compare("greater", "less")),
    "GreaterOrEqual": (np.greater_equal, _compare("at_least", "at_most")),
}

#: Operators of any number of operands.
_PAIRS: dict[str, tuple[Function, Emit]] = {
    "Add": (np.add, _add),
    "Max": (np.maximum, _combine("maximum")),
    "Min": (np.minimum, _combine("minimum")),
}


def _in_pairs(name: str) -> Handler:
    """Operators of any number of operands, from the left."""
    pair = Elementwise(*_PAIRS[name], 2)

    def handle(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
        if not values:
            raise node.fail("expected at least one input")
        return reduce(lambda x, y: pair(e, node, [x, y]), values)

    return handle


def _mean(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    total = _in_pairs("Add")(e, node, values)
    assert isinstance(total, (Constant, Tensor))
    count = Constant(np.asarray(len(values), total.dtype))
    return Elementwise(_quotient, _divide, 2)(e, node, [total, count])


def _equal(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """Text of an input column is compared by its code."""
    operands = operands_of(node, values)
    texts = [v for v in operands if isinstance(v, Tensor) and v.dtype == TEXT and v.table is None]
    words = [v for v in operands if isinstance(v, Constant) and v.dtype == TEXT]
    if len(texts) == len(words) == 1:
        operands = _as_codes(e, texts[0], words[0])
    return Elementwise(*_BINARY["Equal"], 2)(e, node, operands)


def _as_codes(e: Emitter, text: Tensor, words: Constant) -> list[Constant | Tensor]:
    found = broadcast([text, words])
    if found is None:
        raise e.unsupported(f"strings of shape {text.shape()} against {words.array.shape}", "rows that line up")
    (columns, texts), axis = found
    pairs = zip(columns.reshape(-1).tolist(), texts.reshape(-1).tolist(), strict=True)
    codes = np.array([e.b.category_codes(column, [word])[0] for column, word in pairs], np.float64)
    coded = replace(text.see(columns, axis), dtype=np.dtype(np.float64))
    return [coded, Constant(codes.reshape(columns.shape))]


def _where(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """A choice of two strings is a label."""
    operands = operands_of(node, values)
    strings = [v.array for v in operands[1:] if isinstance(v, Constant) and v.dtype == TEXT and v.array.size == 1]
    condition = operands[0]
    if len(strings) == 2 and isinstance(condition, Tensor) and condition.table is None:
        table = np.array([strings[1].item(), strings[0].item()], TEXT)
        return replace(e.positions(condition), table=table, dtype=TEXT)
    return Elementwise(np.where, _choose, 3)(e, node, values)


def _clip(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """Bounds are attributes before opset 11, then inputs. One that is not given is the largest finite number."""
    operands = operands_of(node, values)
    most = float(np.finfo(operands[0].dtype).max) if operands[0].dtype.kind == "f" else np.inf
    bounds = []
    for position, (name, default) in enumerate((("min", -most), ("max", most)), 1):
        bound = operands[position] if len(operands) > position else Constant(np.array(node.get(name, float, default)))
        if not isinstance(bound, Constant) or bound.array.size > 1 or bound.array.dtype.kind not in "iuf":
            raise e.unsupported(f"Clip whose {name} is computed", "constant bounds")
        bounds.append(float(bound.array.reshape(-1)[0]) if bound.array.size else default)
    low, high = bounds

    def clip(x: Array) -> Array:
        return np.clip(np.asarray(x, np.float64), low, high).astype(np.asarray(x).dtype)

    def emit(e: Emitter, made: Sequence[Operand], width: int) -> str:
        assert isinstance(made[0], str)
        tensors = {"scale": np.ones(width), "offset": np.full(width, -0.0)}
        return e.b.op("min_max", made[0], tensors=tensors, low=low, high=high)

    return Elementwise(clip, emit, 1)(e, node, operands[:1])


def _identity(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    return values[0]


#: TensorProto.DataType -> dtype.
_TYPES: dict[int, np.dtype[Any]] = {
    1: FLOAT, 2: np.dtype(np.uint8), 3: np.dtype(np.int8), 5: np.dtype(np.int16), 6: np.dtype(np.int32), 7: INT,
    8: TEXT, 9: BOOL, 11: np.dtype(np.float64),
}  # fmt: skip


def _as_text(x: Array) -> Array:
    out = np.empty(x.shape, TEXT)
    out[...] = np.vectorize(lambda v: str(int(v)) if np.asarray(v).dtype.kind in "biu" else str(v), otypes=[TEXT])(x)
    return out


def _is_shape(value: Constant | Tensor) -> bool:
    """A constant that holds the number of rows: neither text nor a number yet."""
    return isinstance(value, Constant) and value.dtype == TEXT and not all(isinstance(v, str) for v in value.array.flat)


def _cast(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    target = _TYPES.get(node.need("to", int))
    value = operands_of(node, values)[0]
    if target is None:
        raise e.unsupported(f"a cast to element type {node.attributes['to']}", "casts to numbers, bool and string")
    if value.dtype == target or _is_shape(value):
        return value
    known = isinstance(value, Constant) or value.table is not None
    if value.dtype == TEXT or (target == TEXT and not (known and value.dtype.kind in "biu")):
        raise e.unsupported(f"a cast from {dtype_name(value.dtype)} to {dtype_name(target)}", "casts of numbers")

    def convert(x: Array) -> Array:
        return _as_text(x) if target == TEXT else np.asarray(x).astype(target)

    if isinstance(value, Constant):
        with np.errstate(all="ignore"):
            return replace(value, array=convert(value.array))
    folded = fold_table(node, convert, [value])
    return _cast_numbers(e, e.numbers(value), target, levels_of(node, convert, [value])) if folded is None else folded


def _cast_numbers(e: Emitter, t: Tensor, dtype: np.dtype[Any], levels: Array | None) -> Tensor:
    """Floats lose their fraction on the way to integers, and are true unless they are 0."""
    if dtype == BOOL:
        zeros = np.zeros(t.columns.size)
        equal = e.b.op("compare", e.flat(t), tensors={"y": zeros}, relation="equal")
        return e.same(t, e.affine(equal, -1.0, 1.0, t.columns.size), dtype=BOOL)
    if dtype.kind in "iu" and t.dtype.kind == "f":
        value = e.b.op("apply", e.flat(t, "f64"), function="truncate")
        return replace(e.same(t, value, "f64", dtype), levels=levels)
    stored = storage(dtype)
    value = t.value if t.stored == stored else e.cast(t.value, stored)
    return replace(t, value=value, stored=stored, dtype=dtype, levels=levels)


HANDLERS: dict[str, Handler] = {
    **{name: Elementwise(*pair, 1) for name, pair in _UNARY.items()},
    **{name: Elementwise(*pair, 2) for name, pair in _BINARY.items()},
    **{name: _in_pairs(name) for name in _PAIRS},
    "Sum": _in_pairs("Add"),
    "Mean": _mean,
    "Equal": _equal,
    "Where": _where,
    "Clip": _clip,
    "Cast": _cast,
    "Identity": _identity,
}
