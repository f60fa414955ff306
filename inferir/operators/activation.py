"""Links and activations, named as their kernels. Each keeps the width of its input."""

from __future__ import annotations

from collections.abc import Callable

from inferir.operators._binder import Binder, Value


def _plain(name: str) -> Callable[[Binder], Value]:
    def bind(b: Binder) -> Value:
        return b.call(name, b.some())

    bind.__name__, bind.__doc__ = name, f"out = {name} of x."
    return bind


def relu(b: Binder) -> Value:
    """out = x where x > 0 or x is NaN, else 0."""
    x = b.some()
    made, number = b.producer(x), None
    if made is not None and made.step.kernel.startswith("check_finite_by"):  # which 0 for -inf would mislead
        unchecked, sums = made.reads
        number, made = b.checked_number(unchecked), b.producer(x._replace(number=sums))
    if made is None or not made.step.kernel.startswith("matmul"):
        return b.call("relu", x)
    out = b.value(x.width, x.dtype)
    rows, coef, intercept, _, *scratch, _ = made.step.arguments
    source = Value(made.reads[0] if number is None else number, rows.number, b.array(coef).shape[1], x.dtype)
    b.step(made.step.kernel, source, coef, intercept, 1, *scratch, out, into=out)
    return out


def _scaled(name: str) -> Callable[[Binder], Value]:
    def bind(b: Binder) -> Value:
        return b.call(name, b.input(), b.attribute("scale", float, 1.0))

    bind.__name__, bind.__doc__ = name, f"out = {name} of scale * x. Attribute scale."
    return bind


def _stepwise(name: str) -> Callable[[Binder], Value]:
    def bind(b: Binder) -> Value:
        b.some()
        return b.call(name, b.input("f32"))

    bind.__name__, bind.__doc__ = name, f"out = {name} of x, in float32 steps as XGBoost takes it."
    return bind


OPERATORS = {
    "relu": relu,
    **{name: _stepwise(name) for name in ("sigmoid_stepwise", "softmax_stepwise")},
    **{name: _scaled(name) for name in ("sigmoid", "exp2")},
    **{
        name: _plain(name)
        for name in (
            "softmax",
            "exp",
            "log",
            "softplus",
            "tanh",
            "signed_square",
            "normal_cdf",
            "normal_quantile",
        )
    },
}
