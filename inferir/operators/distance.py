"""Distances to stored points, and what neighbours say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from inferir.operators._binder import NUMPY, Array, Binder, Value

METRICS = ("euclidean", "manhattan", "chebyshev", "minkowski", "cosine")
WEIGHTS = ("uniform", "distance")


def distances(b: Binder) -> Value:
    """Distance to each of `points` (points, columns). Attributes metric, and p for minkowski."""
    x = b.input("f64")
    points = b.tensor("points", "f64", None, x.width)
    return b.call(
        "distances", x, points, b.choice("metric", METRICS), b.attribute("p", float, 2.0), width=len(points)
    )


def _neighbors(b: Binder, combine: str, stored: Array, width: int) -> Value:
    x = b.input("f64")
    points = b.tensor("points", "f64", len(stored), x.width)
    metric, p, k = b.choice("metric", METRICS), b.attribute("p", float, 2.0), b.attribute("k", int)
    by_distance = b.choice("weights", WEIGHTS, "uniform")
    if not 1 <= k <= len(points):
        raise b.fail(f"expected k within 1 and {len(points)}, got {k}")
    nearest, answer = b.kernel("nearest"), b.kernel(combine)

    def run(rows: Array) -> Array:
        index, distance = np.empty((len(rows), k), NUMPY["i64"]), np.empty((len(rows), k), NUMPY["f64"])
        out = np.empty((len(rows), width), NUMPY["f64"])
        nearest(rows, points, metric, p, index, distance)
        answer(index, distance, stored, by_distance, out)
        return out

    return b.add(run, [x], width, "f64")


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
