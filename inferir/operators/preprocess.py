"""What happens to a row before a model sees it. Columns keep their names for messages while they are themselves."""

from __future__ import annotations

import itertools

import numpy as np

from inferir.operators._binder import Array, Binder, Value
from inferir.program.problems import FINITE, UNKNOWN_CATEGORY

NORMS = ("l1", "l2", "max")
METHODS = ("yeo-johnson", "box-cox")
_REFUSE = -2


def identity(b: Binder) -> Value:
    """The value under another name: how a model says which of its values are answers."""
    return b.first


def check_finite(b: Binder) -> Value:
    """The value itself, if it is finite; attribute allow_nan lets NaN through. What estimators refuse, we refuse."""
    x, allow_nan = b.input(), int(b.attribute("allow_nan", bool, False))
    checked = b.value(x.width, x.dtype, x.names, buffer=x.buffer)
    return b.checked("check_finite", x, allow_nan, out=checked, expected=(FINITE,), writes=False)


def select(b: Binder) -> Value:
    """Some columns, in the order of `columns`."""
    x = b.input()
    columns = b.positions("columns", None, x.width)
    names = tuple(x.names[c] for c in columns) if x.names else None
    return b.call("select", x, columns, width=len(columns), names=names)


def concat(b: Binder) -> Value:
    """Values side by side, in double if one of them is."""
    dtype = "f64" if any(b.input(index=i).dtype == "f64" for i in range(b.n_inputs)) else "f32"
    values = [b.input(dtype, i) for i in range(b.n_inputs)]
    out, start = b.value(sum(v.width for v in values), dtype), 0
    for value in values:
        b.step(f"place_{dtype}", value, start, out, into=out)
        start += value.width
    return out


def cast(b: Binder) -> Value:
    """The value in another width. Attribute to: f32 or f64."""
    return b.input(("f32", "f64")[b.choice("to", ("f32", "f64"))])


def scale(b: Binder) -> Value:
    """(x - mean) / scale by column. Attribute narrow: mean and scale are rounded to the width of the rows first."""
    x = b.input()
    mean, scale = b.tensor("mean", "f64", x.width), b.tensor("scale", "f64", x.width)
    if b.attribute("narrow", bool, False) and x.dtype == "f32":
        mean, scale = mean.astype(np.float32).astype(np.float64), scale.astype(np.float32).astype(np.float64)
    return b.call("scale", x, mean, scale, names=x.names)


def min_max(b: Binder) -> Value:
    """x * scale + offset by column, within the attributes low and high."""
    x = b.input()
    return b.call(
        "min_max", x, b.tensor("scale", "f64", x.width), b.tensor("offset", "f64", x.width),
        b.attribute("low", float, -np.inf), b.attribute("high", float, np.inf), names=x.names,
    )  # fmt: skip


def normalize(b: Binder) -> Value:
    """Each row over its norm. Attribute norm."""
    return b.call("normalize", b.input(), b.choice("norm", NORMS))


def binarize(b: Binder) -> Value:
    """1 where x > threshold, else 0. Attribute threshold."""
    return b.call("binarize", b.input(), b.attribute("threshold", float, 0.0))


def impute(b: Binder) -> Value:
    """Chosen `columns` with `fill` for what is missing, then a 0/1 column for each of `indicators`."""
    x = b.input()
    columns = b.positions("columns", None, x.width)
    indicators = b.positions("indicators", None, x.width)
    names = tuple(x.names[c] for c in columns) if x.names and not len(indicators) else None
    return b.call(
        "impute", x, b.attribute("missing", float, float("nan")), columns, b.tensor("fill", "f64", len(columns)),
        indicators, width=len(columns) + len(indicators), names=names,
    )  # fmt: skip


def _categories(b: Binder, x: Value) -> tuple[Array, Array]:
    """begin and category, which rises within each column and may end with NaN: the kernel searches by halves."""
    category = b.tensor("category", "f64", None)
    begin = b.begins("begin", x.width, len(category))
    for first, end in itertools.pairwise(begin):
        known = category[first : end - 1 if end > first and np.isnan(category[end - 1]) else end]
        if not (np.diff(known) > 0).all() or np.isnan(known).any():
            raise b.fail("expected the categories of each column to rise")
    return begin, category


def encode(b: Binder) -> Value:
    """Category -> code, by column. Attribute unknown: "refuse", or "value" with unknown_value."""
    x = b.input()
    begin, category = _categories(b, x)
    code = b.tensor("code", "f64", len(category))
    if b.choice("unknown", ("refuse", "value")) == 0:
        out = b.value(x.width, "f64")
        return b.checked("encode", x, begin, category, code, float("nan"), out=out, expected=(UNKNOWN_CATEGORY,))
    unknown = b.attribute("unknown_value", float)
    return b.call("encode", x, begin, category, code, unknown, b.scratch("i64", 1), dtype="f64")


def one_hot(b: Binder) -> Value:
    """Category -> a 1 in its column. `unknown` (columns): output column, -1 for none, -2 to refuse the row."""
    x = b.input()
    begin, category = _categories(b, x)
    width = b.attribute("width", int)
    if not 0 <= width <= 2**24:
        raise b.fail(f"expected a width from 0 to {2**24}, got {width}")
    column = b.positions("column", len(category), width, least=-1)
    unknown = b.positions("unknown", x.width, width, least=_REFUSE)
    out = b.value(width, "f64")
    return b.checked("one_hot", x, begin, category, column, unknown, out=out, expected=(UNKNOWN_CATEGORY,))


def polynomial(b: Binder) -> Value:
    """Products of columns: output k is that of column[begin[k]:begin[k + 1]]."""
    x = b.input()
    column = b.positions("column", None, x.width)
    begin = b.begins("begin", None, len(column))
    return b.call("polynomial", x, begin, column, width=len(begin) - 1)


def power(b: Binder) -> Value:
    """Power transform. Tensor lambdas, attribute method."""
    x = b.input()
    return b.call("power", x, b.tensor("lambdas", "f64", x.width), b.choice("method", METHODS))


def quantile(b: Binder) -> Value:
    """Place among the column's quantiles. Tensors quantiles (columns, q), references (q); attribute normal."""
    x = b.input()
    quantiles = b.tensor("quantiles", "f64", x.width, None)
    references = b.tensor("references", "f64", quantiles.shape[1])
    if not len(references):
        raise b.fail("expected at least one quantile")
    return b.call("quantile", x, quantiles, references, int(b.attribute("normal", bool, False)))


def bins(b: Binder) -> Value:
    """Number of the bin, by column, between inner edges edge[begin[j]:begin[j + 1]]."""
    x = b.input()
    edge = b.tensor("edge", "f64", None)
    return b.call("bins", x, b.begins("begin", x.width, len(edge)), edge)


OPERATORS = {
    function.__name__: function
    for function in (
        identity, check_finite, select, concat, cast, scale, min_max, normalize, binarize, impute, encode, one_hot,
        polynomial, power, quantile, bins,
    )
}  # fmt: skip
