"""SVMClassifier and SVMRegressor: float32 in the file, decisions in double here, as sums of kernels cancel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferir.formats.importers.onnx.emit import Emitter, Predictor, matrix_of
from inferir.formats.importers.onnx.ml.links import TRANSFORMS, class_labels, label
from inferir.formats.importers.onnx.plain.broadcasting import Handler
from inferir.formats.importers.onnx.plain.products import linear
from inferir.formats.importers.onnx.reader import Node
from inferir.formats.importers.onnx.values import Array, Tensor, Value

__all__ = ["HANDLERS"]

_KERNELS = {"LINEAR": "linear", "POLY": "poly", "RBF": "rbf", "SIGMOID": "sigmoid"}


def _rows(e: Emitter, node: Node, values: Sequence[Value]) -> Tensor:
    if len(values) != 1 or not isinstance(values[0], Tensor):
        raise e.unsupported(f"{node.op} of a constant", "rows")
    return e.matrix(values[0])


def _decision(e: Emitter, node: Node, x: Tensor, support: Array, coefficients: Array, rho: Array, begin: Array) -> str:
    """Decisions, in double; rho is added."""
    kernel = node.choice("kernel_type", tuple(_KERNELS), "LINEAR")
    params = node.floats("kernel_params")
    if len(params) not in (0, 3):
        raise node.fail(f"expected kernel_params of gamma, coef0 and degree, got {len(params)} numbers")
    gamma, coef0, degree = params.astype(np.float64).tolist() if len(params) else (0.0, 0.0, 0.0)
    if kernel == "POLY" and (degree != int(degree) or not 0 <= degree <= 1000):
        raise e.unsupported(f"a polynomial kernel of degree {degree}", "whole degrees")
    tensors = {"support": support.astype(np.float64), "dual_coef": coefficients.astype(np.float64),
               "intercept": rho.astype(np.float64), "class_begin": begin.astype(np.int64)}  # fmt: skip
    rows = e.flat(x, "f64")
    degree = int(degree) if kernel == "POLY" else 3
    return e.b.op(
        "svm_decision", rows, tensors=tensors, kernel=_KERNELS[kernel], gamma=gamma, coef0=coef0, degree=degree
    )


def _vectors(node: Node, x: Tensor, count: int) -> Array:
    support, width = node.floats("support_vectors"), x.columns.size
    if len(support) != count * width:
        raise node.fail(f"expected {count} x {width} support_vectors, got {len(support)}")
    return support.reshape(count, width)


def _classifier(e: Emitter, node: Node, values: Sequence[Value]) -> tuple[Value, ...]:
    """Votes of pairs decide the label; probabilities are coupled from pairs, or the decisions themselves are given."""
    x, labels = _rows(e, node, values), class_labels(node, "classlabels_ints")
    counts, rho = node.ints("vectors_per_class"), node.floats("rho")
    prob_a, prob_b = node.floats("prob_a"), node.floats("prob_b")
    if node.choice("post_transform", TRANSFORMS, "NONE") != "NONE":
        raise e.unsupported(f"post_transform {node.attributes['post_transform']} of an SVMClassifier", "NONE")
    if not counts.sum():
        raise e.unsupported("an SVMClassifier without support vectors", "support vectors; LinearClassifier")
    n_classes = len(labels)
    if n_classes < 2 or len(counts) != n_classes or (counts < 0).any():
        raise node.fail(f"expected vectors_per_class for {n_classes} classes, got {counts.tolist()[:20]}")
    total, pairs = int(counts.sum()), n_classes * (n_classes - 1) // 2
    coefficients = node.floats("coefficients")
    if len(coefficients) != (n_classes - 1) * total or len(rho) < pairs or len(prob_a) != len(prob_b):
        raise node.fail(f"expected {n_classes - 1} x {total} coefficients, {pairs} rho, and as many prob_a as prob_b")
    if len(prob_a) and len(prob_a) < pairs:
        raise node.fail(f"expected {pairs} prob_a, got {len(prob_a)}")
    begin = np.concatenate([[0], np.cumsum(counts)])
    decisions = _decision(e, node, x, _vectors(node, x, total), coefficients.reshape(-1, total), rho[:pairs], begin)
    chosen = label(e.b.op("argmax", e.b.op("svm_vote", decisions)), labels)
    scores = e.b.op("cast", decisions, to="f32")
    if len(prob_a):
        tensors = {"prob_a": prob_a[:pairs].astype(np.float64), "prob_b": prob_b[:pairs].astype(np.float64)}
        shares = e.b.op("cast", e.b.op("svm_couple", decisions, tensors=tensors), to="f32")
        e.predictors.append(Predictor("SVM", "classification", scores, chosen.value))
        return chosen, matrix_of(shares, n_classes, "f32")
    e.predictors.append(Predictor("SVM", "classification"))
    if n_classes > 2:
        return chosen, matrix_of(scores, pairs, "f32", margin=True)
    both = e.b.op("select", scores, tensors={"columns": np.zeros(2, np.int64)})
    return chosen, matrix_of(e.affine(both, np.array([-1.0, 1.0]), -0.0, 2), 2, "f32", margin=True)


def _regressor(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    """With one_class, 1 where the decision is positive, else -1."""
    x, coefficients = _rows(e, node, values), node.floats("coefficients")
    rho, count = node.floats("rho"), node.get("n_supports", int, 0)
    if node.choice("post_transform", TRANSFORMS, "NONE") != "NONE":
        raise e.unsupported(f"post_transform {node.attributes['post_transform']}, which onnxruntime leaves out", "NONE")
    if len(rho) < 1 or count < 0 or len(coefficients) != (count or x.columns.size):
        raise node.fail(f"expected rho and {count or x.columns.size} coefficients, got {len(coefficients)}")
    if count:
        support = _vectors(node, x, count)
        decision = _decision(e, node, x, support, coefficients.reshape(1, -1), rho[:1], np.array([0, count]))
    else:
        decision = linear(e, e.flat(x, "f64"), coefficients.reshape(1, -1), rho[:1], "f64")
    raw = e.b.op("cast", decision, to="f32")
    if not node.get("one_class", int, 0):
        e.predictors.append(Predictor("SVM", "regression"))
        return matrix_of(raw, 1, "f32")
    e.predictors.append(Predictor("SVM", "anomaly", raw))
    inlier = e.b.op("binarize", raw, threshold=0.0)
    return matrix_of(e.affine(inlier, 2.0, -1.0, 1), 1, "f32", levels=np.array([-1.0, 1.0], np.float32))


HANDLERS: dict[str, Handler] = {"SVMClassifier": _classifier, "SVMRegressor": _regressor}
