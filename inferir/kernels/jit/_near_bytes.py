"""The k nearest points by scores of bytes (`_bytes.py`), which leave out nearly all points for sure.

For a few rows at a time: all cells, then for each row a limit that the k nearest points' scores do not exceed, the
points whose scores do not, and their distances. What is found is written down without asking whether to, and what is
written is counted: a branch that nobody can foresee costs as much as ten points.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._bytes import (
    CELL,
    CELLS,
    LANES,
    RANKED,
    ROWS,
    cells_of_one,
    cells_of_six,
    kth_least,
    near_cells,
    near_points,
    rank,
)
from inferir.kernels.jit._compile import scalar, scalar_reassociated
from inferir.kernels.jit._metrics import measured
from inferir.kernels.jit._near_scores import nearest_by_scores
from inferir.kernels.jit._simd import LINE, prefetch
from inferir.kernels.jit._totals import lowest_bit

__all__ = ["nearest_by_bytes"]

#: A score of bytes that no point has: beyond it a limit is none.
UNKNOWN = 1 << 29

#: Rows that are scored against a part of the points before the next one, and bytes of the part: half of a small
#: first-level cache.
BLOCK_ROWS, PART_NBYTES = 12, 1 << 14

#: Rows that may be tried at first, how many a row costs that has to be done again, and a block of them. A row is added
#: for each that was tried; the rest of a batch is left untried where they are used up.
CREDIT, FAILED, MANY_FAILED = 32, 16, 40

#: Places of lists that are written before anybody asks whether they are full: those of four cells' lanes, and of
#: doubles that are compared at once.
SPARE = CELLS * LANES + RANKED

#: Of what is asked for before it is looked at: from there on the CPU goes on by itself.
AHEAD_NBYTES = 512


@scalar_reassociated
def rounding(x, i, center, step, codes, r, lengths):
    """Row r's square in steps, and how far its steps are from the row, at most."""
    residual, length = 0.0, 0.0
    for f in range(np.uint64(x.shape[1])):
        steps = np.float64(codes[r, f]) - 128.0
        rest = (x[i, f] - center[f]) - steps * step
        residual += rest * rest
        length += steps * steps
    lengths[r, 0], lengths[r, 1] = length, np.sqrt(residual) * (1.0 + 1e-10) + 1e-6 * step


@scalar
def row_to_bytes(x, i, center, step, codes, r, lengths):
    """Row i about the center in whole steps, as bytes."""
    each = 1.0 / step
    for f in range(np.uint64(x.shape[1])):
        steps = np.floor((x[i, f] - center[f]) * each + 0.5)
        steps = steps if steps > -127.0 else -127.0
        steps = steps if steps < 127.0 else 127.0
        codes[r, f] = np.uint8(np.int32(steps) + np.int32(128))
    rounding(x, i, center, step, codes, r, lengths)


@scalar
def farthest_byte_score(distance, slack, step, square):
    """The largest score that a point within `distance` of a row may have; UNKNOWN where it may have any.

    The triangle inequality: rounded to bytes, row and point are at most `slack` farther from each other.
    """
    steps = (distance * (1.0 + 1e-10) + slack) / step
    score = 0.5 * (steps * steps * (1.0 + 1e-9) - square) + 1.0
    return np.int64(score) if score < UNKNOWN else np.int64(UNKNOWN)


@scalar
def candidates_of_row(
    points, r, k, codes, square, slack, step, cell_points, cell_offsets, cells, count, found, candidates
):  # fmt: skip
    """Points that may be among the k nearest of a row, and that are asked for; how many, or 0 for too many."""
    width, depth = np.uint64(codes.shape[1]), np.uint64(points.shape[1])
    least = kth_least(cells, count, r, k)
    root = step * np.sqrt(2.0 * least + square + 1.0)
    limit = farthest_byte_score(root + slack, slack, step, square)
    if not limit < UNKNOWN:
        return np.uint64(0)
    n_found, n_near, block_nbytes = np.uint64(0), np.uint64(0), np.uint64(cell_points.shape[2])
    for number in range(np.uint64(0), count, np.uint64(CELLS)):
        lanes = near_cells(cells, count, r, number, limit)
        found[0, n_found], found[1, n_found] = np.int64(lanes), np.int64(number)
        n_found += np.uint64(lanes != np.uint64(0))
    most, n_lanes = np.uint64(candidates.shape[1] - SPARE), np.uint64(0)
    for place in range(n_found):
        lanes, first = np.uint64(found[0, place]), np.uint64(found[1, place]) * np.uint64(LANES)
        while lanes:
            lane = first + lowest_bit(lanes)
            lanes &= lanes - np.uint64(1)
            prefetch(cell_offsets, lane * np.uint64(CELL))
            for block in range(np.uint64(0), min(block_nbytes, np.uint64(AHEAD_NBYTES)), np.uint64(LINE)):
                prefetch(cell_points, lane * block_nbytes + block)
            found[2, n_lanes] = np.int64(lane)
            n_lanes += np.uint64(1)
        if n_lanes > most:
            return np.uint64(0)
    for place in range(n_lanes):
        lane = np.uint64(found[2, place])
        near = near_points(codes, r, width, cell_points, cell_offsets, lane, limit)
        j = (lane // np.uint64(LANES)) * np.uint64(CELL * LANES) + lane % np.uint64(LANES)
        for _ in range(CELL):
            candidates[r, n_near] = np.int64(j)
            n_near += near & np.uint64(1)
            near >>= np.uint64(1)
            j += np.uint64(LANES)
        if n_near > most:
            return np.uint64(0)
    for c in range(n_near):
        for f in range(np.uint64(0), min(depth, np.uint64(AHEAD_NBYTES // 8)), np.uint64(LINE // 8)):
            prefetch(points, np.uint64(candidates[r, c]) * depth + f)
    return n_near


@scalar
def nearest_of_candidates(x, i, points, r, count, found, candidates, reduced, index, out):
    """The k nearest of row i among the candidates, in order; whether that can be said: else there is a tie."""
    k = np.uint64(out.shape[1])
    for c in range(count):
        reduced[0, c] = measured(x, i, points, np.uint64(candidates[r, c]))
    for c in range(count, count + np.uint64(RANKED - 1)):
        reduced[0, c], candidates[r, c] = np.inf, 0
    for c in range(count):
        place = rank(reduced, candidates, r * np.uint64(candidates.shape[1]), count, reduced[0, c], candidates[r, c])
        reduced[1, place], found[0, place] = reduced[0, c], candidates[r, c]
    for j in range(k):
        out[i, j], index[i, j] = reduced[1, j], found[0, j]
    return count == k or reduced[1, k] > reduced[1, k - np.uint64(1)]


@scalar
def nearest_by_bytes(
    x, points, center, reach, packed, step, residual, offsets, byte_points, cell_offsets, cell_points, narrow, square,
    limit, totals, codes, lengths, cells, found, candidates, reduced, index, out
):  # fmt: skip
    """As `nearest_by_scores`, by scores of bytes first; rows that those do not tell apart are left to it.

    If there are many of them, so are the rest, untried. Rows that are so far from the points that their own rounding
    exceeds that of any point by much are left to it without a score.
    """
    n, count, fours = np.uint64(x.shape[0]), np.uint64(cells.shape[1]), np.uint64(byte_points.shape[1])
    k, width, zero = np.uint64(out.shape[1]), np.uint64(codes.shape[1]), np.uint64(0)
    credit = np.int64(CREDIT)
    for tile in range(zero, n, np.uint64(BLOCK_ROWS)):
        rows, n_close = min(np.uint64(BLOCK_ROWS), n - tile), 0
        for r in range(rows):
            row_to_bytes(x, tile + r, center, step, codes, r, lengths)
            n_close += lengths[r, 1] <= 3.0 * residual + step
        if n_close > 0:
            part = max(np.uint64(1), np.uint64(PART_NBYTES // (CELL * LINE)) // fours)
            for begin in range(zero, count, part):
                end, r = min(count, begin + part), zero
                while r + np.uint64(2) < rows:
                    cells_of_six(codes, r, width, byte_points, offsets, fours, cells, count, begin, end)
                    r += np.uint64(ROWS)
                while r < rows:
                    cells_of_one(codes, r, width, byte_points, offsets, fours, cells, count, begin, end)
                    r += np.uint64(1)
            for r in range(rows):
                lengths[r, 2] = candidates_of_row(
                    points, r, k, codes, lengths[r, 0], lengths[r, 1] + residual, step, cell_points, cell_offsets,
                    cells, count, found, candidates
                )  # fmt: skip
        n_failed, failed = np.int64(0 if n_close > 0 else rows), tile
        for r in range(rows if n_close > 0 else zero):
            n_near = np.uint64(lengths[r, 2])
            if n_near < k or not nearest_of_candidates(
                x, tile + r, points, r, n_near, found, candidates, reduced, index, out
            ):
                n_failed, failed = n_failed + 1, tile + r
        credit = min(credit + np.int64(rows) - min(FAILED * n_failed, MANY_FAILED), 16 * CREDIT)
        if n_failed > 0:
            first, last = (failed, failed + np.uint64(1)) if n_failed == 1 else (tile, tile + rows)
            last = n if credit < 0 else last
            nearest_by_scores(x, first, last, points, center, reach, packed, narrow, square, limit, totals, index, out)
        if credit < 0:
            return
