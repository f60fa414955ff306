"""From scores to answers, and from many estimators to one: labels, votes, averages, calibration."""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit import _math
from inferir.kernels.jit._compile import kernel, scalar

_sigmoid = _math.sigmoid


@kernel
def argmax(x, out):
    """out[i, 0] = column of the largest value, the first of equals; a NaN is larger than all, as in NumPy."""
    for i in range(np.uint64(x.shape[0])):
        best, chosen = x[i, 0], 0
        for j in range(1, x.shape[1]):
            value = x[i, np.uint64(j)]
            if best == best and (value > best or value != value):
                best, chosen = value, j
        out[i, 0] = chosen


@kernel
def argmin(x, out):
    """out[i, 0] = column of the smallest value, the first of equals; a NaN is smaller than all, as in NumPy."""
    for i in range(np.uint64(x.shape[0])):
        best, chosen = x[i, 0], 0
        for j in range(1, x.shape[1]):
            value = x[i, np.uint64(j)]
            if best == best and (value < best or value != value):
                best, chosen = value, j
        out[i, 0] = chosen


@kernel
def argmax_groups(x, begin, out):
    """out[i, g] = argmax of x[i, begin[g]:begin[g + 1]], counted from begin[g]: one class per output."""
    for i in range(np.uint64(x.shape[0])):
        for g in range(np.uint64(out.shape[1])):
            first = begin[g]
            best, chosen = x[i, np.uint64(first)], 0
            for j in range(1, begin[g + np.uint64(1)] - first):
                value = x[i, np.uint64(first + j)]
                if best == best and (value > best or value != value):
                    best, chosen = value, j
            out[i, g] = chosen


@kernel
def above(x, threshold, out):
    """out = 1 where x > threshold, else 0 (also for NaN)."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = np.int64(x[i, j] > threshold)


@kernel
def at_least(x, threshold, out):
    """out = 1 where x >= threshold, else 0 (also for NaN)."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = np.int64(x[i, j] >= threshold)


@kernel
def complement(x, out):
    """out[i] = (1 - x, x): the probabilities of both classes from that of the second."""
    for i in range(np.uint64(x.shape[0])):
        value = x[i, 0]
        out[i, 0] = 1 - value
        out[i, 1] = value


@kernel
def normalize_sum(x, uniform, out):
    """out = x / sum of its row. Where the sum is 0: 1 / columns if `uniform`, else x as it is."""
    for i in range(np.uint64(x.shape[0])):
        total = 0.0
        for j in range(np.uint64(x.shape[1])):
            total += np.float64(x[i, j])
        for j in range(np.uint64(x.shape[1])):
            if total != 0.0:
                out[i, j] = x[i, j] / total
            else:
                out[i, j] = 1.0 / x.shape[1] if uniform else x[i, j]


@kernel
def lookup(x, table, out):
    """out[i] = sum over columns j of table[x[i, j]]: votes, weighted or not."""
    for i in range(np.uint64(x.shape[0])):
        for k in range(np.uint64(table.shape[1])):
            total = 0.0
            for j in range(np.uint64(x.shape[1])):
                total += table[np.uint64(x[i, j]), k]
            out[i, k] = total


@kernel
def weighted_median(x, weight, order, out):
    """out[i, 0] = first value in rising order at which the weight so far reaches half of all weight.

    AdaBoost.R2 (Drucker 1997, Improving regressors using boosting techniques, step 7).
    """
    for i in range(np.uint64(x.shape[0])):
        for j in range(x.shape[1]):
            at = j
            while at > 0 and x[i, order[at - 1]] > x[i, j]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = j
        total = 0.0
        for j in range(x.shape[1]):
            total += weight[order[j]]
        reached, chosen = 0.0, 0
        while chosen < x.shape[1]:
            reached += weight[order[chosen]]
            if reached >= 0.5 * total:
                break
            chosen += 1
        out[i, 0] = x[i, order[min(chosen, x.shape[1] - 1)]]


@kernel
def calibrate(x, slope, offset, out):
    """out = 1 / (1 + exp(-(slope x + offset))), one slope and offset per column.

    Platt 1999, Probabilistic outputs for support vector machines.
    """
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = _sigmoid(slope[j] * x[i, j] + offset[j])


@scalar
def interpolate_one(value, knot, height, begin, end):
    """Piecewise linear function through (knot[q], height[q]) for begin <= q < end, flat outside; NaN stays NaN."""
    if value != value:
        return value
    if value < knot[begin]:
        return height[begin]
    if value >= knot[end - 1]:
        return height[end - 1]
    low, high = begin, end - 1  # knot[low] <= value < knot[high]
    while high - low > 1:
        middle = (low + high) >> 1
        if knot[middle] <= value:
            low = middle
        else:
            high = middle
    if knot[low] == value:
        return height[low]
    return (height[low + 1] - height[low]) / (knot[low + 1] - knot[low]) * (value - knot[low]) + height[low]


@kernel
def interpolate(x, begin, knot, value, out):
    """out[i, j] = column j's piecewise linear function, knots begin[j]..begin[j + 1] (isotonic regression)."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = interpolate_one(x[i, j], knot, value, begin[j], begin[j + np.uint64(1)])


@kernel
def add(x, y, out):
    """out = x + y."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = x[i, j] + y[i, j]


@kernel
def affine(x, factor, offset, out):
    """out = x * factor + offset by column, rounded after each."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = x[i, j] * factor[j]
            out[i, j] = out[i, j] + offset[j]


@kernel
def divide(x, divisor, out):
    """out = x / divisor by column."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = x[i, j] / divisor[j]
