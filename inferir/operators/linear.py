"""Linear maps: out = x @ coef.T + intercept."""

from __future__ import annotations

from inferir.operators._binder import Binder, Value


def linear(b: Binder) -> Value:
    """Tensors coef (outputs, columns) and intercept (outputs), both f64, or both f32 for a float32 network."""
    width = ("f64", "f32")[b.choice("width", ("f64", "f32"), "f64")]
    x = b.input(width)
    coef = b.tensor("coef", width, None, x.width)
    return b.call("matmul", x, coef, b.tensor("intercept", width, len(coef)), width=len(coef))


OPERATORS = {"linear": linear}
