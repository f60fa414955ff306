"""Shapley values from their definition: for each leaf, over all sets of known columns, by their size.

A leaf is a game of its own: it pays its value times, for each column on its path, 1 or 0 if the column is known (does
the row agree with all that the path asks of it) and otherwise the share of training rows that those questions keep.
Sets of one size are added up together, as the coefficients of a polynomial: one for each column on the path.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from inferir.kernels.reference._types import Floats, Integers
from inferir.kernels.reference.tree import _goes_right


def _leaf_paths(root: int, left_child: Integers) -> Iterator[tuple[int, list[tuple[int, bool]]]]:
    """Each leaf below `root`, with its path: nodes, and whether it goes left there."""
    waiting: list[tuple[int, list[tuple[int, bool]]]] = [(int(root), [])]
    while waiting:
        node, path = waiting.pop()
        child = int(left_child[node])
        if child < 0:
            yield ~child, path
        else:
            waiting += [(child + 1, [*path, (node, False)]), (child, [*path, (node, True)])]


def _known_sets(known: list[Floats], unknown: list[float]) -> Floats:
    """Sum, over all sets of each size, of the product of `known` for its members and `unknown` for the others:
    [sizes, rows]."""
    sums = np.ones((1, len(known[0])) if known else (1, 1))
    for one, zero in zip(known, unknown, strict=True):
        larger = np.zeros((len(sums) + 1, sums.shape[1]))
        larger[:-1] += sums * zero
        larger[1:] += sums * one
        sums = larger
    return sums


def tree_shap(
    x: Floats,
    split_index: Integers,
    threshold: Floats,
    left_child: Integers,
    node_flags: Integers,
    category_begin: Integers,
    category_words: Integers,
    leaf_value: Floats,
    tree_root: Integers,
    tree_target: Integers,
    share: Floats,
    kept: Floats,
    above: Integers,
    tree_points: Integers,
    point: Floats,
    weight: Floats,
    columns: Floats,
    left: Floats,
    agrees: Floats,
    gain: Floats,
    carried: Floats,
    expected: Floats,
    total: Floats,
    stack: Integers,
    side: Integers,
    contribution: Floats,
    out: Floats,
) -> None:
    """out[i, f, o] = what column f adds to output o: sum over leaves of (known - unknown) times the sets of others."""
    out[:] = 0
    width = leaf_value.shape[1]
    goes_left = {}
    for node in np.flatnonzero(left_child >= 0).tolist():
        flags, border = np.full(len(x), node_flags[node]), np.full(len(x), threshold[node])
        goes_left[node] = ~_goes_right(x[:, split_index[node]], flags, border, category_begin, category_words)
    for root, target in zip(tree_root, tree_target, strict=True):
        for leaf, path in _leaf_paths(root, left_child):
            known: dict[int, Floats] = {}
            unknown: dict[int, float] = {}
            for node, goes in path:
                column = int(split_index[node])
                known[column] = known.get(column, 1.0) * (goes_left[node] == goes)
                unknown[column] = unknown.get(column, 1.0) * float(share[node] if goes else 1.0 - share[node])
            m = len(known)
            for column in known:
                others = [f for f in known if f != column]
                sums = _known_sets([known[f] for f in others], [unknown[f] for f in others])
                mean = np.zeros(len(x))  # a matrix product would add in another order for another number of rows
                for size, total_of_size in enumerate(sums):
                    mean += total_of_size / (m * math.comb(m - 1, size))
                phi = (known[column] - unknown[column]) * mean
                out[:, column, target : target + width] += phi[:, None] * leaf_value[leaf]


def linear_shap(x: Floats, coef: Floats, mean: Floats, missing: int, out: Floats) -> None:
    """out[i, f, o] = coef[o, f] * (x[i, f] - mean[f]); with `missing`, NaN counts as 0."""
    value = x.astype(np.float64)
    if missing:
        value = np.where(np.isnan(value), 0.0, value)
    out[:] = (value - mean)[:, :, None] * coef.T
