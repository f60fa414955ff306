"""Distances to stored points, and what neighbours say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from inferir.operators._binder import Array, Binder, Value
from inferir.operators._packing import TOTALS, TURNED_ROWS, byte_scores, packed, scores
from inferir.program import BLOCK, ROWS

METRICS = ("euclidean", "manhattan", "chebyshev", "minkowski", "cosine")
WEIGHTS = ("uniform", "distance")

#: Nodes that can wait while a tree is searched: one for each level, and a tree of 2**62 nodes has no more.
_DEEPEST = 128


def distances(b: Binder) -> Value:
    """Distance to each of `points` (points, columns). Attributes metric, and p for minkowski."""
    x = b.input("f64")
    points, metric = b.tensor("points", "f64", None, x.width), b.choice("metric", METRICS)
    p = b.attribute("p", float, 2.0)
    lanes = packed(points if METRICS[metric] == "euclidean" else points[:0])
    return b.call("distances", x, points, lanes, metric, p, b.scratch("f64", *TOTALS), width=len(points))


def nearest(b: Binder, x: Value, points: Array, metric: int, p: float, k: int, into: Value) -> tuple[Any, Any]:
    """Scratch with the k nearest of `points` and their distances, for the sake of `into`."""
    screened = points if METRICS[metric] == "euclidean" else points[:0]
    center, reach, screen = scores(screened)
    by_bytes = byte_scores(screened, center, k)
    codes, cells, candidates = by_bytes.sizes.values()
    narrow, square, limit = b.scratch("f32", BLOCK, x.width + 1), b.scratch("f64", BLOCK), b.scratch("f32", BLOCK)
    index, distance = b.scratch("i64", ROWS, k), b.scratch("f64", ROWS, k)
    b.step(
        "nearest", x, points, metric, p, center, reach, screen, *by_bytes, narrow, square, limit,
        b.scratch("f32", *TOTALS), b.scratch("u8", 12, codes), b.scratch("f64", 12, 3), b.scratch("i32", 12, cells, 16),
        b.scratch("i64", 3, candidates), b.scratch("i64", 12, candidates), b.scratch("f64", 2, candidates),
        index, distance, into=into,
    )  # fmt: skip
    return index, distance


def nearest_point(b: Binder, distances: Value) -> Value | None:
    """The nearest point's position, where `distances` are euclidean ones to points: without them. Else None."""
    made = b.producer(distances)
    if made is None or made.step.kernel != "distances":
        return None
    rows, points, _, metric, *_ = made.step.arguments
    if METRICS[metric] != "euclidean":
        return None
    stored = b.array(points)
    number, width = made.reads[0], stored.shape[1]
    cast = b.producer(Value(number, rows.number, width, "f64"))
    if cast is not None and cast.step.kernel == "cast_f64":
        x = Value(cast.reads[0], cast.step.arguments[0].number, width, "f32")
    else:
        x = Value(number, rows.number, width, "f64")
    center, reach, screen = scores(stored)
    source = b.unchecked(x)
    out = b.value(1, "i64", below=(len(stored),))
    size = out._replace(buffer=b.buffer(x.dtype, ROWS, 1), dtype=x.dtype, below=())
    of_rows = (b.scratch(dtype, TURNED_ROWS) for dtype in ("f32", "f64", "f32", "f32", "i32"))
    b.step(
        f"closest_{x.dtype}", source or x, stored, center, reach, screen, b.scratch("f32", TOTALS[0], width + 1),
        b.scratch("f32", width, TURNED_ROWS), *of_rows, b.scratch("f32", *TOTALS), size, out, into=out,
    )  # fmt: skip
    return out if source is None else _checked_by(b, x, source, size, out)


def _checked_by(b: Binder, x: Value, unchecked: Value, size: Value, out: Value) -> Value:
    """`out` where x is finite, as is told by `size` of the unchecked rows: in the words of whoever checked x."""
    made, note = b.producer(x), b.scratch("i64", 1)
    assert made is not None  # or nothing was unchecked
    assert made.step.problem is not None
    problem = made.step.problem._replace(note=note.number, source=unchecked.buffer)
    checked = b.value(out.width, out.dtype, below=out.below, buffer=out.buffer)
    b.step(f"check_finite_by_{x.dtype}", unchecked, size, note, into=checked, problem=problem)
    return checked


def _neighbors(b: Binder, combine: str, stored: Array, width: int) -> Value:
    x = b.input("f64")
    points = b.tensor("points", "f64", len(stored), x.width)
    metric, p, k = b.choice("metric", METRICS), b.attribute("p", float, 2.0), b.attribute("k", int)
    by_distance = b.choice("weights", WEIGHTS, "uniform")
    if not 1 <= k <= len(points):
        raise b.fail(f"expected k within 1 and {len(points)}, got {k}")
    out = b.value(width, "f64")
    if b.has("node_begin"):
        index, distance = b.scratch("i64", ROWS, k), b.scratch("f64", ROWS, k)
        tree = _search_tree(b, len(points), x.width)
        waiting, bound = b.scratch("i64", _DEEPEST), b.scratch("f64", _DEEPEST)
        b.step("nearest_in_tree", x, points, *tree, metric, p, waiting, bound, index, distance, into=out)
    else:
        index, distance = nearest(b, x, points, metric, p, k, out)
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
