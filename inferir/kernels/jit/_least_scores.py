"""The least score of each of some rows, and the second least: of few rows with points in lanes, of many with rows.

A score is what it is in `_near_scores.py`.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import scalar
from inferir.kernels.jit._near_scores import narrow_rows
from inferir.kernels.jit._simd import registers_nbytes, words_of
from inferir.kernels.jit._tiles import GROUPS, TILE_ROWS, TOTALS, product_tiles
from inferir.kernels.jit._totals import two_least
from inferir.kernels.jit._turned import (
    LANES,
    TURNED_ROWS,
    least_scores_1x2,
    least_scores_1x4,
    least_scores_1x8,
    least_scores_2x8,
    turn_rows,
)

__all__ = ["TURNED_ROWS", "score_rows"]


@scalar
def score_few(x, first, rows, center, packed, m, narrow, square, least, second, number, totals):
    """Of up to TILE_ROWS rows."""
    depth, lanes, n_groups = np.uint64(narrow.shape[1]), np.uint64(packed.shape[2]), np.uint64(packed.shape[0])
    narrow_rows(x, first, rows, center, narrow, square)
    for r in range(rows):
        least[r] = second[r] = np.inf
        number[r] = 0
    for group in range(np.uint64(0), n_groups, np.uint64(GROUPS)):
        groups, begin = min(np.uint64(GROUPS), n_groups - group), group * lanes
        n_lanes, zero = min(m - begin, groups * lanes), np.uint64(0)
        product_tiles(narrow, zero, depth, rows, packed, group, groups, depth, zero, depth, totals)
        for r in range(rows):
            lane = two_least(totals, r * np.uint64(TOTALS), n_lanes)
            value, next_value = totals[r, 0], totals[r, 1]
            if value < least[r]:
                second[r] = min(least[r], next_value)
                least[r], number[r] = value, begin + lane
            else:
                second[r] = min(second[r], value)


@scalar
def score_many(x, first, rows, center, packed, m, turned, square, least, second, number):
    """Of up to TURNED_ROWS rows, while the next ones are asked for."""
    depth, zero, half = np.uint64(x.shape[1]), np.uint64(0), np.uint64(LANES)
    turn_rows(x, first, min(rows, half), depth, center, turned, zero)
    if rows > half:
        turn_rows(x, first + half, rows - half, depth, center, turned, half)
    ahead, n_lines = (first + rows) * depth, rows * depth // (half // words_of(x))
    if registers_nbytes() >= np.uint64(2048) and rows > half:
        least_scores_2x8(turned, zero, depth, packed, m, square, least, second, number, zero, x, ahead, n_lines)
        return
    for at in range(zero, rows, half):
        if registers_nbytes() >= np.uint64(2048):
            least_scores_1x8(turned, at, depth, packed, m, square, least, second, number, at, x, ahead, n_lines)
        elif registers_nbytes() >= np.uint64(512):
            least_scores_1x4(turned, at, depth, packed, m, square, least, second, number, at, x, ahead, n_lines)
        else:
            least_scores_1x2(turned, at, depth, packed, m, square, least, second, number, at, x, ahead, n_lines)


@scalar
def score_rows(x, first, rows, center, packed, m, narrow, turned, square, least, second, number, totals):
    """Of rows about the center, `rows` from the first on: squares, least scores, second least ones, and the number of
    a point that has the least."""
    if rows > np.uint64(TILE_ROWS):
        score_many(x, first, rows, center, packed, m, turned, square, least, second, number)
    else:
        score_few(x, first, rows, center, packed, m, narrow, square, least, second, number, totals)
