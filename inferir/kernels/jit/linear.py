"""Linear models: one product per output column.

Matrix products take coefficients as `operators/_packing.py` packs them, and rows in blocks: a block stays in the cache
while the groups of outputs go by.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel, scalar
from inferir.kernels.jit._dots import ROWS, dot_rows
from inferir.kernels.jit._simd import flat
from inferir.kernels.jit._tiles import GROUPS, TILE_ROWS, TOTALS, product_tiles
from inferir.kernels.jit._totals import add_lanes, add_lanes_relu

#: Rows that all groups of outputs are taken with before the next ones.
CACHED_ROWS = 64

#: Columns whose sum is one in the width of x; further ones are added to it in double.
COLUMNS = 1024


@kernel
def matmul(x, coef, intercept, relu, totals, sums, out):
    """out = x @ coef.T + intercept, then 0 for what is negative if `relu`. NaN passes a coefficient of 0 and stays."""
    n, k, depth = np.uint64(x.shape[0]), np.uint64(out.shape[1]), np.uint64(x.shape[1])
    lanes, n_groups = np.uint64(coef.shape[2]), np.uint64(coef.shape[0])
    for block in range(np.uint64(0), n, np.uint64(CACHED_ROWS)):
        block_end = min(n, block + np.uint64(CACHED_ROWS))
        for group in range(np.uint64(0), n_groups, np.uint64(GROUPS)):
            groups = min(np.uint64(GROUPS), n_groups - group)
            first = group * lanes
            for i in range(block, block_end, np.uint64(TILE_ROWS)):
                rows = min(np.uint64(TILE_ROWS), block_end - i)
                for begin in range(np.uint64(0), max(depth, np.uint64(1)), np.uint64(COLUMNS)):
                    end = min(depth, begin + np.uint64(COLUMNS))
                    product_tiles(x, i * depth, depth, rows, coef, group, groups, depth, begin, end, totals)
                    if depth > np.uint64(COLUMNS):
                        for r in range(rows):
                            for j in range(groups * lanes):
                                sums[r, j] = totals[r, j] + (sums[r, j] if begin else 0.0)
                                totals[r, j] = sums[r, j]
                for q in range(groups):
                    column = first + q * lanes
                    to = i * k + column
                    if relu:
                        add_lanes_relu(totals, q * lanes, rows, intercept, column, k - column, out, to, k)
                    else:
                        add_lanes(totals, q * lanes, rows, intercept, column, k - column, out, to, k)


@scalar
def dot_some(x, i, rows, coef, intercept, totals, sums, out):
    """`dot` of rows i, i + 1, ..., which may be the last ones and have any number of columns."""
    k, depth, lanes = np.uint64(out.shape[1]), np.uint64(x.shape[1]), np.uint64(coef.shape[2])
    whole, rest, values = depth - depth % lanes, np.uint64(TOTALS), flat(totals)
    for r in range(rows):
        for f in range(depth - whole):
            values[rest + r * lanes + f] = x[i + r, whole + f]
    for j in range(k):
        for begin in range(np.uint64(0), max(depth, np.uint64(1)), np.uint64(COLUMNS)):
            end, zero = min(depth, begin + np.uint64(COLUMNS)), np.uint64(0)
            dot_rows(x, i * depth, depth, rows, coef, j, begin, end, rest, np.uint64(1), totals, zero)
            for r in range(rows):
                sums[0, r] = values[r] + (sums[0, r] if begin else 0.0)
        for r in range(rows):
            out[i + r, j] = np.float64(intercept[j]) + sums[0, r]


@kernel
def dot(x, coef, intercept, totals, sums, out):
    """out = x @ coef.T + intercept, of one output or a few. `coef` is [outputs, vectors, lanes], zero behind the last
    column (`operators/_packing.py`)."""
    n, k, depth = np.uint64(x.shape[0]), np.uint64(out.shape[1]), np.uint64(x.shape[1])
    block, rest, zero, values = np.uint64(ROWS), np.uint64(TOTALS), np.uint64(0), flat(totals)
    padded = np.uint64(coef.shape[1]) * np.uint64(coef.shape[2])
    i = np.uint64(0)
    while depth <= np.uint64(COLUMNS) and (i + block) * depth + (padded - depth) <= n * depth:
        for j in range(k):
            dot_rows(x, i * depth, depth, block, coef, j, zero, depth, rest, zero, totals, zero)
            for r in range(block):
                out[i + r, j] = np.float64(intercept[j]) + np.float64(values[r])
        i += block
    while i < n:
        dot_some(x, i, min(block, n - i), coef, intercept, totals, sums, out)
        i += block


@kernel
def linear_in_order(x, coef, intercept, out):
    """out = intercept + x[0] coef[0] + x[1] coef[1] + ..., each product and each sum rounded; NaN adds nothing.

    XGBoost's gblinear (GBLinear::Pred), to the bit.
    """
    for i in range(np.uint64(x.shape[0])):
        for k in range(np.uint64(coef.shape[0])):
            total = intercept[k]
            for f in range(np.uint64(coef.shape[1])):
                value = x[i, f]
                if value == value:
                    total += coef[k, f] * value
            out[i, k] = total
