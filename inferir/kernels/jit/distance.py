"""Distances to stored points: k-means, nearest centroid, nearest neighbours.

`metric` is a position in METRICS (`operators/distance.py`); `p` is minkowski's.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit import _math
from inferir.kernels.jit._bytes import has_byte_products
from inferir.kernels.jit._compile import kernel, scalar
from inferir.kernels.jit._least_scores import TURNED_ROWS, score_rows
from inferir.kernels.jit._metrics import (
    CHEBYSHEV,
    COSINE,  # noqa: F401 - the last of METRICS
    EUCLIDEAN,
    MANHATTAN,
    MINKOWSKI,
    reduced_distance,
    whole_distance,
)
from inferir.kernels.jit._near_bytes import nearest_by_bytes
from inferir.kernels.jit._near_scores import nearest_by_scores, score_slack
from inferir.kernels.jit._neighbors import heap_push, sort_neighbors
from inferir.kernels.jit._tiles import GROUPS, TILE_ROWS, square_tiles

_power = _math.power


@kernel
def distances(x, points, packed, metric, p, totals, out):
    """out[i, j] = distance of row i to points[j].

    euclidean sqrt(sum d**2), manhattan sum |d|, chebyshev max |d|, minkowski (sum |d|**p)**(1/p),
    cosine 1 - x.y / (|x| |y|), where a norm below ten machine epsilons is taken for 1 (scikit-learn's normalize).
    NaN gives NaN, but chebyshev passes over it. `packed` are the points once more, for the euclidean metric.
    """
    if metric == EUCLIDEAN:
        n, m, depth = np.uint64(x.shape[0]), np.uint64(points.shape[0]), np.uint64(x.shape[1])
        lanes, n_groups = np.uint64(packed.shape[2]), np.uint64(packed.shape[0])
        for i in range(np.uint64(0), n, np.uint64(TILE_ROWS)):
            rows = min(np.uint64(TILE_ROWS), n - i)
            for group in range(np.uint64(0), n_groups, np.uint64(GROUPS)):
                groups, first = min(np.uint64(GROUPS), n_groups - group), group * lanes
                square_tiles(x, i * depth, depth, rows, packed, group, groups, depth, np.uint64(0), depth, totals)
                for r in range(rows):
                    for j in range(min(m - first, groups * lanes)):
                        out[i + r, first + j] = np.sqrt(totals[r, j])
        return
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(points.shape[0])):
            out[i, j] = whole_distance(reduced_distance(x, i, points, j, metric, p), metric, p)


@kernel
def nearest(
    x, points, metric, p, center, reach, packed, step, residual, offsets, byte_points, cell_offsets, cell_points,
    narrow, square, limit, totals, codes, lengths, cells, found, candidates, reduced, index, out
):  # fmt: skip
    """index[i], out[i] = the k nearest of `points` and their distances, from the nearest on; of equals, the first.

    For the euclidean metric, scores leave out nearly all points for sure; the rest are measured as they are for any
    metric, so neighbours, ties and distances are the same. `packed` are -points about `center`, in float32, behind half
    of their squares; `reach` is the farthest one's distance from the center. `byte_points` are the same in whole steps,
    at most `residual` away from them, and `cell_points` those once more (`_bytes.py`), or none.
    """
    n, m, k = np.uint64(x.shape[0]), np.uint64(points.shape[0]), np.uint64(out.shape[1])
    if metric != EUCLIDEAN:
        for i in range(n):
            for j in range(k):
                out[i, j], index[i, j] = np.inf, 0
            for j in range(m):
                heap_push(reduced_distance(x, i, points, j, metric, p), j, i, out, index)
    elif byte_points.shape[0] > 0 and has_byte_products():
        nearest_by_bytes(
            x, points, center, reach, packed, step, residual, offsets, byte_points, cell_offsets, cell_points, narrow,
            square, limit, totals, codes, lengths, cells, found, candidates, reduced, index, out
        )  # fmt: skip
    else:
        nearest_by_scores(x, np.uint64(0), n, points, center, reach, packed, narrow, square, limit, totals, index, out)
    for i in range(n):
        sort_neighbors(i, out, index)
        for j in range(k):
            out[i, j] = whole_distance(out[i, j], metric, p)


@kernel
def closest(x, points, center, reach, packed, narrow, turned, square, slack, least, second, number, totals, size, out):
    """out[i] = the nearest of `points`, by euclidean distance, the first of equals; size[i] = the square of the row
    about the center.

    By scores, as in `nearest`. Where the second best is so near to the best that rounding could have exchanged them,
    all points are measured.
    """
    n, m, depth = np.uint64(x.shape[0]), np.uint64(points.shape[0]), np.float64(narrow.shape[1])
    for first in range(np.uint64(0), n, np.uint64(TURNED_ROWS)):
        rows = min(np.uint64(TURNED_ROWS), n - first)
        score_rows(x, first, rows, center, packed, m, narrow, turned, square, least, second, number, totals)
        for r in range(rows):  # a square may be a sum in float32
            slack[r] = 2.0 * score_slack(square[r] * (1.0 + 1.2e-7 * depth) + 1.2e-38 * depth, reach, depth)
        for r in range(rows):
            i = first + r
            out[i, 0], size[i, 0] = number[r], square[r]
            if second[r] > least[r] + slack[r]:
                continue
            best = np.inf
            out[i, 0] = 0
            for j in range(m):
                reduced = reduced_distance(x, i, points, j, EUCLIDEAN, 2.0)
                if reduced < best:
                    best, out[i, 0] = reduced, j


@scalar
def least_distance(x, i, low, high, radius, node, ball, metric, p):
    """Reduced distance from row i to the nearest point that a node may hold: to its box, or to its ball."""
    if ball:
        beyond = whole_distance(reduced_distance(x, i, low, node, metric, p), metric, p) - radius[node]
        beyond = max(beyond, 0.0)
        if metric == EUCLIDEAN:
            return beyond * beyond
        return _power(beyond, p) if metric == MINKOWSKI else beyond
    total = 0.0
    for f in range(np.uint64(x.shape[1])):
        outside = max(low[node, f] - x[i, f], 0.0) + max(x[i, f] - high[node, f], 0.0)
        if metric == EUCLIDEAN:
            total += outside * outside
        elif metric == MANHATTAN:
            total += outside
        elif metric == CHEBYSHEV:
            total = max(total, outside)
        else:
            total += _power(outside, p)
    return total


@kernel
def nearest_in_tree(
    x, points, node_begin, node_end, node_leaf, low, high, radius, ball, metric, p, waiting, bound, index, out
):
    """As `nearest`, by a k-d tree (boxes low..high) or a ball tree (centres low, radius).

    Node g has the children 2g + 1 and 2g + 2, and holds points[node_begin[g]:node_end[g]]. The nearer child first, and
    points of equal distance in the order in which they are met, as scikit-learn's _query_single_depthfirst
    (_binary_tree.pxi): so ties fall as they do there.
    """
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(out.shape[1])):
            out[i, j], index[i, j] = np.inf, 0
        waiting[0], bound[0], depth = 0, 0.0, 1
        while depth > 0:
            depth -= 1
            node = waiting[depth]
            if bound[depth] > out[i, 0]:
                continue
            if node_leaf[node]:
                for j in range(np.uint64(node_begin[node]), np.uint64(node_end[node])):
                    heap_push(reduced_distance(x, i, points, j, metric, p), j, i, out, index)
                continue
            left, right = 2 * node + 1, 2 * node + 2
            to_left = least_distance(x, i, low, high, radius, left, ball, metric, p)
            to_right = least_distance(x, i, low, high, radius, right, ball, metric, p)
            left_first = to_left <= to_right
            waiting[depth], bound[depth] = (right, to_right) if left_first else (left, to_left)
            waiting[depth + 1], bound[depth + 1] = (left, to_left) if left_first else (right, to_right)
            depth += 2
        for j in range(np.uint64(out.shape[1])):
            out[i, j] = whole_distance(out[i, j], metric, p)


@scalar
def neighbor_weight(distance, i, j, by_distance, touching):
    """1, or 1 / distance; where that is infinite for some point, such points alone count."""
    if not by_distance:
        return 1.0
    weight = 1.0 / distance[i, j]
    if touching:
        return 1.0 if weight == np.inf else 0.0
    return weight


@scalar
def touches(distance, i):
    """Whether a neighbour of row i lies so near that 1 / distance is infinite."""
    found = False
    for j in range(np.uint64(distance.shape[1])):
        found |= 1.0 / distance[i, j] == np.inf
    return found


@kernel
def vote_neighbors(index, distance, label, by_distance, out):
    """out[i, c] = weight of the neighbours of class c over the weight of all; 0 where all are infinitely far."""
    for i in range(np.uint64(index.shape[0])):
        for c in range(np.uint64(out.shape[1])):
            out[i, c] = 0.0
        touching, total = touches(distance, i), 0.0
        for j in range(np.uint64(index.shape[1])):
            weight = neighbor_weight(distance, i, j, by_distance, touching)
            out[i, np.uint64(label[np.uint64(index[i, j])])] += weight
            total += weight
        total = 1.0 if total == 0.0 else total
        for c in range(np.uint64(out.shape[1])):
            out[i, c] = out[i, c] / total


@kernel
def average_neighbors(index, distance, target, by_distance, out):
    """out[i] = weighted mean of the neighbours' targets."""
    for i in range(np.uint64(index.shape[0])):
        touching = touches(distance, i)
        for v in range(np.uint64(out.shape[1])):
            value, total = 0.0, 0.0
            for j in range(np.uint64(index.shape[1])):
                weight = neighbor_weight(distance, i, j, by_distance, touching)
                value += weight * target[np.uint64(index[i, j]), v]
                total += weight
            out[i, v] = value / total
