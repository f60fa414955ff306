"""From LightGBM's model text to operators.

Rows, thresholds and sums are float64; a row goes left where x <= threshold (Tree::NumericalDecision and
Tree::CategoricalDecision in LightGBM's tree.h). What needs a thought:

zeros       a dense row loses its values within +-1e-35f before it meets a tree (RowPairFunctionFromDenseMatric in
            c_api.cpp), so those are 0.0: a threshold in that range moves to the end of it, on its own side of 0.
missing     per node. None: NaN is 0.0. Zero: NaN and zeros take the default side. NaN: NaN takes the default side.
categories  a value is cut to an int; members of the set go left; NaN, negative and too large values go right.
iterations  the text ends with the best iteration where training stopped early, as does Booster.predict.
raw scores  are sums, also of a random forest (`average_output`), whose mean is what the objective turns into answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import UnsupportedModelError
from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers._forest import CATEGORICAL, DEFAULT_LEFT, TRUNCATE, ZERO_MISSING, Forest, Tree
from inferir.formats.importers.lightgbm.text import TextModel, TextTree, parse

__all__ = ["booster", "classifier", "ranker", "regressor", "text_file"]

Array = npt.NDArray[Any]

#: kZeroThreshold of LightGBM's meta.h: the float32 nearest to 1e-35.
ZERO_THRESHOLD = float(np.float32(1e-35))

_CATEGORICAL_BIT, _DEFAULT_LEFT_BIT = 1, 2
_MISSING_NONE, _MISSING_ZERO = 0, 1

#: Objective -> operator that turns raw scores into answers (ConvertOutput of LightGBM's objectives); None keeps them.
_LINKS: dict[str, str | None] = {
    "regression": None,
    "regression_l1": None,
    "huber": None,
    "fair": None,
    "quantile": None,
    "mape": None,
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
    "binary": "sigmoid",
    "multiclass": "softmax",
    "multiclassova": "sigmoid",
    "cross_entropy": "sigmoid",
    "cross_entropy_lambda": "softplus",
    "lambdarank": None,
    "rank_xendcg": None,
    "custom": None,
}
_RANKING = ("lambdarank", "rank_xendcg")
_MULTICLASS = ("multiclass", "multiclassova")

#: Whole numbers in "0,3" and "-1:0:2", which are column numbers and categories; -1 stands for missing.
_WHOLE = re.compile(r"(?<![-\w.])[0-9]{1,9}(?![\w.])")


# -- what is imported


def text_file(data: bytes) -> tuple[Builder, Answers, dict[str, str]]:
    """The model in the bytes of a .txt file: what reads it, its answers, the framework."""
    text = parse(data)
    b = Builder(len(text.feature_names))
    return b, _by_objective(text, b, b.rows()), {"name": "lightgbm", "version": ""}


def booster(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Booster: it knows no labels, so classes are 0, 1, ..."""
    return _by_objective(_text(estimator, b), b, x)


def classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    """LGBMClassifier: the likeliest class of (1 - p, p), or of one p per class."""
    text = _fitted(estimator, b)
    raw, answer = _scores(text, b, x)
    if callable(estimator.objective_):
        return Answers("regression", "GradientBoosting", answer, raw=raw)
    classes, width = class_labels(estimator.classes_), text.trees_per_iteration
    if len(classes) != max(width, 2):
        raise b.unsupported(f"LGBMClassifier of {len(classes)} classes with {width} scores a row", "a score per class")
    return _likeliest(b, raw, answer, width, classes)


def regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    raw, answer = _scores(_fitted(estimator, b), b, x)
    return Answers("regression", "GradientBoosting", answer, raw=raw)


def ranker(estimator: Any, b: Builder, x: Rows) -> Answers:
    return replace(regressor(estimator, b, x), task="ranking")


def _fitted(estimator: Any, b: Builder) -> TextModel:
    if estimator.get_params().get("pred_early_stop"):
        raise b.unsupported("pred_early_stop=True, which answers before all trees are asked", "pred_early_stop=False")
    return _text(estimator.booster_, b)


def _text(estimator: Any, b: Builder) -> TextModel:
    text = parse(estimator.model_to_string().encode())
    sigmoid = (estimator.params or {}).get("sigmoid")
    if sigmoid is not None and estimator.train_set is not None:  # the text has six digits, a booster in training all
        text = replace(text, objective=[_exact(word, float(sigmoid)) for word in text.objective])
    return text


def _exact(word: str, sigmoid: float) -> str:
    return f"sigmoid:{sigmoid!r}" if word == f"sigmoid:{sigmoid:g}" else word


def _by_objective(text: TextModel, b: Builder, x: Rows) -> Answers:
    raw, answer = _scores(text, b, x)
    width, objective = text.trees_per_iteration, _objective(text)
    if objective == "binary" or objective in _MULTICLASS:
        return _likeliest(b, raw, answer, width, tuple(range(max(width, 2))))
    return Answers("ranking" if objective in _RANKING else "regression", "GradientBoosting", answer, raw=raw)


def _likeliest(b: Builder, raw: str, answer: str, width: int, classes: tuple[Any, ...]) -> Answers:
    probabilities = b.op("complement", answer) if width == 1 else answer
    prediction = b.op("argmax", probabilities)
    return Answers("classification", "GradientBoosting", prediction, probabilities, raw, classes=classes)


# -- raw scores, and what the objective makes of them


def _objective(text: TextModel) -> str:
    return text.objective[0] if text.objective else "custom"


def _scores(text: TextModel, b: Builder, x: Rows) -> tuple[str, str]:
    """Raw scores, and those through the objective's link."""
    if x.width != len(text.feature_names):
        raise b.unsupported(f"a LightGBM model of {len(text.feature_names)} columns on {x.width}", "as many columns")
    if x.origins == tuple(range(b.n_columns)) and text.feature_names != [f"Column_{i}" for i in range(x.width)]:
        b.name_columns(text.feature_names)
    raw = _forest(text, b, x)
    width, answer = text.trees_per_iteration, raw
    if text.average_output:
        answer = b.op("divide", raw, tensors={"divisor": np.full(width, float(len(text.trees) // width))})
    objective = _objective(text)
    if objective not in _LINKS:
        raise b.unsupported(f"LightGBM objective {objective!r}", ", ".join(_LINKS))
    link = "signed_square" if "sqrt" in text.objective else _LINKS[objective]
    if link is None:
        return raw, answer
    return raw, b.op(link, answer, scale=_sigmoid(text)) if link == "sigmoid" else b.op(link, answer)


def _sigmoid(text: TextModel) -> float:
    """The scale k of sigmoid(k x), from "sigmoid:k"; cross_entropy has none, and 1."""
    scale = next((word.removeprefix("sigmoid:") for word in text.objective if word.startswith("sigmoid:")), "1")
    try:
        return float(scale)
    except ValueError:
        raise UnsupportedModelError(f"LightGBM model text: expected sigmoid:k with a number k, got {scale!r}") from None


# -- trees


def _forest(text: TextModel, b: Builder, x: Rows) -> str:
    codes = _category_codes(text, b, x)
    linear = any(tree.linear for tree in text.trees)
    forest, n_leaves = Forest("f64", "f64"), 0
    for i, tree in enumerate(text.trees):
        values = [tree.leaf_value]
        if linear:  # and each leaf's number, which says where it went
            values += [tree.leaf_const if tree.linear else tree.leaf_value, n_leaves + np.arange(len(tree.leaf_value))]
        forest.trees.append(_tree(tree, np.stack(values, axis=1), forest, codes, i % text.trees_per_iteration))
        n_leaves += len(tree.leaf_value)
    tensors = forest.tensors(np.zeros(text.trees_per_iteration))
    if not linear:
        return b.op("forest", x.value, tensors=tensors, **forest.attributes())
    leaves = tensors.pop("leaf_value")
    del tensors["tree_depth"]
    tensors |= {"leaf_value": leaves[:, 0], "leaf_const": leaves[:, 1]}
    tensors |= _coefficients(text.trees, leaves[:, 2].astype(np.int64))
    return b.op("linear_forest", x.value, tensors=tensors, special=forest.special)


def _tree(text: TextTree, leaves: Array, forest: Forest, codes: dict[int, list[int]], target: int) -> Tree:
    """The tree, its leaves behind its nodes. A tree of one leaf has no node, and its leaf comes first."""
    n_nodes, n_leaves = len(text.threshold), len(leaves)
    threshold, flags = _decisions(text)
    for i in np.flatnonzero(flags & CATEGORICAL):
        words, code = text.sets[int(threshold[i])], codes.get(int(text.split_feature[i]))
        threshold[i] = len(forest.sets)
        if code is None:
            forest.sets.append(words)
        else:
            forest.add_set(code[position] for position in _members(words) if position < len(code))

    def padded(nodes: Array, leaf: float) -> Array:
        return np.concatenate([nodes, np.full(n_leaves, leaf, nodes.dtype)])

    def child(numbers: Array) -> Array:
        return padded(np.where(numbers < 0, n_nodes + ~numbers, numbers), -1)

    return Tree(
        left=child(text.left_child),
        right=child(text.right_child),
        split_index=padded(text.split_feature, 0),
        threshold=padded(threshold, 0.0),
        flags=padded(flags, 0),
        value=np.concatenate([np.zeros((n_nodes, leaves.shape[1])), leaves]),
        target=target,
    )


def _decisions(text: TextTree) -> tuple[Array, Array]:
    """Threshold and flags of every node."""
    kind = text.decision_type
    missing = kind >> 2
    default_left = np.where(missing == _MISSING_NONE, text.threshold >= 0.0, kind & _DEFAULT_LEFT_BIT != 0)
    flags = np.where(default_left, DEFAULT_LEFT, 0) | np.where(missing == _MISSING_ZERO, ZERO_MISSING, 0)
    categorical = kind & _CATEGORICAL_BIT != 0
    near_zero = np.abs(text.threshold) <= ZERO_THRESHOLD
    beyond = np.where(text.threshold >= 0.0, ZERO_THRESHOLD, np.nextafter(-ZERO_THRESHOLD, -np.inf))
    threshold = np.where(near_zero & ~categorical, beyond, text.threshold)
    return threshold, np.where(categorical, CATEGORICAL | TRUNCATE, flags).astype(np.uint8)


def _coefficients(trees: Sequence[TextTree], order: Array) -> dict[str, Array]:
    """The linear models of all leaves, which stand in the operator as `order` says: their numbers in the text."""
    counts = np.concatenate([tree.num_features for tree in trees])
    begin = np.concatenate([[0], np.cumsum(counts)])
    index = np.concatenate([tree.leaf_features for tree in trees])
    coef = np.concatenate([tree.leaf_coeff for tree in trees])
    chosen = np.concatenate([np.arange(begin[leaf], begin[leaf + 1]) for leaf in order])
    return {
        "coef_begin": np.concatenate([[0], np.cumsum(counts[order])]),
        "coef_index": index[chosen].astype(np.int32),
        "coef": coef[chosen],
    }


# -- categories


def _members(words: Array) -> Array:
    return np.flatnonzero(np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little"))


def _category_codes(text: TextModel, b: Builder, x: Rows) -> dict[int, list[int]]:
    """Column -> codes of its categories, in LightGBM's order, for the category columns of a pandas frame.

    The text keeps the categories of each category column, but not which columns those were. They are the categorical
    ones, unless training was told other columns; then their numbers differ, and the model is refused.
    """
    known = text.pandas_categorical
    if not known:
        return {}
    columns = sorted(_categorical_columns(text))
    largest = [_largest_category(text.feature_infos[column]) for column in columns]
    if len(columns) != len(known) or any(most >= len(values) for most, values in zip(largest, known, strict=True)):
        raise b.unsupported(
            f"a LightGBM model with {len(known)} pandas category columns and {len(columns)} categorical ones",
            "frames whose category columns are unordered and just those that LightGBM treats as categorical; "
            "replace the others by their codes before training",
        )
    codes = {}
    for column, values in zip(columns, known, strict=True):
        codes[column] = b.category_codes(x.origins[column], values)
        if len(set(codes[column])) != len(values):
            raise b.unsupported(f"categories of one text in column {text.feature_names[column]!r}", "different texts")
    return codes


def _categorical_columns(text: TextModel) -> set[int]:
    """Columns that training took as categorical: those it was told, and those with a list of categories."""
    told = {int(word) for word in _WHOLE.findall(text.parameters.get("categorical_feature", ""))}
    listed = {i for i, info in enumerate(text.feature_infos) if info != "none" and not info.startswith("[")}
    return told.intersection(range(len(text.feature_infos))) | listed


def _largest_category(info: str) -> int:
    """The largest category in "0:2:1"; -1 of a column that was left out, or is not categorical."""
    return max(map(int, _WHOLE.findall(info)), default=-1)
