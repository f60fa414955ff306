"""Neighbours, centroids and clusters of scikit-learn: distances to stored points."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers.sklearn.checks import finite
from inferir.formats.importers.sklearn.compose import side_by_side

_WEIGHTS = ("uniform", "distance")
_METRICS = {
    "euclidean": "euclidean", "l2": "euclidean", "manhattan": "manhattan", "cityblock": "manhattan", "l1": "manhattan",
    "chebyshev": "chebyshev", "infinity": "chebyshev", "minkowski": "minkowski", "cosine": "cosine",
}  # fmt: skip


def _metric(b: Builder, metric: Any, parameters: dict[str, Any] | None) -> dict[str, Any]:
    name, others = (
        _METRICS.get(metric if isinstance(metric, str) else ""),
        {key: value for key, value in (parameters or {}).items() if value is not None},
    )
    p = float(others.pop("p", 2.0))
    if name is None or others:
        shown = metric if isinstance(metric, str) else getattr(metric, "__name__", repr(metric))
        raise b.unsupported(f"metric={shown}{f' with {sorted(others)}' if others else ''}", ", ".join(_METRICS))
    if name == "minkowski" and p in (1.0, 2.0, np.inf):
        name = {1.0: "manhattan", 2.0: "euclidean"}.get(p, "chebyshev")
    return {"metric": name, "p": p if name == "minkowski" else 2.0}


def _dense(points: Any) -> Any:
    return np.ascontiguousarray(points.toarray() if hasattr(points, "toarray") else points, np.float64)


def _neighbors(estimator: Any, b: Builder, stored: str, values: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and attributes of the search: over all points, or by the tree that scikit-learn searches, with points and
    what is `stored` of them in the tree's order."""
    if estimator.weights not in (None, *_WEIGHTS):
        raise b.unsupported("weights given as a function", ", ".join(_WEIGHTS))
    attributes = _metric(b, estimator.effective_metric_, estimator.effective_metric_params_)
    attributes |= {"k": int(estimator.n_neighbors), "weights": estimator.weights or "uniform"}
    points = _dense(estimator._fit_X)
    if estimator._fit_method not in ("kd_tree", "ball_tree"):
        return {"points": points, stored: values}, attributes
    _, order, nodes, bounds = (np.asarray(a) for a in estimator._tree.get_arrays())
    return {
        "points": points[order],
        stored: values[order],
        "node_begin": nodes["idx_start"].astype(np.int64),
        "node_end": nodes["idx_end"].astype(np.int64),
        "node_leaf": nodes["is_leaf"].astype(np.uint8),
        "low": bounds[0].astype(np.float64),
        "high": bounds[-1].astype(np.float64),
        "radius": nodes["radius"].astype(np.float64),
    }, {**attributes, "tree": "box" if estimator._fit_method == "kd_tree" else "ball"}


def k_neighbors_classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    single = not isinstance(estimator.classes_, list)
    outputs = [estimator.classes_] if single else estimator.classes_
    labels = np.asarray(estimator._y, np.int64).reshape(-1, len(outputs))
    rows, parts = finite(b, x).value, []
    for k, known in enumerate(outputs):
        tensors, attributes = _neighbors(estimator, b, "label", labels[:, k])
        value = b.op("vote_neighbors", rows, tensors=tensors, n_classes=len(known), **attributes)
        parts.append(Rows(value, (None,) * len(known)))
    probabilities = side_by_side(b, parts).value
    if single:
        prediction = b.op("argmax", probabilities)
        classes: tuple[Any, ...] = class_labels(estimator.classes_)
    else:
        prediction = b.op("argmax", probabilities, tensors={"begin": np.cumsum([0, *map(len, outputs)])})
        classes = tuple(class_labels(known) for known in outputs)
    return Answers("classification", "NearestNeighbors", prediction, probabilities, classes=classes)


def k_neighbors_regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    target = np.asarray(estimator._y, np.float64)
    tensors, attributes = _neighbors(estimator, b, "target", target.reshape(len(target), -1))
    value = b.op("average_neighbors", finite(b, x).value, tensors=tensors, **attributes)
    return Answers("regression", "NearestNeighbors", prediction=value)


def nearest_centroid(estimator: Any, b: Builder, x: Rows) -> Answers:
    """The nearest centroid. Where classes have priors (scikit-learn 1.6), the largest discriminant score instead:
    2 log prior - squared distance, in units of the deviation within classes (Hastie et al. 2009, ESL, eq. 18.2).
    """
    attributes, classes = _metric(b, estimator.metric, None), class_labels(estimator.classes_)
    points, rows = _dense(estimator.centroids_), finite(b, x).value
    distances = b.op("distances", rows, tensors={"points": points}, **attributes)
    prediction, priors = b.op("argmin", distances), getattr(estimator, "class_prior_", None)
    if priors is None:
        return Answers("classification", "NearestCentroid", prediction, classes=classes)
    deviation = np.where(estimator.within_class_std_dev_ != 0, estimator.within_class_std_dev_, 1.0)
    scaled = b.op("scale", b.op("cast", rows, to="f64"), tensors={"mean": np.zeros(x.width), "scale": deviation})
    squared = b.op("signed_square", b.op("distances", scaled, tensors={"points": points / deviation}, **attributes))
    n = len(classes)
    scores = b.op("affine", squared, tensors={"factor": np.full(n, -1.0), "offset": 2.0 * np.log(priors)})
    if not np.isclose(priors, 1 / n).all():
        prediction = b.op("argmax", scores)
    if estimator.metric != "euclidean":
        return Answers("classification", "NearestCentroid", prediction, classes=classes)
    raw = scores
    if n == 2:
        raw = b.op("linear", scores, tensors={"coef": np.array([[-1.0, 1.0]]), "intercept": np.zeros(1)})
    return Answers("classification", "NearestCentroid", prediction, b.op("softmax", scores), raw, classes=classes)


def k_means(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Number of the nearest centre; `transformed` are the distances to all."""
    points = {"points": _dense(estimator.cluster_centers_)}
    distances = b.op("distances", finite(b, x).value, tensors=points, metric="euclidean", p=2.0)
    return Answers(
        "clustering", "KMeans", b.op("argmin", distances), transformed=distances,
        origins=(None,) * len(points["points"]),
    )  # fmt: skip
