"""Symmetric trees, of up to 8 levels and 256 leaves: every node of a level asks the same, so a row's leaf is its
answers read as bits, low bit first. (Prokhorenkova et al. 2018, arXiv:1706.09516, section 5.)

Rows become codes as in `tree_quantized`, and a level is a word: plane << 8 | rank. A level is then answered for 64 rows
at a time, and adds its bit to their leaves' numbers, which are bytes. Four trees share one pass over the leaves.

A block of few rows is answered row by row. Nothing of a tree waits for another level of it, so a CPU overlaps them all.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import apart, kernel, scalar
from inferir.kernels.jit._leaves import add_four_in_registers, most_in_registers
from inferir.kernels.jit._simd import mark, skip_to_line
from inferir.kernels.jit.tree_quantized import BLOCK, add_four_leaves, add_leaf, encode, row_codes


@scalar
def _plane(word):
    """Which plane a level asks."""
    return np.uint64(np.uint32(word) >> np.uint32(8))


@scalar
def _leaf_numbers(level, begin, end, chunks, codes, codes_at, numbers, zeros_at, at):
    """Numbers of the leaves that a block of rows reaches in a tree of at least one level."""
    source = zeros_at
    for q in range(begin, end):
        plane_at, rank = codes_at + _plane(level[q]) * np.uint64(BLOCK), np.uint8(level[q])
        bit = np.uint8(np.uint32(1) << np.uint32(q - begin))
        for chunk in range(chunks):
            skip = chunk * np.uint64(64)
            mark(codes, plane_at + skip, rank, bit, numbers, source + skip, at + skip)
        source = at


@scalar
def _evaluate(level, split_begin, leaf_begin, leaf_value, rows, codes, codes_at, numbers, numbers_at, sums):
    """Add the leaves of all trees to the sums of a block of rows."""
    n_trees, chunks = np.uint64(split_begin.shape[0] - 1), (rows + np.uint64(63)) // np.uint64(64)
    one, four, slot, target = np.uint64(1), np.uint64(4), np.uint64(BLOCK), np.uint64(0)
    first = numbers_at + slot
    t = np.uint64(0)
    while t < n_trees:
        together = four if t + four <= n_trees and leaf_value.shape[1] == 1 else one
        for i in range(together):
            begin, end = np.uint64(split_begin[t + i]), np.uint64(split_begin[t + i + one])
            _leaf_numbers(level, begin, end, chunks, codes, codes_at, numbers, numbers_at, first + i * slot)
            if begin == end:  # a tree of one leaf
                for r in range(rows):
                    numbers[first + i * slot + r] = 0
        if together == four:
            t1, t2, t3 = t + one, t + np.uint64(2), t + np.uint64(3)
            b0, b1 = np.uint64(leaf_begin[t]), np.uint64(leaf_begin[t1])
            b2, b3 = np.uint64(leaf_begin[t2]), np.uint64(leaf_begin[t3])
            at1, at2, at3 = first + slot, first + slot * np.uint64(2), first + slot * np.uint64(3)
            most = max(b1 - b0, b2 - b1, b3 - b2, np.uint64(leaf_begin[t + four]) - b3)
            if most <= most_in_registers(leaf_value):
                add_four_in_registers(
                    leaf_value, b0, b1, b2, b3, most, numbers, first, at1, at2, at3, rows, sums, np.uint64(0)
                )
            else:
                add_four_leaves(leaf_value, b0, b1, b2, b3, numbers, first, at1, at2, at3, rows, sums, target)
        else:
            add_leaf(leaf_value, np.uint64(leaf_begin[t]), numbers, first, rows, sums, target)
        t += together


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
    x, top, rows, group, cuts, plane, sets, answer, level, split_begin, leaf_begin, leaf_value, rank, codes, codes_at,
    numbers, sums,
):  # fmt: skip
    """Add the leaves that a block of rows reaches in all trees."""
    numbers_at = skip_to_line(numbers)
    for r in range(np.uint64(BLOCK)):
        numbers[numbers_at + r] = 0
    encode(x, top, rows, group, cuts, plane, sets, answer, rank, codes, codes_at)
    _evaluate(level, split_begin, leaf_begin, leaf_value, rows, codes, codes_at, numbers, numbers_at, sums)


@kernel
def oblivious_quantized(
    x,
    group,
    cuts,
    plane,
    sets,
    answer,
    level,
    split_begin,
    leaf_begin,
    leaf_value,
    base,
    scale,
    few,
    rank,
    codes,
    numbers,
    sums,
    out,
):
    """out[i, j] = scale * (sum over trees t, from 0 and in order, of leaf_value[leaf of row i in t, j]) + base[j].

    As `tree.oblivious`, over codes; `group` to `answer` are those of `tree_quantized.forest_quantized`, and as there,
    `leaf_value` goes on behind the last leaf. A block of at most `few` rows is answered row by row.
    """
    n_rows, width = np.uint64(x.shape[0]), np.uint64(base.shape[0])
    codes_at = skip_to_line(codes)
    top = np.uint64(0)
    while top < n_rows:
        rows = min(np.uint64(BLOCK), n_rows - top)
        for j in range(width):
            for r in range(rows):
                sums[j, r] = 0.0
        if rows <= np.uint64(few):
            for r in range(rows):
                row_codes(x, top + r, group, cuts, plane, sets, answer, codes, codes_at)
                _add_alone(level, split_begin, leaf_begin, leaf_value, codes, codes_at, sums, r)
        else:
            _add_together(
                x, top, rows, group, cuts, plane, sets, answer, level, split_begin, leaf_begin, leaf_value, rank, codes,
                codes_at, numbers, sums,
            )  # fmt: skip
        for r in range(rows):
            for j in range(width):
                out[top + r, j] = sums[j, r] * scale + base[j]
        top += rows
