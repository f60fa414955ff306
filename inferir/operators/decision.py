"""From scores to answers, and from many estimators to one."""

from __future__ import annotations

import numpy as np

from inferir.operators._binder import Binder, Value
from inferir.operators.distance import nearest_point


def argmax(b: Binder) -> Value:
    """Class position: the column of the largest value, the first of equals. Tensor begin: one per run of columns."""
    x = b.some()
    if b.has("begin"):
        begin = b.begins("begin", None, x.width, least=1)
        sizes = tuple(np.diff(begin).tolist())
        return b.call("argmax_groups", x, begin, width=len(sizes), dtype="i64", below=sizes)
    return b.call("argmax", x, width=1, dtype="i64", below=(x.width,))


def argmin(b: Binder) -> Value:
    """Cluster number: the column of the smallest value, the first of equals."""
    x = b.some()
    if (nearest := nearest_point(b, x)) is not None:
        return nearest
    return b.call("argmin", x, width=1, dtype="i64", below=(x.width,))


def above(b: Binder) -> Value:
    """Class position: 1 where x > threshold. Attribute threshold."""
    x = b.input()
    return b.call("above", x, b.attribute("threshold", float, 0.0), dtype="i64", below=(2,) * x.width)


def at_least(b: Binder) -> Value:
    """Class position: 1 where x >= threshold. Attribute threshold."""
    x = b.input()
    return b.call("at_least", x, b.attribute("threshold", float, 0.0), dtype="i64", below=(2,) * x.width)


def complement(b: Binder) -> Value:
    """Probabilities of both classes, (1 - x, x), from that of the second."""
    x = b.input()
    if x.width != 1:
        raise b.fail(f"expected one column, got {x.width}")
    return b.call("complement", x, width=2)


def normalize_sum(b: Binder) -> Value:
    """Each row over its sum. Attribute uniform: a row of sum 0 becomes 1 / columns."""
    return b.call("normalize_sum", b.input(), int(b.attribute("uniform", bool, False)))


def lookup(b: Binder) -> Value:
    """Row `x` of `table` (positions, outputs), summed over the columns of x: votes."""
    table = b.tensor("table", "f64", None, None)
    return b.call("lookup", b.picks(len(table)), table, width=table.shape[1], dtype="f64")


def weighted_median(b: Binder) -> Value:
    """Median of the columns, each with its weight."""
    x = b.input("f64")
    weight = b.tensor("weight", "f64", x.width)
    return b.call("weighted_median", x, weight, b.scratch("i64", x.width), width=1)


def calibrate(b: Binder) -> Value:
    """Platt scaling by column: 1 / (1 + exp(-(slope x + offset)))."""
    x = b.input("f64")
    return b.call("calibrate", x, b.tensor("slope", "f64", x.width), b.tensor("offset", "f64", x.width))


def interpolate(b: Binder) -> Value:
    """Isotonic calibration by column: a line through (knot, value), flat outside."""
    x = b.input("f64")
    knot = b.tensor("knot", "f64", None)
    begin = b.begins("begin", x.width, len(knot), least=1)
    return b.call("interpolate", x, begin, knot, b.tensor("value", "f64", len(knot)))


def add(b: Binder) -> Value:
    """Sum of two or more values of one shape, from the left."""
    dtype = "f64" if any(b.input(index=i).dtype == "f64" for i in range(b.n_inputs)) else "f32"
    total = b.input(dtype)
    for index in range(1, b.n_inputs):
        other = b.input(dtype, index)
        if other.width != total.width:
            raise b.fail(f"expected values of {total.width} columns, got {other.width}")
        total = b.call("add", total, other)
    return total


def affine(b: Binder) -> Value:
    """x * factor + offset by column."""
    x = b.input()
    return b.call("affine", x, b.tensor("factor", "f64", x.width), b.tensor("offset", "f64", x.width))


def divide(b: Binder) -> Value:
    """x / divisor by column."""
    x = b.input()
    return b.call("divide", x, b.tensor("divisor", "f64", x.width))


OPERATORS = {
    function.__name__: function
    for function in (
        argmax, argmin, above, at_least, complement, normalize_sum, lookup, weighted_median, calibrate, interpolate,
        add, affine, divide,
    )
}  # fmt: skip
