"""Distances, and what neighbours say: 100 centres, 5 nearest of 2,000 points; metrics by their position."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.common import COLUMNS, Array, Case, Given, KernelBenchmark, below, positive, random
from inferir.kernels.signatures import BLOCK_ROWS
from inferir.operators._packing import byte_scores, packed, scores

_METRICS = ("euclidean", "manhattan", "chebyshev", "minkowski", "cosine")
_CENTRES, _POINTS, _NEIGHBORS = 100, 2000, 5
_TREE_COLUMNS, _TREE_LEVELS = 4, 7


def _metric(metric: str) -> Case:
    points = random().standard_normal((_CENTRES, COLUMNS))
    lanes = packed(points if metric == "euclidean" else points[:0])
    given = {"points": points, "packed": lanes, "metric": _METRICS.index(metric), "p": 3.0}
    return Case(given, reference_rows=100)


def _nearest() -> Given:
    points = random().standard_normal((_POINTS, COLUMNS))
    center, reach, scored = scores(points)
    by_bytes = byte_scores(points, center, _NEIGHBORS)
    return {
        "points": points, "center": center, "reach": reach, "packed": scored, "metric": 0, "p": 2.0,
        "step": by_bytes.step, "residual": by_bytes.residual, "offsets": by_bytes.offsets,
        "byte_points": by_bytes.points, "cell_offsets": by_bytes.cell_offsets, "cell_points": by_bytes.cell_points,
    }  # fmt: skip


#: Bytes of a row, cells of 64 points, and candidates.
_BYTES = {"z": -(-COLUMNS // 16) * 16, "c": -(-_POINTS // 256) * 4, "r": 136 + -(-_POINTS // 256)}


def _closest() -> Given:
    points = random().standard_normal((_CENTRES, COLUMNS))
    center, reach, scored = scores(points)
    return {"points": points, "center": center, "reach": reach, "packed": scored}


def kd_tree(points: Array, levels: int) -> dict[str, Array]:
    """Points in the order of a k-d tree, and its nodes: each halves its points along the widest column."""
    points, n_nodes = points.copy(), 2**levels - 1
    begin, end = np.zeros((2, n_nodes), np.int64)
    low, high = np.zeros((2, n_nodes, points.shape[1]))
    end[0] = len(points)
    for node in range(n_nodes):
        part = points[begin[node] : end[node]]
        low[node], high[node] = part.min(axis=0), part.max(axis=0)
        part[:] = part[np.argsort(part[:, np.argmax(high[node] - low[node])])]
        left, middle = 2 * node + 1, (begin[node] + end[node]) // 2
        if left < n_nodes:
            begin[left : left + 2], end[left : left + 2] = (begin[node], middle), (middle, end[node])
    leaf = np.arange(n_nodes) >= n_nodes // 2
    return {
        "points": points, "node_begin": begin, "node_end": end, "node_leaf": leaf.astype(np.uint8),
        "low": low, "high": high, "radius": np.zeros(n_nodes),
    }  # fmt: skip


def _search_tree() -> Given:
    tree = kd_tree(random().standard_normal((_POINTS, _TREE_COLUMNS)), _TREE_LEVELS)
    return {**tree, "ball": 0, "metric": 0, "p": 2.0}


_FOUND: dict[str, Any] = {"index": below(_POINTS), "distance": positive, "by_distance": 1}


class Distance(
    KernelBenchmark,
    cases={
        **{f"distances/{metric}": _metric(metric) for metric in _METRICS},
        "nearest/euclidean": Case(_nearest, {"k": _NEIGHBORS, "b": BLOCK_ROWS, **_BYTES}, reference_rows=100),
        "closest": Case(_closest, reference_rows=100),
        "nearest_in_tree": Case(
            _search_tree, {"d": _TREE_COLUMNS, "k": _NEIGHBORS, "s": 2 * _TREE_LEVELS}, reference_rows=100
        ),
        "vote_neighbors": Case({**_FOUND, "label": below(3)}, {"k": _NEIGHBORS, "m": _POINTS, "c": 3}),
        "average_neighbors": Case(_FOUND, {"k": _NEIGHBORS, "m": _POINTS, "v": 1}),
    },
):
    """Kernels of `kernels.distance`."""
