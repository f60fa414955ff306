"""Support vector machines as libsvm defines them; pairs of classes in the order (0, 1), (0, 2), ..., (1, 2), ..."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers, unpacked

LINEAR, POLY, RBF, SIGMOID = range(4)


def _similarities(x: Floats, support: Floats, kind: int, gamma: float, coef0: float, degree: int) -> Floats:
    """K(x[i], support[s]), [n, m]."""
    dot, squares = np.zeros((2, x.shape[0], support.shape[0]))
    for f in range(x.shape[1]):
        dot += np.outer(x[:, f], support[:, f])
        squares += (x[:, f, None] - support[:, f]) ** 2
    if kind == LINEAR:
        return np.asarray(dot)
    if kind == POLY:
        return np.asarray((gamma * dot + coef0) ** int(degree))
    return np.asarray(np.exp(-gamma * squares) if kind == RBF else np.tanh(gamma * dot + coef0))


def svm_decision(
    x: Floats,
    support: Floats,
    dual_coef: Floats,
    intercept: Floats,
    class_begin: Integers,
    kind: int,
    gamma: float,
    coef0: float,
    degree: int,
    totals: Floats,
    similarity: Floats,
    out: Floats,
) -> None:
    """out[i, p] = intercept[p] + sum over the support vectors s of the pair's classes of coefficient * K(x[i], s)."""
    n_classes, m = class_begin.size - 1, dual_coef.shape[1]
    weight = np.zeros((out.shape[1], m))
    if n_classes == 1:
        weight[0] = dual_coef[0]
    for pair, (a, b) in enumerate(combinations(range(n_classes), 2)):
        of_a, of_b = (slice(class_begin[c], class_begin[c + 1]) for c in (a, b))
        weight[pair, of_a] = dual_coef[b - 1, of_a]
        weight[pair, of_b] = dual_coef[a, of_b]
    out[:] = intercept
    for s, column in enumerate(_similarities(x, unpacked(support, m), kind, gamma, coef0, degree).T):
        out += np.outer(column, weight[:, s])


def svm_vote_rbf(
    x: Floats,
    support: Floats,
    dual_coef: Floats,
    intercept: Floats,
    class_begin: Integers,
    gamma: float,
    center: Floats,
    scale: float,
    reach: float,
    packed: Floats,
    coef: Floats,
    n_positive: int,
    total_size: float,
    narrow: Floats,
    half: Floats,
    within: Integers,
    products: Floats,
    sums: Floats,
    waiting: Integers,
    undecided: Floats,
    totals: Floats,
    similarity: Floats,
    decision: Floats,
    out: Floats,
) -> None:
    """svm_vote of svm_decision, for two classes and the RBF kernel; what is not theirs is for those who estimate."""
    decisions = np.empty((len(x), 1))
    svm_decision(
        x, support, dual_coef, intercept, class_begin, RBF, gamma, 0.0, 0, totals, similarity, decisions
    )  # fmt: skip
    svm_vote(decisions, out)


def svm_vote(x: Floats, out: Floats) -> None:
    """out[i, c] = number of pairs that class c wins."""
    out[:] = 0
    for pair, (a, b) in enumerate(combinations(range(out.shape[1]), 2)):
        won = x[:, pair] > 0
        out[:, a] += won
        out[:, b] += ~won


def svm_ovr(x: Floats, out: Floats) -> None:
    """out[i, c] = votes + confidence / (3 (|confidence| + 1))."""
    votes, confidence = np.zeros((2, *out.shape))
    for pair, (a, b) in enumerate(combinations(range(out.shape[1]), 2)):
        lost = x[:, pair] < 0
        votes[:, a] += ~lost
        votes[:, b] += lost
        confidence[:, a] += x[:, pair]
        confidence[:, b] -= x[:, pair]
    out[:] = votes + confidence / (3 * (np.abs(confidence) + 1))


def _couple(pairwise: Floats) -> Floats:
    """The probabilities p of least sum of (pairwise[b, a] p[a] - pairwise[a, b] p[b])**2: algorithm 2 of the paper."""
    c = len(pairwise)
    q = -pairwise.T * pairwise
    np.fill_diagonal(q, (pairwise**2).sum(axis=0) - np.diag(pairwise) ** 2)
    p = np.full(c, 1 / c)
    for _ in range(max(100, c)):
        q_p = (q * p).sum(axis=1)
        p_q_p = (p * q_p).sum()
        if np.abs(q_p - p_q_p).max() < 0.005 / c:
            break
        for a in range(c):
            change = (p_q_p - q_p[a]) / q[a, a]
            p[a] += change
            p_q_p = (p_q_p + change * (change * q[a, a] + 2 * q_p[a])) / (1 + change) ** 2
            q_p = (q_p + change * q[a]) / (1 + change)
            p /= 1 + change
    return p


def svm_couple(
    x: Floats, prob_a: Floats, prob_b: Floats, pairwise: Floats, matrix: Floats, step: Floats, out: Floats
) -> None:
    """out[i] = class probabilities from the pairwise ones 1 / (1 + exp(x a + b)), kept within [1e-7, 1 - 1e-7]."""
    c = out.shape[1]
    for i, row in enumerate(x):
        probability = np.zeros((c, c))
        for pair, (a, b) in enumerate(combinations(range(c), 2)):
            z = row[pair] * prob_a[pair] + prob_b[pair]
            probability[a, b] = np.clip(1 / (1 + np.exp(z)), 1e-7, 1 - 1e-7)
            probability[b, a] = 1 - probability[a, b]
        out[i] = _couple(probability)
