"""The nodes that hold trees: what they answer, as onnxruntime has it where the standard is silent.

Two classes are the hard case. Where all weights are for one class, there is one score, and its threshold is 0.5 if no
weight is negative, else 0. Where they are for both, onnxruntime takes the second class whenever its score is positive,
which is the larger score only if the two are opposites; models for which it is not are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inferir.formats.importers.onnx.emit import Emitter, Predictor, matrix_of
from inferir.formats.importers.onnx.ml.forests import always_scored, scores
from inferir.formats.importers.onnx.ml.links import TRANSFORMS, class_labels, label, link, two_scores
from inferir.formats.importers.onnx.ml.tree_ensemble import read_tree_ensemble
from inferir.formats.importers.onnx.ml.tree_nodes import AGGREGATES, Ensemble, numbers, read_leaves, read_nodes
from inferir.formats.importers.onnx.plain.broadcasting import Handler
from inferir.formats.importers.onnx.reader import Node
from inferir.formats.importers.onnx.values import Array, Refused, Tensor, Value

__all__ = ["HANDLERS"]


def _rows(e: Emitter, node: Node, values: Sequence[Value]) -> Tensor:
    if len(values) != 1 or not isinstance(values[0], Tensor):
        raise e.unsupported(f"{node.op} of a constant", "rows")
    return e.matrix(values[0])


def _base(node: Node, allowed: Sequence[int]) -> Array:
    base = numbers(node, "base_values")
    if len(base) not in allowed:
        raise node.fail(f"expected {' or '.join(map(str, sorted(set(allowed))))} base_values, got {len(base)}")
    return base


def _float32(e: Emitter, total: str, stored: str) -> str:
    return e.cast(total, "f32") if stored == "f64" else total


def _model_type(ensemble: Ensemble, boosted: bool) -> str:
    if int(ensemble.nodes.tree[-1]) == 0:
        return "DecisionTree"
    return "GradientBoosting" if boosted else "RandomForest"


def _classifier(e: Emitter, node: Node, values: Sequence[Value]) -> tuple[Value, ...]:
    x, labels = _rows(e, node, values), class_labels(node, "classlabels_int64s")
    transform = node.choice("post_transform", TRANSFORMS, "NONE")
    n_classes = len(labels)
    if n_classes < 2:
        raise e.unsupported("a classifier of one class", "two classes or more")
    nodes = read_nodes(node)
    at, target, weight = read_leaves(node, nodes, "class", n_classes)
    ensemble = Ensemble(nodes, at, target, weight, n_classes, "SUM")
    boosted = transform != "NONE" or bool((weight < 0).any())
    model_type = _model_type(ensemble, boosted)
    if n_classes == 2:
        return _two_classes(e, node, x, labels, transform, ensemble, model_type)
    base = _base(node, (0, n_classes))
    total, stored = scores(e, node, x, ensemble, base)
    rated = total
    if not base.size and not always_scored(ensemble).all():  # a class that no leaf gave a weight is not chosen
        ones = Ensemble(nodes, at, target, np.ones_like(weight), n_classes, "SUM")
        counts, _ = scores(e, node, x, ones, np.zeros(0))
        rated = e.b.op("choose", counts, total, tensors={"y": np.full(n_classes, -np.inf)})
    chosen, total32 = e.b.op("argmax", rated), _float32(e, total, stored)
    e.predictors.append(Predictor(model_type, "classification", None if transform == "NONE" else total32, chosen))
    answer = link(e, node, total32, n_classes, transform)
    return label(chosen, labels), _scores(answer, boosted)


def _scores(t: Tensor, boosted: bool) -> Tensor:
    """Sums of weights that are never negative are taken for probabilities."""
    return t if boosted else replace(t, margin=False)


def _two_classes(
    e: Emitter, node: Node, x: Tensor, labels: Array, transform: str, ensemble: Ensemble, model_type: str
) -> tuple[Value, ...]:
    ids = np.unique(node.ints("class_ids"))
    positive = not (numbers(node, "class_weights") < 0).any()
    if len(ids) == 2:
        return _both_scored(e, node, x, labels, transform, ensemble, model_type)
    base = _base(node, (0, 1, 2))
    second = bool(ids[0] == 1)
    if base.size > (0 if second else 1) or (transform == "PROBIT" and not second):
        raise e.unsupported(
            f"{base.size} base_values and {transform} where all weights are for class {labels[ids[0]]}",
            "one base value or none, weights for the first class, and not PROBIT",
        )
    single = Ensemble(ensemble.nodes, ensemble.at, np.zeros_like(ensemble.target), ensemble.weight, 1, "SUM")
    total, stored = scores(e, node, x, single, base)
    chosen = e.b.op("above", total, threshold=0.5 if positive else 0.0)
    if second:  # the first class has a score as well, of 0
        both = e.b.op("select", _float32(e, total, stored), tensors={"columns": np.zeros(2, np.int64)})
        answer = link(e, node, e.affine(both, np.array([0.0, 1.0]), -0.0, 2), 2, transform)
    else:
        answer = two_scores(e, total, stored, transform, positive)
    total = _float32(e, total, stored)
    e.predictors.append(
        Predictor(model_type, "classification", None if transform == "NONE" and positive else total, chosen)
    )
    return label(chosen, labels), _scores(answer, transform != "NONE" or not positive)


def _both_scored(
    e: Emitter, node: Node, x: Tensor, labels: Array, transform: str, ensemble: Ensemble, model_type: str
) -> tuple[Value, ...]:
    """CatBoost's way: two scores, one the opposite of the other."""
    if _base(node, (0, 1, 2)).size:
        raise e.unsupported("base_values where both of two classes have weights", "no base_values")
    total, stored = scores(e, node, x, ensemble, np.zeros(0))
    pairs = np.zeros((len(ensemble.nodes.mode), 2), ensemble.weight.dtype)
    pairs[ensemble.at, ensemble.target] = ensemble.weight
    chosen: Value
    if (pairs[:, 0] == -pairs[:, 1]).all():
        second = e.b.op("select", total, tensors={"columns": np.array([1])})
        chosen = label(e.b.op("above", second, threshold=0.0), labels)
    else:
        chosen = Refused(
            "labels of two classes that both have weights, where onnxruntime does not take the larger score",
            "weights for one of the two, or for both with opposite signs",
        )
    total = _float32(e, total, stored)
    boosted = transform != "NONE" or bool((ensemble.weight < 0).any())
    name = chosen.value if isinstance(chosen, Tensor) else ""
    e.predictors.append(Predictor(model_type, "classification", total if boosted else None, name))
    return chosen, _scores(link(e, node, total, 2, transform), boosted)


def _regressor(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    x, outputs = _rows(e, node, values), node.get("n_targets", int, 0)
    if outputs < 1:
        raise node.fail(f"expected n_targets of 1 or more, got {outputs}")
    nodes = read_nodes(node)
    ensemble = Ensemble(nodes, *read_leaves(node, nodes, "target", outputs), outputs, _aggregate(node))
    total, stored = scores(e, node, x, ensemble, _base(node, (0, outputs)))
    return _regression(
        e, node, ensemble, _float32(e, total, stored), "f32", node.choice("post_transform", TRANSFORMS, "NONE")
    )


def _aggregate(node: Node) -> str:
    return node.choice("aggregate_function", AGGREGATES, "SUM")


def _regression(e: Emitter, node: Node, ensemble: Ensemble, total: str, stored: str, transform: str) -> Value:
    if transform not in ("NONE", "PROBIT") and ensemble.outputs == 1:
        raise e.unsupported(
            f"post_transform {transform} of one target, which onnxruntime leaves out",
            "NONE, PROBIT, or several targets",
        )
    e.predictors.append(Predictor(_model_type(ensemble, ensemble.aggregate == "SUM"), "regression"))
    if transform == "NONE":
        return matrix_of(total, ensemble.outputs, stored)
    if stored == "f64":
        raise e.unsupported(f"post_transform {transform} of doubles", "NONE")
    return link(e, node, total, ensemble.outputs, transform)


def _tree_ensemble(e: Emitter, node: Node, values: Sequence[Value]) -> Value:
    x, ensemble = _rows(e, node, values), read_tree_ensemble(node)
    transform = node.get("post_transform", int, 0)
    if not 0 <= transform <= 4:
        raise node.fail(f"expected post_transform within 0 and 4, got {transform}")
    if transform in (1, 2):
        raise e.unsupported(
            f"post_transform {transform}, which onnxruntime and the standard take for different links",
            "0, 3 and 4: NONE, SOFTMAX_ZERO, PROBIT",
        )
    total, stored = scores(e, node, x, ensemble, np.zeros(0))
    return _regression(e, node, ensemble, total, stored, {0: "NONE", 3: "SOFTMAX_ZERO", 4: "PROBIT"}[transform])


HANDLERS: dict[str, Handler] = {
    "TreeEnsembleClassifier": _classifier,
    "TreeEnsembleRegressor": _regressor,
    "TreeEnsemble": _tree_ensemble,
}
