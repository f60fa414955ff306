"""Support vector machines as libsvm defines them (Chang and Lin 2011, LIBSVM: a library for support vector machines).

With c classes there are c (c - 1) / 2 decisions, in the order (0, 1), (0, 2), ..., (1, 2), ...; a positive one is for
the first class of its pair. Regression and one-class have a single decision.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit import _math
from inferir.kernels.jit._compile import kernel, scalar, scalar_reassociated
from inferir.kernels.jit._simd import registers_nbytes
from inferir.kernels.jit._tiles import GROUPS, TILE_ROWS, TOTALS, product_tiles, square_tiles
from inferir.kernels.jit._totals import add_powers, add_powers_within, exp_lanes

LINEAR, POLY, RBF, SIGMOID = range(4)

LN2 = 0.6931471805599453

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


@scalar
def decide(
    x, i, rows, support, dual_coef, intercept, class_begin, kind, gamma, coef0, degree, totals, similarity, out, to
):  # fmt: skip
    """The decisions of up to TILE_ROWS rows from row i on, into those from row `to` on."""
    m, depth = np.uint64(similarity.shape[1]), np.uint64(x.shape[1])
    lanes, n_groups = np.uint64(support.shape[2]), np.uint64(support.shape[0])
    n_classes = class_begin.shape[0] - 1
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
                out[to + r, pair] = value + intercept[pair]
                pair += np.uint64(1)
        if n_classes == 1:
            out[to + r, 0] = weighted(dual_coef, 0, similarity, r, 0, m) + intercept[0]


@kernel
def svm_decision(x, support, dual_coef, intercept, class_begin, kind, gamma, coef0, degree, totals, similarity, out):
    """out[i, p] = intercept[p] + sum over the support vectors s of the pair's classes of coefficient * K(x[i], s).

    Support vectors are sorted by class, class_begin[c]..class_begin[c + 1]; dual_coef[j] holds, for a vector of class
    c, its coefficient against the j-th other class. One class: a single decision over all vectors. All pairs share a
    row's similarities, which are taken for several rows at once; for the RBF kernel from differences, as libsvm does:
    |u|**2 - 2 u.v + |v|**2 would lose the digits of points that are near to each other and far from 0.
    """
    n = np.uint64(x.shape[0])
    for i in range(np.uint64(0), n, np.uint64(TILE_ROWS)):
        decide(
            x, i, min(np.uint64(TILE_ROWS), n - i), support, dual_coef, intercept, class_begin, kind, gamma, coef0,
            degree, totals, similarity, out, i
        )  # fmt: skip


@scalar
def narrow_row(x, i, center, scale, narrow, r):
    """Row i about the center, times `scale`, in float32, behind a 1 that meets vectors' half squares; its square."""
    narrow[r, 0], square = 1.0, 0.0
    for f in range(np.uint64(x.shape[1])):
        value = scale * (x[i, f] - center[f])
        narrow[r, f + np.uint64(1)] = value
        square += value * value
    return square


@scalar
def decision_slack(size, total_size, square, reach, depth, n_tiles):
    """How far a decision by powers of two in float32 may be off, at most; infinitely where that cannot be said.

    An exponent is -|x - v|**2 / 2, by x.v - |v|**2 / 2 - |x|**2 / 2. Rounding what goes in, and `depth` multiply-adds,
    each by 2**-24 at most (twice, where they are not fused), puts it off by less than (depth + 8) 2**-24
    (|x| + |v|)**2 / 2 (Higham 2002, Accuracy and Stability, section 3.1). A power may be off by 3e-6 of it, and a sum
    of the terms, whose sizes add up to `size`, by 2**-24 for each of those that a lane adds.
    """
    length = np.sqrt(square) + reach
    rounding = 6e-8 if registers_nbytes() >= np.uint64(512) else 1.2e-7
    exponent = (1.1 * depth + 8.0) * rounding * 0.5 * length * length
    if not exponent < 0.1:
        return np.inf
    return 1.01 * size * (0.75 * exponent + 3e-6 + 6e-8 * (n_tiles + 12.0)) + 1e-37 * total_size + 1e-37


@scalar
def moderate(square, reach, total_size):
    """Whether 2**(x.v - |v|**2 / 2) is between 2**-100 and 2**60 for all support vectors v, and sums stay in float32:
    then 2**(-|x|**2 / 2) may be multiplied at the end."""
    return square < 120.0 and reach * (np.sqrt(square) + 0.5 * reach) < 100.0 and total_size < 1e15


@scalar
def add_group(products, rows, half, within, coef, first, sums, to):
    """Add the terms of a tile of products to the sums of its rows, from column `to` on."""
    for r in range(rows):
        at, place = r * np.uint64(TOTALS), r * np.uint64(sums.shape[1]) + to
        if within[r]:
            add_powers_within(products, at, coef, first, sums, place)
        else:
            add_powers(products, at, np.float32(half[r]), coef, first, sums, place)


@kernel
def svm_vote_rbf(
    x, support, dual_coef, intercept, class_begin, gamma, center, scale, reach, packed, coef, n_positive, total_size,
    narrow, half, within, products, sums, waiting, undecided, totals, similarity, decision, out
):  # fmt: skip
    """As `svm_vote` of `svm_decision`, for two classes and the RBF kernel: votes, but no decisions.

    In float32, a product of matrices about `center` and powers of two give decisions with a bound on their error; rows
    whose decision is nearer to 0 are decided in double, a few at a time, so votes are the same. `packed` are the
    support vectors times `scale` = sqrt(2 gamma log2 e), behind minus half of their squares, `reach` is the farthest
    one's length, and `total_size` the sum of the sizes of `coef`, which are their coefficients: not below 0 in the
    first `n_positive` groups, not above it in the others, so that a sum's size needs no sum of its own.
    """
    n, depth = np.uint64(x.shape[0]), np.uint64(narrow.shape[1])
    lanes, n_groups, zero, one = np.uint64(packed.shape[2]), np.uint64(packed.shape[0]), np.uint64(0), np.uint64(1)
    four, n_waiting = np.uint64(GROUPS), np.uint64(0)
    for i in range(zero, n, np.uint64(TILE_ROWS)):
        rows = min(np.uint64(TILE_ROWS), n - i)
        for r in range(rows):
            square = narrow_row(x, i + r, center, scale, narrow, r)
            half[r], within[r] = 0.5 * square, moderate(square, reach, total_size)
            for lane in range(sums.shape[1]):
                sums[r, lane] = 0.0
        for group in range(zero, n_groups, four):
            product_tiles(narrow, zero, depth, rows, packed, group, four, depth, zero, depth, products)
            to = zero if group < np.uint64(n_positive) else lanes
            add_group(products, rows, half, within, coef, group * lanes, sums, to)
        for r in range(rows):
            positive, negative = 0.0, 0.0
            for lane in range(lanes):
                positive += sums[r, lane]
                negative += sums[r, lane + lanes]
            factor = _exp(-LN2 * half[r]) if within[r] else 1.0
            value, size = intercept[0] + factor * (positive + negative), factor * (positive - negative)
            slack = decision_slack(size, total_size, 2.0 * half[r], reach, depth, n_groups // four)
            first = value > 0.0
            out[i + r, 0], out[i + r, 1] = 1.0 if first else 0.0, 0.0 if first else 1.0
            if not abs(value) > slack + 1e-9 * (size + abs(intercept[0])):
                waiting[n_waiting] = np.int64(i + r)
                for f in range(np.uint64(x.shape[1])):
                    undecided[n_waiting, f] = x[i + r, f]
                n_waiting += one
            if n_waiting == np.uint64(TILE_ROWS) or (n_waiting > zero and i + r + one == n):
                decide(
                    undecided, zero, n_waiting, support, dual_coef, intercept, class_begin, RBF, gamma, 0.0, 0, totals,
                    similarity, decision, zero
                )  # fmt: skip
                for w in range(n_waiting):
                    first = decision[w, 0] > 0.0
                    place = np.uint64(waiting[w])
                    out[place, 0], out[place, 1] = 1.0 if first else 0.0, 0.0 if first else 1.0
                n_waiting = zero


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
