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

What does not depend on the row is made when a model is bound, in `explain/forests.py`. There, leaves are no nodes; of
each tree, first come its *forks*, level by level, then its *twigs*, whose children are both leaves. So there are three
short loops, none of which has to find out what it is at: down the forks with g, over the twigs, and up the forks with
E. Steps run over the points of one row, or over eight rows at each point (`_quadrature.py`). A large tree is cut into
parts, so that what the loops leave for each other stays in the cache: first down the part at the top, then each part
below it, down and up, in the same memory, and in the end up the part at the top.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.kernels.jit._compile import kernel, scalar
from inferir.kernels.jit._quadrature import LANES, Steps, compare, divide, eight_points, four_points, rows
from inferir.kernels.jit._simd import flat
from inferir.kernels.jit.tree import CATEGORICAL, DEFAULT_LEFT, ZERO_MISSING, goes_right

#: What is done at a part in its turn.
DOWN, UP = 1, 2


@scalar
def left_of(value, i, threshold, node_flags, category_begin, category_words):
    """1.0 where `value` goes left at node i, else 0.0."""
    flags = np.int32(node_flags[i])
    if flags & (CATEGORICAL | ZERO_MISSING):
        return 1.0 - goes_right(value, i, threshold, node_flags, category_begin, category_words)
    missing = np.int32(value != value) & flags & DEFAULT_LEFT
    return np.float64(np.int32(value <= threshold[i]) | missing)


@scalar
def set_gains(
    x, row, columns, left, node, forks, inner, base, place, split_index, threshold, node_flags, category_begin,
    category_words, share, ancestor_slot, agrees, gain,
):  # fmt: skip
    """gain[place + i] = e of a part's node i, for one row. A row agrees at a slot, 1.0 or 0.0, where it goes to that
    child, and agrees with the nodes above that ask the same column; at slot 1 always."""
    one, two = np.uint64(1), np.uint64(2)
    agrees[one] = 1.0
    for i in range(forks):
        at, below = node + i, base + two * i + two
        value, agree = x[row, np.uint32(split_index[at])], agrees[np.uint32(ancestor_slot[at])]
        goes_left = left_of(value, at, threshold, node_flags, category_begin, category_words)
        gain[place + i] = agree * (goes_left - share[at])
        agrees[below] = agree * goes_left
        agrees[below + one] = agree * (1.0 - goes_left)
    for i in range(forks, inner):
        at = node + i
        value, agree = x[row, np.uint32(split_index[at])], agrees[np.uint32(ancestor_slot[at])]
        goes_left = left_of(value, at, threshold, node_flags, category_begin, category_words)
        gain[place + i] = agree * (goes_left - share[at])


@scalar
def set_gains_of_rows(
    x, row, columns, left, node, forks, inner, base, place, split_index, threshold, node_flags, category_begin,
    category_words, share, ancestor_slot, agrees, gain,
):  # fmt: skip
    """The same for LANES rows, which are in `columns`."""
    two, lanes = np.uint64(2), np.uint64(LANES)
    for r in range(lanes):
        agrees[lanes + r] = 1.0
    for i in range(inner):
        at, flags = node + i, np.int32(node_flags[node + i])
        column, ancestor = np.uint64(np.uint32(split_index[at])), np.uint64(np.uint32(ancestor_slot[at]))
        if flags & (CATEGORICAL | ZERO_MISSING):
            for r in range(lanes):
                left[r] = left_of(columns[column, r], at, threshold, node_flags, category_begin, category_words)
        else:
            compare(columns, column * lanes, threshold[at], flags & DEFAULT_LEFT, left)
        below = (base + two * i + two) * lanes
        divide(left, share[at], agrees, ancestor * lanes, gain, (place + i) * lanes, below)


def _sweep_of(steps: Steps, set_gains: Any) -> Any:
    n_points, n_rows, bend, fill, carry, join, join_leaves = steps

    @scalar
    def sweep(
        x, row, columns, left, part, begin, end, rule, fresh, split_index, threshold, node_flags, category_begin,
        category_words, share, parent_slot, ancestor_slot, repeat, kept, leaf_slot, leaf_value, point, weight, gain,
        agrees, bent, carried, expected, sums, first, column_step, output_step,
    ):  # fmt: skip
        """Add what a tree gives at the points from `rule` on: to column f and output j at first + column_step f +
        output_step j of `sums`. Its parts are those from `begin` to `end`. Without `fresh`, gains are there already,
        as they are the same at all points; and so are values of leaves below forks, of one part and one output."""
        zero, one, two = np.uint64(0), np.uint64(1), np.uint64(2)
        wide, bent_step, gain_step = np.uint64(n_points * n_rows), np.uint64(2 * n_points), np.uint64(n_rows)
        width = np.uint64(leaf_value.shape[1])
        bend(point, rule, 1.0, bent, zero)
        for k in range(wide):
            carried[k] = weight[rule + (k if n_points > 1 else zero)]
        is_cut = end > begin + one
        for turn in range(width if is_cut else one):  # what is below a part is there for one output at a time
            for u in range(begin, end):
                phases, node, base = part[u, 0], np.uint64(part[u, 1]), np.uint64(part[u, 8])
                forks, twigs = np.uint64(part[u, 2]), np.uint64(part[u, 3])
                leaf, strays, again, repeats = (
                    np.uint64(part[u, 4]), np.uint64(part[u, 5]), np.uint64(part[u, 6]), np.uint64(part[u, 7]),
                )  # fmt: skip
                half, pairs, place = base >> one, leaf + strays, node - np.uint64(part[begin, 1])
                if phases & DOWN:
                    if fresh and turn == zero:
                        set_gains(
                            x, row, columns, left, node, forks, forks + twigs, base, place, split_index, threshold,
                            node_flags, category_begin, category_words, share, ancestor_slot, agrees, gain,
                        )  # fmt: skip
                    for i in range(repeats):
                        bend(point, rule, kept[again + i], bent, (half + i + one) * bent_step)
                    for i in range(forks):
                        at, above = np.uint64(np.uint32(repeat[node + i])), np.uint64(np.uint32(parent_slot[node + i]))
                        carry(
                            bent, at * bent_step, share[node + i], gain, (place + i) * gain_step, carried, above * wide,
                            (base + two * i + two) * wide,
                        )  # fmt: skip
                until = turn + one if is_cut else width
                for j in range(turn, until if phases & UP else turn):
                    output = first + j * output_step
                    if fresh or width > one or is_cut:
                        for i in range(strays):
                            fill(leaf_value[leaf + i, j], expected, np.uint64(np.uint32(leaf_slot[leaf + i])) * wide)
                    for i in range(twigs):
                        here = node + forks + i
                        at, above = np.uint64(np.uint32(repeat[here])), np.uint64(np.uint32(parent_slot[here]))
                        left_value, right_value = leaf_value[pairs + two * i, j], leaf_value[pairs + two * i + one, j]
                        join_leaves(
                            bent, at * bent_step, share[here], gain, (place + forks + i) * gain_step, carried,
                            above * wide, expected, left_value, right_value, sums,
                            output + np.uint64(np.uint32(split_index[here])) * column_step,
                        )  # fmt: skip
                    for i in range(forks):
                        fork = forks - one - i
                        here = node + fork
                        at, above = np.uint64(np.uint32(repeat[here])), np.uint64(np.uint32(parent_slot[here]))
                        join(
                            bent, at * bent_step, share[here], gain, (place + fork) * gain_step, carried, above * wide,
                            expected, (base + two * fork + two) * wide, sums,
                            output + np.uint64(np.uint32(split_index[here])) * column_step,
                        )  # fmt: skip

    return sweep


sweep_four_points, sweep_eight_points = _sweep_of(four_points, set_gains), _sweep_of(eight_points, set_gains)
sweep_rows = _sweep_of(rows, set_gains_of_rows)


@scalar
def total(sums, at, step, count):
    """Of 4 or 8 numbers, in pairs."""
    two, three = np.uint64(2), np.uint64(3)
    found = (sums[at] + sums[at + step]) + (sums[at + two * step] + sums[at + three * step])
    if count > three + np.uint64(1):
        more = at + np.uint64(4) * step
        found += (sums[more] + sums[more + step]) + (sums[more + two * step] + sums[more + three * step])
    return found


@kernel
def tree_shap(
    x, tree, part, split_index, threshold, node_flags, category_begin, category_words, share, parent_slot,
    ancestor_slot, repeat, kept, leaf_slot, leaf_value, point, weight, columns, left, gain, agrees, bent, carried,
    expected, contribution, out,
):  # fmt: skip
    """out[i, f, o] = Shapley value of column f for output o of a forest: see the top of this file.

    tree[t] = how many parts it has, output of its first leaf value, points, and where these begin in `point` and
    `weight`: a multiple of 4, of which the last may have weight 0. part[u] = what is done (1 down, 2 up, 3 both), first
    node, forks, twigs, first leaf, leaves below forks, first in `kept`, how many there, base. Nodes of a part are in
    the order above; leaves below its forks come first, then two for each twig.

    The children of a part's node i have slots base + 2 i + 2, the left one, and base + 2 i + 3. parent_slot = the
    node's own slot, 0 of a root; ancestor_slot = that of the child, on the way, of the closest node above that asks the
    same column, 1 where there is none; kept = z' of such nodes; repeat = base / 2 + 1, 2, ... for them within a part,
    else 0; share = part of a node's cover that goes left. leaf_slot matters below forks.
    """
    zero, one, lanes = np.uint64(0), np.uint64(1), np.uint64(LANES)
    n_columns, n_outputs = np.uint64(contribution.shape[0]), np.uint64(contribution.shape[1])
    count = np.uint64(contribution.shape[2])
    sums = flat(contribution)
    for start in range(0, x.shape[0], LANES):
        n_rows, top = np.uint64(min(LANES, x.shape[0] - start)), np.uint64(start)
        step = lanes if n_rows > one else one
        for f in range(n_columns * n_outputs * count * step):
            sums[f] = 0.0
        if n_rows > one:
            for f in range(n_columns):
                for r in range(lanes):
                    columns[f, r] = x[top + min(r, n_rows - one), f]
        begin = zero
        for t in range(np.uint64(tree.shape[0])):
            end, target = begin + np.uint64(tree[t, 0]), np.uint64(tree[t, 1])
            points, rule = np.uint64(tree[t, 2]), np.uint64(tree[t, 3])
            first, output_step = target * count * step, count * step
            if n_rows > one:
                for k in range(points):
                    if weight[rule + k] > 0.0:
                        sweep_rows(
                            x, top, columns, left, part, begin, end, rule + k, k == zero, split_index,
                            threshold, node_flags, category_begin, category_words, share, parent_slot, ancestor_slot,
                            repeat, kept, leaf_slot, leaf_value, point, weight, gain, agrees, bent, carried, expected,
                            sums, first + (k & (lanes - one)) * lanes, n_outputs * output_step, output_step,
                        )  # fmt: skip
            else:
                while points >= lanes:
                    sweep_eight_points(
                        x, top, columns, left, part, begin, end, rule, True, split_index, threshold, node_flags,
                        category_begin, category_words, share, parent_slot, ancestor_slot, repeat, kept, leaf_slot,
                        leaf_value, point, weight, gain, agrees, bent, carried, expected, sums, first,
                        n_outputs * output_step, output_step,
                    )  # fmt: skip
                    points -= lanes
                    rule += lanes
                if points:
                    sweep_four_points(
                        x, top, columns, left, part, begin, end, rule, True, split_index, threshold, node_flags,
                        category_begin, category_words, share, parent_slot, ancestor_slot, repeat, kept, leaf_slot,
                        leaf_value, point, weight, gain, agrees, bent, carried, expected, sums, first,
                        n_outputs * output_step, output_step,
                    )  # fmt: skip
            begin = end
        for r in range(n_rows):
            for f in range(n_columns):
                for o in range(n_outputs):
                    out[top + r, f, o] = total(sums, (f * n_outputs + o) * count * step + r, step, count)


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
