"""The k nearest points by scores of bytes (`_bytes.py`), which leave out nearly all points for sure."""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._bytes import (
    CELL,
    CELLS,
    LANES,
    cells_of_eight,
    cells_of_one,
    kth_least,
    near_cells,
    near_points,
)
from inferir.kernels.jit._compile import scalar
from inferir.kernels.jit._metrics import measured
from inferir.kernels.jit._near_scores import nearest_by_scores
from inferir.kernels.jit._neighbors import heap_push
from inferir.kernels.jit._tiles import TILE_ROWS
from inferir.kernels.jit._totals import lowest_bit

__all__ = ["nearest_by_bytes"]

#: A score of bytes that no point has: beyond it a limit is none.
UNKNOWN = 1 << 29


@scalar
def row_to_bytes(x, i, center, step, codes, r, lengths):
    """Row i about the center in whole steps, as bytes; their square, and how far that is from the row."""
    residual, length = 0.0, 0.0
    for f in range(np.uint64(x.shape[1])):
        value = x[i, f] - center[f]
        steps = np.floor(value / step + 0.5)
        steps = steps if steps > -127.0 else -127.0
        steps = steps if steps < 127.0 else 127.0
        rest = value - steps * step
        residual += rest * rest
        length += steps * steps
        codes[r, f] = np.uint8(np.int64(steps) + 128)
    lengths[r, 0], lengths[r, 1] = length, np.sqrt(residual) * (1.0 + 1e-10) + 1e-6 * step


@scalar
def farthest_byte_score(distance, slack, step, square):
    """The largest score that a point within `distance` of a row may have; UNKNOWN where it may have any.

    The triangle inequality: rounded to bytes, row and point are at most `slack` farther from each other.
    """
    steps = (distance * (1.0 + 1e-10) + slack) / step
    score = 0.5 * (steps * steps * (1.0 + 1e-9) - square) + 1.0
    return np.int64(score) if score < UNKNOWN else np.int64(UNKNOWN)


@scalar
def nearest_of_row(x, i, points, r, codes, fours, square, slack, step, offsets, byte_points, cells, count, index, out):
    """The k nearest of row i by its cells; whether that can be said: else too many points are near, or tie."""
    k = np.uint64(out.shape[1])
    least = kth_least(cells, count, r, k)
    root = step * np.sqrt(2.0 * least + square + 1.0)
    limit = farthest_byte_score(root + slack, slack, step, square)
    if not limit < UNKNOWN:
        return False
    for j in range(k):
        out[i, j], index[i, j] = np.inf, 0
    lost, left = np.inf, np.int64(points.shape[0]) // 256 + 64
    for number in range(np.uint64(0), count, np.uint64(CELLS)):
        found = near_cells(cells, count, r, number, limit)
        while found:
            cell = lowest_bit(found) // np.uint64(LANES)
            found &= ~(np.uint64((1 << LANES) - 1) << (cell * np.uint64(LANES)))
            group = (number + cell) * np.uint64(CELL)
            near = near_points(codes, r, byte_points, offsets, fours, group, limit)
            while near:
                j = group * np.uint64(LANES) + lowest_bit(near)
                near &= near - np.uint64(1)
                left -= 1
                reduced = measured(x, i, points, j)
                if reduced < out[i, 0]:
                    lost = min(lost, out[i, 0])
                    heap_push(reduced, j, i, out, index)
                    if out[i, 0] < np.inf:
                        limit = min(limit, farthest_byte_score(np.sqrt(out[i, 0]), slack, step, square))
                else:
                    lost = min(lost, reduced)
            if left < 0:
                return False
    return lost > out[i, 0]


@scalar
def nearest_by_bytes(
    x, points, center, reach, packed, step, residual, offsets, byte_points, narrow, square, limit, totals, codes,
    lengths, cells, index, out
):  # fmt: skip
    """As `nearest_by_scores`, by scores of bytes first; rows that those do not tell apart are left to it.

    If there are many of them, so are the rest, untried.
    """
    n, count, fours = np.uint64(x.shape[0]), np.uint64(cells.shape[1]), np.uint64(byte_points.shape[1])
    credit = 4
    for tile in range(np.uint64(0), n, np.uint64(TILE_ROWS)):
        rows = min(np.uint64(TILE_ROWS), n - tile)
        for r in range(rows):
            row_to_bytes(x, tile + r, center, step, codes, r, lengths)
        if rows > np.uint64(2):
            cells_of_eight(codes, np.uint64(0), byte_points, offsets, fours, cells, count, np.uint64(0))
        else:
            for r in range(rows):
                cells_of_one(codes, r, byte_points, offsets, fours, cells, count, r)
        n_failed, failed = 0, np.uint64(0)
        for r in range(rows):
            if not nearest_of_row(
                x, tile + r, points, r, codes, fours, lengths[r, 0], lengths[r, 1] + residual, step, offsets,
                byte_points, cells, count, index, out
            ):  # fmt: skip
                n_failed, failed = n_failed + 1, tile + r
        credit = min(credit + 1, 64) if n_failed == 0 else credit - 4
        if n_failed > 0:
            first, last = (failed, failed + np.uint64(1)) if n_failed == 1 else (tile, tile + rows)
            last = n if credit < 0 else last
            nearest_by_scores(x, first, last, points, center, reach, packed, narrow, square, limit, totals, index, out)
        if credit < 0:
            return
