"""Distances of rows to constant points: onnxruntime's CDist, and the loop that skl2onnx writes where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inferir.formats.importers.onnx.emit import Emitter, matrix_of, storage
from inferir.formats.importers.onnx.plain.broadcasting import Handler
from inferir.formats.importers.onnx.reader import Node, array_of, nodes_of, onnx_package
from inferir.formats.importers.onnx.values import Array, Constant, Tensor, Value

__all__ = ["HANDLERS", "MICROSOFT_HANDLERS"]


def _distances(e: Emitter, x: Tensor, points: Array, metric: str, p: float = 2.0) -> Tensor:
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
    if y.array.shape[1] != t.columns.size or not len(y.array) or y.array.dtype.kind != "f":
        raise node.fail(f"expected points of {t.columns.size} columns, got shape {list(y.array.shape)}")
    return t, y.array


def _cdist(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    metric = node.get("metric", str, "sqeuclidean")
    if metric not in ("euclidean", "sqeuclidean") or len(values) != 2:
        raise e.unsupported(f"CDist with metric {metric!r}", "euclidean, sqeuclidean")
    return _distances(e, *_points(e, node, values[0], values[1]), metric)


# -- the loop: its state is the rows, and each turn subtracts one point from them

#: What a turn computes, from the difference on -> metric.
_METRICS = {
    ("Sub", "ReduceSumSquare"): "sqeuclidean",
    ("Sub", "Abs", "ReduceSum"): "manhattan",
    ("Sub", "Abs", "ReduceMax"): "chebyshev",
    ("Sub", "Abs", "Pow", "ReduceSum"): "minkowski",
}
_SUPPORTED = f"the loops that skl2onnx writes for {', '.join(sorted(_METRICS.values()))} distances"
_DIRECTIONS = ("scan_input_axes", "scan_output_axes", "scan_input_directions", "scan_output_directions")


def _scan(e: Emitter, node: Node, values: Sequence[Value]) -> tuple[Value, ...]:
    body: Any = node.get("body", onnx_package().GraphProto)
    turned = any(node.get(name, list, [0]) != [0] for name in _DIRECTIONS)
    if body is None or turned or len(values) != 2 or node.get("num_scan_inputs", int, 0) != 1:
        raise e.unsupported("a Scan", _SUPPORTED)
    if len(body.input) != 2 or len(body.output) != 2:
        raise e.unsupported("a Scan", _SUPPORTED)
    metric, p = _metric(e, body)
    x, points = _points(e, node, values[0], values[1])
    found = _distances(e, x, points, metric, p)
    return values[0], found.see(found.columns.T, 1)


def _metric(e: Emitter, body: Any) -> tuple[str, float]:
    """Metric of the distance that a turn computes, and its power."""
    constants = {t.name: array_of(t, f"tensor {t.name!r}") for t in body.initializer}
    nodes = list(nodes_of(body))
    made_by = {name: inner for inner in nodes for name in inner.outputs}
    rows, point = (given.name for given in body.input)
    same, distance = (_back_to(made_by, given.name) for given in body.output)
    chain = [inner for inner in distance if inner.op != "Identity"]
    metric = _METRICS.get(tuple(inner.op for inner in chain))
    carried = bool(same) and all(inner.op == "Identity" for inner in same) and same[0].inputs == (rows,)
    others = len(nodes) != len(same) + len(distance)
    if metric is None or not carried or others or set(chain[0].inputs) != {rows, point}:
        raise e.unsupported(f"a Scan of {', '.join(inner.op for inner in nodes)}", _SUPPORTED)
    last = chain[-1]
    axes = constants.get(last.inputs[1]) if len(last.inputs) > 1 else last.ints("axes")
    if axes is None or axes.tolist() not in ([1], [-1]) or last.get("keepdims", int, 1):
        raise e.unsupported("a Scan over other than columns", _SUPPORTED)
    return metric, _power(e, chain, constants) if metric == "minkowski" else 2.0


def _back_to(made_by: Mapping[str, Node], name: str) -> list[Node]:
    """Nodes from the first to the one that makes `name`, by first inputs."""
    chain: list[Node] = []
    while name in made_by and len(chain) < len(made_by):
        chain.append(made_by[name])
        name = chain[-1].inputs[0] if chain[-1].inputs else ""
    return chain[::-1]


def _power(e: Emitter, chain: Sequence[Node], constants: Mapping[str, Array]) -> float:
    power = next(inner for inner in chain if inner.op == "Pow")
    exponent = constants.get(power.inputs[1]) if len(power.inputs) == 2 else None
    if exponent is None or exponent.size != 1 or not float(exponent.reshape(-1)[0]) >= 1:
        raise e.unsupported("a Scan with a computed power", _SUPPORTED)
    return float(exponent.reshape(-1)[0])


HANDLERS: dict[str, Handler] = {"Scan": _scan}
MICROSOFT_HANDLERS: dict[str, Handler] = {"CDist": _cdist}
