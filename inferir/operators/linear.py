"""Linear maps: out = x @ coef.T + intercept."""

from __future__ import annotations

from inferir.operators._binder import Binder, Value


def linear(b: Binder) -> Value:
    """Tensors coef (outputs, columns) and intercept (outputs), both f64, or both f32 for a float32 network."""
    width = ("f64", "f32")[b.choice("width", ("f64", "f32"), "f64")]
    x = b.input(width)
    coef = b.tensor("coef", width, None, x.width)
    return b.call("matmul", x, coef, b.tensor("intercept", width, len(coef)), width=len(coef))


def linear_in_order(b: Binder) -> Value:
    """The same in float32, rounded at every step; NaN adds nothing. Tensors coef and intercept, both f32."""
    x = b.input("f32")
    coef = b.tensor("coef", "f32", None, x.width)
    return b.call("linear_in_order", x, coef, b.tensor("intercept", "f32", len(coef)), width=len(coef))


OPERATORS = {"linear": linear, "linear_in_order": linear_in_order}
