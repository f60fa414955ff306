"""Products with constant matrices, and distances to constant points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferir.formats.importers.onnx.emit import Emitter, matrix_of, storage
from inferir.formats.importers.onnx.plain.broadcasting import Handler, operands_of
from inferir.formats.importers.onnx.plain.elementwise import HANDLERS as ELEMENTWISE
from inferir.formats.importers.onnx.reader import LIMIT, Node, array_of, nodes_of
from inferir.formats.importers.onnx.values import Array, Constant, Tensor, Value

__all__ = ["HANDLERS", "MICROSOFT_HANDLERS", "linear", "product"]


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


# -- distances


def distances(e: Emitter, x: Tensor, points: Array, metric: str, p: float = 2.0) -> Tensor:
    """[N, points], computed in double and rounded to the model's width.

    "sqeuclidean" and "minkowski" are without their last root.
    """
    name = "euclidean" if metric == "sqeuclidean" else metric
    value = e.b.op("distances", e.flat(x, "f64"), tensors={"points": points.astype(np.float64)}, metric=name, p=p)
    if metric == "sqeuclidean":
        value = e.b.op("combine", value, value, operation="multiply")
    elif metric == "minkowski":
        value = e.b.op("combine", value, tensors={"y": np.full(len(points), p)}, operation="power")
    stored = storage(x.dtype)
    return matrix_of(e.cast(value, stored) if stored == "f32" else value, len(points), stored)


def _points(e: Emitter, node: Node, x: Value, y: Value) -> tuple[Tensor, Array]:
    if not isinstance(x, Tensor) or not isinstance(y, Constant) or y.axis is not None or y.array.ndim != 2:
        raise e.unsupported("distances between computed rows", "distances of rows to constant points")
    t = e.matrix(x)
    if y.array.shape[1] != t.columns.size or not len(y.array):
        raise node.fail(f"expected points of {t.columns.size} columns, got shape {list(y.array.shape)}")
    return t, y.array


def _cdist(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """com.microsoft: distances between two sets of rows."""
    metric = node.get("metric", str, "sqeuclidean")
    if metric not in ("euclidean", "sqeuclidean") or len(values) != 2:
        raise e.unsupported(f"CDist with metric {metric!r}", "euclidean, sqeuclidean")
    return distances(e, *_points(e, node, values[0], values[1]), metric)


#: Operators between difference and distance -> metric, as skl2onnx writes `cdist` without CDist.
_BODIES = {
    ("Sub", "ReduceSumSquare"): "sqeuclidean",
    ("Sub", "Abs", "ReduceSum"): "manhattan",
    ("Sub", "Abs", "ReduceMax"): "chebyshev",
    ("Sub", "Abs", "Pow", "ReduceSum"): "minkowski",
}


def _scan(e: Emitter, node: Node, values: Sequence[Value]) -> tuple[Value, ...]:
    """A loop over points that carries the rows along and computes distances to them: the only Scan with a kernel."""
    body = node.attributes.get("body")
    known = f"the loops that skl2onnx writes for {', '.join(sorted(set(_BODIES.values())))} distances"
    if body is None or len(values) != 2 or node.get("num_scan_inputs", int, 0) != 1 or len(node.outputs) != 2:
        raise e.unsupported("a Scan", known)
    if len(body.input) != 2 or len(body.output) != 2:
        raise e.unsupported("a Scan", known)
    constants = {t.name: array_of(t, f"tensor {t.name!r}") for t in body.initializer}
    carried, point = (i.name for i in body.input)
    nodes = list(nodes_of(body))
    made_by = {name: inner for inner in nodes for name in inner.outputs}
    chain: list[str] = []
    power = 2.0
    at = body.output[1].name
    while at in made_by and len(chain) < 8:
        inner = made_by[at]
        if inner.op != "Identity":
            chain.append(inner.op)
        if inner.op.startswith("Reduce"):
            axes = constants.get(inner.inputs[1]) if len(inner.inputs) > 1 else inner.ints("axes")
            if axes is None or np.asarray(axes).tolist() not in ([1], [-1]) or inner.get("keepdims", int, 1):
                raise e.unsupported("a Scan over other than columns", known)
        if inner.op == "Pow":
            exponent = constants.get(inner.inputs[1]) if len(inner.inputs) == 2 else None
            if exponent is None or exponent.size != 1 or not float(exponent.reshape(-1)[0]) >= 1:
                raise e.unsupported("a Scan with a computed power", known)
            power = float(exponent.reshape(-1)[0])
        if inner.op == "Sub":
            break
        at = inner.inputs[0] if inner.inputs else ""
    metric = _BODIES.get(tuple(chain[::-1]))
    last = made_by.get(at)
    kept = made_by.get(body.output[0].name)
    if (
        metric is None or last is None or set(last.inputs) != {carried, point}
        or kept is None or kept.op != "Identity" or kept.inputs != (carried,)
        or any(node.attributes.get(name) not in (None, [0]) for name in
               ("scan_input_axes", "scan_output_axes", "scan_input_directions", "scan_output_directions"))
        or len(nodes) > len(chain) + 3  # what else is there may be an Identity of each output, and a Constant
    ):  # fmt: skip
        raise e.unsupported(f"a Scan of {', '.join(inner.op for inner in nodes)}", known)
    x, points = _points(e, node, values[0], values[1])
    found = distances(e, x, points, metric, power)
    return values[0], found.see(found.columns.T, 1)


HANDLERS: dict[str, Handler] = {"MatMul": _matmul, "Gemm": _gemm, "Scan": _scan}
MICROSOFT_HANDLERS: dict[str, Handler] = {"CDist": _cdist}
