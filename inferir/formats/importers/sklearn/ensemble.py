"""Estimators made of estimators: voting, bagging, boosting, calibration, one estimator per output.

Where all parts are trees they become one forest, whose leaves hold what a part adds; otherwise each part is imported on
its own and the answers are put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers._forest import Forest
from inferir.formats.importers.sklearn.checks import finite
from inferir.formats.importers.sklearn.compose import side_by_side
from inferir.formats.importers.sklearn.tree import TREES, leaf_distributions, sklearn_tree, tree_rows


def all_trees(parts: Sequence[Any]) -> bool:
    """Whether every part is a single scikit-learn tree with one output."""
    return all(type(part).__name__ in TREES and part.n_outputs_ == 1 for part in parts)


def one_forest(parts: Sequence[Any], values: Sequence[Any], b: Builder, x: Rows, columns: Any, targets: Any) -> str:
    """Parts that are trees, as one forest: part i adds values[i] (nodes, width) to outputs targets[i], ..."""
    forest = Forest("f32", "f64")
    for part, value, subset, target in zip(parts, values, columns, targets, strict=True):
        forest.trees.append(sklearn_tree(part.tree_, value, target, subset))
    outputs = max(tree.target + tree.value.shape[1] for tree in forest.trees)
    tensors = forest.tensors(np.zeros(outputs))
    return b.op("forest", tree_rows(parts[0], b, x), tensors=tensors, **forest.attributes())


def import_parts(parts: Sequence[Any], b: Builder, x: Rows, columns: Any = None) -> list[Answers]:
    """Each part, on its own columns."""
    answers = []
    for i, part in enumerate(parts):
        with b.at(f"part {i} ({type(part).__name__})"):
            answers.append(b.estimator(part, x if columns is None else b.select(x, columns[i])))
    return answers


def need(b: Builder, answers: Answers, face: str) -> str:
    """The value of a face that a part must have."""
    value: str | None = getattr(answers, face)
    if value is None:
        raise b.unsupported(f"a part without {face}", f"parts with {face}")
    return value


def scaled(b: Builder, value: str, factor: float, width: int) -> str:
    if factor == 1.0:
        return value
    return b.op("affine", value, tensors={"factor": np.full(width, factor), "offset": np.zeros(width)})


def weighted_mean(b: Builder, values: Sequence[str], weights: Any, width: int) -> str:
    """sum(weight * value) / sum(weight), as numpy.average has it."""
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    parts = [scaled(b, value, float(weight), width) for value, weight in zip(values, weights, strict=True)]
    total = b.op("add", *parts) if len(parts) > 1 else parts[0]
    return b.op("divide", total, tensors={"divisor": np.full(width, weights.sum())})


def votes(b: Builder, answers: Sequence[Answers], tables: Sequence[Any]) -> str:
    """Sum over parts of the row of their table that their class position picks."""
    parts = [
        b.op("lookup", need(b, part, "prediction"), tensors={"table": table})
        for part, table in zip(answers, tables, strict=True)
    ]
    return b.op("add", *parts) if len(parts) > 1 else parts[0]


def aligned(b: Builder, part: Answers, n_classes: int) -> str:
    """A part's probabilities in the columns of all classes; the part's labels are their positions."""
    value = need(b, part, "probabilities")
    if tuple(part.classes) == tuple(range(n_classes)):
        return value
    coef = np.zeros((n_classes, len(part.classes)))
    coef[list(part.classes), np.arange(len(part.classes))] = 1.0
    return b.op("linear", value, tensors={"coef": coef, "intercept": np.zeros(n_classes)})


def voting_classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    parts, n = import_parts(estimator.estimators_, b, x), len(estimator.classes_)
    weights, classes = estimator._weights_not_none, class_labels(estimator.classes_)
    if estimator.voting == "soft":
        probabilities = weighted_mean(b, [need(b, part, "probabilities") for part in parts], weights, n)
        return Answers("classification", "Voting", b.op("argmax", probabilities), probabilities, classes=classes)
    each = np.ones(len(parts)) if weights is None else np.asarray(weights, np.float64)
    tables = [np.eye(n)[list(part.classes)] * weight for part, weight in zip(parts, each, strict=True)]
    return Answers("classification", "Voting", b.op("argmax", votes(b, parts, tables)), classes=classes)


def voting_regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    values = [need(b, part, "prediction") for part in import_parts(estimator.estimators_, b, x)]
    return Answers("regression", "Voting", weighted_mean(b, values, estimator._weights_not_none, 1))


def bagging_classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Mean of the parts' probabilities, or their shares of votes where they have none."""
    parts, columns, n = estimator.estimators_, estimator.estimators_features_, len(estimator.classes_)
    raw = None
    if all_trees(parts):
        values = []
        for part in parts:
            value = np.zeros((part.tree_.node_count, n))
            value[:, part.classes_.astype(int)] = leaf_distributions(part)
            values.append(value)
        total = one_forest(parts, values, b, x, columns, [0] * len(parts))
    else:
        answers = import_parts(parts, b, x, columns)
        if all(hasattr(part, "predict_proba") for part in parts):
            shares = [aligned(b, part, n) for part in answers]
            total = b.op("add", *shares) if len(shares) > 1 else shares[0]
        else:
            total = votes(b, answers, [np.eye(n)[list(part.classes)] for part in answers])
        if all(part.raw is not None and len(part.classes) == n for part in answers):
            raw = weighted_mean(b, [part.raw or "" for part in answers], None, 1 if n == 2 else n)
    probabilities = b.op("divide", total, tensors={"divisor": np.full(n, float(len(parts)))})
    classes = class_labels(estimator.classes_)
    return Answers("classification", "Bagging", b.op("argmax", probabilities), probabilities, raw, classes=classes)


def bagging_regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    parts, columns = estimator.estimators_, estimator.estimators_features_
    if all_trees(parts):
        values = [part.tree_.value[:, 0, 0] for part in parts]
        total = one_forest(parts, values, b, x, columns, [0] * len(parts))
        mean = b.op("divide", total, tensors={"divisor": np.array([float(len(parts))])})
    else:
        answers = import_parts(parts, b, x, columns)
        mean = weighted_mean(b, [need(b, part, "prediction") for part in answers], None, 1)
    return Answers("regression", "Bagging", mean)


def _samme(estimator: Any, b: Builder, x: Rows) -> str:
    """Each part gives its weight to its class, and takes weight / (classes - 1) from the others."""
    parts, n = estimator.estimators_, len(estimator.classes_)
    position = {known: k for k, known in enumerate(estimator.classes_.tolist())}
    weights = estimator.estimator_weights_[: len(parts)]
    tables = [np.where(np.eye(n, dtype=bool), weight, -1 / (n - 1) * weight) for weight in weights]
    places = [np.array([position[known] for known in part.classes_.tolist()]) for part in parts]
    if all_trees(parts):
        chosen = [np.argmax(leaf_distributions(part), axis=1) for part in parts]
        values = [table[place[at]] for table, place, at in zip(tables, places, chosen, strict=True)]
        return one_forest(parts, values, b, x, [None] * len(parts), [0] * len(parts))
    return votes(b, import_parts(parts, b, x), [table[place] for table, place in zip(tables, places, strict=True)])


def _samme_r(estimator: Any, b: Builder, x: Rows) -> str:
    """Each part adds (classes - 1) (log p - mean log p): the default until scikit-learn 1.5."""
    parts, n = estimator.estimators_, len(estimator.classes_)
    spread = (n - 1.0) * (np.eye(n) - 1.0 / n)
    least = float(np.finfo(np.float64).eps)
    if all_trees(parts):
        logs = [np.log(np.clip(leaf_distributions(part), least, None)) for part in parts]
        values = [(n - 1.0) * (log - (1.0 / n) * log.sum(axis=1, keepdims=True)) for log in logs]
        return one_forest(parts, values, b, x, [None] * len(parts), [0] * len(parts))
    terms, unit = [], {"scale": np.ones(n), "offset": np.zeros(n)}
    for part in import_parts(parts, b, x):
        clipped = b.op("min_max", need(b, part, "probabilities"), tensors=unit, low=least, high=np.inf)
        terms.append(b.op("linear", b.op("log", clipped), tensors={"coef": spread, "intercept": np.zeros(n)}))
    return b.op("add", *terms) if len(terms) > 1 else terms[0]


def ada_boost_classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Zhu, Zou, Rosset and Hastie 2009, Multi-class AdaBoost, Statistics and Its Interface 2, 349-360."""
    n, x = len(estimator.classes_), finite(b, x)
    if n < 2:
        raise b.unsupported("AdaBoostClassifier of one class", "two classes or more")
    total = (_samme_r if getattr(estimator, "algorithm", "SAMME") == "SAMME.R" else _samme)(estimator, b, x)
    raw = b.op("divide", total, tensors={"divisor": np.full(n, estimator.estimator_weights_.sum())})
    if n == 2:
        raw = b.op("linear", raw, tensors={"coef": np.array([[-1.0, 1.0]]), "intercept": np.zeros(1)})
        probabilities, prediction = (
            b.op("complement", b.op("sigmoid", raw, scale=1.0)),
            b.op("above", raw, threshold=0.0),
        )
    else:
        shrunk = b.op("divide", raw, tensors={"divisor": np.full(n, n - 1.0)})
        probabilities, prediction = b.op("softmax", shrunk), b.op("argmax", raw)
    classes = class_labels(estimator.classes_)
    return Answers("classification", "AdaBoost", prediction, probabilities, raw, classes=classes)


def ada_boost_regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    parts, x = estimator.estimators_, finite(b, x)
    weights = np.asarray(estimator.estimator_weights_[: len(parts)], np.float64)
    if all_trees(parts):
        values = [part.tree_.value[:, 0, 0] for part in parts]
        each = one_forest(parts, values, b, x, [None] * len(parts), range(len(parts)))
    else:
        answers = import_parts(parts, b, x)
        each = side_by_side(b, [Rows(need(b, part, "prediction"), (None,)) for part in answers]).value
    return Answers("regression", "AdaBoost", b.op("weighted_median", each, tensors={"weight": weights}))


def _calibrated(part: Any, n: int, b: Builder, x: Rows) -> str:
    """Probabilities of one calibrated classifier (scikit-learn's _CalibratedClassifier.predict_proba)."""
    answers = b.estimator(part.estimator, x)
    if hasattr(part.estimator, "decision_function"):
        scores = need(b, answers, "raw")
    else:
        scores = need(b, answers, "probabilities")
        if n == 2:
            scores = b.op("select", scores, tensors={"columns": np.array([1], np.int64)})
    if part.method == "sigmoid":
        slopes = [-float(calibrator.a_) for calibrator in part.calibrators]
        offsets = [-float(calibrator.b_) for calibrator in part.calibrators]
        shares = b.op("calibrate", scores, tensors={"slope": np.array(slopes), "offset": np.array(offsets)})
    elif part.method == "isotonic":
        knots = [np.asarray(calibrator.X_thresholds_, np.float64) for calibrator in part.calibrators]
        heights = [np.asarray(calibrator.y_thresholds_, np.float64) for calibrator in part.calibrators]
        tensors = {
            "begin": np.cumsum([0, *map(len, knots)]).astype(np.int64),
            "knot": np.concatenate(knots),
            "value": np.concatenate(heights),
        }
        shares = b.op("interpolate", scores, tensors=tensors)
    else:
        raise b.unsupported(f"calibration method {part.method!r}", "sigmoid, isotonic")
    if n == 2:
        return b.op("complement", shares)
    if len(part.estimator.classes_) != n:
        raise b.unsupported("a fold that has not seen every class", "folds with all classes")
    return b.op("normalize_sum", shares, uniform=True)


def calibrated_classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Mean over the folds."""
    n, values = len(estimator.classes_), []
    for i, part in enumerate(estimator.calibrated_classifiers_):
        with b.at(f"calibrated classifier {i}"):
            values.append(_calibrated(part, n, b, x))
    probabilities = weighted_mean(b, values, None, n)
    classes = class_labels(estimator.classes_)
    return Answers("classification", "Calibrated", b.op("argmax", probabilities), probabilities, classes=classes)


def multi_output(estimator: Any, b: Builder, x: Rows) -> Answers:
    """MultiOutputClassifier, MultiOutputRegressor: one estimator per output."""
    parts = import_parts(estimator.estimators_, b, x)
    values = [Rows(need(b, part, "probabilities" if part.classes else "prediction"), (None,)) for part in parts]
    together = side_by_side(b, values).value
    if not parts[0].classes:
        return replace(parts[0], prediction=together, raw=None)
    begin = np.cumsum([0, *[len(part.classes) for part in parts]])
    return Answers(
        "classification", parts[0].model_type, b.op("argmax", together, tensors={"begin": begin}), together,
        classes=tuple(part.classes for part in parts),
    )  # fmt: skip
