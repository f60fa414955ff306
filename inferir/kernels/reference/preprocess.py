"""What happens to a row before a model sees it: NumPy in-place arithmetic on arrays of the rows' width."""

from __future__ import annotations

import math

import numpy as np

from inferir.kernels.reference._types import Floats, Integers
from inferir.kernels.reference.activation import quantile_of

L1, L2, MAX = range(3)
YEO_JOHNSON, BOX_COX = range(2)
IGNORE, REFUSE = -1, -2


def cast_f32(x: Floats, out: Floats) -> None:
    """out = x rounded to float32."""
    out[:] = x


def cast_f64(x: Floats, out: Floats) -> None:
    """out = x as float64."""
    out[:] = x


def check_finite(x: Floats, allow_nan: int, out: Integers) -> None:
    """out[0] = first position i * d + j that is infinite, or NaN unless allow_nan; -1 if none is."""
    wrong = np.isinf(x) if allow_nan else ~np.isfinite(x)
    out[0] = np.argmax(wrong) if wrong.any() else -1


def check_finite_by(x: Floats, y: Floats, out: Integers) -> None:
    """`check_finite` of x, unless all of y is finite."""
    out[0] = -1
    if not np.isfinite(y).all():
        check_finite(x, 0, out)


def check_within(x: Floats, low: Floats, high: Floats, missing: Floats, out: Integers) -> None:
    """out[0] = first position i * d + j of a value that is not within low[j] and high[j], where NaN counts as
    missing[j]; -1 if there is none."""
    value = np.where(np.isnan(x), missing, x)
    wrong = ~((value >= low) & (value <= high))
    out[0] = np.argmax(wrong) if wrong.any() else -1


def select(x: Floats, columns: Integers, out: Floats) -> None:
    """out[:, j] = x[:, columns[j]]."""
    out[:] = x[:, columns]


def place(x: Floats, start: int, out: Floats) -> None:
    """out[:, start + j] = x[:, j]."""
    out[:, start : start + x.shape[1]] = x


def scale(x: Floats, mean: Floats, scale: Floats, out: Floats) -> None:
    """out = (x - mean) / scale."""
    out[:] = x
    out -= mean
    out /= scale


def min_max(x: Floats, scale: Floats, offset: Floats, low: float, high: float, out: Floats) -> None:
    """out = x * scale + offset, kept within [low, high]."""
    out[:] = x
    out *= scale
    out += offset
    np.clip(out, float(low), float(high), out=out)


def normalize(x: Floats, norm: int, out: Floats) -> None:
    """out = x / its row's norm, which is taken in double; a row whose norm is below ten epsilons stays."""
    size = np.abs(x.astype(np.float64))
    if norm == MAX:
        length = size.max(axis=1, keepdims=True)
    elif norm == L2:
        length = np.sqrt(np.cumsum(size**2, axis=1)[:, -1:])
    else:
        length = np.cumsum(size, axis=1)[:, -1:]
    out[:] = x / np.where(length < 10 * np.finfo(x.dtype).eps, 1.0, length)


def binarize(x: Floats, threshold: float, out: Floats) -> None:
    """out = x > threshold, which is first rounded to the width of x."""
    out[:] = x > x.dtype.type(threshold)


def _equals(x: Floats, value: float) -> Floats:
    return np.isnan(x) if math.isnan(value) else np.asarray(x == x.dtype.type(value))


def impute(x: Floats, missing: float, columns: Integers, fill: Floats, indicators: Integers, out: Floats) -> None:
    """out = the chosen columns with `fill` where a value is missing, then 1 or 0 for each column of `indicators`."""
    absent = _equals(x, missing)
    out[:, : columns.size] = np.where(absent[:, columns], fill, x[:, columns])
    out[:, columns.size :] = absent[:, indicators]


def _positions(x: Floats, begin: Integers, category: Floats) -> list[list[int]]:
    """Position in `category` of every value of every row, -1 where column f's part of it has no such value."""
    known = [
        {"nan" if math.isnan(category[q]) else float(category[q]): q for q in range(begin[f], begin[f + 1])}
        for f in range(x.shape[1])
    ]
    return [
        [known[f].get("nan" if math.isnan(value) else float(value), -1) for f, value in enumerate(row)] for row in x
    ]


def encode(
    x: Floats, begin: Integers, category: Floats, code: Floats, unknown: float, problem: Integers, out: Floats
) -> None:
    """out[i, f] = code of the category that x equals, or `unknown`; the first unknown position to problem[0]."""
    problem[0] = -1
    for i, row in enumerate(_positions(x, begin, category)):
        for f, at in enumerate(row):
            out[i, f] = unknown if at < 0 else code[at]
            if at < 0 and problem[0] < 0:
                problem[0] = i * x.shape[1] + f


def one_hot(
    x: Floats, begin: Integers, category: Floats, column: Integers, unknown: Integers, problem: Integers, out: Floats
) -> None:
    """out[i, column of the category that x equals] = 1; an unknown value's column is unknown[f], IGNORE or REFUSE."""
    problem[0] = -1
    out[:] = 0
    for i, row in enumerate(_positions(x, begin, category)):
        for f, at in enumerate(row):
            chosen = unknown[f] if at < 0 else column[at]
            if chosen >= 0:
                out[i, chosen] = 1
            if chosen == REFUSE and problem[0] < 0:
                problem[0] = i * x.shape[1] + f


def polynomial(x: Floats, begin: Integers, column: Integers, out: Floats) -> None:
    """out[i, k] = product of the columns column[begin[k]:begin[k + 1]], in that order."""
    out[:] = 1
    for k in range(out.shape[1]):
        for j in column[begin[k] : begin[k + 1]]:
            out[:, k] *= x[:, j]


def _box_cox(log_value: Floats, exponent: float) -> Floats:
    if abs(exponent) < np.finfo(np.float64).eps:
        return log_value
    return np.asarray(np.expm1(exponent * log_value) / exponent)


def power(x: Floats, lambdas: Floats, method: int, out: Floats) -> None:
    """Box-Cox, or Yeo-Johnson, of each column, in double and rounded once."""
    for j, exponent in enumerate(lambdas):
        column = x[:, j].astype(np.float64)
        if method == BOX_COX:
            out[:, j] = _box_cox(np.log(column), exponent)
        else:
            upper = _box_cox(np.log1p(column), exponent)
            lower = -_box_cox(np.log1p(-column), 2 - exponent)
            out[:, j] = np.where(column < 0, lower, upper)


def quantile(x: Floats, quantiles: Floats, references: Floats, normal: int, out: Floats) -> None:
    """out = place of x among its column's quantiles: scikit-learn's QuantileTransformer._transform_col."""
    threshold = 1e-7
    for j, knots in enumerate(quantiles):
        column = x[:, j]
        rising = np.interp(column, knots, references)
        falling = -np.interp(-column, -knots[::-1], -references[::-1])
        place = np.where(np.isnan(column), np.nan, 0.5 * (rising + falling)).astype(x.dtype)
        if normal:
            place[column + threshold > knots[-1]] = 1
            place[column - threshold < knots[0]] = 0
            edge = threshold - float(np.spacing(1))
            place = np.clip([quantile_of(float(p)) for p in place], quantile_of(edge), quantile_of(1 - edge))
        else:
            place[column == knots[-1]] = 1
            place[column == knots[0]] = 0
        out[:, j] = place


def bins(x: Floats, begin: Integers, edge: Floats, out: Floats) -> None:
    """out = number of column j's inner edges that are <= x."""
    for j in range(x.shape[1]):
        out[:, j] = (edge[begin[j] : begin[j + 1]] <= x[:, j, None]).sum(axis=1)
