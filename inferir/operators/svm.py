"""Support vector machines: decisions, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from math import e, isqrt, log2, sqrt
from typing import NamedTuple

import numpy as np

from inferir.operators._binder import Array, Binder, Value
from inferir.operators._packing import LINE_NBYTES, TOTALS, aligned, packed

KINDS = ("linear", "poly", "rbf", "sigmoid")


#: Lanes of the tiles of float32 that are looked at together, and of a group.
_NARROW_LANES, _GROUP_LANES = 64, LINE_NBYTES // 4


class RbfScreen(NamedTuple):
    """Support vectors for decisions in float32, as the kernel `svm_vote_rbf` takes them: those whose coefficients are
    positive first, in `n_positive` groups."""

    center: Array
    scale: float
    reach: float
    packed: Array
    coef: Array
    n_positive: int
    total_size: float


def rbf_screen(vectors: Array, coef: Array, gamma: float) -> RbfScreen | None:
    """Of support vectors (n, columns) and their coefficients; None where float32 has not the range."""
    total_size = float(np.abs(coef).sum())
    if not (0 < gamma < 1e30 and total_size < 1e30):
        return None
    center, scale = vectors.mean(axis=0), sqrt(2 * gamma * log2(e))
    with np.errstate(over="ignore", invalid="ignore"):
        about = (vectors - center) * scale
        squares = np.square(about).sum(axis=1)
        narrow = np.column_stack([-0.5 * squares, about]).astype(np.float32)
    positive, negative = np.flatnonzero(coef > 0), np.flatnonzero(coef < 0)
    first, second = (-(-len(part) // _NARROW_LANES) * _NARROW_LANES for part in (positive, negative))
    screened, factors = np.zeros((first + second, narrow.shape[1]), np.float32), np.zeros(first + second, np.float32)
    for part, begin in ((positive, 0), (negative, first)):
        screened[begin : begin + len(part)], factors[begin : begin + len(part)] = narrow[part], coef[part]
    by_group, lanes = aligned(factors.reshape(-1, _GROUP_LANES)), packed(screened)
    return RbfScreen(center, scale, float(np.sqrt(squares.max())), lanes, by_group, first // _GROUP_LANES, total_size)


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


def svm_vote(b: Binder) -> Value:
    """Number of pairs that each class wins."""
    x = b.input("f64")
    votes = _rbf_votes(b, x)
    return b.call("svm_vote", x, width=_classes(b, x.width)) if votes is None else votes


def _rbf_votes(b: Binder, decisions: Value) -> Value | None:
    """The votes, where `decisions` are those between two classes by an RBF kernel: without them. Else None."""
    made = b.producer(decisions)
    if made is None or made.step.kernel != "svm_decision":
        return None
    rows, support, dual_coef, intercept, class_begin, kind, gamma, *_, totals, similarity, _ = made.step.arguments
    coef, lanes = b.array(dual_coef)[0], b.array(support)
    if KINDS[kind] != "rbf" or len(b.array(class_begin)) != 3 or not len(coef):
        return None
    screen = rbf_screen(lanes.transpose(0, 2, 1).reshape(-1, lanes.shape[1])[: len(coef)], coef, gamma)
    if screen is None:
        return None
    return b.call(
        "svm_vote_rbf", Value(made.reads[0], rows.number, lanes.shape[1], "f64"), support, dual_coef, intercept,
        class_begin, gamma, *screen, b.scratch("f32", 8, screen.packed.shape[1]), b.scratch("f64", 8),
        b.scratch("u8", 8), b.scratch("f32", *TOTALS), b.scratch("f32", 8, 32), b.scratch("i64", 8),
        b.scratch("f64", 8, lanes.shape[1]), totals, similarity, b.scratch("f64", 8, 1), width=2,
    )  # fmt: skip


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
    "svm_vote": svm_vote,
    "svm_ovr": _from_pairs("svm_ovr", "scikit-learn's one column per class: votes, with confidence between equals."),
    "svm_couple": svm_couple,
}
