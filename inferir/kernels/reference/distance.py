"""Distances to stored points, and what neighbours say."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers

EUCLIDEAN, MANHATTAN, CHEBYSHEV, MINKOWSKI, COSINE = range(5)


def _cosine_distances(x: Floats, points: Floats) -> Floats:
    def dot(a: Floats, b: Floats) -> Floats:
        return np.asarray(np.cumsum(a * b, axis=-1)[..., -1])

    def norm(a: Floats) -> Floats:
        length = np.sqrt(dot(a, a))
        return np.where(length < 10 * np.finfo(np.float64).eps, 1.0, length)

    return np.asarray(np.clip(1 - dot(x[:, None, :], points) / (norm(x)[:, None] * norm(points)), 0, 2))


def _reduced_distances(x: Floats, points: Floats, metric: int, p: float) -> Floats:
    """The distances of all rows to all points before the last root, [n, m]."""
    if metric == COSINE:
        return _cosine_distances(x, points)
    total = np.zeros((x.shape[0], points.shape[0]))
    for f in range(x.shape[1]):
        difference = np.abs(x[:, f, None] - points[:, f])
        if metric == EUCLIDEAN:
            total += difference**2
        elif metric == MANHATTAN:
            total += difference
        elif metric == CHEBYSHEV:
            total = np.fmax(total, difference)
        else:
            total += difference**p
    return total


def _root(reduced: Floats, metric: int, p: float) -> Floats:
    if metric == EUCLIDEAN:
        return np.asarray(np.sqrt(reduced))
    return np.asarray(reduced ** (1 / p)) if metric == MINKOWSKI else reduced


def distances(x: Floats, points: Floats, packed: Floats, metric: int, p: float, totals: Floats, out: Floats) -> None:
    """out[i, j] = distance of row i to points[j]; chebyshev passes over NaN."""
    out[:] = _root(_reduced_distances(x, points, metric, p), metric, p)


def _sift_down(heap: list[tuple[float, int]]) -> None:
    """Let the first entry of a max-heap sink below every larger child, towards the larger one, the left of equals."""
    at = 0
    while True:
        children = [child for child in (2 * at + 1, 2 * at + 2) if child < len(heap)]
        larger = max(children, key=lambda child: heap[child][0], default=at)
        if not heap[at][0] < heap[larger][0]:
            return
        heap[at], heap[larger] = heap[larger], heap[at]
        at = larger


def nearest(
    x: Floats,
    points: Floats,
    metric: int,
    p: float,
    center: Floats,
    reach: float,
    packed: Floats,
    step: float,
    residual: float,
    offsets: Integers,
    byte_points: Integers,
    cell_offsets: Integers,
    cell_points: Integers,
    narrow: Floats,
    square: Floats,
    limit: Floats,
    totals: Floats,
    codes: Integers,
    lengths: Floats,
    cells: Integers,
    found: Integers,
    candidates: Integers,
    reduced: Floats,
    index: Integers,
    out: Floats,
) -> None:
    """index[i], out[i] = the k nearest points and their distances, from the nearest on, and of equals the first.

    Which of equals are among the k is as scikit-learn's heap has it.

    Every point is measured; the arguments between `p` and `index` are for those who first leave some out.
    """
    distances = _reduced_distances(x, points, metric, p)
    for i in range(x.shape[0]):
        heap = [(np.inf, 0)] * out.shape[1]
        for j, distance in enumerate(distances[i].tolist()):
            if distance < heap[0][0]:
                heap[0] = (distance, j)
                _sift_down(heap)
        heap.sort()
        out[i] = _root(np.array([distance for distance, _ in heap]), metric, p)
        index[i] = [j for _, j in heap]


def closest(
    x: Floats,
    points: Floats,
    center: Floats,
    reach: float,
    packed: Floats,
    narrow: Floats,
    turned: Floats,
    square: Floats,
    slack: Floats,
    least: Floats,
    second: Floats,
    number: Integers,
    totals: Floats,
    size: Floats,
    out: Integers,
) -> None:
    """out[i] = the nearest point, the first of equals; the first of all where none is at a finite distance.
    size[i] = the square of the row about the center."""
    size[:, 0] = np.square(x - center).sum(axis=1)
    reduced = _reduced_distances(x.astype(np.float64), points, EUCLIDEAN, 2.0)
    out[:, 0] = np.argmin(np.where(np.isnan(reduced), np.inf, reduced), axis=1)


def _least_distance(row: Floats, low: Floats, high: Floats, radius: float, ball: int, metric: int, p: float) -> float:
    """Reduced distance from a row [1, d] to the box low..high [1, d], or to the ball around low."""
    if not ball:
        return float(_reduced_distances(row, np.clip(row, low, high), metric, p)[0, 0])
    away = max(float(_root(_reduced_distances(row, low, metric, p), metric, p)[0, 0]) - radius, 0.0)
    return away**2 if metric == EUCLIDEAN else away**p if metric == MINKOWSKI else away


def nearest_in_tree(
    x: Floats,
    points: Floats,
    node_begin: Integers,
    node_end: Integers,
    node_leaf: Integers,
    low: Floats,
    high: Floats,
    radius: Floats,
    ball: int,
    metric: int,
    p: float,
    waiting: Integers,
    bound: Floats,
    index: Integers,
    out: Floats,
) -> None:
    """The k nearest points, met in the order in which a k-d tree or ball tree is searched, the nearer child first."""
    for i in range(x.shape[0]):
        row, heap = x[i : i + 1], [(np.inf, 0)] * out.shape[1]

        def search(node: int, least: float, row: Floats = row, heap: list[tuple[float, int]] = heap) -> None:
            if least > heap[0][0]:
                return
            if node_leaf[node]:
                begin, end = int(node_begin[node]), int(node_end[node])
                for j, distance in enumerate(_reduced_distances(row, points[begin:end], metric, p)[0].tolist(), begin):
                    if distance < heap[0][0]:
                        heap[0] = (distance, j)
                        _sift_down(heap)
                return
            children = [
                (_least_distance(row, low[c : c + 1], high[c : c + 1], float(radius[c]), ball, metric, p), c)
                for c in (2 * node + 1, 2 * node + 2)
            ]
            for least, child in sorted(children, key=lambda found: found[0]):
                search(child, least)

        search(0, 0.0)
        index[i] = [j for _, j in heap]
        out[i] = _root(np.array([distance for distance, _ in heap]), metric, p)


def _weights(distance: Floats, by_distance: int) -> Floats:
    """[n, k]: 1, or 1 / distance, or where such a weight is infinite, 1 for those and 0 for the others of the row."""
    if not by_distance:
        return np.ones_like(distance)
    weight = 1 / distance
    infinite = np.isinf(weight)
    return np.where(infinite.any(axis=1, keepdims=True), infinite, weight)


def vote_neighbors(index: Integers, distance: Floats, label: Integers, by_distance: int, out: Floats) -> None:
    """out[i, c] = weight of the neighbours of class c over the weight of all."""
    weight = _weights(distance, by_distance)
    for i in range(index.shape[0]):
        for c in range(out.shape[1]):
            out[i, c] = np.sum(weight[i], where=label[index[i]] == c)
        total = np.sum(weight[i])
        out[i] /= 1 if total == 0 else total


def average_neighbors(index: Integers, distance: Floats, target: Floats, by_distance: int, out: Floats) -> None:
    """out[i] = weighted mean of the neighbours' targets."""
    weight = _weights(distance, by_distance)
    for i in range(index.shape[0]):
        out[i] = np.sum(weight[i, :, None] * target[index[i]], axis=0) / np.sum(weight[i])
