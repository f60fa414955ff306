"""Histogram gradient boosting of scikit-learn.

Rows and thresholds are float64. NaN follows `missing_go_to_left`; so does a category that was not seen in training, a
negative one, or one above 255 (scikit-learn's _predictor.pyx, _predict_one_from_raw_data).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers._forest import CATEGORICAL, DEFAULT_LEFT, OUTSIDE_LEFT, Forest, Tree
from inferir.formats.importers.sklearn.encoders import ordinal_columns

_LINKS = {"squared_error": None, "absolute_error": None, "quantile": None, "gamma": "exp", "poisson": "exp"}


def _members(words: Any) -> Any:
    """Which of the categories 0..255 a bitset of eight uint32 words holds."""
    return np.unpackbits(np.ascontiguousarray(words, "<u4").view(np.uint8), bitorder="little").astype(bool)


def _tree(predictor: Any, known: Any, column_of_known: Any, forest: Forest, target: int) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    default_left = nodes["missing_go_to_left"].astype(np.uint8)
    threshold, flags = nodes["num_threshold"].astype(np.float64), default_left.copy()
    for i in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf):
        chosen = _members(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][i]])
        if default_left[i]:
            chosen |= ~_members(known[column_of_known[nodes["feature_idx"][i]]])
        threshold[i] = forest.add_set(np.flatnonzero(chosen))
        flags[i] = CATEGORICAL | (DEFAULT_LEFT | OUTSIDE_LEFT if default_left[i] else 0)
        if default_left[i] and not chosen[-1]:  # bitsets end with their last member; what follows is not "outside"
            forest.sets[-1] = np.pad(forest.sets[-1], (0, 8 - len(forest.sets[-1])))
    return Tree(
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        split_index=nodes["feature_idx"].astype(np.int64),
        threshold=threshold,
        flags=flags,
        value=nodes["value"].reshape(-1, 1),
        target=target,
        cover=nodes["count"].astype(np.float64),
    )


def _rows(estimator: Any, b: Builder, x: Rows) -> str:
    """Rows as the trees take them: categories encoded and put first, since scikit-learn 1.4."""
    preprocessor = getattr(estimator, "_preprocessor", None)
    if preprocessor is None:
        return x.value
    categorical = np.flatnonzero(estimator.is_categorical_)
    numerical = np.flatnonzero(~estimator.is_categorical_)
    encoded = ordinal_columns(preprocessor.named_transformers_["encoder"], b, b.select(x, categorical))
    return b.op("concat", encoded.value, b.select(x, numerical).value) if len(numerical) else encoded.value


def hist_gradient_boosting(estimator: Any, b: Builder, x: Rows) -> Answers:
    forest = Forest("f64", "f64")
    known, column_of_known = estimator._bin_mapper.make_known_categories_bitsets()
    for stage in estimator._predictors:
        for target, predictor in enumerate(stage):
            forest.trees.append(_tree(predictor, known, column_of_known, forest, target))
    rows = b.op("cast", _rows(estimator, b, x), to="f64")
    base = np.asarray(estimator._baseline_prediction, np.float64).reshape(-1)
    raw = b.op("forest", rows, tensors=forest.tensors(base), **forest.attributes())
    if not hasattr(estimator, "classes_"):
        if estimator.loss not in _LINKS:
            raise b.unsupported(f"loss={estimator.loss!r}", f"loss of {', '.join(_LINKS)}")
        link = _LINKS[estimator.loss]
        return Answers("regression", "GradientBoosting", prediction=b.op(link, raw) if link else raw, raw=raw)
    if len(base) == 1:
        probabilities = b.op("complement", b.op("sigmoid", raw, scale=1.0))
        prediction = b.op("above", raw, threshold=0.0)
    else:
        probabilities, prediction = b.op("softmax", raw), b.op("argmax", raw)
    classes = class_labels(estimator.classes_)
    return Answers("classification", "GradientBoosting", prediction, probabilities, raw, classes=classes)
