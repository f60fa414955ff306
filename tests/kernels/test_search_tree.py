"""The k-d tree and ball tree search against scikit-learn's own, whose trees it searches, on grids full of ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import BallTree, KDTree

from inferir.kernels import available, select

METRICS = {"euclidean": 0, "manhattan": 1, "chebyshev": 2, "minkowski": 3}


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("kind", [KDTree, BallTree])
@pytest.mark.parametrize("metric", METRICS)
def test_neighbors_are_those_that_scikit_learn_finds(backend: str, kind: Any, metric: str) -> None:
    rng = np.random.default_rng(0)
    points = rng.integers(0, 4, (300, 3)).astype(float)  # many points at equal distance
    rows = np.concatenate([rng.integers(0, 4, (25, 3)), rng.standard_normal((25, 3))]).astype(float)
    parameters = {"p": 3} if metric == "minkowski" else {}
    tree = kind(points, leaf_size=7, metric=metric, **parameters)
    _, order, nodes, bounds = (np.asarray(a) for a in tree.get_arrays())
    index, distance = np.empty((50, 5), np.int64), np.empty((50, 5))
    select(backend)["nearest_in_tree"](
        rows,
        points[order],
        nodes["idx_start"].astype(np.int64),
        nodes["idx_end"].astype(np.int64),
        nodes["is_leaf"].astype(np.uint8),
        np.ascontiguousarray(bounds[0]),
        np.ascontiguousarray(bounds[-1]),
        nodes["radius"].copy(),
        int(kind is BallTree),
        METRICS[metric],
        3.0,
        np.empty(64, np.int64),
        np.empty(64),
        index,
        distance,
    )
    theirs_distance, theirs = tree.query(rows, 5)
    np.testing.assert_allclose(np.sort(distance, axis=1), theirs_distance, rtol=1e-13)
    assert (np.sort(order[index], axis=1) == np.sort(theirs, axis=1)).all()
