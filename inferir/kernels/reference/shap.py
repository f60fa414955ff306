"""Shapley values from their definition: for each leaf, over all sets of known columns, by their size.

A leaf is a game of its own: it pays its value times, for each column on its path, 1 or 0 if the column is known (does
the row agree with all that the path asks of it) and otherwise the share of training rows that those questions keep.
Sets of one size are added up together, as the coefficients of a polynomial: one for each column on the path.
"""

from __future__ import annotations

import math

import numpy as np

from inferir.kernels.reference._types import Floats, Integers
from inferir.kernels.reference.tree import _goes_right


def _leaf_paths(forks: int, twigs: int, leaf_slot: Integers, parent_slot: Integers) -> list[list[tuple[int, bool]]]:
    """For each leaf of a tree the nodes on the way down to it, and whether it goes left there. Leaves below forks say
    where they are; twigs come behind the forks, and have two each."""
    slots = [*leaf_slot[: forks + 1 - twigs].tolist(), *range(2 * forks + 2, 2 * (forks + twigs) + 2)]
    paths: list[list[tuple[int, bool]]] = []
    for slot in slots:
        paths.append([])
        while slot >= 2:
            node, is_right = divmod(slot - 2, 2)
            paths[-1].insert(0, (node, not is_right))
            slot = int(parent_slot[node])
    return paths


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
    tree: Integers,
    split_index: Integers,
    threshold: Floats,
    node_flags: Integers,
    category_begin: Integers,
    category_words: Integers,
    share: Floats,
    parent_slot: Integers,
    ancestor_slot: Integers,
    repeat: Integers,
    kept: Floats,
    leaf_slot: Integers,
    leaf_value: Floats,
    point: Floats,
    weight: Floats,
    columns: Floats,
    left: Floats,
    gain: Floats,
    agrees: Floats,
    bent: Floats,
    carried: Floats,
    expected: Floats,
    contribution: Floats,
    out: Floats,
) -> None:
    """out[i, f, o] = what column f adds to output o: sum over leaves of (known - unknown) times the sets of others."""
    out[:] = 0
    width, first, leaf = leaf_value.shape[1], 0, 0
    goes_left = []
    for node in range(len(split_index)):
        flags, border = np.full(len(x), node_flags[node]), np.full(len(x), threshold[node])
        goes_left.append(~_goes_right(x[:, split_index[node]], flags, border, category_begin, category_words))
    for forks, twigs, _, target, _, _ in tree.tolist():
        for path in _leaf_paths(forks, twigs, leaf_slot[leaf:], parent_slot[first:]):
            known: dict[int, Floats] = {}
            unknown: dict[int, float] = {}
            for number, goes in path:
                node = first + number
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
            leaf += 1
        first += forks + twigs


def linear_shap(x: Floats, coef: Floats, mean: Floats, missing: int, out: Floats) -> None:
    """out[i, f, o] = coef[o, f] * (x[i, f] - mean[f]); with `missing`, NaN counts as 0."""
    value = x.astype(np.float64)
    if missing:
        value = np.where(np.isnan(value), 0.0, value)
    out[:] = (value - mean)[:, :, None] * coef.T
