"""What happens to a row before a model sees it.

Kernels that exist for two widths compute as NumPy does on an array of that width: constants in double, each step
rounded to the width of the rows. So a tree behind a scaler sees the very values that it saw in scikit-learn.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit import _math
from inferir.kernels.jit._compile import kernel, scalar, scalar_reassociated
from inferir.kernels.jit._simd import flat
from inferir.kernels.jit.decision import interpolate_one

L1, L2, MAX = range(3)
YEO_JOHNSON, BOX_COX = range(2)
IGNORE, REFUSE = -1, -2

#: Values that are looked at together before one of them is.
CHECKED = 1024

_expm1, _log, _log1p, _normal_quantile = _math.expm1, _math.log, _math.log1p, _math.normal_quantile


@kernel
def cast_f32(x, out):
    """out = x rounded to float32."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = x[i]


@kernel
def cast_f64(x, out):
    """out = x as float64."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = x[i]


@scalar_reassociated
def all_finite(values, begin, end):
    """0 times each value is 0, or NaN; so is the sum."""
    zero = values[begin] - values[begin]
    total = zero
    for i in range(begin, end):
        total += values[i] * zero
    return total == 0


@scalar
def refused(value, allow_nan):
    """1 for a value that is infinite, or NaN unless allow_nan; else 0."""
    return np.int64(value - value != 0) & np.int64(not allow_nan or value == value)


@scalar
def first_refused(values, allow_nan):
    """Position of the first value that is `refused`, -1 if none is."""
    n = np.uint64(values.shape[0])
    for begin in range(np.uint64(0), n, np.uint64(CHECKED)):
        end = min(n, begin + np.uint64(CHECKED))
        if not all_finite(values, begin, end):
            wrong = 0
            for i in range(begin, end):
                wrong |= refused(values[i], allow_nan)
            if wrong:
                for i in range(begin, end):
                    if refused(values[i], allow_nan):
                        return np.int64(i)
    return np.int64(-1)


@kernel
def check_finite(x, allow_nan, out):
    """out[0] = first position i * d + j that is infinite, or NaN unless allow_nan; -1 if none is."""
    out[0] = first_refused(flat(x), allow_nan)


@kernel
def check_finite_by(x, y, out):
    """`check_finite` of x, where each row of y is finite only if that of x is: x is looked at only if y is not."""
    sums = flat(y)
    n = np.uint64(sums.shape[0])
    out[0] = -1
    if n and not all_finite(sums, np.uint64(0), n):
        out[0] = first_refused(flat(x), 0)


@scalar
def outside(value, low, high, missing):
    """1 for a value that is not within [low, high], where NaN counts as `missing`; else 0."""
    value = value if value == value else missing
    return np.int64(1) - (np.int64(value >= low) & np.int64(value <= high))


@scalar
def first_outside(x, low, high, missing):
    """Position i * d + j of the first value that is `outside` its column's bounds, -1 if none is."""
    d = np.uint64(x.shape[1])
    for i in range(np.uint64(x.shape[0])):
        wrong = 0
        for j in range(d):
            wrong |= outside(x[i, j], low[j], high[j], missing[j])
        if wrong:
            for j in range(d):
                if outside(x[i, j], low[j], high[j], missing[j]):
                    return np.int64(i * d + j)
    return np.int64(-1)


@kernel
def check_within(x, low, high, missing, out):
    """out[0] = first position i * d + j of a value that is not within low[j] and high[j], where NaN counts as
    missing[j]; -1 if there is none."""
    out[0] = first_outside(x, low, high, missing)


@kernel
def select(x, columns, out):
    """out[:, j] = x[:, columns[j]]."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(columns.shape[0])):
            out[i, j] = x[i, np.uint64(columns[j])]


@kernel
def place(x, start, out):
    """out[:, start + j] = x[:, j]; other columns stay."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, np.uint64(start) + j] = x[i, j]


@kernel
def scale(x, mean, scale, out):
    """out = (x - mean) / scale by column."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = x[i, j] - mean[j]
            out[i, j] = out[i, j] / scale[j]


@kernel
def min_max(x, scale, offset, low, high, out):
    """out = x * scale + offset by column, kept within [low, high]; NaN stays."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = x[i, j] * scale[j]
            out[i, j] = out[i, j] + offset[j]
            if out[i, j] < low:
                out[i, j] = low
            if out[i, j] > high:
                out[i, j] = high


@kernel
def normalize(x, norm, out):
    """out = x / its row's norm: l1 sum |x|, l2 sqrt(sum x**2), max |x|.

    A row whose norm is below ten machine epsilons of its width stays (scikit-learn's _handle_zeros_in_scale).
    """
    tiny = 10.0 * np.float64(np.finfo(x.dtype).eps)
    for i in range(np.uint64(x.shape[0])):
        length = 0.0
        for j in range(np.uint64(x.shape[1])):
            value = abs(np.float64(x[i, j]))
            if norm == MAX:
                length = value if value > length or value != value else length
            else:
                length += value * value if norm == L2 else value
        length = np.sqrt(length) if norm == L2 else length
        length = 1.0 if length < tiny else length
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = x[i, j] / length


@kernel
def binarize(x, threshold, out):
    """out = 1 where x > threshold, else 0 (also for NaN). The threshold is first rounded to the width of x."""
    threshold = x.dtype.type(threshold)
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = 1 if x[i, j] > threshold else 0


@kernel
def impute(x, missing, columns, fill, indicators, out):
    """out = the chosen columns with `fill` where a value is missing, then 1 or 0 for each column of `indicators`.

    Missing is NaN if `missing` is NaN, else whatever equals it, rounded to the width of x.
    """
    missing = x.dtype.type(missing)
    kept = np.uint64(columns.shape[0])
    for i in range(np.uint64(x.shape[0])):
        for j in range(kept):
            value = x[i, np.uint64(columns[j])]
            if value == missing or (missing != missing and value != value):
                out[i, j] = fill[j]
            else:
                out[i, j] = value
        for j in range(np.uint64(indicators.shape[0])):
            value = x[i, np.uint64(indicators[j])]
            out[i, kept + j] = 1 if value == missing or (missing != missing and value != value) else 0


@scalar
def find_category(value, category, begin, end):
    """Position in category[begin:end], which rises and may end with NaN, or -1. NaN equals NaN."""
    if begin == end:
        return np.int64(-1)
    last = category[end - 1]
    if value != value:
        return end - 1 if last != last else np.int64(-1)
    low, high = begin, end - 1 if last != last else end
    while low < high:
        middle = (low + high) >> 1
        if category[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < end and category[low] == value else np.int64(-1)


@kernel
def encode(x, begin, category, code, unknown, problem, out):
    """out[i, f] = code of the category that x equals, or `unknown`.

    Column f's categories are category[begin[f]:begin[f + 1]]. problem[0] = first unknown position i * d + f, or -1.
    """
    problem[0] = -1
    for i in range(x.shape[0]):
        for f in range(x.shape[1]):
            at = find_category(x[i, f], category, begin[f], begin[f + 1])
            out[i, f] = code[at] if at >= 0 else unknown
            if at < 0 and problem[0] < 0:
                problem[0] = i * x.shape[1] + f


@kernel
def one_hot(x, begin, category, column, unknown, problem, out):
    """out[i, column of the category that x equals] = 1, the rest 0.

    A category may share its column (infrequent ones) or have none (-1: dropped). unknown[f] is the column of a value
    that is no category, IGNORE for none, REFUSE to note its position i * d + f in problem[0], which is -1 otherwise.
    """
    problem[0] = -1
    for i in range(x.shape[0]):
        for k in range(np.uint64(out.shape[1])):
            out[i, k] = 0.0
        for f in range(x.shape[1]):
            at = find_category(x[i, f], category, begin[f], begin[f + 1])
            chosen = column[at] if at >= 0 else unknown[f]
            if chosen >= 0:
                out[i, chosen] = 1.0
            elif chosen == REFUSE and problem[0] < 0:
                problem[0] = i * x.shape[1] + f


@kernel
def polynomial(x, begin, column, out):
    """out[i, k] = product of x[i, column[q]] for begin[k] <= q < begin[k + 1], in that order; 1 for an empty one."""
    for i in range(np.uint64(x.shape[0])):
        for k in range(np.uint64(out.shape[1])):
            first, last = np.uint64(begin[k]), np.uint64(begin[k + np.uint64(1)])
            if first == last:
                out[i, k] = 1
                continue
            out[i, k] = x[i, np.uint64(column[first])]
            for q in range(first + np.uint64(1), last):
                out[i, k] = out[i, k] * x[i, np.uint64(column[q])]


@scalar
def box_cox(log_value, exponent):
    """(e**(exponent log_value) - 1) / exponent, log_value itself in the limit 0."""
    return log_value if abs(exponent) < 2.220446049250313e-16 else _expm1(exponent * log_value) / exponent


@kernel
def power(x, lambdas, method, out):
    """Power transform by column. Box-Cox of x (Box and Cox 1964); Yeo-Johnson (Yeo and Johnson 2000, eq. 3.1):

    Box-Cox of 1 + x for x >= 0, minus Box-Cox of 1 - x with 2 - lambda for x < 0.
    """
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            value = np.float64(x[i, j])
            if value != value:
                out[i, j] = value
            elif method == BOX_COX:
                out[i, j] = box_cox(_log(value), lambdas[j])
            elif value >= 0.0:
                out[i, j] = box_cox(_log1p(value), lambdas[j])
            else:
                out[i, j] = -box_cox(_log1p(-value), 2.0 - lambdas[j])


@kernel
def quantile(x, quantiles, references, normal, out):
    """out = place of x among its column's quantiles, as a number of [0, 1] or as a normal quantile.

    The mean of the rising and the falling interpolation, so that a run of equal quantiles gives its middle; ends are
    pulled in by 1e-7 for the normal (scikit-learn's QuantileTransformer._transform_col, which rounds to the width of x
    before it asks for a normal quantile: near 1 that decides its first digits).
    """
    n = np.int64(references.shape[0])
    margin, edge = np.float64(x.dtype.type(1e-7)), 1e-7 - 2.220446049250313e-16
    lowest, highest = _normal_quantile(edge), _normal_quantile(1.0 - edge)
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            value, row = np.float64(x[i, j]), quantiles[j]
            low, high = row[0], row[n - 1]
            up, down = np.float64(x.dtype.type(value + margin)), np.float64(x.dtype.type(value - margin))
            if value != value:
                result = value
            elif up > high if normal else value == high:
                result = 1.0
            else:
                result = 0.5 * (
                    interpolate_one(value, row, references, np.int64(0), n)
                    + interpolate_falling(value, row, references, n)
                )
            if down < low if normal else value == low:
                result = 0.0
            result = np.float64(x.dtype.type(result))
            if normal:
                result = _normal_quantile(result)
                result = lowest if result < lowest else highest if result > highest else result
            out[i, j] = result


@scalar
def interpolate_falling(value, knot, height, n):
    """interpolate_one read from the right: of equal knots the first counts, not the last."""
    if value >= knot[n - 1]:
        low = n - 1
        while low > 0 and knot[low - 1] == value:
            low -= 1
        return height[low] if knot[low] == value else height[n - 1]
    if value <= knot[0]:
        return height[0]
    low, high = np.int64(0), n - 1  # knot[low] < value <= knot[high]
    while high - low > 1:
        middle = (low + high) >> 1
        if knot[middle] < value:
            low = middle
        else:
            high = middle
    if knot[high] == value:
        return height[high]
    return height[high] - (height[high] - height[high - 1]) / (knot[high] - knot[high - 1]) * (knot[high] - value)


@kernel
def bins(x, begin, edge, out):
    """out = number of column j's inner edges edge[begin[j]:begin[j + 1]] that are <= x."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            value, count = x[i, j], 0
            for q in range(np.uint64(begin[j]), np.uint64(begin[j + np.uint64(1)])):
                count += np.int64(edge[q] <= value)
            out[i, j] = count
