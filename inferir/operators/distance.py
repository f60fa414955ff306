"""Distances to stored points, and what neighbours say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from inferir.operators._binder import Array, Binder, Value
from inferir.program import ROWS

METRICS = ("euclidean", "manhattan", "chebyshev", "minkowski", "cosine")
WEIGHTS = ("uniform", "distance")

#: Nodes that can wait while a tree is searched: one for each level, and a tree of 2**62 nodes has no more.
_DEEPEST = 128


def distances(b: Binder) -> Value:
    """Distance to each of `points` (points, columns). Attributes metric, and p for minkowski."""
    x = b.input("f64")
    points = b.tensor("points", "f64", None, x.width)
    return b.call("distances", x, points, b.choice("metric", METRICS), b.attribute("p", float, 2.0), width=len(points))


def _neighbors(b: Binder, combine: str, stored: Array, width: int) -> Value:
    x = b.input("f64")
    points = b.tensor("points", "f64", len(stored), x.width)
    metric, p, k = b.choice("metric", METRICS), b.attribute("p", float, 2.0), b.attribute("k", int)
    by_distance = b.choice("weights", WEIGHTS, "uniform")
    if not 1 <= k <= len(points):
        raise b.fail(f"expected k within 1 and {len(points)}, got {k}")
    out = b.value(width, "f64")
    index, distance = b.scratch("i64", ROWS, k), b.scratch("f64", ROWS, k)
    if b.has("node_begin"):
        tree = _search_tree(b, len(points), x.width)
        waiting, bound = b.scratch("i64", _DEEPEST), b.scratch("f64", _DEEPEST)
        b.step("nearest_in_tree", x, points, *tree, metric, p, waiting, bound, index, distance, into=out)
    else:
        b.step("nearest", x, points, metric, p, index, distance, into=out)
    b.step(combine, index, distance, stored, by_distance, out, into=out)
    return out


def _search_tree(b: Binder, n_points: int, width: int) -> list[Any]:
    """A k-d tree or ball tree over the points: node g's children are 2g + 1 and 2g + 2."""
    begin = b.positions("node_begin", None, n_points + 1)
    end, leaf = b.positions("node_end", len(begin), n_points + 1), b.tensor("node_leaf", "u8", len(begin))
    inner = np.flatnonzero(leaf == 0)
    if not len(begin) or (begin > end).any() or (inner * 2 + 2 >= len(begin)).any():
        raise b.fail("expected every node to be a leaf or to have two children")
    low, high = b.tensor("low", "f64", len(begin), width), b.tensor("high", "f64", len(begin), width)
    return [begin, end, leaf, low, high, b.tensor("radius", "f64", len(begin)), b.choice("tree", ("box", "ball"))]


def vote_neighbors(b: Binder) -> Value:
    """Share of each of n_classes among the k nearest points, whose class positions are `label`."""
    n_classes = b.attribute("n_classes", int)
    return _neighbors(b, "vote_neighbors", b.positions("label", None, n_classes), n_classes)


def average_neighbors(b: Binder) -> Value:
    """Mean `target` (points, outputs) of the k nearest points."""
    target = b.tensor("target", "f64", None, None)
    return _neighbors(b, "average_neighbors", target, target.shape[1])


OPERATORS: dict[str, Callable[[Binder], Any]] = {
    "distances": distances,
    "vote_neighbors": vote_neighbors,
    "average_neighbors": average_neighbors,
}
