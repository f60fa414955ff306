"""Naive Bayes: joint log likelihoods. Multinomial, Bernoulli and complement ones are a matrix product (`linear`)."""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel, kernel_reassociated


@kernel_reassociated
def gaussian_nb(x, theta, variance, constant, out):
    """out[i, k] = constant[k] - 1/2 sum over f of (x - theta[k])**2 / variance[k].

    constant = log prior - 1/2 sum of log(2 pi variance).
    """
    for i in range(np.uint64(x.shape[0])):
        for k in range(np.uint64(theta.shape[0])):
            total = 0.0
            for f in range(np.uint64(theta.shape[1])):
                difference = x[i, f] - theta[k, f]
                total += difference * difference / variance[k, f]
            out[i, k] = constant[k] - 0.5 * total


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
