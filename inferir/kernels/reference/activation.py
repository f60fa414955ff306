"""Links and activations, in double and rounded once."""

from __future__ import annotations

import math
import statistics

import numpy as np

from inferir.kernels.reference._types import Floats


def _double(x: Floats) -> Floats:
    return x.astype(np.float64)


def sigmoid(x: Floats, scale: float, out: Floats) -> None:
    """out = 1 / (1 + exp(-scale x))."""
    z = scale * _double(x)
    e = np.exp(-np.abs(z))
    out[:] = np.where(z >= 0, 1, e) / (1 + e)


def softmax(x: Floats, out: Floats) -> None:
    """out = exp(x - max x) / sum of exp(x - max x), over each row."""
    z = _double(x)
    weight = np.exp(z - z.max(axis=1, keepdims=True))
    out[:] = weight / np.cumsum(weight, axis=1)[:, -1:]


def sigmoid_stepwise(x: Floats, out: Floats) -> None:
    """out = 1 / (1 + exp(-x)), every step rounded to float32, x at least -88.7."""
    power = np.exp(_double(np.minimum(-x, np.float32(88.7)))).astype(np.float32)
    out[:] = np.float32(1) / (np.float32(1) + power)


def softmax_stepwise(x: Floats, out: Floats) -> None:
    """out = softmax of each row, every step rounded to float32."""
    weight = np.exp(_double(x - x.max(axis=1, keepdims=True))).astype(np.float32)
    out[:] = weight / np.cumsum(_double(weight), axis=1)[:, -1:].astype(np.float32)


def exp(x: Floats, out: Floats) -> None:
    """out = e**x."""
    out[:] = np.exp(_double(x))


def exp2(x: Floats, scale: float, out: Floats) -> None:
    """out = 2**(scale x)."""
    out[:] = np.exp2(scale * _double(x))


def log(x: Floats, out: Floats) -> None:
    """out = natural logarithm of x."""
    out[:] = np.log(_double(x))


def softplus(x: Floats, out: Floats) -> None:
    """out = log(1 + e**x)."""
    out[:] = np.logaddexp(0.0, _double(x))


def tanh(x: Floats, out: Floats) -> None:
    """out = hyperbolic tangent of x."""
    out[:] = np.tanh(_double(x))


def relu(x: Floats, out: Floats) -> None:
    """out = max(x, 0); NaN stays."""
    out[:] = np.maximum(x, 0)


def signed_square(x: Floats, out: Floats) -> None:
    """out = sign(x) x**2."""
    out[:] = np.sign(_double(x)) * _double(x) ** 2


def normal_cdf(x: Floats, out: Floats) -> None:
    """out = standard normal distribution function of x."""
    for i, row in enumerate(x):
        for j, value in enumerate(row):
            out[i, j] = math.erfc(-float(value) / math.sqrt(2)) / 2


def quantile_of(p: float) -> float:
    """The x with distribution function p: -inf at 0, inf at 1, NaN outside."""
    if 0 < p < 1:
        return statistics.NormalDist().inv_cdf(p)
    return {0.0: -math.inf, 1.0: math.inf}.get(p, math.nan)


def normal_quantile(x: Floats, out: Floats) -> None:
    """out = standard normal quantile of x."""
    for i, row in enumerate(x):
        for j, value in enumerate(row):
            out[i, j] = quantile_of(float(value))
