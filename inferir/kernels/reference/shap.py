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


def _leaf_paths(
    parts: Integers, leaf_slot: Integers, parent_slot: Integers
) -> Iterator[tuple[int, list[tuple[int, bool]]]]:
    """Each leaf of a tree, and the nodes on the way down to it, with whether it goes left there. Parts of a tree take
    turns in using slots."""
    path_to: dict[int, list[tuple[int, bool]]] = {0: []}
    for phases, first, forks, twigs, leaf, strays, _, _, base in parts.tolist():
        if phases == 2:
            continue
        for i in range(forks + twigs):
            for side in (0, 1):
                path = path_to[int(parent_slot[first + i])]
                path_to[base + 2 * i + 2 + side] = [*path, (first + i, side == 0)]
        for number in range(leaf, leaf + strays):
            yield number, path_to[int(leaf_slot[number])]
        for number in range(2 * twigs):
            yield leaf + strays + number, path_to[base + 2 * forks + 2 + number]


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
    part: Integers,
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
    width, parts = leaf_value.shape[1], 0
    goes_left = []
    for node in range(len(split_index)):
        flags, border = np.full(len(x), node_flags[node]), np.full(len(x), threshold[node])
        goes_left.append(~_goes_right(x[:, split_index[node]], flags, border, category_begin, category_words))
    for n_parts, target, _, _ in tree.tolist():
        for leaf, path in _leaf_paths(part[parts : parts + n_parts], leaf_slot, parent_slot):
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
        parts += n_parts


def linear_shap(x: Floats, coef: Floats, mean: Floats, missing: int, out: Floats) -> None:
    """out[i, f, o] = coef[o, f] * (x[i, f] - mean[f]); with `missing`, NaN counts as 0."""
    value = x.astype(np.float64)
    if missing:
        value = np.where(np.isnan(value), 0.0, value)
    out[:] = (value - mean)[:, :, None] * coef.T
