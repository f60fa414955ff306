"""Trees and forests of scikit-learn, histogram gradient boosting apart (`hist.py`).

Rows are float32, thresholds float64 and a row goes left where x <= threshold: thresholds are rounded down to float32.
Missing values follow `missing_go_to_left`. Sums are float64, in the order of the trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers._forest import Forest, Tree, round_down
from inferir.formats.importers.sklearn.checks import allows_nan

__all__ = ["TREES", "leaf_distributions", "sklearn_tree", "tree_rows"]

#: Classes that are one tree.
TREES = ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")


def sklearn_tree(tree: Any, value: Any, target: int = 0, columns: Any = None) -> Tree:
    """A fitted `tree_` whose leaves hold `value` (nodes, width). `columns` are those of a subspace, if it is one."""
    missing = getattr(tree, "missing_go_to_left", None)
    split_index = np.maximum(tree.feature, 0)
    return Tree(
        left=tree.children_left,
        right=tree.children_right,
        split_index=split_index if columns is None else np.asarray(columns)[split_index],
        threshold=round_down(tree.threshold),
        flags=np.zeros(tree.node_count, np.uint8) if missing is None else np.asarray(missing, np.uint8),
        value=np.asarray(value, np.float64).reshape(tree.node_count, -1),
        target=target,
        cover=tree.weighted_n_node_samples,
    )


def tree_rows(estimator: Any, b: Builder, x: Rows) -> str:
    """The rows as the trees of `estimator` take them; those that take no NaN refuse it, as scikit-learn does."""
    rows = b.op("cast", x.value, to="f32")
    return rows if allows_nan(estimator) else b.once("check_finite", rows, allow_nan=False)


def leaf_distributions(estimator: Any) -> Any:
    """What each node of a classification tree adds to the probabilities: (nodes, classes of all outputs).

    scikit-learn 1.3 keeps weighted counts and divides when it predicts; later versions keep the fractions.
    """
    value = estimator.tree_.value  # (nodes, outputs, most classes)
    total = value.sum(axis=2, keepdims=True)
    if not np.allclose(total, 1.0):
        value = value / np.where(total == 0.0, 1.0, total)
    counts = np.atleast_1d(estimator.n_classes_)
    return np.concatenate([value[:, k, :n] for k, n in enumerate(counts)], axis=1)


def single_tree(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _average([estimator], estimator, b, x, "DecisionTree")


def random_forest(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _average(estimator.estimators_, estimator, b, x, "RandomForest")


def _average(trees: Sequence[Any], estimator: Any, b: Builder, x: Rows, model_type: str) -> Answers:
    classifier = hasattr(estimator, "classes_")
    forest = Forest("f32", "f64")
    for tree in trees:
        value = leaf_distributions(tree) if classifier else tree.tree_.value[:, :, 0]
        forest.trees.append(sklearn_tree(tree.tree_, value))
    width = forest.trees[0].value.shape[1]
    rows = tree_rows(trees[0], b, x)
    mean = b.op("forest", rows, tensors=forest.tensors(np.zeros(width)), **forest.attributes())
    if estimator is not trees[0]:
        mean = b.op("divide", mean, tensors={"divisor": np.full(width, float(len(trees)))})
    if not classifier:
        return Answers("regression", model_type, prediction=mean)
    return class_answers(estimator, b, mean, model_type)


def class_answers(estimator: Any, b: Builder, probabilities: str, model_type: str) -> Answers:
    """Answers of a classifier that takes the likeliest class; one run of columns per output where there are several."""
    if estimator.n_outputs_ == 1:
        prediction = b.op("argmax", probabilities)
        classes: tuple[Any, ...] = class_labels(estimator.classes_)
    else:
        begin = np.cumsum([0, *map(len, estimator.classes_)])
        prediction = b.op("argmax", probabilities, tensors={"begin": begin})
        classes = tuple(class_labels(labels) for labels in estimator.classes_)
    return Answers("classification", model_type, prediction, probabilities, classes=classes)


def gradient_boosting(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Raw = initial + learning_rate * sum of trees, stage by stage."""
    if estimator.init_ != "zero" and type(estimator.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
        raise b.unsupported(f"init={type(estimator.init_).__name__}", "init=None and init='zero'")
    base = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), np.float32))[0]
    forest = Forest("f32", "f64")
    for stage in estimator.estimators_:
        for target, regressor in enumerate(stage):
            value = estimator.learning_rate * regressor.tree_.value[:, 0, 0]
            forest.trees.append(sklearn_tree(regressor.tree_, value, target))
    rows = b.once("check_finite", b.op("cast", x.value, to="f32"), allow_nan=False)
    raw = b.op("forest", rows, tensors=forest.tensors(base), **forest.attributes())
    if not hasattr(estimator, "classes_"):
        return Answers("regression", "GradientBoosting", prediction=raw, raw=raw)
    if len(base) == 1:
        scale = 2.0 if estimator.loss == "exponential" else 1.0
        probabilities = b.op("complement", b.op("sigmoid", raw, scale=scale))
        prediction = b.op("at_least", raw, threshold=0.0)
    else:
        probabilities, prediction = b.op("softmax", raw), b.op("argmax", raw)
    classes = class_labels(estimator.classes_)
    return Answers("classification", "GradientBoosting", prediction, probabilities, raw, classes=classes)


def isolation_forest(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Score = 2 ** (-path length / expected length), minus the offset; 1 for an inlier, -1 for an outlier.

    Liu, Ting and Zhou 2008, Isolation forest, equations 1 and 2.
    """
    from sklearn.ensemble._iforest import _average_path_length

    forest = Forest("f32", "f64")
    for regressor, columns in zip(estimator.estimators_, estimator.estimators_features_, strict=True):
        tree = regressor.tree_
        length = tree.compute_node_depths() + _average_path_length(tree.n_node_samples) - 1.0
        forest.trees.append(sklearn_tree(tree, length, columns=columns))
    expected = len(forest.trees) * float(_average_path_length(np.array([estimator._max_samples]))[0])
    rows = b.op("cast", x.value, to="f32")
    depth = b.op("forest", rows, tensors=forest.tensors([0.0]), **forest.attributes())
    score = b.op("exp2", depth, scale=-1.0 / expected if expected else 0.0)
    raw = b.op("affine", score, tensors={"factor": np.array([-1.0]), "offset": np.array([-float(estimator.offset_)])})
    prediction = b.op("at_least", raw, threshold=0.0)
    return Answers("anomaly", "IsolationForest", prediction, raw=raw, classes=(-1, 1))
