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
    whole = max(value, 0.0)  # before it is compared: -0.5 is category 0, which an empty set has not
    if not (above and whole < n_categories):
        return np.int32(-1)
    category = np.uint32(whole)
    return np.int32((category_words[begin + (category >> 5)] >> (category & 31)) & 1)


@scalar
def goes_right(value, node, threshold, node_flags, category_begin, category_words):
    """1 where `value` goes right at `node`, 0 where left, whatever the node's flags."""
    flags = np.int32(node_flags[node])
    if value != value or (flags & ZERO_MISSING and -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD):
        return np.int32(1 - (flags & DEFAULT_LEFT))
    if flags & CATEGORICAL:
        member = in_category_set(value, np.uint32(threshold[node]), flags & TRUNCATE, category_begin, category_words)
        return np.int32(1 - member) if member >= 0 else np.int32((flags & OUTSIDE_LEFT) == 0)
    return np.int32(value > threshold[node])


@scalar
def next_node(value, node, threshold, left_child, node_flags, category_begin, category_words):
    """Child of `node` for `value`, whatever the node's flags; the node itself if it is a leaf."""
    child = left_child[node]
    if child < 0:
        return node
    return np.uint32(child + goes_right(value, node, threshold, node_flags, category_begin, category_words))


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
                for _ in range(deepest):
                    for t in range(trees):
                        node = np.uint32(position[t])
                        value = x[i, np.uint32(split_index[node])]
                        if special:
                            position[t] = next_node(
                                value, node, threshold, left_child, node_flags, category_begin, category_words
                            )
                        else:
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
            for _ in range(tree_depth[t]):
                for r in range(rows):
                    node = np.uint32(position[r])
                    value = x[top + r, np.uint32(split_index[node])]
                    if special:
                        position[r] = next_node(
                            value, node, threshold, left_child, node_flags, category_begin, category_words
                        )
                    else:
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

    LightGBM's linear trees (Shi et al. 2018, arXiv:1802.05640; Tree::Predict in LightGBM's tree.h). LightGBM drops what
    is within +-1e-35f from a row, so it counts as 0.
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
                total += coef[q] * (0.0 if -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD else value)
            out[i, np.uint32(tree_target[t])] += leaf_value[chosen] if missing else total


@scalar
def symmetric_leaf(x, row, begin, end, split_index, threshold, nan_right, equal):
    """The leaf number of `row` in the symmetric tree whose splits are `begin` to `end`, lowest bit first."""
    leaf, q = np.uint64(0), end
    while q > begin:
        q -= np.uint64(1)
        value, border = x[row, np.uint64(split_index[q])], threshold[q]
        yes = value == border if equal[q] else (value > border) | ((value != value) & (nan_right[q] != 0))
        leaf = (leaf << np.uint64(1)) | np.uint64(yes)
    return leaf


@scalar
def set_bits(columns, rows, q, level, split_index, threshold, nan_right, equal, position):
    """Answers of split `q` as bit `level` of the rows' leaf numbers."""
    column, border, bit = np.uint64(split_index[q]), threshold[q], np.int32(1 << level)
    if equal[q]:
        for r in range(rows):
            position[r] |= bit if columns[column, r] == border else np.int32(0)
    elif nan_right[q]:
        for r in range(rows):
            position[r] |= np.int32(0) if columns[column, r] <= border else bit
    else:
        for r in range(rows):
            position[r] |= bit if columns[column, r] > border else np.int32(0)


@scalar
def set_three_bits(columns, rows, q, level, split_index, threshold, position):
    """As `set_bits` for splits q, q + 1 and q + 2 that ask for `>` only: positions are loaded and stored once."""
    q1, q2 = q + np.uint64(1), q + np.uint64(2)
    column0, column1, column2 = np.uint64(split_index[q]), np.uint64(split_index[q1]), np.uint64(split_index[q2])
    border0, border1, border2 = threshold[q], threshold[q1], threshold[q2]
    bit0, bit1, bit2 = np.int32(1 << level), np.int32(2 << level), np.int32(4 << level)
    for r in range(rows):
        low = bit0 if columns[column0, r] > border0 else np.int32(0)
        middle = bit1 if columns[column1, r] > border1 else np.int32(0)
        high = bit2 if columns[column2, r] > border2 else np.int32(0)
        position[r] |= low | middle | high


@scalar
def set_positions(columns, rows, begin, end, split_index, threshold, nan_right, equal, position):
    """Leaf numbers of a block of rows in the symmetric tree whose splits are `begin` to `end`."""
    for r in range(rows):
        position[r] = 0
    q, level = begin, np.int32(0)
    while q < end:
        q1, q2 = q + np.uint64(1), q + np.uint64(2)
        if q2 < end and (equal[q] | equal[q1] | equal[q2] | nan_right[q] | nan_right[q1] | nan_right[q2]) == 0:
            set_three_bits(columns, rows, q, level, split_index, threshold, position)
            q, level = q + np.uint64(3), np.int32(level + 3)
        else:
            set_bits(columns, rows, q, level, split_index, threshold, nan_right, equal, position)
            q, level = q1, np.int32(level + 1)


@scalar
def add_leaves(leaf_value, first, position, rows, top, out):
    """out[top + r] += the leaf of each row of a block. One output at a time: the short loop inside would cost more."""
    width = np.uint64(leaf_value.shape[1])
    if width == np.uint64(1):  # the same loop, compiled without the stride
        for r in range(rows):
            out[top + r, 0] += leaf_value[first + np.uint64(position[r]), 0]
    else:
        for j in range(width):
            for r in range(rows):
                out[top + r, j] += leaf_value[first + np.uint64(position[r]), j]


@kernel
def oblivious(
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

    out = scale * (sum over trees, from 0 and in tree order) + base. The answer is `x > threshold`, or `x == threshold`
    where `equal` (one-hot); NaN answers `nan_right`, and equals nothing. (Prokhorenkova et al. 2018, arXiv:1706.09516,
    section 5.)

    A block of rows is turned over, so that a comparison runs along a column; a few rows are not worth it.
    """
    block, width, n_trees = position.shape[0], np.uint64(leaf_value.shape[1]), np.uint64(split_begin.shape[0] - 1)
    one = np.uint64(1)
    few = x.shape[0] < 8
    for start in range(0, x.shape[0], 1 if few else block):
        rows, top = np.uint64(1 if few else min(block, x.shape[0] - start)), np.uint64(start)
        for r in range(rows):
            for j in range(width):
                out[top + r, j] = 0.0
            if not few:
                for f in range(np.uint64(x.shape[1])):
                    columns[f, r] = x[top + r, f]
        total = 0.0  # of one row and output: in memory, each sum would wait for the store before it
        for t in range(n_trees):
            begin, end, first = np.uint64(split_begin[t]), np.uint64(split_begin[t + one]), np.uint64(leaf_begin[t])
            if few:
                leaf = first + symmetric_leaf(x, top, begin, end, split_index, threshold, nan_right, equal)
                total += leaf_value[leaf, 0]
                for j in range(one, width):
                    out[top, j] += leaf_value[leaf, j]
            else:
                set_positions(columns, rows, begin, end, split_index, threshold, nan_right, equal, position)
                add_leaves(leaf_value, first, position, rows, top, out)
        if few:
            out[top, 0] = total
        for r in range(rows):
            for j in range(width):
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
