"""Forests of trees of up to 256 leaves: rows become bytes first, and whole trees are evaluated without a branch.

Codes. What a node asks of a row is turned into `code >= rank`, where the code is a byte of the row, one for each plane:

    numbers      the code is how many of the column's thresholds are below the value, so a node's rank is one more than
                 the position of its own among them. A plane holds 254 of them; a column with more has several planes.
                 A missing value has code 0 where it goes left and 254 where it goes right: two planes, if both occur.
    categories   a plane for each set: the code is 1 where the value goes right. It is looked up by category.

So comparisons are exact in any width, and all the rules of `tree.py` are those of making codes.

Batches. A block of 256 rows is made into codes, plane by plane. Then every node of a tree is evaluated, from the bottom
up, for 64 rows at a time: out = right + n_left where code >= rank, else left. What moves up is a leaf's number within
the subtree, in the order from left to right; a leaf is number 0. It is a byte because a tree has at most 256 leaves.
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

from inferir.kernels.jit._compile import apart, kernel, scalar
from inferir.kernels.jit._leaves import add_four_in_registers, most_in_registers
from inferir.kernels.jit._simd import choose, choose_of_eight, count_below, count_below_narrow, prefetch, skip_to_line
from inferir.kernels.jit.tree import ZERO_THRESHOLD

#: Rows of a block, and bytes of a plane and of a slot.
BLOCK = 256

#: Thresholds of a plane, and the code of a missing value that goes right.
LAST_CODE = 254

#: Codes of a value that is no category, behind those of the categories.
NAN, ZERO, NEGATIVE_ZERO, FRACTION, OUTSIDE = 0, 1, 2, 3, 4

#: Trees that one row walks through at once: enough to hide the loads of a node and of its code behind those of others.
WALKED_TREES = 8

#: Levels that are walked without asking whether all have arrived, and those from one such question to the next.
_UNASKED_LEVELS, _STEPS = 8, 2


@scalar
def _rank(cuts, group, g, value):
    """How many thresholds of group `g` are below `value`: 16 pivots at a time, from level to level."""
    rank = count_below_narrow(cuts, np.uint64(group[g, 4]) * np.uint64(16), value)
    for level in range(np.uint64(1), np.uint64(group[g, 2])):
        begin = np.uint64(group[g, np.uint64(4) + level])
        rank = rank * np.uint64(16) + count_below_narrow(cuts, (begin + rank) * np.uint64(16), value)
    return rank


@scalar
def _number_codes(x, top, rows, group, g, cuts, plane, rank, codes, codes_at):
    """Codes of the planes of group `g` of thresholds."""
    column, zero_missing, levels = np.uint64(group[g, 0]), group[g, 1], group[g, 2]
    first, second = np.uint64(group[g, 4]), np.uint64(group[g, 5])
    sixteen = np.uint64(16)
    if levels == 2:  # the usual one, without the loop over levels
        for r in range(rows):
            value = x[top + r, column]
            chunk = second + count_below(cuts, first * sixteen, value)
            found = (chunk - second) * sixteen + count_below(cuts, chunk * sixteen, value)
            rank[r] = np.int32(found) if value == value else np.int32(-1)
    elif levels == 1:
        for r in range(rows):
            value = x[top + r, column]
            rank[r] = np.int32(count_below(cuts, first * sixteen, value)) if value == value else np.int32(-1)
    else:
        for r in range(rows):
            value = x[top + r, column]
            rank[r] = np.int32(_rank(cuts, group, g, value)) if value == value else np.int32(-1)
    if zero_missing:
        for r in range(rows):
            value = x[top + r, column]
            rank[r] = np.int32(-1) if -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD else rank[r]
    for p in range(np.uint64(group[g, 3]), np.uint64(group[g + np.uint64(1), 3])):
        base, missing, at = plane[p, 0], plane[p, 1], codes_at + p * np.uint64(BLOCK)
        for r in range(rows):
            here = rank[r]  # in 32 bits: Numba subtracts in 64, in half the lanes
            code = min(max(np.int32(here - base), np.int32(0)), np.int32(LAST_CODE))
            codes[at + r] = np.uint8(missing if here < 0 else code)


@scalar
def category_code(value, n_categories):
    """Which of a set's answers is for `value`: its category's, or one behind the categories'."""
    if value != value:
        return np.int32(n_categories + NAN)
    if -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD:
        return np.int32(n_categories + (ZERO if value >= 0.0 else NEGATIVE_ZERO))
    if value >= 0.0:
        return np.int32(value) if value < n_categories else np.int32(n_categories + OUTSIDE)
    return np.int32(n_categories + (FRACTION if value > -1.0 else OUTSIDE))


@scalar
def _category_codes(x, top, rows, sets, h, answer, rank, codes, codes_at):
    """Codes of the planes of column `h` of those with categories."""
    column, n_categories, begin = np.uint64(sets[h, 0]), sets[h, 1], np.uint64(sets[h, 3])
    for r in range(rows):
        rank[r] = category_code(x[top + r, column], n_categories)
    for p in range(np.uint64(sets[h, 2]), np.uint64(sets[h + np.uint64(1), 2])):
        at = codes_at + p * np.uint64(BLOCK)
        for r in range(rows):
            codes[at + r] = answer[begin + np.uint64(rank[r])]
        begin += np.uint64(n_categories + OUTSIDE + 1)


@scalar
def encode_numbers(x, top, rows, group, cuts, plane, rank, codes, codes_at):
    """Codes of a block of rows, in the planes of numbers."""
    for g in range(np.uint64(group.shape[0] - 1)):
        _number_codes(x, top, rows, group, g, cuts, plane, rank, codes, codes_at)


@scalar
def encode(x, top, rows, group, cuts, plane, sets, answer, rank, codes, codes_at):
    """Codes of a block of rows."""
    encode_numbers(x, top, rows, group, cuts, plane, rank, codes, codes_at)
    for h in range(np.uint64(sets.shape[0] - 1)):
        _category_codes(x, top, rows, sets, h, answer, rank, codes, codes_at)


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
def add_leaf(leaf, begin, number, at, rows, sums, target):
    """sums[target + j, r] += leaf[begin + number of row r, j]."""
    width = np.uint64(leaf.shape[1])
    if width == np.uint64(1):
        for r in range(rows):
            sums[target, r] += leaf[begin + np.uint64(number[at + r]), 0]
    else:
        for r in range(rows):
            row = begin + np.uint64(number[at + r])
            for j in range(width):
                sums[target + j, r] += leaf[row, j]


@scalar
def add_four_leaves(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, target):
    """As `add_leaf` for four trees, in their order."""
    for r in range(rows):
        total = sums[target, r]
        total += leaf[begin0 + np.uint64(number[at0 + r]), 0]
        total += leaf[begin1 + np.uint64(number[at1 + r]), 0]
        total += leaf[begin2 + np.uint64(number[at2 + r]), 0]
        total += leaf[begin3 + np.uint64(number[at3 + r]), 0]
        sums[target, r] = total


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
            if most <= most_in_registers(leaf):
                begin = target * np.uint64(BLOCK)
                add_four_in_registers(leaf, b0, b1, b2, b3, most, slots, at0, at1, at2, at3, rows, sums, begin)
            else:
                add_four_leaves(leaf, b0, b1, b2, b3, slots, at0, at1, at2, at3, rows, sums, target)
        else:
            for q in range(t, t + together):
                at = slots_at + np.uint64(tree[q, 4])
                add_leaf(leaf, np.uint64(tree[q, 2]), slots, at, rows, sums, np.uint64(tree[q, 3]))
        t += together


@scalar
def row_codes(x, i, group, cuts, plane, sets, answer, codes, codes_at):
    """Codes of row i, side by side: as `encode`, without loops over rows."""
    one = np.uint64(1)
    for g in range(np.uint64(group.shape[0] - 1)):
        value = x[i, np.uint64(group[g, 0])]
        for p in range(np.uint64(group[g, 3]), np.uint64(group[g + one, 3])):
            prefetch(codes, codes_at + p)  # so that no vectors are made for a loop that seldom goes round twice
            rank = np.int32(-1)
            if value == value and not (group[g, 1] and -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD):
                rank = np.int32(_rank(cuts, group, g, value))
            code = min(max(np.int32(rank - plane[p, 0]), np.int32(0)), np.int32(LAST_CODE))
            codes[codes_at + p] = np.uint8(plane[p, 1] if rank < 0 else code)
    for h in range(np.uint64(sets.shape[0] - 1)):
        n_categories, begin = sets[h, 1], np.uint64(sets[h, 3])
        asked = np.uint64(category_code(x[i, np.uint64(sets[h, 0])], n_categories))
        for p in range(np.uint64(sets[h, 2]), np.uint64(sets[h + one, 2])):
            codes[codes_at + p] = answer[begin + asked]
            begin += np.uint64(n_categories + OUTSIDE + 1)


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
    x, top, rows, group, cuts, plane, sets, answer, tree, tile, op, leaf, rank, codes, codes_at, slots, sums
):
    """Add the leaves that a block of rows reaches in all trees."""
    slots_at = skip_to_line(slots)
    for r in range(np.uint64(BLOCK)):
        slots[slots_at + r] = 0
    encode(x, top, rows, group, cuts, plane, sets, answer, rank, codes, codes_at)
    _evaluate(tree, tile, op, leaf, rows, codes, codes_at, slots, slots_at, sums)


@kernel
def forest_quantized(
    x,
    group,
    cuts,
    plane,
    sets,
    answer,
    tree,
    tile,
    op,
    leaf,
    step,
    step_leaf,
    base,
    few,
    rank,
    codes,
    slots,
    sums,
    reached,
    out,
):
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
                x, top, rows, group, cuts, plane, sets, answer, tree, tile, op, leaf, rank, codes, codes_at, slots, sums
            )
        for r in range(rows):
            for j in range(np.uint64(base.shape[0])):
                out[top + r, j] = sums[j, r]
        top += rows
