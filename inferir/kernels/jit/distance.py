"""Distances to stored points: k-means, nearest centroid, nearest neighbours.

`metric` is a position in METRICS; `p` is minkowski's.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit import _math
from inferir.kernels.jit._bytes import (
    CELL,
    CELLS,
    LANES,
    cells_of_eight,
    cells_of_one,
    has_byte_products,
    kth_least,
    near_cells,
    near_points,
)
from inferir.kernels.jit._compile import apart, kernel, scalar, scalar_reassociated
from inferir.kernels.jit._simd import LINE
from inferir.kernels.jit._tiles import GROUPS, TILE_ROWS, TOTALS, product_tiles, square_tiles
from inferir.kernels.jit._totals import lanes_at_most, lowest_bit, two_least

EUCLIDEAN, MANHATTAN, CHEBYSHEV, MINKOWSKI, COSINE = range(5)
TINY_NORM = 10 * 2.220446049250313e-16

#: Of packed points, that a block of rows is scored against before the next ones: half of a small second-level cache.
CACHED_NBYTES = 1 << 17

#: A score of bytes that no point has: beyond it a limit is none.
UNKNOWN = 1 << 29

_power = _math.power


@scalar_reassociated
def reduced_distance(x, i, points, j, metric, p):
    """What orders points as their distance does, without its last step: the sum of squares, or of p-th powers."""
    total = 0.0
    if metric == EUCLIDEAN:
        for f in range(np.uint64(x.shape[1])):
            difference = x[i, f] - points[j, f]
            total += difference * difference
    elif metric == MANHATTAN:
        for f in range(np.uint64(x.shape[1])):
            total += abs(x[i, f] - points[j, f])
    elif metric == CHEBYSHEV:
        for f in range(np.uint64(x.shape[1])):
            total = max(total, abs(x[i, f] - points[j, f]))
    elif metric == MINKOWSKI:
        for f in range(np.uint64(x.shape[1])):
            total += _power(abs(x[i, f] - points[j, f]), p)
    else:
        dot, xx, yy = 0.0, 0.0, 0.0
        for f in range(np.uint64(x.shape[1])):
            dot += x[i, f] * points[j, f]
            xx += x[i, f] * x[i, f]
            yy += points[j, f] * points[j, f]
        x_norm, y_norm = np.sqrt(xx), np.sqrt(yy)
        x_norm, y_norm = 1.0 if x_norm < TINY_NORM else x_norm, 1.0 if y_norm < TINY_NORM else y_norm
        total = 1.0 - dot / (x_norm * y_norm)
        total = 0.0 if total < 0.0 else total
        total = 2.0 if total > 2.0 else total
    return total


@scalar
def whole_distance(reduced, metric, p):
    """The distance itself."""
    if metric == EUCLIDEAN:
        return np.sqrt(reduced)
    return _power(reduced, 1.0 / p) if metric == MINKOWSKI else reduced


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


@scalar
def heap_push(value, label, i, values, labels):
    """Replace the largest of row i's max-heap by `value` if that is smaller.

    A tie with the largest is refused, so of equals the point stored first stays; which of several equal largest ones is
    replaced follows scikit-learn's heap_push (sklearn/utils/_heap.pyx), as its neighbours do.
    """
    if not value < values[i, 0]:
        return
    size, at = values.shape[1], 0
    while True:
        left, right = 2 * at + 1, 2 * at + 2
        if left >= size:
            break
        larger = left if right >= size or values[i, left] >= values[i, right] else right
        if not value < values[i, larger]:
            break
        values[i, at], labels[i, at] = values[i, larger], labels[i, larger]
        at = larger
    values[i, at], labels[i, at] = value, label


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


@apart
def measured(x, i, points, j):
    """The reduced euclidean distance: one function, so that its bits do not depend on who asks."""
    return reduced_distance(x, i, points, j, EUCLIDEAN, 2.0)


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


@scalar
def comes_after(i, a, b, values, labels):
    """Whether of row i's neighbours the one at `a` is farther than that at `b`, or as far and stored later."""
    return values[i, a] > values[i, b] or (values[i, a] == values[i, b] and labels[i, a] > labels[i, b])


@scalar
def sort_neighbors(i, values, labels):
    """Row i's neighbours from the nearest on, of equals the one stored first: heapsort."""
    size = np.int64(values.shape[1])
    first, end = size // 2, size
    while end > 1:
        if first > 0:
            first -= 1
        else:
            end -= 1
            values[i, 0], values[i, end] = values[i, end], values[i, 0]
            labels[i, 0], labels[i, end] = labels[i, end], labels[i, 0]
        at = first
        while 2 * at + 1 < end:
            child = 2 * at + 1
            if child + 1 < end and comes_after(i, child + 1, child, values, labels):
                child += 1
            if not comes_after(i, child, at, values, labels):
                break
            values[i, at], values[i, child] = values[i, child], values[i, at]
            labels[i, at], labels[i, child] = labels[i, child], labels[i, at]
            at = child


@kernel
def nearest(
    x, points, metric, p, center, reach, packed, step, residual, offsets, byte_points, narrow, square, limit, totals,
    codes, lengths, cells, index, out
):  # fmt: skip
    """index[i], out[i] = the k nearest of `points` and their distances, from the nearest on; of equals, the first.

    For the euclidean metric, scores leave out nearly all points for sure; the rest are measured as they are for any
    metric, so neighbours, ties and distances are the same. `packed` are -points about `center`, in float32, behind half
    of their squares; `reach` is the farthest one's distance from the center. `byte_points` are the same in whole steps,
    at most `residual` away from them (`_bytes.py`), or none.
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
            x, points, center, reach, packed, step, residual, offsets, byte_points, narrow, square, limit, totals,
            codes, lengths, cells, index, out
        )  # fmt: skip
    else:
        nearest_by_scores(x, np.uint64(0), n, points, center, reach, packed, narrow, square, limit, totals, index, out)
    for i in range(n):
        sort_neighbors(i, out, index)
        for j in range(k):
            out[i, j] = whole_distance(out[i, j], metric, p)


@scalar
def note_least(totals, rows, first, n_lanes, at, least, second, out, i):
    """Of the tiles of scores so far, the least of each row, the second least, and the position of the least."""
    for r in range(rows):
        start = r * np.uint64(TOTALS)
        lane = two_least(totals, start, n_lanes)
        value, next_value = totals[r, 0], totals[r, 1]
        if value < least[at + r]:
            second[at + r] = min(least[at + r], next_value)
            least[at + r], out[i + r, 0] = value, first + lane
        else:
            second[at + r] = min(second[at + r], value)


@kernel
def closest(x, points, center, reach, packed, narrow, square, least, second, totals, out):
    """out[i] = the nearest of `points`, by euclidean distance; the first of equals.

    By scores, as in `nearest`. Where the second best is so near to the best that rounding could have exchanged them,
    all points are measured.
    """
    n, m = np.uint64(x.shape[0]), np.uint64(points.shape[0])
    depth, lanes, n_groups = np.uint64(narrow.shape[1]), np.uint64(packed.shape[2]), np.uint64(packed.shape[0])
    block_rows = np.uint64(narrow.shape[0])
    for block in range(np.uint64(0), n, block_rows):
        rows_here = min(n - block, block_rows)
        narrow_rows(x, block, rows_here, center, narrow, square)
        for r in range(rows_here):
            least[r] = second[r] = np.inf
        for group in range(np.uint64(0), n_groups, np.uint64(GROUPS)):
            groups, first = min(np.uint64(GROUPS), n_groups - group), group * lanes
            for at in range(np.uint64(0), rows_here, np.uint64(TILE_ROWS)):
                rows = min(np.uint64(TILE_ROWS), rows_here - at)
                product_tiles(
                    narrow, at * depth, depth, rows, packed, group, groups, depth, np.uint64(0), depth, totals
                )
                note_least(totals, rows, first, min(m - first, groups * lanes), at, least, second, out, block + at)
        for r in range(rows_here):
            worst = 2.0 * (least[r] + score_slack(square[r], reach, depth)) + square[r]
            if second[r] > farthest_score(max(worst, 0.0), square[r], reach, depth):
                continue
            best, i = np.inf, block + r
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
