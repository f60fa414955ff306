"""Linear models: one product per output column."""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel, kernel_reassociated


@kernel_reassociated
def matmul(x, coef, intercept, out):
    """out = x @ coef.T + intercept. A column whose coefficient is 0 still passes a NaN on."""
    for i in range(np.uint64(x.shape[0])):
        for k in range(np.uint64(coef.shape[0])):
            total = intercept[k] * 0
            for f in range(np.uint64(coef.shape[1])):
                total += coef[k, f] * x[i, f]
            out[i, k] = total + intercept[k]


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
