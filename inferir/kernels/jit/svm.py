"""Support vector machines as libsvm defines them (Chang and Lin 2011, LIBSVM: a library for support vector machines).

With c classes there are c (c - 1) / 2 decisions, in the order (0, 1), (0, 2), ..., (1, 2), ...; a positive one is for
the first class of its pair. Regression and one-class have a single decision.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit import _math
from inferir.kernels.jit._compile import kernel, scalar, scalar_reassociated
from inferir.kernels.jit._tiles import GROUPS, TILE_ROWS, TOTALS, product_tiles, square_tiles
from inferir.kernels.jit._totals import exp_lanes

LINEAR, POLY, RBF, SIGMOID = range(4)

_exp, _integer_power, _tanh = _math.exp, _math.integer_power, _math.tanh


@scalar
def finish_similarities(similarity, r, kind, gamma, coef0, degree):
    """From products to K(u, v): u.v, (gamma u.v + coef0)**degree, tanh(gamma u.v + coef0).

    A loop for each, so that tanh is taken lane by lane.
    """
    n = np.uint64(similarity.shape[1])
    if kind == POLY:
        for s in range(n):
            similarity[r, s] = _integer_power(gamma * similarity[r, s] + coef0, degree)
    elif kind == SIGMOID:
        for s in range(n):
            similarity[r, s] = _tanh(gamma * similarity[r, s] + coef0)


@scalar_reassociated
def weighted(dual_coef, row, similarity, r, begin, end):
    """Sum over support vectors begin..end of coefficient * similarity."""
    total = 0.0
    for s in range(np.uint64(begin), np.uint64(end)):
        total += dual_coef[row, s] * similarity[r, s]
    return total


@kernel
def svm_decision(x, support, dual_coef, intercept, class_begin, kind, gamma, coef0, degree, totals, similarity, out):
    """out[i, p] = intercept[p] + sum over the support vectors s of the pair's classes of coefficient * K(x[i], s).

    Support vectors are sorted by class, class_begin[c]..class_begin[c + 1]; dual_coef[j] holds, for a vector of class
    c, its coefficient against the j-th other class. One class: a single decision over all vectors. All pairs share a
    row's similarities, which are taken for several rows at once; for the RBF kernel from differences, as libsvm does:
    |u|**2 - 2 u.v + |v|**2 would lose the digits of points that are near to each other and far from 0.
    """
    n, m, depth = np.uint64(x.shape[0]), np.uint64(similarity.shape[1]), np.uint64(x.shape[1])
    lanes, n_groups = np.uint64(support.shape[2]), np.uint64(support.shape[0])
    n_classes = class_begin.shape[0] - 1
    for i in range(np.uint64(0), n, np.uint64(TILE_ROWS)):
        rows = min(np.uint64(TILE_ROWS), n - i)
        for group in range(np.uint64(0), n_groups, np.uint64(GROUPS)):
            groups, first = min(np.uint64(GROUPS), n_groups - group), group * lanes
            if kind == RBF:
                square_tiles(x, i * depth, depth, rows, support, group, groups, depth, np.uint64(0), depth, totals)
            else:
                product_tiles(x, i * depth, depth, rows, support, group, groups, depth, np.uint64(0), depth, totals)
            for r in range(rows):
                if kind == RBF:
                    for q in range(groups):
                        exp_lanes(totals, r * np.uint64(TOTALS) + q * lanes, -gamma)
                for s in range(min(m - first, groups * lanes)):
                    similarity[r, first + s] = totals[r, s]
        for r in range(rows):
            finish_similarities(similarity, r, kind, gamma, coef0, degree)
            pair = np.uint64(0)
            for a in range(n_classes):
                for b in range(a + 1, n_classes):
                    value = weighted(dual_coef, b - 1, similarity, r, class_begin[a], class_begin[a + 1])
                    value += weighted(dual_coef, a, similarity, r, class_begin[b], class_begin[b + 1])
                    out[i + r, pair] = value + intercept[pair]
                    pair += np.uint64(1)
            if n_classes == 1:
                out[i + r, 0] = weighted(dual_coef, 0, similarity, r, 0, m) + intercept[0]


@kernel
def svm_vote(x, out):
    """out[i, c] = number of pairs that class c wins; a decision of 0 is for the second of the pair."""
    for i in range(np.uint64(x.shape[0])):
        for c in range(np.uint64(out.shape[1])):
            out[i, c] = 0.0
        pair = np.uint64(0)
        for a in range(out.shape[1]):
            for b in range(a + 1, out.shape[1]):
                out[i, a if x[i, pair] > 0.0 else b] += 1.0
                pair += np.uint64(1)


@kernel
def svm_ovr(x, out):
    """out[i, c] = votes + confidence / (3 (|confidence| + 1)): one column per class from one per pair.

    scikit-learn's _ovr_decision_function: a confidence within (-1/3, 1/3) orders classes of equal votes.
    """
    for i in range(np.uint64(x.shape[0])):
        for c in range(out.shape[1]):
            votes, confidence, pair = 0.0, 0.0, np.uint64(0)
            for a in range(out.shape[1]):
                for b in range(a + 1, out.shape[1]):
                    value = x[i, pair]
                    if c == a:
                        confidence += value
                        votes += 0.0 if value < 0.0 else 1.0
                    elif c == b:
                        confidence -= value
                        votes += 1.0 if value < 0.0 else 0.0
                    pair += np.uint64(1)
            out[i, c] = votes + confidence / (3.0 * (abs(confidence) + 1.0))


@scalar
def pair_probability(decision, a, b):
    """1 / (1 + exp(decision a + b)), kept within [1e-7, 1 - 1e-7] as libsvm does."""
    z = decision * a + b
    e = _exp(-abs(z))
    p = (e if z >= 0.0 else 1.0) / (1.0 + e)
    return min(max(p, 1e-7), 1.0 - 1e-7)


@kernel
def svm_couple(x, prob_a, prob_b, pairwise, matrix, step, out):
    """out[i] = class probabilities from pairwise ones: the second method of Wu, Lin and Weng 2004 (JMLR 5, 975-1005).

    At most max(100, c) rounds, until the largest error is below 0.005 / c: libsvm's own stop, so that answers agree.
    """
    c = out.shape[1]
    for i in range(np.uint64(x.shape[0])):
        pair = np.uint64(0)
        for a in range(c):
            for b in range(a + 1, c):
                pairwise[a, b] = pair_probability(x[i, pair], prob_a[pair], prob_b[pair])
                pairwise[b, a] = 1.0 - pairwise[a, b]
                pair += np.uint64(1)
        for a in range(c):
            out[i, a] = 1.0 / c
            matrix[a, a] = 0.0
            for b in range(c):
                if b != a:
                    matrix[a, a] += pairwise[b, a] * pairwise[b, a]
                    matrix[a, b] = -pairwise[b, a] * pairwise[a, b]
        for _ in range(max(100, c)):
            total = 0.0
            for a in range(c):
                step[a] = 0.0
                for b in range(c):
                    step[a] += matrix[a, b] * out[i, b]
                total += out[i, a] * step[a]
            error = 0.0
            for a in range(c):
                error = max(error, abs(step[a] - total))
            if error < 0.005 / c:
                break
            for a in range(c):
                change = (total - step[a]) / matrix[a, a]
                out[i, a] += change
                total = (total + change * (change * matrix[a, a] + 2.0 * step[a])) / (1.0 + change) / (1.0 + change)
                for b in range(c):
                    step[b] = (step[b] + change * matrix[a, b]) / (1.0 + change)
                    out[i, b] = out[i, b] / (1.0 + change)
