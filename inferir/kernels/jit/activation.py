"""Links and activations: margins to probabilities, layers to layers. Each value on its own, softmax row by row.

Computed in double and rounded once, so the float32 kernels are within 1 ulp of the exact value (softmax: 2).
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit import _math
from inferir.kernels.jit._compile import kernel
from inferir.kernels.jit._lanes import ROWS, softmax_rows
from inferir.kernels.jit._simd import flat

_exp, _exp32, _log, _power = _math.exp, _math.exp32, _math.log, _math.power
_sigmoid, _softplus = _math.sigmoid, _math.softplus
_tanh, _normal_cdf, _normal_quantile = _math.tanh, _math.normal_cdf, _math.normal_quantile


@kernel
def sigmoid(x, scale, out):
    """out = 1 / (1 + exp(-scale x)). LightGBM's `sigmoid` parameter is the scale; elsewhere it is 1."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = _sigmoid(scale * x[i])


@kernel
def softmax(x, out):
    """out = exp(x - max x) / sum of exp(x - max x), over each row. A row with a NaN becomes NaN."""
    n, k = np.uint64(x.shape[0]), np.uint64(x.shape[1])
    for first in range(np.uint64(0), n, np.uint64(ROWS)):
        softmax_rows(x, first, min(np.uint64(ROWS), n - first), k, out)


@kernel
def sigmoid_stepwise(x, out):
    """out = 1 / (1 + exp(-x)) with every step rounded to float32, x at least -88.7: XGBoost's (common::Sigmoid).

    Its 1 - p is far from the exact one where p is near 1, and part of its answer: hence its very exponential.
    """
    one, most = np.float32(1.0), np.float32(88.7)
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        value = -x[i]
        power = np.float32(_exp32(most if value > most else value))
        out[i] = one / (power + one)


@kernel
def softmax_stepwise(x, out):
    """Softmax with every step rounded to float32: differences, exponentials, their sum (taken in double), quotients.

    XGBoost's (common::Softmax). Of classes whose probabilities it cannot tell apart, it takes the first: so must we.
    """
    for i in range(np.uint64(x.shape[0])):
        peak = x[i, 0]
        for j in range(np.uint64(1), np.uint64(x.shape[1])):
            peak = x[i, j] if x[i, j] > peak else peak
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = x[i, j] - peak
    powers = flat(out)
    for i in range(np.uint64(powers.shape[0])):
        powers[i] = _exp32(powers[i])
    for i in range(np.uint64(x.shape[0])):
        total = np.float64(0.0)
        for j in range(np.uint64(x.shape[1])):
            total += np.float64(out[i, j])
        divisor = np.float32(total)
        for j in range(np.uint64(x.shape[1])):
            out[i, j] = out[i, j] / divisor


@kernel
def exp(x, out):
    """out = e**x."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = _exp(x[i])


@kernel
def exp2(x, scale, out):
    """out = 2**(scale x). Isolation forests: scale = -1 / average path length (Liu et al. 2008, eq. 2)."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = _exp(np.float64(x[i]) * scale * 0.6931471805599453)


@kernel
def log(x, out):
    """out = natural logarithm of x."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = _log(x[i])


@kernel
def softplus(x, out):
    """out = log(1 + e**x). LightGBM's cross_entropy_lambda."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = _softplus(x[i])


@kernel
def tanh(x, out):
    """out = hyperbolic tangent of x."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = _tanh(x[i])


@kernel
def relu(x, out):
    """out = x where x > 0 or x is NaN, else 0."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        value = x[i]
        out[i] = 0.0 if value <= 0.0 else value


@kernel
def signed_square(x, out):
    """out = sign(x) x**2. LightGBM's reg_sqrt."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = x[i] * abs(x[i])


@kernel
def normal_cdf(x, out):
    """out = standard normal distribution function of x."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = _normal_cdf(x[i])


@kernel
def normal_quantile(x, out):
    """out = standard normal quantile of x. ONNX's PROBIT."""
    x, out = flat(x), flat(out)
    for i in range(np.uint64(x.shape[0])):
        out[i] = _normal_quantile(x[i])
