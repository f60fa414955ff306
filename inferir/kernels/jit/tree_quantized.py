"""Forests of trees of up to 256 leaves: rows become bytes first, and whole trees are evaluated without a branch.

Batches. A block of 256 rows is made into codes, plane by plane (`_codes`). Then every node of a tree is evaluated, from
the bottom up, for 64 rows at a time: out = right + n_left where code >= rank, else left. What moves up is a leaf's
number within the subtree, in the order from left to right; a leaf is number 0. It is a byte because a tree has at most
256 leaves.
Nothing waits for memory and no branch depends on a row; the cost is that of nodes that exist, not of a tree's depth.

    op     (plane << 8 | rank, left | right << 16, out | n_left)    slots are 256 bytes; 0 holds zeros
    tile   seven (plane << 8 | rank), out, half | left << 8 | right << 16    three levels at the bottom, at once

Four trees that add to the same output share one pass over the leaves. Each output gets its sums in tree order.

Few rows walk instead, each through eight trees in lockstep, over nodes of one word: plane << 17 | distance << 8 | rank,
where `distance` is how far behind the node its left child is. In a leaf it is 0, as the plane is, and the rank one that
no code has: who is there stays. So eight walks take the levels of the deepest of their trees, and nothing is asked in
between that a CPU could guess wrong. `step_leaf` has the rows of the leaves.

The tables are made by `tree_quantizer`.

(Lucchese et al. 2015, QuickScorer, evaluates all nodes too, by masks; Prokhorenkova et al. 2018, arXiv:1706.09516, has
bytes for values.)
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._codes import BLOCK, encode, row_codes
from inferir.kernels.jit._compile import apart, kernel, scalar
from inferir.kernels.jit._leaves import add_four
from inferir.kernels.jit._simd import choose, choose_of_eight, skip_to_line

#: Trees that one row walks through at once: enough to hide the loads of a node and of its code behind those of others.
WALKED_TREES = 8

#: Levels that are walked without asking whether all have arrived, and those from one such question to the next.
_UNASKED_LEVELS, _STEPS = 8, 2


@scalar
def _at(word):
    """Where the plane of an op begins."""
    return np.uint64(word) & np.uint64(0xFFFFFF00)


@scalar
def _tiles(begin, end, tile, chunks, codes, codes_at, slots, slots_at):
    """Evaluate tiles."""
    for q in range(begin, end):
        w0, w1, w2, w3 = tile[q, 0], tile[q, 1], tile[q, 2], tile[q, 3]
        w4, w5, w6, numbers = tile[q, 4], tile[q, 5], tile[q, 6], tile[q, 8]
        out = slots_at + np.uint64(tile[q, 7])
        half, left, right = np.uint8(numbers), np.uint8(numbers >> 8), np.uint8(numbers >> 16)
        for chunk in range(chunks):
            at = codes_at + chunk * np.uint64(64)
            choose_of_eight(
                codes, at + _at(w0), at + _at(w1), at + _at(w2), at + _at(w3), at + _at(w4), at + _at(w5), at + _at(w6),
                np.uint8(w0), np.uint8(w1), np.uint8(w2), np.uint8(w3), np.uint8(w4), np.uint8(w5), np.uint8(w6),
                half, left, right, slots, out + chunk * np.uint64(64),
            )  # fmt: skip


@scalar
def _ops(begin, end, op, chunks, codes, codes_at, slots, slots_at):
    """Evaluate nodes, children before their parents."""
    for q in range(begin, end):
        word, children, last = op[q, 0], np.uint64(op[q, 1]), np.uint64(op[q, 2])
        at, rank, n_left = codes_at + _at(word), np.uint8(word), np.uint8(last)
        left, right = (
            slots_at + (children & np.uint64(0xFFFF)),
            slots_at + (children >> np.uint64(16) & np.uint64(0xFFFF)),
        )
        out = slots_at + (last & np.uint64(0xFF00))
        for chunk in range(chunks):
            skip = chunk * np.uint64(64)
            choose(codes, at + skip, rank, slots, left + skip, right + skip, n_left, out + skip)


@scalar
def add_leaf(leaf, begin, number, at, rows, sums, target, first):
    """sums[target + j, first + r] += leaf[begin + number of row r, j]."""
    width = np.uint64(leaf.shape[1])
    if width == np.uint64(1):
        for r in range(rows):
            sums[target, first + r] += leaf[begin + np.uint64(number[at + r]), 0]
    else:
        for r in range(rows):
            row = begin + np.uint64(number[at + r])
            for j in range(width):
                sums[target + j, first + r] += leaf[row, j]


@scalar
def evaluate_tree(tree, t, tile, op, rows, codes, codes_at, slots, slots_at):
    """Leave the leaves' numbers of a block of rows in the slot of tree t."""
    chunks, behind = (rows + np.uint64(63)) // np.uint64(64), t + np.uint64(1)
    _tiles(np.uint64(tree[t, 0]), np.uint64(tree[behind, 0]), tile, chunks, codes, codes_at, slots, slots_at)
    _ops(np.uint64(tree[t, 1]), np.uint64(tree[behind, 1]), op, chunks, codes, codes_at, slots, slots_at)


@scalar
def _evaluate(tree, tile, op, leaf, rows, codes, codes_at, slots, slots_at, sums):
    """Add the leaves of all trees to the sums of a block of rows."""
    n_trees, one, four = np.uint64(tree.shape[0] - 1), np.uint64(1), np.uint64(4)
    t = np.uint64(0)
    while t < n_trees:
        together = np.uint64(tree[t, 5])
        for q in range(t, t + together):
            evaluate_tree(tree, q, tile, op, rows, codes, codes_at, slots, slots_at)
        if together == four and leaf.shape[1] == 1:
            t1, t2, t3, t4 = t + one, t + np.uint64(2), t + np.uint64(3), t + four
            b0, b1, b2, b3 = (
                np.uint64(tree[t, 2]),
                np.uint64(tree[t1, 2]),
                np.uint64(tree[t2, 2]),
                np.uint64(tree[t3, 2]),
            )
            at0, at1 = slots_at + np.uint64(tree[t, 4]), slots_at + np.uint64(tree[t1, 4])
            at2, at3 = slots_at + np.uint64(tree[t2, 4]), slots_at + np.uint64(tree[t3, 4])
            most = max(b1 - b0, b2 - b1, b3 - b2, np.uint64(tree[t4, 2]) - b3)
            target = np.uint64(tree[t, 3])
            begin = target * np.uint64(BLOCK)
            add_four(leaf, b0, b1, b2, b3, most, slots, at0, at1, at2, at3, rows, sums, begin)
        else:
            for q in range(t, t + together):
                at = slots_at + np.uint64(tree[q, 4])
                add_leaf(leaf, np.uint64(tree[q, 2]), slots, at, rows, sums, np.uint64(tree[q, 3]), np.uint64(0))
        t += together


@scalar
def _next(step, codes, codes_at, position):
    """The node behind `position` for the row whose codes are side by side from `codes_at` on; the same in a leaf."""
    word = np.uint32(step[position])
    code = codes[codes_at + np.uint64(word >> np.uint32(17))]
    distance = (word >> np.uint32(8)) & np.uint32(511)
    return position + np.uint64(distance) + np.uint64(code >= np.uint8(word))


@scalar
def _root(tree, t):
    """Where the walk through tree t begins; behind the last tree, where that through the last one does."""
    return np.uint64(tree[min(t, np.uint64(tree.shape[0] - 2)), 6])


@scalar
def _level(step, codes, codes_at, positions):
    """The nodes behind eight positions. Eight names, so that they are registers: an array would be memory."""
    p0, p1, p2, p3, p4, p5, p6, p7 = positions
    return (
        _next(step, codes, codes_at, p0), _next(step, codes, codes_at, p1), _next(step, codes, codes_at, p2),
        _next(step, codes, codes_at, p3), _next(step, codes, codes_at, p4), _next(step, codes, codes_at, p5),
        _next(step, codes, codes_at, p6), _next(step, codes, codes_at, p7),
    )  # fmt: skip


@scalar
def _arrived(step, positions):
    """Whether all are leaves, whose words are of no plane and no distance."""
    p0, p1, p2, p3, p4, p5, p6, p7 = positions
    asked = step[p0] | step[p1] | step[p2] | step[p3] | step[p4] | step[p5] | step[p6] | step[p7]
    return np.uint32(asked) <= np.uint32(255)


@scalar
def _walk(tree, t, step, codes, codes_at, reached):
    """reached[i] is the leaf of the row in tree t + i, for eight trees in lockstep."""
    positions = (
        _root(tree, t), _root(tree, t + np.uint64(1)), _root(tree, t + np.uint64(2)), _root(tree, t + np.uint64(3)),
        _root(tree, t + np.uint64(4)), _root(tree, t + np.uint64(5)), _root(tree, t + np.uint64(6)),
        _root(tree, t + np.uint64(7)),
    )  # fmt: skip
    levels = np.int64(tree[t, 7])
    for _ in range(min(levels, np.int64(_UNASKED_LEVELS))):
        positions = _level(step, codes, codes_at, positions)
    if levels > _UNASKED_LEVELS:
        while not _arrived(step, positions):
            for _ in range(_STEPS):
                positions = _level(step, codes, codes_at, positions)
    p0, p1, p2, p3, p4, p5, p6, p7 = positions
    reached[0], reached[1], reached[2], reached[3] = p0, p1, p2, p3
    reached[4], reached[5], reached[6], reached[7] = p4, p5, p6, p7


@scalar
def _add_alone(tree, leaf, step, step_leaf, codes, codes_at, reached, sums, r):
    """Add the leaves that one row reaches in all trees."""
    n_trees, width, together = np.uint64(tree.shape[0] - 1), np.uint64(leaf.shape[1]), np.uint64(WALKED_TREES)
    for t in range(np.uint64(0), n_trees, together):
        _walk(tree, t, step, codes, codes_at, reached)
        target, behind = np.uint64(tree[t, 3]), t + together
        if width == np.uint64(1) and behind <= n_trees and np.uint64(tree[behind - np.uint64(1), 3]) == target:
            total = sums[target, r]  # in a register
            for i in range(together):
                total += leaf[np.uint64(step_leaf[reached[i]]), 0]
            sums[target, r] = total
        else:
            for q in range(t, min(behind, n_trees)):
                row, target = np.uint64(step_leaf[reached[q - t]]), np.uint64(tree[q, 3])
                for j in range(width):
                    sums[target + j, r] += leaf[row, j]


@apart
def _add_together(
    x, top, rows, group, cuts, plane, sets, answer, tree, tile, op, leaf, rank, columns, codes, codes_at, slots, sums
):
    """Add the leaves that a block of rows reaches in all trees."""
    slots_at = skip_to_line(slots)
    for r in range(np.uint64(BLOCK)):
        slots[slots_at + r] = 0
    encode(x, top, rows, group, cuts, plane, sets, answer, rank, columns, codes, codes_at)
    _evaluate(tree, tile, op, leaf, rows, codes, codes_at, slots, slots_at, sums)


@kernel
def forest_quantized(
    x, group, cuts, plane, sets, answer, tree, tile, op, leaf, step, step_leaf, base, few, rank, columns, codes, slots,
    sums, reached, out,
):  # fmt: skip
    """out[i, target of t + j] = base + sum over trees t of leaf[leaf of row i in t, j], in tree order for each output.

    As `tree.forest`, over what `quantize_forest` and the operator made; a block of at most `few` rows walks.

        group  column, whether zero is missing, levels of search, first plane, first row of `cuts` of each level
        plane  thresholds before its first, code of a missing value
        sets   column, categories, first plane, first answer
        leaf   has zeros behind the last leaf: from the first of each tree on there are 256
        tree   first tile, first op, first leaf, target, slot of its result, trees in its pass, first step, and every
               WALKED_TREES-th time levels of the deepest of so many trees. Targets ascend where leaves are one number
    """
    n_rows, block = np.uint64(x.shape[0]), np.uint64(BLOCK)
    codes_at = skip_to_line(codes)
    top = np.uint64(0)
    while top < n_rows:
        rows = min(block, n_rows - top)
        for j in range(np.uint64(base.shape[0])):
            for r in range(rows):
                sums[j, r] = base[j]
        if rows <= np.uint64(few):
            for r in range(rows):
                row_codes(x, top + r, group, cuts, plane, sets, answer, codes, codes_at)
                _add_alone(tree, leaf, step, step_leaf, codes, codes_at, reached, sums, r)
        else:
            _add_together(
                x, top, rows, group, cuts, plane, sets, answer, tree, tile, op, leaf, rank, columns, codes, codes_at,
                slots, sums,
            )  # fmt: skip
        for r in range(rows):
            for j in range(np.uint64(base.shape[0])):
                out[top + r, j] = sums[j, r]
        top += rows
