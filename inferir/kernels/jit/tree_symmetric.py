"""Symmetric trees, of up to 8 levels and 256 leaves: every node of a level asks the same, so a row's leaf is its
answers read as bits, low bit first. (Prokhorenkova et al. 2018, arXiv:1706.09516, section 5.)

Rows become codes as in `tree_quantized`, and a level is a word: plane << 8 | rank. A level is then answered for up to
256 rows at a time, and adds its bit to their leaves' numbers, which are bytes (`_levels`). Four trees share one pass
over the leaves. As these are 2 kB a tree, more than a cache has room for in a large forest, several blocks of rows go
through a few trees before those that come next, whose leaves are asked for meanwhile.

A block of few rows is answered row by row. Nothing of a tree waits for another level of it, so a CPU overlaps them all.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._ahead import ask_for_share, share_of_turn
from inferir.kernels.jit._codes import BLOCK, encode, row_codes
from inferir.kernels.jit._compile import apart, kernel, scalar
from inferir.kernels.jit._leaves import add_four
from inferir.kernels.jit._levels import number_of_64, number_of_256
from inferir.kernels.jit._simd import LINE, skip_to_line
from inferir.kernels.jit.tree_quantized import add_leaf

#: Trees whose leaves stay near while all rows go through them: 256 leaves in double are 2 kB.
NEAR_TREES = 16


@scalar
def _plane(word):
    """Which plane a level asks."""
    return np.uint64(np.uint32(word) >> np.uint32(8))


@scalar
def _leaf_numbers(level, split_begin, t, rows, codes, codes_at, numbers, at):
    """Numbers of the leaves that a block of rows reaches in tree t."""
    begin, end = np.uint64(split_begin[t]), np.uint64(split_begin[t + np.uint64(1)])
    if rows > np.uint64(BLOCK - 64):
        number_of_256(level, begin, end, codes, codes_at, numbers, at)
    else:
        for r in range(np.uint64(0), rows, np.uint64(64)):
            number_of_64(level, begin, end, codes, codes_at + r, numbers, at + r)


@scalar
def _add_four(level, split_begin, leaf_begin, leaf_value, t, rows, codes, codes_at, numbers, sums, first):
    """Add the leaves that a block of rows reaches in four trees, from tree t on, to sums[0, first] and so on."""
    slot, at0 = np.uint64(BLOCK), skip_to_line(numbers)
    at1, at2, at3 = at0 + slot, at0 + np.uint64(2) * slot, at0 + np.uint64(3) * slot
    t1, t2, t3, t4 = t + np.uint64(1), t + np.uint64(2), t + np.uint64(3), t + np.uint64(4)
    b0, b1, b2 = np.uint64(leaf_begin[t]), np.uint64(leaf_begin[t1]), np.uint64(leaf_begin[t2])
    b3, b4 = np.uint64(leaf_begin[t3]), np.uint64(leaf_begin[t4])
    for i in range(np.uint64(4)):
        _leaf_numbers(level, split_begin, t + i, rows, codes, codes_at, numbers, at0 + i * slot)
    most = max(b1 - b0, b2 - b1, b3 - b2, b4 - b3)
    add_four(leaf_value, b0, b1, b2, b3, most, numbers, at0, at1, at2, at3, rows, sums, first)


@scalar
def _evaluate(level, split_begin, leaf_begin, leaf_value, rows, of_block, codes, codes_at, numbers, sums):
    """Add the leaves of all trees to the sums of several blocks of rows."""
    n_trees, block, four = np.uint64(split_begin.shape[0] - 1), np.uint64(BLOCK), np.uint64(4)
    at, by_four, line = skip_to_line(numbers), leaf_value.shape[1] == 1, np.uint64(LINE // 8)
    for begin in range(np.uint64(0), n_trees, np.uint64(NEAR_TREES)):
        end = min(begin + np.uint64(NEAR_TREES), n_trees)
        wanted = np.uint64(leaf_begin[end])
        wanted_end = np.uint64(leaf_begin[min(end + np.uint64(NEAR_TREES), n_trees)])
        share = share_of_turn(wanted, wanted_end, rows, rows // np.uint64(64) + np.uint64(1), line)
        for first in range(np.uint64(0), rows, block):
            count, own_codes, t = min(block, rows - first), codes_at + first // block * of_block, begin
            while by_four and t + four <= end:
                wanted = ask_for_share(leaf_value, wanted, wanted_end, share, line)
                _add_four(level, split_begin, leaf_begin, leaf_value, t, count, codes, own_codes, numbers, sums, first)
                t += four
            while t < end:
                _leaf_numbers(level, split_begin, t, count, codes, own_codes, numbers, at)
                add_leaf(leaf_value, np.uint64(leaf_begin[t]), numbers, at, count, sums, np.uint64(0), first)
                t += np.uint64(1)


@scalar
def _add_alone(level, split_begin, leaf_begin, leaf_value, codes, codes_at, sums, r):
    """Add the leaves that one row, whose codes are side by side, reaches in all trees."""
    one = np.uint64(1)
    total = sums[0, r]  # of the first output: in memory, each sum would wait for the store before it
    for t in range(np.uint64(split_begin.shape[0] - 1)):
        begin = np.uint64(split_begin[t])
        number = np.uint64(0)
        for q in range(begin, np.uint64(split_begin[t + one])):
            answer = codes[codes_at + _plane(level[q])] >= np.uint8(level[q])
            number |= np.uint64(answer) << (q - begin)
        leaf = np.uint64(leaf_begin[t]) + number
        total += leaf_value[leaf, 0]
        for j in range(one, np.uint64(leaf_value.shape[1])):
            sums[j, r] += leaf_value[leaf, j]
    sums[0, r] = total


@apart
def _add_together(
    x, top, rows, group, cuts, plane, sets, answer, level, split_begin, leaf_begin, leaf_value, rank, columns, codes,
    codes_at, numbers, sums,
):  # fmt: skip
    """Add the leaves that rows of several blocks reach in all trees: tree after tree, as leaves come from farther away
    than codes."""
    block, of_block = np.uint64(BLOCK), np.uint64(BLOCK) * np.uint64(plane.shape[0])
    for first in range(np.uint64(0), rows, block):
        own_codes = codes_at + first // block * of_block
        encode(
            x, top + first, min(block, rows - first), group, cuts, plane, sets, answer, rank, columns, codes, own_codes
        )
    _evaluate(level, split_begin, leaf_begin, leaf_value, rows, of_block, codes, codes_at, numbers, sums)


@kernel
def oblivious_quantized(
    x, group, cuts, plane, sets, answer, level, split_begin, leaf_begin, leaf_value, base, scale, few, rank, columns,
    codes, numbers, sums, out,
):  # fmt: skip
    """out[i, j] = scale * (sum over trees t, from 0 and in order, of leaf_value[leaf of row i in t, j]) + base[j].

    As `tree.oblivious`, over codes; `group` to `answer` are those of `tree_quantized.forest_quantized`, and as there,
    `leaf_value` goes on behind the last leaf. At most `few` rows are answered row by row. So many rows go through a
    tree together as `sums` has room for.
    """
    n_rows, width, together = np.uint64(x.shape[0]), np.uint64(base.shape[0]), np.uint64(sums.shape[1])
    codes_at = skip_to_line(codes)
    top = np.uint64(0)
    while top < n_rows:
        rows = min(together, n_rows - top)
        for j in range(width):
            for r in range(rows):
                sums[j, r] = 0.0
        if rows <= np.uint64(few):
            for r in range(rows):
                row_codes(x, top + r, group, cuts, plane, sets, answer, codes, codes_at)
                _add_alone(level, split_begin, leaf_begin, leaf_value, codes, codes_at, sums, r)
        else:
            _add_together(
                x, top, rows, group, cuts, plane, sets, answer, level, split_begin, leaf_begin, leaf_value, rank,
                columns, codes, codes_at, numbers, sums,
            )  # fmt: skip
        for r in range(rows):
            for j in range(width):
                out[top + r, j] = sums[j, r] * scale + base[j]
        top += rows
