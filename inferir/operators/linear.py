"""Linear maps: out = x @ coef.T + intercept."""

from __future__ import annotations

from inferir.operators._binder import NUMPY, Array, Binder, Value
from inferir.operators._packing import TOTALS, by_columns, packed
from inferir.program.problems import FINITE

#: Outputs that are taken one by one: of more, a vector side by side is faster.
_DOTS = 2


def linear(b: Binder) -> Value:
    """Tensors coef (outputs, columns) and intercept (outputs), of the same width.

    Attribute width: f64 and f32 are computed in that width, and so are the tensors; with `wider`, f32 tensors are
    computed in the width of x, as NumPy promotes.
    """
    width = ("f64", "f32", "wider")[b.choice("width", ("f64", "f32", "wider"), "f64")]
    stored = "f32" if width == "wider" else width
    x = b.input(None if width == "wider" else width)
    coef = b.tensor("coef", stored, None, x.width)
    return product(b, x, coef.astype(NUMPY[x.dtype]), b.tensor("intercept", stored, len(coef)).astype(NUMPY[x.dtype]))


def product(b: Binder, x: Value, coef: Array, intercept: Array) -> Value:
    """x @ coef.T + intercept.

    A sum is finite only where its row is, and there are fewer sums than columns: so they are checked in its place.
    """
    source = b.unchecked(x) if 0 < len(coef) < x.width else None
    scratch = b.scratch(x.dtype, *TOTALS), b.scratch("f64", *TOTALS)
    if len(coef) <= _DOTS:
        out = b.call("dot", source or x, by_columns(coef), intercept, *scratch, width=len(coef))
    else:
        out = b.call("matmul", source or x, packed(coef), intercept, 0, *scratch, width=len(coef))
    return out if source is None else checked_by(b, source, out)


def checked_by(b: Binder, x: Value, y: Value) -> Value:
    """y, where x is finite; as `check_finite` of x."""
    checked = b.value(y.width, y.dtype, buffer=y.buffer)
    return b.checked("check_finite_by", x, y, out=checked, expected=(FINITE,), writes=False)


def linear_in_order(b: Binder) -> Value:
    """The same in float32, rounded at every step; NaN adds nothing. Tensors coef and intercept, both f32."""
    x = b.input("f32")
    coef = b.tensor("coef", "f32", None, x.width)
    return b.call("linear_in_order", x, coef, b.tensor("intercept", "f32", len(coef)), width=len(coef))


OPERATORS = {"linear": linear, "linear_in_order": linear_in_order}
