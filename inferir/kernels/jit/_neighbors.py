"""The k nearest points of a row: a heap while they are looked for, then in order."""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import scalar

__all__ = ["heap_push", "sort_neighbors"]


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
