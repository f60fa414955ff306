"""Support vector machines: decisions, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt

from inferir.operators._binder import Binder, Value
from inferir.operators._packing import TOTALS, packed

KINDS = ("linear", "poly", "rbf", "sigmoid")


def svm_decision(b: Binder) -> Value:
    """Tensors support (vectors, columns), dual_coef (classes - 1, vectors), intercept (pairs), class_begin.

    Attributes kernel, gamma, coef0, degree. Regression has one class and one decision.
    """
    x = b.input("f64")
    support = b.tensor("support", "f64", None, x.width)
    begin = b.begins("class_begin", None, len(support))
    n_classes = len(begin) - 1
    if n_classes < 1:
        raise b.fail("expected at least one class")
    pairs = max(1, n_classes * (n_classes - 1) // 2)
    return b.call(
        "svm_decision", x, packed(support),
        b.tensor("dual_coef", "f64", max(1, n_classes - 1), len(support)),
        b.tensor("intercept", "f64", pairs),
        begin,
        b.choice("kernel", KINDS),
        b.attribute("gamma", float, 1.0), b.attribute("coef0", float, 0.0), b.attribute("degree", int, 3),
        b.scratch("f64", *TOTALS), b.scratch("f64", TOTALS[0], len(support)), width=pairs,
    )  # fmt: skip


def _classes(b: Binder, pairs: int) -> int:
    n_classes = (1 + isqrt(1 + 8 * pairs)) // 2
    if n_classes * (n_classes - 1) // 2 != pairs:
        raise b.fail(f"expected one column for each pair of classes, got {pairs}")
    return n_classes


def _from_pairs(kernel: str, doc: str) -> Callable[[Binder], Value]:
    def bind(b: Binder) -> Value:
        x = b.input("f64")
        return b.call(kernel, x, width=_classes(b, x.width))

    bind.__name__, bind.__doc__ = kernel, doc
    return bind


def svm_couple(b: Binder) -> Value:
    """Class probabilities. Tensors prob_a and prob_b (pairs)."""
    x = b.input("f64")
    c = _classes(b, x.width)
    return b.call(
        "svm_couple", x, b.tensor("prob_a", "f64", x.width), b.tensor("prob_b", "f64", x.width),
        b.scratch("f64", c, c), b.scratch("f64", c, c), b.scratch("f64", c), width=c,
    )  # fmt: skip


OPERATORS = {
    "svm_decision": svm_decision,
    "svm_vote": _from_pairs("svm_vote", "Number of pairs that each class wins."),
    "svm_ovr": _from_pairs("svm_ovr", "scikit-learn's one column per class: votes, with confidence between equals."),
    "svm_couple": svm_couple,
}
