"""Forests.

A forest is flat arrays over all nodes of all trees. The two children of a node are neighbours: `left_child[i]` and
`left_child[i] + 1`; in a leaf `left_child[i]` is `~leaf`, where `leaf` is a row of `leaf_value`. Children come after
their parents, so no walk can turn in a circle. A row goes left where `x[split_index] <= threshold`: importers turn
other comparisons into this one (`x < t` is `x <= nextafter(t, -inf)`).

Flags of a node (`node_flags`):
    DEFAULT_LEFT  a missing value goes left
    ZERO_MISSING  |x| <= 1e-35f is missing too (LightGBM's zero_as_missing)
    CATEGORICAL   `threshold` is the number of a set of categories, bits in `category_words`; members go left
    OUTSIDE_LEFT  a category beyond the set's last word, or below 0, goes left (XGBoost)
    TRUNCATE      a value in (-1, 0) is category 0 (LightGBM casts to int)

Rows walk one level of a tree in lockstep, a block at a time: their loads do not wait for each other, which hides the
latency that a single walk is made of. One row walks many trees at once instead.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel, scalar

DEFAULT_LEFT, ZERO_MISSING, CATEGORICAL, OUTSIDE_LEFT, TRUNCATE = 1, 2, 4, 8, 16

#: LightGBM's kZeroThreshold: the float32 nearest to 1e-35, as a double.
ZERO_THRESHOLD = 1.0000000180025095e-35


@scalar
def next_numerical(value, node, threshold, left_child, node_flags):
    """Child of `node` for `value`; the node itself if it is a leaf. Comparisons are all the flags there are."""
    child = left_child[node]
    right = np.int32(value > threshold[node])
    if value != value:
        right = np.int32(1 - (node_flags[node] & DEFAULT_LEFT))
    return np.uint32(child + right) if child >= 0 else node


@scalar
def in_category_set(value, chosen, truncate, category_begin, category_words):
    """1 where the category `value` is in set `chosen`, 0 where not, -1 where it lies outside the set's range."""
    begin = category_begin[chosen]
    n_categories = 32 * (category_begin[chosen + 1] - begin)
    above = value > -1.0 if truncate else value >= 0.0
    if not (above and value < n_categories):
        return np.int32(-1)
    category = np.uint32(max(value, 0.0))
    return np.int32((category_words[begin + (category >> 5)] >> (category & 31)) & 1)


@scalar
def next_node(value, node, threshold, left_child, node_flags, category_begin, category_words):
    """Child of `node` for `value`, whatever the node's flags."""
    child, flags = left_child[node], np.int32(node_flags[node])
    if child < 0:
        return node
    missing = value != value or (flags & ZERO_MISSING and -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD)
    if missing:
        right = np.int32(1 - (flags & DEFAULT_LEFT))
    elif flags & CATEGORICAL:
        member = in_category_set(value, np.uint32(threshold[node]), flags & TRUNCATE, category_begin, category_words)
        right = np.int32(1 - member) if member >= 0 else np.int32((flags & OUTSIDE_LEFT) == 0)
    else:
        right = np.int32(value > threshold[node])
    return np.uint32(child + right)


@scalar
def descend(x, row, node, split_index, threshold, left_child, node_flags, category_begin, category_words):
    """The leaf node that `row` reaches from `node`."""
    while left_child[node] >= 0:
        value = x[row, np.uint32(split_index[node])]
        node = next_node(value, node, threshold, left_child, node_flags, category_begin, category_words)
    return node


@kernel
def forest(  # noqa: C901 - two walks, each in its own order of loops
    x,
    split_index,
    threshold,
    left_child,
    node_flags,
    category_begin,
    category_words,
    leaf_value,
    tree_root,
    tree_depth,
    tree_target,
    base,
    special,
    position,
    out,
):
    """out[i, tree_target[t] + j] = base + sum over trees t of leaf_value[leaf of row i in tree t, j], in tree order.

    The sum is taken in the width of `leaf_value`, one addition per tree. `tree_depth` is how many levels are walked in
    lockstep; what lies below is walked row by row, so any number gives the same answer. `special` is 0 where no node
    has another flag than DEFAULT_LEFT. Missing is NaN, and what the flags say.
    """
    n_trees, width, block = tree_root.shape[0], leaf_value.shape[1], position.shape[0]
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(base.shape[0])):
            out[i, j] = base[j]
    if x.shape[0] < 4:  # few rows: lockstep over trees
        for i in range(np.uint64(x.shape[0])):
            for first in range(0, n_trees, block):
                trees = np.uint64(min(block, n_trees - first))
                deepest = 0
                for t in range(trees):
                    position[t] = tree_root[np.uint64(first) + t]
                    deepest = max(deepest, tree_depth[np.uint64(first) + t])
                if special == 0:
                    for _ in range(deepest):
                        for t in range(trees):
                            node = np.uint32(position[t])
                            value = x[i, np.uint32(split_index[node])]
                            position[t] = next_numerical(value, node, threshold, left_child, node_flags)
                for t in range(trees):
                    node = descend(
                        x,
                        i,
                        np.uint32(position[t]),
                        split_index,
                        threshold,
                        left_child,
                        node_flags,
                        category_begin,
                        category_words,
                    )
                    target = np.uint32(tree_target[np.uint64(first) + t])
                    leaf = np.uint32(~left_child[node])
                    for j in range(np.uint32(width)):
                        out[i, target + j] += leaf_value[leaf, j]
        return
    for start in range(0, x.shape[0], block):
        rows, top = np.uint64(min(block, x.shape[0] - start)), np.uint64(start)
        for t in range(np.uint64(n_trees)):
            for r in range(rows):
                position[r] = tree_root[t]
            if special == 0:
                for _ in range(tree_depth[t]):
                    for r in range(rows):
                        node = np.uint32(position[r])
                        value = x[top + r, np.uint32(split_index[node])]
                        position[r] = next_numerical(value, node, threshold, left_child, node_flags)
            target = np.uint32(tree_target[t])
            for r in range(rows):
                node = descend(
                    x,
                    top + r,
                    np.uint32(position[r]),
                    split_index,
                    threshold,
                    left_child,
                    node_flags,
                    category_begin,
                    category_words,
                )
                leaf = np.uint32(~left_child[node])
                for j in range(np.uint32(width)):
                    out[top + r, target + j] += leaf_value[leaf, j]


@kernel
def forest_leaves(x, split_index, threshold, left_child, node_flags, category_begin, category_words, tree_root, out):
    """out[i, t] = row of `leaf_value` that row i reaches in tree t."""
    for t in range(np.uint64(tree_root.shape[0])):
        for i in range(np.uint64(x.shape[0])):
            node = descend(
                x,
                i,
                np.uint32(tree_root[t]),
                split_index,
                threshold,
                left_child,
                node_flags,
                category_begin,
                category_words,
            )
            out[i, t] = ~left_child[node]


@kernel
def linear_leaves(x, leaf, leaf_value, leaf_const, coef_begin, coef_index, coef, tree_target, base, out):
    """Sum over trees of leaf_const + coef . x, or of leaf_value where a column that the leaf uses is NaN.

    LightGBM's linear trees (Shi et al. 2018, arXiv:1802.05640; Tree::Predict in LightGBM's tree.h).
    """
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(base.shape[0])):
            out[i, j] = base[j]
        for t in range(np.uint64(leaf.shape[1])):
            chosen = np.uint32(leaf[i, t])
            total, missing = leaf_const[chosen], False
            for q in range(np.uint64(coef_begin[chosen]), np.uint64(coef_begin[chosen + np.uint32(1)])):
                value = x[i, np.uint64(coef_index[q])]
                missing |= value != value
                total += coef[q] * value
            out[i, np.uint32(tree_target[t])] += leaf_value[chosen] if missing else total


@kernel
def oblivious(  # noqa: C901 - one loop over rows for each kind of question
    x,
    split_begin,
    split_index,
    threshold,
    nan_right,
    equal,
    leaf_begin,
    leaf_value,
    base,
    scale,
    columns,
    position,
    out,
):
    """Symmetric trees: every node of a level asks the same, so a row's leaf is its answers read as bits, low bit first.

    out = base + scale * sum over trees. The answer is `x > threshold`, or `x == threshold` where `equal` (one-hot);
    NaN answers `nan_right`, and equals nothing. (Prokhorenkova et al. 2018, arXiv:1706.09516, section 5.)
    """
    block, width = position.shape[0], leaf_value.shape[1]
    for start in range(0, x.shape[0], block):
        rows, top = np.uint64(min(block, x.shape[0] - start)), np.uint64(start)
        for r in range(rows):
            for f in range(np.uint64(x.shape[1])):
                columns[f, r] = x[top + r, f]
            for j in range(np.uint64(width)):
                out[top + r, j] = 0.0
        for t in range(np.uint64(split_begin.shape[0] - 1)):
            begin, bit = np.uint64(split_begin[t]), np.int32(1)
            for r in range(rows):
                position[r] = 0
            for q in range(begin, np.uint64(split_begin[t + np.uint64(1)])):
                column, border, missing = np.uint64(split_index[q]), threshold[q], nan_right[q] != 0
                if equal[q]:
                    for r in range(rows):
                        value = columns[column, r]
                        position[r] |= bit if value == border else np.int32(0)
                elif missing:
                    for r in range(rows):
                        value = columns[column, r]
                        position[r] |= np.int32(0) if value <= border else bit
                else:
                    for r in range(rows):
                        value = columns[column, r]
                        position[r] |= bit if value > border else np.int32(0)
                bit = np.int32(bit << 1)
            first = np.uint64(leaf_begin[t])
            for r in range(rows):
                leaf = first + np.uint64(position[r])
                for j in range(np.uint64(width)):
                    out[top + r, j] += leaf_value[leaf, j]
        for r in range(rows):
            for j in range(np.uint64(width)):
                out[top + r, j] = out[top + r, j] * scale + base[j]


@kernel
def check_forest(split_index, left_child, tree_root, n_columns, n_leaves, out):
    """out[0] = first node or tree that breaks a rule of this file, or -1; out[1] = which rule (1-4).

    1 a column that is not there, 2 a child that is not behind its parent or beyond the last node, 3 a leaf that is not
    there, 4 a root that is not there.
    """
    n_nodes = left_child.shape[0]
    out[0], out[1] = -1, 0
    columns, leaves, last = np.uint32(n_columns), np.int32(min(n_leaves, 2**31 - 1)), np.int32(n_nodes - 1)
    wrong = np.int32(0)
    for node in range(np.uint32(n_nodes)):  # no way out, so that the loop is vectorised: a sound file is the usual one
        child = left_child[node]
        wrong |= np.int32(np.uint32(split_index[node]) >= columns)
        wrong |= np.int32(child >= 0) & (np.int32(child <= np.int32(node)) | np.int32(child >= last))
        wrong |= np.int32(~child >= leaves)
    if wrong:
        for i in range(n_nodes):
            child, column = np.int64(left_child[i]), np.int64(split_index[i])
            if column < 0 or column >= n_columns:
                out[0], out[1] = i, 1
            elif child >= 0 and (child <= i or child + 1 >= n_nodes):
                out[0], out[1] = i, 2
            elif child < 0 and ~child >= n_leaves:
                out[0], out[1] = i, 3
            if out[0] >= 0:
                return
    for t in range(tree_root.shape[0]):
        if tree_root[t] < 0 or tree_root[t] >= n_nodes:
            out[0], out[1] = t, 4
            return
