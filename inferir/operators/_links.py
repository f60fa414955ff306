"""Kernels that make each column of their result from one column of their input, and of nothing else: what is known of
them, so that a forest can ask the input instead (`_fuse.py`).

A kernel belongs here if rounding leaves it a function that never falls, wherever `rises` says so. `check_finite`,
`select` and `place` change no value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from inferir.operators._binder import Array

__all__ = ["LINKS", "Link"]


class Link(NamedTuple):
    """`back` gives the columns of the input for some of the result, -1 for one that is not made in this way.
    `constants` are the kernel's arguments between input and result for a row of values of these columns; None where
    values stay as they are. With them it `rises` or not: never falls, and gives NaN for NaN alone. NaN itself may
    become a number. `inverse` is about the value that becomes y: there the search begins.
    """

    back: Callable[[Sequence[Any], Array], Array] = lambda arguments, columns: columns
    constants: Callable[[Sequence[Any], Array], list[Any]] | None = None
    rises: Callable[..., Any] = lambda *constants: True
    inverse: Callable[..., Array] = lambda y, *constants: y
    #: Whether categories, and zeros that count as missing, are behind it what they were.
    exact: bool = False


def _of_columns(arguments: Sequence[Any], columns: Array) -> list[Any]:
    """Of constants that have a number for each column, those of these columns."""
    return [a[columns] if isinstance(a, np.ndarray) else a for a in arguments[1:-1]]


def _placed(arguments: Sequence[Any], columns: Array) -> Array:
    x, start, _ = arguments
    return np.where((columns >= start) & (columns < start + x.width), columns - start, -1)


def _imputed(arguments: Sequence[Any], columns: Array) -> Array:
    """Behind the columns that were chosen are indicators, which are not made in this way."""
    chosen = arguments[2]
    return np.append(chosen, -1)[np.minimum(columns, len(chosen))]


def _filled(arguments: Sequence[Any], columns: Array) -> list[Any]:
    own = np.arange(len(columns))
    return [arguments[1], own, arguments[3][columns], own[:0]]


def _positive(scale: Array, offset: Array) -> Array:
    return np.isfinite(offset) & np.isfinite(scale) & (scale > 0)


def _middle(y: Array) -> Array:
    """Between a float32 and the next one: doubles up to about there are rounded to the first, or below."""
    half = np.minimum(np.abs(y), np.finfo(np.float32).max).astype(np.float32) / 2
    between: Array = y + np.spacing(half).astype(np.float64)  # the spacing of `half` is half that of y
    return between


LINKS: Mapping[str, Link] = {
    "check_finite": Link(exact=True),
    "select": Link(lambda arguments, columns: arguments[1][columns], exact=True),
    "place": Link(_placed, exact=True),
    "cast_f32": Link(constants=_of_columns, inverse=_middle),
    "cast_f64": Link(constants=_of_columns, exact=True),
    "scale": Link(
        constants=_of_columns,
        rises=lambda mean, scale: _positive(scale, mean),
        inverse=lambda y, mean, scale: y * scale + mean,
    ),
    "min_max": Link(
        constants=_of_columns,
        rises=lambda scale, offset, low, high: _positive(scale, offset) & (low <= high),
        inverse=lambda y, scale, offset, low, high: (y - offset) / scale,
    ),
    "impute": Link(_imputed, _filled, lambda missing, columns, fill, indicators: np.isnan(missing)),
}
