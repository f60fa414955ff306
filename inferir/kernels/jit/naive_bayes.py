"""Naive Bayes: joint log likelihoods. Multinomial, Bernoulli and complement ones are a matrix product (`linear`)."""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel
from inferir.kernels.jit._tiles import GROUPS, TILE_ROWS, gaussian_tiles


@kernel
def gaussian_nb(x, normal, constant, totals, out):
    """out[i, k] = constant[k] - 1/2 sum over f of (x - theta[k])**2 / variance[k].

    constant = log prior - 1/2 sum of log(2 pi variance); `normal` are theta and 1 / variance, packed side by side.
    """
    n, k, depth = np.uint64(x.shape[0]), np.uint64(out.shape[1]), np.uint64(x.shape[1])
    lanes, n_groups = np.uint64(normal.shape[2] // 2), np.uint64(normal.shape[0])
    for i in range(np.uint64(0), n, np.uint64(TILE_ROWS)):
        rows = min(np.uint64(TILE_ROWS), n - i)
        for group in range(np.uint64(0), n_groups, np.uint64(GROUPS)):
            groups, first = min(np.uint64(GROUPS), n_groups - group), group * lanes
            gaussian_tiles(x, i * depth, depth, rows, normal, group, groups, depth, np.uint64(0), depth, totals)
            for r in range(rows):
                for j in range(min(k - first, groups * lanes)):
                    out[i + r, first + j] = constant[first + j] - 0.5 * totals[r, j]


@kernel
def categorical_nb(x, begin, log_probability, log_prior, problem, out):
    """out[i, k] = log_prior[k] + sum over f of log_probability[begin[f] + category, k].

    The category is x without its fraction. One that was never seen adds nothing; problem[0] = position i * d + f of the
    first such, or -1.
    """
    problem[0] = -1
    for i in range(x.shape[0]):
        for k in range(np.uint64(out.shape[1])):
            out[np.uint64(i), k] = 0.0
        for f in range(x.shape[1]):
            value, count = x[i, f], begin[f + 1] - begin[f]
            if not (value > -1.0 and value < count):
                problem[0] = i * x.shape[1] + f if problem[0] < 0 else problem[0]
                continue
            row = np.uint64(begin[f] + np.int64(value))
            for k in range(np.uint64(out.shape[1])):
                out[np.uint64(i), k] += log_probability[row, k]
        for k in range(np.uint64(out.shape[1])):
            out[np.uint64(i), k] += log_prior[k]
