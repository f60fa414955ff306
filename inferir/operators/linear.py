"""Linear maps: out = x @ coef.T + intercept."""

from __future__ import annotations

from inferir.operators._binder import NUMPY, Array, Binder, Value
from inferir.operators._packing import TOTALS, packed


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
    """x @ coef.T + intercept."""
    scratch = b.scratch(x.dtype, *TOTALS), b.scratch("f64", *TOTALS)
    return b.call("matmul", x, packed(coef), intercept, 0, *scratch, width=len(coef))


def linear_in_order(b: Binder) -> Value:
    """The same in float32, rounded at every step; NaN adds nothing. Tensors coef and intercept, both f32."""
    x = b.input("f32")
    coef = b.tensor("coef", "f32", None, x.width)
    return b.call("linear_in_order", x, coef, b.tensor("intercept", "f32", len(coef)), width=len(coef))


OPERATORS = {"linear": linear, "linear_in_order": linear_in_order}
