"""Codes: what nodes ask of a row, turned into comparisons of bytes.

What a node asks of a row is turned into `code >= rank`, where the code is a byte of the row, one for each plane:

    numbers      the code is how many of the column's thresholds are below the value, so a node's rank is one more than
                 the position of its own among them. A plane holds 254 of them; a column with more has several planes.
                 A missing value has code 0 where it goes left and 254 where it goes right: two planes, if both occur.
    categories   a plane for each set: the code is 1 where the value goes right. It is looked up by category.

So comparisons are exact in any width, and all the rules of `tree.py` are those of making codes.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import scalar
from inferir.kernels.jit._ranks import MOST_BLOCKS, column_aside, rank_many, takes_many
from inferir.kernels.jit._simd import count_below, count_below_narrow, prefetch
from inferir.kernels.jit.tree import ZERO_THRESHOLD

#: Rows of a block, and bytes of a plane and of a slot.
BLOCK = 256

#: Thresholds of a plane, and the code of a missing value that goes right.
LAST_CODE = 254

#: Codes of a value that is no category, behind those of the categories.
NAN, ZERO, NEGATIVE_ZERO, FRACTION, OUTSIDE = 0, 1, 2, 3, 4


@scalar
def _rank(cuts, group, g, value):
    """How many thresholds of group `g` are below `value`: 16 pivots at a time, from level to level."""
    rank = count_below_narrow(cuts, np.uint64(group[g, 4]) * np.uint64(16), value)
    for level in range(np.uint64(1), np.uint64(group[g, 2])):
        begin = np.uint64(group[g, np.uint64(4) + level])
        rank = rank * np.uint64(16) + count_below_narrow(cuts, (begin + rank) * np.uint64(16), value)
    return rank


@scalar
def _rank_each(x, top, rows, group, g, cuts, rank):
    """rank[r] = how many thresholds of group `g` are below the value of row r, or -1 for a NaN."""
    column, levels = np.uint64(group[g, 0]), group[g, 2]
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


@scalar
def _thresholds(group, g, cuts):
    """Where the thresholds of group `g` begin in `cuts`, and how many blocks of 16 they are. Of a column with so many
    that it takes three levels to search them, more than fit in registers."""
    if group[g, 2] == 1:
        return np.uint64(group[g, 4]), np.uint64(1)
    if group[g, 2] > 2:
        return np.uint64(0), np.uint64(MOST_BLOCKS + 1)
    behind, begin = g + np.uint64(1), np.uint64(group[g, 5])
    end = np.uint64(group[behind, 4]) if behind + np.uint64(1) < np.uint64(group.shape[0]) else np.uint64(cuts.shape[0])
    return begin, end - begin


@scalar
def _plane_codes(rows, group, g, plane, rank, codes, codes_at):
    """Codes of the planes of group `g`, by ranks."""
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
def encode_numbers(x, top, rows, group, cuts, plane, rank, columns, codes, codes_at):
    """Codes of a block of rows, in the planes of numbers."""
    many, aside, one = takes_many(x, rows), np.uint64(x.shape[1]), np.uint64(1)
    for g in range(np.uint64(group.shape[0] - 1)):
        column = np.uint64(group[g, 0])
        begin, blocks = _thresholds(group, g, cuts)
        if many and blocks - one < np.uint64(MOST_BLOCKS):
            aside, at = column_aside(x, top, rows, column, aside, columns)
            rank_many(cuts, begin * np.uint64(16), blocks, columns, at, rows, rank)
        else:
            _rank_each(x, top, rows, group, g, cuts, rank)
        if group[g, 1]:
            for r in range(rows):
                value = x[top + r, column]
                rank[r] = np.int32(-1) if -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD else rank[r]
        _plane_codes(rows, group, g, plane, rank, codes, codes_at)


@scalar
def encode(x, top, rows, group, cuts, plane, sets, answer, rank, columns, codes, codes_at):
    """Codes of a block of rows."""
    encode_numbers(x, top, rows, group, cuts, plane, rank, columns, codes, codes_at)
    for h in range(np.uint64(sets.shape[0] - 1)):
        _category_codes(x, top, rows, sets, h, answer, rank, codes, codes_at)


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
