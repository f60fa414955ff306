"""Shapley values: what each column of a row adds to a model's score.

Path-dependent TreeSHAP (Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9): a tree of which only some columns are
known takes known columns where the row goes and averages over both children, by the shares of training rows (covers),
where it asks another one. The Shapley value of column i is what knowing it adds to that, averaged over all orders in
which columns become known; with each column known at probability t, that average is an integral:

    phi_i = integral over t from 0 to 1 of (E given i known, others known at t) - (E given i unknown, others ...)

Going down a tree, the weight of a leaf is a product of one factor per column on its path: z + (1 - z) t where the row
agrees with all of the path's questions about that column, z (1 - t) where it does not, z being the share of the cover
that the questions keep. So the integrand is a polynomial in t whose degree is below the number of different columns on
a path, m, and Gauss-Legendre quadrature of ceil(m / 2) points gives the integral exactly. XGBoost takes eight points
for every tree (its Quadrature TreeSHAP, pull request 12179), which is exact up to 16 columns; here each tree has as
many as it needs. Compared with the polynomial algorithm, O(leaves depth^2), there is nothing to wind or unwind, and no
step in which digits are lost.

One node, at one point t. Let it ask column i, z be the share of its cover that goes left, h be 1 if the row goes left,
else 0; let g be the product of the factors above it and L, R the expected values of its children. With e = h - z

    left factor   z + e t               the right one is 1 less that
    E             R + (z + e t) (L - R)
    phi_i        += e w g (L - R)       w: the point's weight, which g starts with

Where nodes above ask column i as well, the closest of them knows z', the product of the shares that they keep, and
whether the row agrees with all of them. If it does, with f = z' + (1 - z') t, t / f takes the place of t, and phi_i
gets z' / f^2 times as much; if not, e is 0. That phi_i is then right for all of them follows from adding, at each node,
its leaves' terms for the factor with this question and taking off those for the factor without it.

Rows go through a tree together, a block at a time, so that all of this runs along rows.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel, scalar
from inferir.kernels.jit.tree import CATEGORICAL, DEFAULT_LEFT, ZERO_MISSING, next_node

#: What a node on the path has behind it.
_NEW, _LEFT, _RIGHT = 0, 1, 2


@scalar
def set_left(
    values, column, rows, node, threshold, left_child, node_flags, category_begin, category_words, level, left
):
    """left[level, r] = 1.0 where row r goes left at `node`, else 0.0."""
    flags, border = np.int32(node_flags[node]), threshold[node]
    if flags & (CATEGORICAL | ZERO_MISSING):
        for r in range(rows):
            child = next_node(
                values[column, r], node, threshold, left_child, node_flags, category_begin, category_words
            )
            left[level, r] = 1.0 if child == np.uint32(left_child[node]) else 0.0
    elif flags & DEFAULT_LEFT:
        for r in range(rows):
            left[level, r] = 0.0 if values[column, r] > border else 1.0
    else:
        for r in range(rows):
            left[level, r] = 1.0 if values[column, r] <= border else 0.0


@scalar
def set_gain(rows, level, above, side, share, left, agrees, gain):
    """gain[level] = e of the rows; `agrees` is whether a row agrees with all nodes above that ask the same column, of
    which the closest is at level `above` (-1: there is none) and is left by its `side`."""
    if above < 0:
        for r in range(rows):
            agrees[level, r] = 1.0
            gain[level, r] = left[level, r] - share
    elif side == _LEFT:
        for r in range(rows):
            agree = agrees[np.uint64(above), r] * left[np.uint64(above), r]
            agrees[level, r] = agree
            gain[level, r] = agree * (left[level, r] - share)
    else:
        for r in range(rows):
            agree = agrees[np.uint64(above), r] * (1.0 - left[np.uint64(above), r])
            agrees[level, r] = agree
            gain[level, r] = agree * (left[level, r] - share)


@scalar
def scaled_point(point, kept):
    """t / f."""
    return point / (kept + (1.0 - kept) * point)


@scalar
def point_factor(point, kept):
    """z' / f^2."""
    f = kept + (1.0 - kept) * point
    return kept / (f * f)


@scalar
def go_down(rows, level, points, first, sign, share, kept, point, gain, carried):
    """carried[level + 1] = carried[level] times the factor of a child: its share of the cover plus sign e t / f."""
    below = level + np.uint64(1)
    for k in range(points):
        t = sign * scaled_point(point[first + k], kept)
        for r in range(rows):
            carried[below, k, r] = carried[level, k, r] * (share + gain[level, r] * t)


@scalar
def set_constant(rows, points, slot, leaf, expected):
    """expected[slot] = leaf."""
    for k in range(points):
        for r in range(rows):
            expected[slot, k, r] = leaf


@scalar
def join_leaves(
    rows, level, points, first, slot, share, kept, left_leaf, right_leaf, point, gain, carried, expected, total
):
    """expected[slot] = E of a node whose children are leaves; total = the sum over points that phi gets e times."""
    difference = left_leaf - right_leaf
    for r in range(rows):
        total[r] = 0.0
    for k in range(points):
        t = scaled_point(point[first + k], kept)
        scale = difference * point_factor(point[first + k], kept)
        for r in range(rows):
            expected[slot, k, r] = right_leaf + (share + gain[level, r] * t) * difference
            total[r] += carried[level, k, r] * scale


@scalar
def join(rows, level, points, first, slot, share, kept, point, gain, carried, expected, total):
    """The same of a node whose children's E are in `expected`."""
    below = np.uint64(2) * level + np.uint64(2)
    for r in range(rows):
        total[r] = 0.0
    for k in range(points):
        t = scaled_point(point[first + k], kept)
        scale = point_factor(point[first + k], kept)
        for r in range(rows):
            right = expected[below + np.uint64(1), k, r]
            difference = expected[below, k, r] - right
            expected[slot, k, r] = right + (share + gain[level, r] * t) * difference
            total[r] += carried[level, k, r] * difference * scale


@scalar
def walk(
    root,
    output,
    points,
    first,
    rows,
    split_index,
    threshold,
    left_child,
    node_flags,
    category_begin,
    category_words,
    leaf_value,
    share,
    kept,
    above,
    point,
    weight,
    columns,
    left,
    agrees,
    gain,
    carried,
    expected,
    total,
    stack,
    side,
    column_of_leaf,
    contribution,
):
    """Add what a tree whose root is no leaf gives to `output`, for a block of rows. Depth first: E of the left child at
    level d is expected[2 d], that of the right one expected[2 d + 1]."""
    one, two = np.uint64(1), np.uint64(2)
    for k in range(points):
        for r in range(rows):
            carried[0, k, r] = weight[first + k]
    stack[0], side[0] = root, _NEW
    deep = np.int64(0)
    while deep >= 0:
        level = np.uint64(deep)
        node = np.uint32(stack[level])
        low, high = np.uint32(left_child[node]), np.uint32(left_child[node] + 1)
        column, part, keeps = np.uint64(split_index[node]), share[node], kept[node]
        slot, below = two * level, two * level + two
        if deep > 0 and side[level - one] == _RIGHT:
            slot += one
        left_leaf, right_leaf = left_child[low] < 0, left_child[high] < 0
        if side[level] == _NEW:
            set_left(
                columns,
                column,
                rows,
                node,
                threshold,
                left_child,
                node_flags,
                category_begin,
                category_words,
                level,
                left,
            )
            turned = side[np.uint64(above[node])] if above[node] >= 0 else np.int32(_NEW)
            set_gain(rows, level, above[node], turned, part, left, agrees, gain)
            side[level] = _LEFT
            if not left_leaf:
                go_down(rows, level, points, first, 1.0, part, keeps, point, gain, carried)
                stack[level + one], side[level + one] = np.int32(low), _NEW
                deep += 1
                continue
        if side[level] == _LEFT:
            side[level] = _RIGHT
            if not right_leaf:
                go_down(rows, level, points, first, -1.0, 1.0 - part, keeps, point, gain, carried)
                stack[level + one], side[level + one] = np.int32(high), _NEW
                deep += 1
                continue
        left_value = leaf_value[np.uint32(~left_child[low]), column_of_leaf] if left_leaf else 0.0
        right_value = leaf_value[np.uint32(~left_child[high]), column_of_leaf] if right_leaf else 0.0
        if left_leaf and right_leaf:
            join_leaves(
                rows,
                level,
                points,
                first,
                slot,
                part,
                keeps,
                left_value,
                right_value,
                point,
                gain,
                carried,
                expected,
                total,
            )
        else:
            if left_leaf:
                set_constant(rows, points, below, left_value, expected)
            if right_leaf:
                set_constant(rows, points, below + one, right_value, expected)
            join(rows, level, points, first, slot, part, keeps, point, gain, carried, expected, total)
        for r in range(rows):
            contribution[column, output, r] += gain[level, r] * total[r]
        deep -= 1


@kernel
def tree_shap(
    x,
    split_index,
    threshold,
    left_child,
    node_flags,
    category_begin,
    category_words,
    leaf_value,
    tree_root,
    tree_target,
    share,
    kept,
    above,
    tree_points,
    point,
    weight,
    columns,
    left,
    agrees,
    gain,
    carried,
    expected,
    total,
    stack,
    side,
    contribution,
    out,
):
    """out[i, f, o] = Shapley value of column f for output o of a forest: see the top of this file.

    Nodes and leaves are those of `forest`; leaf values are float64. share = part of a node's cover that goes left;
    above = how many levels below the root the closest node above stands that asks the same column, -1 where there is
    none; kept = z', 1 where there is none. Tree t has tree_points[t] points; those of a quadrature of p points on
    (0, 1) begin at p (p - 1) / 2 of `point` and `weight`.
    """
    one, block = np.uint64(1), total.shape[0]
    n_columns, width, n_outputs = np.uint64(x.shape[1]), np.uint64(leaf_value.shape[1]), np.uint64(out.shape[2])
    for start in range(0, x.shape[0], block):
        rows, top = np.uint64(min(block, x.shape[0] - start)), np.uint64(start)
        for f in range(n_columns):
            for r in range(rows):
                columns[f, r] = x[top + r, f]
            for o in range(n_outputs):
                for r in range(rows):
                    contribution[f, o, r] = 0.0
        for tree in range(np.uint64(tree_root.shape[0])):
            points = np.uint64(tree_points[tree])
            if left_child[np.uint32(tree_root[tree])] >= 0:
                for j in range(width):
                    walk(
                        tree_root[tree],
                        np.uint64(tree_target[tree]) + j,
                        points,
                        points * (points - one) >> one,
                        rows,
                        split_index,
                        threshold,
                        left_child,
                        node_flags,
                        category_begin,
                        category_words,
                        leaf_value,
                        share,
                        kept,
                        above,
                        point,
                        weight,
                        columns,
                        left,
                        agrees,
                        gain,
                        carried,
                        expected,
                        total,
                        stack,
                        side,
                        j,
                        contribution,
                    )
        for f in range(n_columns):
            for o in range(n_outputs):
                for r in range(rows):
                    out[top + r, f, o] = contribution[f, o, r]


@kernel
def linear_shap(x, coef, mean, missing, out):
    """out[i, f, o] = coef[o, f] * (x[i, f] - mean[f]): Shapley values of a linear model whose columns are independent
    (Strumbelj and Kononenko 2014, doi:10.1007/s10115-013-0679-x). With `missing`, NaN adds nothing to the model's sum,
    so it counts as 0."""
    for i in range(np.uint64(x.shape[0])):
        for f in range(np.uint64(x.shape[1])):
            value = np.float64(x[i, f])
            if missing and value != value:
                value = 0.0
            for o in range(np.uint64(coef.shape[0])):
                out[i, f, o] = coef[o, f] * (value - mean[f])
