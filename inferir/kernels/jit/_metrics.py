"""Distances between a row and a point, one pair at a time.

`metric` is a position in METRICS (`operators/distance.py`); `p` is minkowski's. A reduced distance is what orders
points as their distance does, without its last step.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit import _math
from inferir.kernels.jit._compile import apart, scalar, scalar_reassociated

__all__ = [
    "CHEBYSHEV",
    "COSINE",
    "EUCLIDEAN",
    "MANHATTAN",
    "MINKOWSKI",
    "measured",
    "reduced_distance",
    "whole_distance",
]

EUCLIDEAN, MANHATTAN, CHEBYSHEV, MINKOWSKI, COSINE = range(5)
TINY_NORM = 10 * 2.220446049250313e-16

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


@apart
def measured(x, i, points, j):
    """The reduced euclidean distance: one function, so that its bits do not depend on who asks."""
    return reduced_distance(x, i, points, j, EUCLIDEAN, 2.0)
