"""LinearClassifier and LinearRegressor: float32 products, whatever the rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inferir.formats.importers.onnx.emit import Emitter, Predictor
from inferir.formats.importers.onnx.ml.links import TRANSFORMS, class_labels, label, link, two_scores
from inferir.formats.importers.onnx.plain.broadcasting import Handler
from inferir.formats.importers.onnx.plain.products import linear
from inferir.formats.importers.onnx.reader import Node
from inferir.formats.importers.onnx.values import Tensor, Value

__all__ = ["HANDLERS"]


def _scores(e: Emitter, node: Node, values: Sequence[Value], outputs: int) -> str:
    """rows @ coefficients.T + intercepts."""
    if len(values) != 1 or not isinstance(values[0], Tensor):
        raise e.unsupported(f"{node.op} of a constant", "rows")
    x, coefficients, intercepts = e.matrix(values[0]), node.floats("coefficients"), node.floats("intercepts")
    width = x.columns.size
    if len(coefficients) != outputs * width:
        raise node.fail(f"expected {outputs} x {width} coefficients, got {len(coefficients)}")
    if len(intercepts) not in (0, outputs):
        raise node.fail(f"expected {outputs} intercepts, got {len(intercepts)}")
    row = intercepts if len(intercepts) else np.zeros(outputs)
    return linear(e, e.flat(x, "f32"), coefficients.reshape(outputs, width), row, "f32")


def _classifier(e: Emitter, node: Node, values: Sequence[Value]) -> tuple[Value, ...]:
    """The class of the largest score, or for one score of two classes, the second where it is positive."""
    labels = class_labels(node, "classlabels_ints")
    outputs, transform = len(node.floats("intercepts")), node.choice("post_transform", TRANSFORMS, "NONE")
    if outputs < 1 or (len(labels) != outputs and (outputs, len(labels)) != (1, 2)):
        raise node.fail(f"expected intercepts for {len(labels)} classes, got {outputs}")
    if outputs == 1 and len(labels) != 2:
        raise e.unsupported("a classifier of one class", "two classes or more")
    total = _scores(e, node, values, outputs)
    chosen = e.b.op("argmax", total) if outputs > 1 else e.b.op("above", total, threshold=0.0)
    raw = None if transform == "NONE" else total
    e.predictors.append(Predictor("LogisticRegression", "classification", raw, chosen))
    answer = link(e, node, total, outputs, transform) if outputs > 1 else _one_score(e, total, transform)
    return label(chosen, labels), answer


def _one_score(e: Emitter, total: str, transform: str) -> Tensor:
    """Through the link if that is logistic, else 1 - x and x; of other links onnxruntime makes nothing."""
    if transform not in ("NONE", "LOGISTIC"):
        raise e.unsupported(f"{transform} of one score for two classes", "NONE, LOGISTIC, or two scores")
    return replace(two_scores(e, total, "f32", transform, positive=True), margin=transform == "NONE")


def _regressor(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    outputs = node.get("targets", int, 1)
    transform = node.choice("post_transform", TRANSFORMS, "NONE")
    if outputs < 1:
        raise node.fail(f"expected targets of 1 or more, got {outputs}")
    total = _scores(e, node, values, outputs)
    e.predictors.append(Predictor("LinearRegression", "regression", None if transform == "NONE" else total))
    if transform not in ("NONE", "PROBIT") and outputs == 1:
        raise e.unsupported(f"post_transform {transform} of one target, which onnxruntime leaves out", "NONE, PROBIT")
    return replace(link(e, node, total, outputs, transform), margin=False)


HANDLERS: dict[str, Handler] = {"LinearClassifier": _classifier, "LinearRegressor": _regressor}
