"""The k nearest points by scores in float32, products of matrices, that leave out nearly all points for sure.

A score is |p|**2 / 2 - x.p of a row and a point about a center: half of the reduced distance without the row's own
square.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import apart, scalar, scalar_reassociated
from inferir.kernels.jit._metrics import measured
from inferir.kernels.jit._neighbors import heap_push
from inferir.kernels.jit._simd import LINE
from inferir.kernels.jit._tiles import GROUPS, TILE_ROWS, TOTALS, product_tiles
from inferir.kernels.jit._totals import lanes_at_most, lowest_bit

__all__ = ["farthest_score", "narrow_rows", "nearest_by_scores", "score_slack"]

#: Of packed points, that a block of rows is scored against before the next ones: half of a small second-level cache.
CACHED_NBYTES = 1 << 17


@scalar
def score_slack(square, reach, depth):
    """How far a score may be off, at most; infinitely where float32 may overflow.

    A score is |p|**2 / 2 - x.p in float32, of a row and a point about a center: half of the reduced distance without
    the row's own square. Rounding both to float32, the square, and `depth` multiply-adds, each by 2**-24 at most, puts
    it off by less than (depth + 5) 2**-24 (|x| + |p|)**2 (Higham 2002, Accuracy and Stability, section 3.1), and by a
    few of the smallest float32 where products vanish.
    """
    length = np.sqrt(square) + reach
    if not length < 1e18:
        return np.inf
    return (depth + 8.0) * (6e-8 * length * length + 1.2e-38 * (1.0 + length))


@scalar
def farthest_score(worst, square, reach, depth):
    """The largest score, in float32, that a point within the reduced distance `worst` of a row may have."""
    slack = score_slack(square, reach, depth)
    return np.float32(0.5 * (worst - square) + slack + 2.4e-7 * (worst + square))


@scalar_reassociated
def square_about(x, i, center):
    """Sum of (x - center)**2 over the columns of row i."""
    total = 0.0
    for f in range(np.uint64(x.shape[1])):
        difference = x[i, f] - center[f]
        total += difference * difference
    return total


@scalar
def narrow_rows(x, first, rows, center, narrow, square):
    """Rows about the center, in float32, behind a 1 that meets the points' half squares; and their own squares."""
    for r in range(rows):
        narrow[r, 0] = 1.0
        for f in range(np.uint64(x.shape[1])):
            narrow[r, f + np.uint64(1)] = x[first + r, f] - center[f]
        square[r] = square_about(x, first + r, center)


@scalar
def measure(x, i, points, j, index, out):
    """Measure a point; whether it is among the k nearest so far, and has been put there."""
    reduced = measured(x, i, points, j)
    nearer = reduced < out[i, 0]
    heap_push(reduced, j, i, out, index)
    return nearer


@scalar
def measure_near(x, points, tile, rows, block, first, n_lanes, square, limit, reach, depth, totals, index, out):
    """Of a tile of scores, measure the points that are not certainly farther than the k nearest so far."""
    for r in range(rows):
        i, at = tile + r, tile + r - block
        if index.shape[1] == 1 and out[i, 0] == np.inf:  # the best score bounds the nearest point's distance
            best = np.uint64(0)
            for lane in range(n_lanes):
                best = lane if totals[r, lane] < totals[r, best] else best
            bound = measured(x, i, points, first + best)
            limit[at] = farthest_score(bound, square[at], reach, depth)
        found = lanes_at_most(totals, r * np.uint64(TOTALS), limit[at])
        while found:
            lane = lowest_bit(found)
            found &= found - np.uint64(1)
            near = lane < n_lanes and not totals[r, lane] > limit[at]
            if near and measure(x, i, points, first + lane, index, out):
                limit[at] = farthest_score(out[i, 0], square[at], reach, depth)


@apart
def nearest_by_scores(x, begin, end, points, center, reach, packed, narrow, square, limit, totals, index, out):
    """The k nearest of rows begin..end, in the order of a heap, by scores in float32 that leave out nearly all points
    for sure; the rest are measured."""
    m, k = np.uint64(points.shape[0]), np.uint64(out.shape[1])
    depth, lanes, n_groups = np.uint64(narrow.shape[1]), np.uint64(packed.shape[2]), np.uint64(packed.shape[0])
    part_groups = max(np.uint64(1), np.uint64(CACHED_NBYTES) // (depth * np.uint64(GROUPS * LINE))) * np.uint64(GROUPS)
    block_rows = np.uint64(narrow.shape[0])
    for block in range(begin, end, block_rows):
        block_end = min(end, block + block_rows)
        narrow_rows(x, block, block_end - block, center, narrow, square)
        for r in range(block_end - block):
            limit[r] = np.inf
            for j in range(k):
                out[block + r, j], index[block + r, j] = np.inf, 0
        for part in range(np.uint64(0), n_groups, part_groups):
            part_end = min(n_groups, part + part_groups)
            for tile in range(block, block_end, np.uint64(TILE_ROWS)):
                rows, start = min(np.uint64(TILE_ROWS), block_end - tile), (tile - block) * depth
                for group in range(part, part_end, np.uint64(GROUPS)):
                    groups, first = min(np.uint64(GROUPS), part_end - group), group * lanes
                    n_lanes = min(m - first, groups * lanes)
                    product_tiles(narrow, start, depth, rows, packed, group, groups, depth, np.uint64(0), depth, totals)
                    measure_near(
                        x, points, tile, rows, block, first, n_lanes, square, limit, reach, depth, totals, index, out
                    )
