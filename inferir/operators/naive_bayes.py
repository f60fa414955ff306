"""Naive Bayes: joint log likelihood of each class."""

from __future__ import annotations

import numpy as np

from inferir.operators._binder import Binder, Value
from inferir.operators._packing import TOTALS, packed


def gaussian_nb(b: Binder) -> Value:
    """Tensors theta and variance (classes, columns), constant (classes)."""
    x = b.input("f64")
    theta = b.tensor("theta", "f64", None, x.width)
    variance, constant = b.tensor("variance", "f64", *theta.shape), b.tensor("constant", "f64", len(theta))
    with np.errstate(divide="ignore"):
        normal = packed(theta, 1.0 / variance)
    return b.call("gaussian_nb", x, normal, constant, b.scratch("f64", *TOTALS), width=len(theta))


def categorical_nb(b: Binder) -> Value:
    """Tensors log_probability (categories of all columns, classes), begin (columns + 1), log_prior (classes)."""
    x = b.input("f64")
    log_prior = b.tensor("log_prior", "f64", None)
    log_probability = b.tensor("log_probability", "f64", None, len(log_prior))
    begin = b.begins("begin", x.width, len(log_probability))
    return b.checked(
        "categorical_nb", x, begin, log_probability, log_prior,
        out=b.value(len(log_prior), "f64"),
        expected=[f"a category from 0 to {size - 1}" for size in np.diff(begin)],
    )  # fmt: skip


OPERATORS = {"gaussian_nb": gaussian_nb, "categorical_nb": categorical_nb}
