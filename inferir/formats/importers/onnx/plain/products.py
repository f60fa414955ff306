"""Products with constant matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferir.formats.importers.onnx.emit import Emitter, matrix_of, storage
from inferir.formats.importers.onnx.plain.broadcasting import Handler, operands_of
from inferir.formats.importers.onnx.plain.elementwise import HANDLERS as ELEMENTWISE
from inferir.formats.importers.onnx.reader import LIMIT, Node
from inferir.formats.importers.onnx.values import Array, Constant, Tensor, Value

__all__ = ["HANDLERS", "linear", "product"]


def linear(e: Emitter, value: str, coef: Array, intercept: Any, stored: str) -> str:
    """value @ coef.T + intercept, in the width of the model."""
    dtype = np.float32 if stored == "f32" else np.float64
    row = np.broadcast_to(np.asarray(intercept, dtype).reshape(-1), (len(coef),))
    return e.b.op("linear", value, tensors={"coef": coef.astype(dtype), "intercept": row}, width=stored)


def _matmul(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    operands = operands_of(node, values)
    if len(operands) != 2:
        raise node.fail(f"expected 2 inputs, got {len(operands)}")
    return product(e, node, operands[0], operands[1], None)


def product(e: Emitter, node: Node, x: Constant | Tensor, y: Constant | Tensor, addend: Array | None) -> Value:
    """x @ y + addend, where one side is a constant matrix or vector and the other has its columns last (or first)."""
    if isinstance(x, Constant) and isinstance(y, Constant):
        return Constant(_numpy_product(node, x.array, y.array), x.axis if x.axis == 0 and x.array.ndim == 2 else None)
    t, matrix = (x, y) if isinstance(x, Tensor) else (y, x)
    if not isinstance(t, Tensor) or not isinstance(matrix, Constant) or matrix.axis is not None:
        raise e.unsupported("a product of rows with rows", "products with constants")
    t = e.numbers(t)
    array = matrix.array
    if x is matrix:  # constant @ [.., columns, N]
        if array.ndim != 2 or t.columns.ndim != 2 or t.axis != 1 or t.batch != 1:
            raise e.unsupported(
                f"a constant of shape {list(array.shape)} times {t.shape()}", "[N, columns] times a constant"
            )
        coef, first = array, t.columns[:, 0]
    else:
        if array.ndim not in (1, 2) or t.columns.ndim != 2 or t.axis != 0 or t.batch != 1:
            raise e.unsupported(
                f"{t.shape()} times a constant of shape {list(array.shape)}", "[N, columns] times a constant"
            )
        coef, first = (array[None, :] if array.ndim == 1 else array.T), t.columns[0]
    if coef.shape[1] != len(first):
        raise node.fail(f"expected a matrix of {len(first)} rows, got shape {list(array.shape)}")
    stored = storage(t.dtype)
    value = linear(e, e.flat(t.see(first.reshape(1, -1), 0), stored), coef, 0.0 if addend is None else addend, stored)
    out = matrix_of(value, len(coef), stored, margin=True)
    if x is matrix:
        return out.see(out.columns.T, 1)
    return out.see(out.columns.reshape(1), 0) if array.ndim == 1 else out


def _numpy_product(node: Node, x: Array, y: Array) -> Array:
    if x.ndim < 1 or y.ndim < 1 or x.size * (y.shape[-1] if y.ndim > 1 else 1) > LIMIT:
        raise node.fail(f"expected matrices, got shapes {list(x.shape)} and {list(y.shape)}")
    try:
        return np.asarray(np.matmul(x, y))
    except (TypeError, ValueError) as error:
        raise node.fail(f"expected matrices that fit: {error}") from error


def _gemm(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """alpha A B + beta C; A has the rows."""
    operands = operands_of(node, values)
    if len(operands) not in (2, 3):
        raise node.fail(f"expected 2 or 3 inputs, got {len(operands)}")
    a, b = operands[:2]
    alpha, beta = np.float32(node.get("alpha", float, 1.0)), np.float32(node.get("beta", float, 1.0))
    c = operands[2] if len(operands) == 3 else None
    if not isinstance(a, Tensor) or not isinstance(b, Constant) or b.array.ndim != 2 or node.get("transA", int, 0):
        raise e.unsupported("Gemm of other than rows and a constant matrix", "rows first, a constant matrix second")
    array = b.array.T if node.get("transB", int, 0) else b.array
    matrix = Constant((array * alpha.astype(array.dtype)).astype(array.dtype))
    if c is None:
        return product(e, node, a, matrix, None)
    if isinstance(c, Constant) and c.axis is None and (c.array.ndim < 2 or c.array.shape[0] == 1):
        if c.array.size not in (1, array.shape[1]):
            raise node.fail(f"expected {array.shape[1]} values in C, got {c.array.size}")
        return product(e, node, a, matrix, c.array * beta)
    scaled = c if beta == 1 else ELEMENTWISE["Mul"](e, node, [c, Constant(np.asarray(beta, c.dtype))])
    return _first(ELEMENTWISE["Add"](e, node, [product(e, node, a, matrix, None), scaled]))  # type: ignore[list-item]


def _first(value: Value | tuple[Value, ...]) -> Value:
    return value[0] if isinstance(value, tuple) else value


HANDLERS: dict[str, Handler] = {"MatMul": _matmul, "Gemm": _gemm}
