"""Arithmetic of graphs, element by element: what a model is made of where no closer kernel names it.

A second operand has as many rows as the first, or one that serves them all. Logic is arithmetic too: 1 is true, 0 is
false. float32 kernels round once, as float32 arithmetic does: a double holds the exact product, and enough of every sum
and quotient of two float32 (Figueroa 1995, When is double rounding innocuous?).
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit import _math
from inferir.kernels.jit._compile import kernel, scalar

ADD, SUBTRACT, MULTIPLY, DIVIDE, DIVIDE_INTO, POWER, POWER_OF, MINIMUM, MAXIMUM = range(9)
EQUAL, LESS, AT_MOST, GREATER, AT_LEAST = range(5)
ABSOLUTE, SQRT, FLOOR, CEIL, ROUND, TRUNCATE, SIGN, ERF, IS_NAN = range(9)
SUM, PRODUCT, LEAST, MOST = range(4)

_power, _normal_cdf = _math.power, _math.normal_cdf


@scalar
def signed_power(x, y):
    """x**y as C's pow has it: a negative x has whole powers only. Squares and square roots are rounded just once."""
    if x != x or y != y:
        return 1.0 if y == 0.0 or x == 1.0 else np.nan
    if y == 2.0:
        return x * x
    if y == 0.5 and x >= 0.0:
        return np.sqrt(x)
    if y == 1.0 or x == 1.0:
        return x
    whole, size = np.floor(y) == y, abs(x)
    odd = whole and abs(y) < 9007199254740992.0 and np.floor(0.5 * y) != 0.5 * y
    if size == 0.0:
        result = 1.0 if y == 0.0 else 0.0 if y > 0.0 else np.inf
    elif size == 1.0:
        result = 1.0
    else:
        result = _power(size, y)
    if x < 0.0:
        return (-result if odd else result) if whole or size == np.inf else np.nan
    return -result if odd and 1.0 / x < 0.0 else result


@scalar
def combined(x, y, operation):
    """One value from two, in double. Of a NaN and a number, minimum and maximum are NaN."""
    if operation == ADD:
        return x + y
    if operation == SUBTRACT:
        return x - y
    if operation == MULTIPLY:
        return x * y
    if operation == DIVIDE:
        return x / y
    if operation == DIVIDE_INTO:
        return y / x
    if operation == POWER:
        return signed_power(x, y)
    if operation == POWER_OF:
        return signed_power(y, x)
    if operation == MINIMUM:
        return x if x < y or x != x else y
    return x if x > y or x != x else y


@kernel
def combine(x, y, operation, out):
    """out = x + y, x - y, x y, x / y, y / x, x**y, y**x, min(x, y) or max(x, y)."""
    step = np.uint64(y.shape[0] != 1)
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = combined(np.float64(x[i, j]), np.float64(y[i * step, j]), operation)


@kernel
def compare(x, y, relation, out):
    """out = 1 where x = y, x < y, x <= y, x > y or x >= y, else 0. NaN stands in no relation."""
    step = np.uint64(y.shape[0] != 1)
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            left, right = x[i, j], y[i * step, j]
            if relation == EQUAL:
                holds = left == right
            elif relation == LESS:
                holds = left < right
            elif relation == AT_MOST:
                holds = left <= right
            elif relation == GREATER:
                holds = left > right
            else:
                holds = left >= right
            out[i, j] = 1.0 if holds else 0.0


@kernel
def choose(condition, x, y, out):
    """out = x where the condition is not 0, else y."""
    step_x, step_y = np.uint64(x.shape[0] != 1), np.uint64(y.shape[0] != 1)
    for i in range(np.uint64(condition.shape[0])):
        for j in range(np.uint64(condition.shape[1])):
            out[i, j] = x[i * step_x, j] if condition[i, j] != 0 else y[i * step_y, j]


@scalar
def erf(x):
    """Error function: its Taylor series near 0, elsewhere from the normal distribution. 4 ulp."""
    if abs(x) >= 0.5:
        return np.copysign(1.0 - 2.0 * _normal_cdf(-1.4142135623730951 * abs(x)), x)
    z, term, total = x * x, x, x
    for n in range(1, 15):
        term = -term * z / n
        total += term / (2 * n + 1)
    return 1.1283791670955126 * total if x == x else x


@scalar
def rounded(x):
    """The nearest whole number, the even one of two."""
    near = np.floor(x)
    rest = x - near
    up = rest > 0.5 or (rest == 0.5 and np.floor(0.5 * near) != 0.5 * near)
    return near + 1.0 if up else near


@scalar
def applied(x, function):
    """One value from one, in double."""
    if function == ABSOLUTE:
        return abs(x)
    if function == SQRT:
        return np.sqrt(x)
    if function == FLOOR:
        return np.floor(x)
    if function == CEIL:
        return np.ceil(x)
    if function == ROUND:
        return rounded(x)
    if function == TRUNCATE:
        return np.trunc(x)
    if function == SIGN:
        return np.float64(x > 0.0) - np.float64(x < 0.0) if x == x else x
    if function == ERF:
        return erf(x)
    return np.float64(x != x)


@kernel
def apply(x, function, out):
    """out = |x|, square root, floor, ceiling, nearest whole number, x without its fraction, sign, erf, or 1 for NaN."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = applied(np.float64(x[i, j]), function)


@kernel
def reduce(x, operation, length, out):
    """out[i, g] = sum, product, least or most of x[i, g * length:(g + 1) * length], taken in double; NaN if one is."""
    size = np.uint64(length)
    for i in range(np.uint64(x.shape[0])):
        for g in range(np.uint64(out.shape[1])):
            total = 0.0 if operation == SUM else 1.0
            if operation >= LEAST:
                total = np.float64(x[i, g * size])
            for j in range(g * size, g * size + size):
                value = np.float64(x[i, j])
                if operation == SUM:
                    total += value
                elif operation == PRODUCT:
                    total *= value
                elif operation == LEAST:
                    total = value if value < total or value != value else total
                else:
                    total = value if value > total or value != value else total
            out[i, g] = total


@kernel
def take(x, table, out):
    """out = table[x]."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = table[np.uint64(x[i, j])]


@kernel
def pick(x, index, out):
    """out[i, j] = x[i, index[i, j]]."""
    for i in range(np.uint64(x.shape[0])):
        for j in range(np.uint64(index.shape[1])):
            out[i, j] = x[i, np.uint64(index[i, j])]


@kernel
def rank(x, largest, out):
    """out[i] = columns of the smallest (or largest) values of row i, in order; of equals the first column first.

    NaN comes last.
    """
    for i in range(np.uint64(x.shape[0])):
        filled = 0
        for j in range(x.shape[1]):
            value = x[i, np.uint64(j)]
            at = filled
            while at > 0:
                other = x[i, np.uint64(out[i, np.uint64(at - 1)])]
                before = value > other if largest else value < other
                if not (before or (other != other and value == value)):
                    break
                at -= 1
            last = min(filled, out.shape[1] - 1)
            if at <= last:
                for q in range(last, at, -1):
                    out[i, np.uint64(q)] = out[i, np.uint64(q - 1)]
                out[i, np.uint64(at)] = j
                filled = min(filled + 1, out.shape[1])
