"""LightGBM's trees.

Rows, thresholds and sums are float64; a row goes left where x <= threshold (Tree::NumericalDecision and
Tree::CategoricalDecision in LightGBM's tree.h). What needs a thought:

zeros       a dense row loses its values within +-1e-35f before it meets a tree (RowPairFunctionFromDenseMatric in
            c_api.cpp), so those are 0.0: a threshold in that range moves to the end of it, on its own side of 0.
missing     per node. None: NaN is 0.0. Zero: NaN and zeros take the default side. NaN: NaN takes the default side.
categories  a value is cut to an int; members of the set go left; NaN, negative and too large values go right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.formats.importers._builder import Builder, Rows
from inferir.formats.importers._forest import CATEGORICAL, DEFAULT_LEFT, TRUNCATE, ZERO_MISSING, Forest, Tree
from inferir.formats.importers.lightgbm.text import TextModel, TextTree

__all__ = ["raw_scores"]

Array = npt.NDArray[Any]

#: kZeroThreshold of LightGBM's meta.h: the float32 nearest to 1e-35.
ZERO_THRESHOLD = float(np.float32(1e-35))

_CATEGORICAL_BIT, _DEFAULT_LEFT_BIT = 1, 2
_MISSING_NONE, _MISSING_ZERO = 0, 1

#: Whole numbers in "0,3" and "-1:0:2", which are column numbers and categories; -1 stands for missing.
_WHOLE = re.compile(r"(?<![-\w.])[0-9]{1,9}(?![\w.])")


def raw_scores(text: TextModel, b: Builder, x: Rows) -> str:
    """The value that holds a sum of leaves for each tree of an iteration."""
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
        cover=text.cover,
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
