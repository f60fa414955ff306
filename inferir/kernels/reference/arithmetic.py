"""Arithmetic of graphs, element by element."""

from __future__ import annotations

import math

import numpy as np

from inferir.kernels.reference._types import Floats, Integers

_erf = np.vectorize(math.erf, otypes=[float])


def combine(x: Floats, y: Floats, operation: int, out: Floats) -> None:
    """out = x + y, x - y, x y, x / y, y / x, x**y, y**x, min(x, y) or max(x, y)."""
    functions = (
        np.add, np.subtract, np.multiply, np.divide, lambda a, b: b / a, np.power, lambda a, b: np.power(b, a),
        np.minimum, np.maximum,
    )  # fmt: skip
    out[:] = functions[operation](x.astype(np.float64), y.astype(np.float64))


def compare(x: Floats, y: Floats, relation: int, out: Floats) -> None:
    """out = 1 where x = y, x < y, x <= y, x > y or x >= y, else 0."""
    out[:] = (np.equal, np.less, np.less_equal, np.greater, np.greater_equal)[relation](x, y)


def choose(condition: Floats, x: Floats, y: Floats, out: Floats) -> None:
    """out = x where the condition is not 0, else y."""
    out[:] = np.where(condition != 0, x, y)


def apply(x: Floats, function: int, out: Floats) -> None:
    """out = |x|, square root, floor, ceiling, nearest whole number, x without its fraction, sign, erf, or 1 for NaN."""
    functions = (
        np.abs, np.sqrt, np.floor, np.ceil, np.rint, np.trunc, np.sign, _erf, np.isnan,
    )  # fmt: skip
    out[:] = functions[function](x.astype(np.float64))


def reduce(x: Floats, operation: int, length: int, out: Floats) -> None:
    """out[i, g] = sum, product, least or most of a run of `length` columns, taken in double."""
    runs = x.astype(np.float64).reshape(len(x), out.shape[1], length)
    if operation < 2:
        out[:] = (np.cumsum, np.cumprod)[operation](runs, axis=2)[:, :, -1] if length else operation
    else:
        out[:] = (np.min, np.max)[operation - 2](runs, axis=2)


def take(x: Integers, table: Floats, out: Floats) -> None:
    """out = table[x]."""
    out[:] = table[x]


def pick(x: Floats, index: Integers, out: Floats) -> None:
    """out[i, j] = x[i, index[i, j]]."""
    out[:] = np.take_along_axis(x, index, axis=1)


def rank(x: Floats, largest: int, out: Integers) -> None:
    """out[i] = columns of the smallest (or largest) values of row i, in order; NaN last."""
    order = np.argsort(-x if largest else x, axis=1, kind="stable")
    out[:] = order[:, : out.shape[1]]
