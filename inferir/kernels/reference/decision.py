"""From scores to answers, and from many estimators to one."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers
from inferir.kernels.reference.activation import sigmoid


def argmax(x: Floats, out: Integers) -> None:
    """out[i, 0] = column of the largest value."""
    out[:, 0] = np.argmax(x, axis=1)


def argmin(x: Floats, out: Integers) -> None:
    """out[i, 0] = column of the smallest value."""
    out[:, 0] = np.argmin(x, axis=1)


def argmax_groups(x: Floats, begin: Integers, out: Integers) -> None:
    """out[i, g] = column of the largest value of a run, counted from the run's first."""
    for g in range(begin.size - 1):
        out[:, g] = np.argmax(x[:, begin[g] : begin[g + 1]], axis=1)


def above(x: Floats, threshold: float, out: Integers) -> None:
    """out = x > threshold, in double."""
    out[:] = x.astype(np.float64) > threshold


def at_least(x: Floats, threshold: float, out: Integers) -> None:
    """out = x >= threshold, in double."""
    out[:] = x.astype(np.float64) >= threshold


def complement(x: Floats, out: Floats) -> None:
    """out[i] = (1 - x, x)."""
    out[:, 0] = 1 - x[:, 0]
    out[:, 1] = x[:, 0]


def normalize_sum(x: Floats, uniform: int, out: Floats) -> None:
    """out = x / sum of its row; where the sum is 0, 1 / columns if `uniform`, else x as it is."""
    total = np.cumsum(x, axis=1, dtype=np.float64)[:, -1:]
    out[:] = np.where(total == 0, 1 / x.shape[1] if uniform else x, x / total)


def lookup(x: Integers, table: Floats, out: Floats) -> None:
    """out[i] = sum over columns j of table[x[i, j]]."""
    out[:] = 0
    for column in x.T:
        out += table[column]


def weighted_median(x: Floats, weight: Floats, order: Integers, out: Floats) -> None:
    """out[i, 0] = first value in rising order at which the weight so far reaches half of all weight."""
    for i, row in enumerate(x):
        rising = np.argsort(row, kind="stable")
        reached = np.cumsum(weight[rising])
        out[i, 0] = row[rising[np.argmax(reached >= 0.5 * reached[-1])]]


def calibrate(x: Floats, slope: Floats, offset: Floats, out: Floats) -> None:
    """out = 1 / (1 + exp(-(slope x + offset)))."""
    sigmoid(slope * x + offset, 1.0, out)


def interpolate(x: Floats, begin: Integers, knot: Floats, value: Floats, out: Floats) -> None:
    """out[i, j] = piecewise linear function of column j; NaN stays, also where a single knot lets np.interp drop it."""
    for j in range(x.shape[1]):
        knots = slice(begin[j], begin[j + 1])
        out[:, j] = np.where(np.isnan(x[:, j]), np.nan, np.interp(x[:, j], knot[knots], value[knots]))


def add(x: Floats, y: Floats, out: Floats) -> None:
    """out = x + y."""
    out[:] = x + y


def affine(x: Floats, factor: Floats, offset: Floats, out: Floats) -> None:
    """out = x * factor + offset."""
    out[:] = x
    out *= factor
    out += offset


def divide(x: Floats, divisor: Floats, out: Floats) -> None:
    """out = x / divisor."""
    out[:] = x
    out /= divisor
