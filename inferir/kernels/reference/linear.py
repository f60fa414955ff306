"""Linear models. Sums are taken in double, column by column: unlike with BLAS, a row's answer is that of any batch."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, unpacked


def matmul(x: Floats, coef: Floats, intercept: Floats, relu: int, totals: Floats, sums: Floats, out: Floats) -> None:
    """out = x @ coef.T + intercept, rounded once; nothing negative if `relu`."""
    total = np.zeros(out.shape)
    for f, column in enumerate(unpacked(coef, out.shape[1]).T):
        total += np.outer(x[:, f].astype(np.float64), column.astype(np.float64))
    total += intercept
    out[:] = np.where(total <= 0, 0, total) if relu else total


def dot(x: Floats, coef: Floats, intercept: Floats, totals: Floats, sums: Floats, out: Floats) -> None:
    """out = x @ coef.T + intercept, rounded once; coef is padded behind the last column."""
    total = np.zeros(out.shape)
    for f, column in enumerate(coef.reshape(len(coef), -1).T[: x.shape[1]]):
        total += np.outer(x[:, f].astype(np.float64), column.astype(np.float64))
    out[:] = total + intercept


def linear_in_order(x: Floats, coef: Floats, intercept: Floats, out: Floats) -> None:
    """out = intercept + x0 coef0 + x1 coef1 + ..., each step rounded to float32; NaN adds nothing."""
    out[:] = intercept
    for f in range(x.shape[1]):
        column = x[:, f : f + 1]
        out[:] = np.where(np.isnan(column), out, out + column * coef[:, f])
