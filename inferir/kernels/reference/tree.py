"""Forests. All rows walk a tree together, a level at a time; what a node asks is written out once, in `_goes_right`."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers

DEFAULT_LEFT, ZERO_MISSING, CATEGORICAL, OUTSIDE_LEFT, TRUNCATE = 1, 2, 4, 8, 16

#: The float32 nearest to 1e-35.
ZERO_THRESHOLD = float(np.float32(1e-35))


def _in_set(value: float, words: Integers, truncate: bool) -> bool | None:
    """Whether the category `value` is in the set whose bits are `words`; None beyond its last word and below 0."""
    if truncate and -1 < value < 0:
        value = 0.0
    if not 0 <= value < 32 * words.size:
        return None
    category = int(value)
    return bool(int(words[category // 32]) >> category % 32 & 1)


def _goes_right(
    value: Floats,
    flags: Integers,
    threshold: Floats,
    category_begin: Integers,
    category_words: Integers,
) -> Floats:
    """Whether each value goes right at its node, which has these flags and this threshold."""
    right = value > threshold
    for i in np.flatnonzero(flags & CATEGORICAL):
        chosen = int(threshold[i])
        words = category_words[category_begin[chosen] : category_begin[chosen + 1]]
        member = _in_set(float(value[i]), words, bool(flags[i] & TRUNCATE))
        left = flags[i] & OUTSIDE_LEFT if member is None else member
        right[i] = not left
    zero = np.abs(value.astype(np.float64)) <= ZERO_THRESHOLD
    missing = np.isnan(value) | (zero & (flags & ZERO_MISSING != 0))
    return np.where(missing, flags & DEFAULT_LEFT == 0, right)


def _leaves(
    x: Floats,
    root: int,
    split_index: Integers,
    threshold: Floats,
    left_child: Integers,
    node_flags: Integers,
    category_begin: Integers,
    category_words: Integers,
) -> Integers:
    """The leaf that each row reaches from `root`, [n]."""
    node = np.full(x.shape[0], root)
    while True:
        walking = np.flatnonzero(left_child[node] >= 0)
        if walking.size == 0:
            leaf: Integers = np.invert(left_child[node])
            return leaf
        at = node[walking]
        value = x[walking, split_index[at]]
        right = _goes_right(value, node_flags[at], threshold[at], category_begin, category_words)
        node[walking] = left_child[at] + right


def forest(
    x: Floats,
    split_index: Integers,
    threshold: Floats,
    left_child: Integers,
    node_flags: Integers,
    category_begin: Integers,
    category_words: Integers,
    leaf_value: Floats,
    tree_root: Integers,
    tree_depth: Integers,
    tree_target: Integers,
    base: Floats,
    special: int,
    position: Integers,
    out: Floats,
) -> None:
    """out[i, tree_target[t] + j] = base + sum over trees t of leaf_value[leaf, j], in tree order and out's width."""
    width = leaf_value.shape[1]
    out[:] = base
    for root, target in zip(tree_root, tree_target, strict=True):
        leaf = _leaves(x, root, split_index, threshold, left_child, node_flags, category_begin, category_words)
        out[:, target : target + width] += leaf_value[leaf]


def forest_leaves(
    x: Floats,
    split_index: Integers,
    threshold: Floats,
    left_child: Integers,
    node_flags: Integers,
    category_begin: Integers,
    category_words: Integers,
    tree_root: Integers,
    out: Integers,
) -> None:
    """out[i, t] = leaf that row i reaches in tree t."""
    for t, root in enumerate(tree_root):
        out[:, t] = _leaves(x, root, split_index, threshold, left_child, node_flags, category_begin, category_words)


def linear_leaves(
    x: Floats,
    leaf: Integers,
    leaf_value: Floats,
    leaf_const: Floats,
    coef_begin: Integers,
    coef_index: Integers,
    coef: Floats,
    tree_target: Integers,
    base: Floats,
    out: Floats,
) -> None:
    """Sum over trees of leaf_const + coef . x, or of leaf_value where a column that the leaf uses is NaN. Values within
    ZERO_THRESHOLD are 0."""
    x = np.where(np.abs(x) <= ZERO_THRESHOLD, 0.0, x)
    out[:] = base
    for i, row in enumerate(x):
        for chosen, target in zip(leaf[i], tree_target, strict=True):
            terms = slice(coef_begin[chosen], coef_begin[chosen + 1])
            total = leaf_const[chosen]
            for weight, value in zip(coef[terms], row[coef_index[terms]], strict=True):
                total = total + weight * value
            missing = np.isnan(row[coef_index[terms]]).any()
            out[i, target] += leaf_value[chosen] if missing else total


def oblivious(
    x: Floats,
    split_begin: Integers,
    split_index: Integers,
    threshold: Floats,
    nan_right: Integers,
    equal: Integers,
    leaf_begin: Integers,
    leaf_value: Floats,
    base: Floats,
    scale: float,
    columns: Floats,
    position: Integers,
    out: Floats,
) -> None:
    """out = base + scale * sum over trees; a leaf's number in its tree is the answers of the levels, low bit first."""
    out[:] = 0
    for t in range(split_begin.size - 1):
        leaf = np.full(x.shape[0], leaf_begin[t])
        for level, q in enumerate(range(split_begin[t], split_begin[t + 1])):
            value = x[:, split_index[q]]
            if equal[q]:
                answer = value == threshold[q]
            else:
                answer = np.where(np.isnan(value), nan_right[q] != 0, value > threshold[q])
            leaf += answer.astype(np.int64) << level
        out += leaf_value[leaf]
    out *= scale
    out += base


def check_forest(
    split_index: Integers,
    left_child: Integers,
    tree_root: Integers,
    n_columns: int,
    n_leaves: int,
    out: Integers,
) -> None:
    """out = (first node or tree that breaks a rule, rule), or (-1, 0): 1 column, 2 child, 3 leaf, 4 root."""
    n_nodes = left_child.size
    broken = [
        (i, rule)
        for i, (column, child) in enumerate(zip(split_index.tolist(), left_child.tolist(), strict=True))
        for rule, kept in (
            (1, 0 <= column < n_columns),
            (2, child < 0 or i < child < n_nodes - 1),
            (3, child >= 0 or -child - 1 < n_leaves),
        )
        if not kept
    ] + [(t, 4) for t, root in enumerate(tree_root.tolist()) if not 0 <= root < n_nodes]
    out[:] = broken[0] if broken else (-1, 0)
