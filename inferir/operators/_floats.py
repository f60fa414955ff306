"""Floats by number, and the search for the last one that a function which never falls does not lift above a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from inferir.operators._binder import Array

__all__ = ["ends", "floats", "last", "numbers"]


def numbers(values: Array) -> Array:
    """Floats in their order, from that of minus infinity to that of infinity: the next one has the next number. Both
    zeros are 0."""
    integers = np.dtype(f"i{values.itemsize}")
    bits = values.view(integers).astype(np.int64)
    return np.where(bits < 0, np.iinfo(integers).min - bits, bits)


def floats(number: Array, dtype: Any) -> Array:
    """The floats with these numbers; NaN beyond infinity."""
    integers = np.dtype(f"i{np.dtype(dtype).itemsize}")
    return np.where(number < 0, np.iinfo(integers).min - number, number).astype(integers).view(dtype)


def ends(dtype: Any) -> tuple[int, int]:
    """Numbers of the infinities."""
    first, end = numbers(np.array([-np.inf, np.inf], dtype)).tolist()
    return first, end


def last(function: Callable[[Array], Array], y: Array, about: Array) -> Array:
    """Numbers of the last floats x with function(x) <= y, one below that of minus infinity where there is none.

    `about` says where to look first. From there each step is twice as long as the one before, until the place is known
    to be between two; then it is cut in halves. The function takes and gives (n,), and never falls.
    """
    first, end = ends(about.dtype)
    low, high = np.full(len(y), first - 1), np.full(len(y), end + 1)
    probe, span = np.clip(numbers(about), first, end), 1
    while (low + 1 < high).any():
        at_most = function(floats(probe, about.dtype)) <= y
        low, high = np.where(at_most, np.maximum(low, probe), low), np.where(at_most, high, np.minimum(high, probe))
        middle = (low >> 1) + (high >> 1) + (low & high & 1)  # their sum may be more than 64 bits
        probe = np.where(at_most, low + np.minimum(middle - low, span), high - np.minimum(high - middle, span))
        probe, span = np.clip(probe, first, end), min(2 * span, 1 << 62)
    return low
