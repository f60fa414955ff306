"""Naive Bayes: joint log likelihoods."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers, unpacked


def gaussian_nb(x: Floats, normal: Floats, constant: Floats, totals: Floats, out: Floats) -> None:
    """out[i, k] = constant[k] - 1/2 sum over f of (x - theta[k])**2 precision[k]; `normal` are theta and precision."""
    theta, precision = (unpacked(normal, out.shape[1], 2, which) for which in (0, 1))
    total = np.zeros(out.shape)
    for f in range(x.shape[1]):
        total += (x[:, f, None] - theta[:, f]) ** 2 * precision[:, f]
    out[:] = constant - 0.5 * total


def categorical_nb(
    x: Floats, begin: Integers, log_probability: Floats, log_prior: Floats, problem: Integers, out: Floats
) -> None:
    """out[i, k] = log_prior[k] + sum over f of log_probability[begin[f] + category, k]; see the body for `problem`."""
    out[:] = 0
    category = np.trunc(x)
    seen = (category >= 0) & (category < np.diff(begin))
    for f in range(x.shape[1]):
        known = seen[:, f]
        out[known] += log_probability[begin[f] + category[known, f].astype(np.int64)]
    out += log_prior
    problem[0] = -1 if seen.all() else np.argmin(seen)
