"""Quantised forests: codes by counting thresholds, leaves by walking steps, one tree after the other."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers
from inferir.kernels.reference.tree import ZERO_THRESHOLD

BLOCK, LAST_CODE = 256, 254

#: Codes of a value that is no category, behind those of the categories.
NAN, ZERO, NEGATIVE_ZERO, FRACTION, OUTSIDE = 0, 1, 2, 3, 4

#: Trees that the compiled kernel walks at once; here, one.
WALKED_TREES = 8


def codes_of(x: Floats, group: Integers, cuts: Floats, plane: Integers, sets: Integers, answer: Integers) -> Integers:
    """A code for each row and plane. Thresholds are those of a group's last level, without the padding."""
    codes = np.zeros((len(x), int(sets[-1, 2])), np.int64)
    with np.errstate(invalid="ignore"):
        zero = np.abs(x.astype(np.float64)) <= ZERO_THRESHOLD
    for g, (column, zero_missing, levels, first, *begins) in enumerate(group[:-1].tolist()):
        later = [row[4] for row in group[g + 1 : -1].tolist()]
        thresholds = cuts[begins[levels - 1] : later[0] if later else None].reshape(-1)
        value = x[:, column]
        missing = np.isnan(value) | (zero[:, column] & bool(zero_missing))
        rank = (thresholds[None, :] < value[:, None]).sum(axis=1)
        for p in range(first, int(group[g + 1, 3])):
            codes[:, p] = np.where(missing, plane[p, 1], np.clip(rank - plane[p, 0], 0, LAST_CODE))
    for h, (column, count, first, begin) in enumerate(sets[:-1].tolist()):
        value = x[:, column]
        code = np.full(len(x), count + OUTSIDE)
        known = (value >= 0) & (value < count)
        code[known] = value[known].astype(np.int64)
        code[(value > -1) & (value < 0)] = count + FRACTION
        code[zero[:, column]] = count + ZERO
        code[zero[:, column] & (value < 0)] = count + NEGATIVE_ZERO
        code[np.isnan(value)] = count + NAN
        for i, p in enumerate(range(first, int(sets[h + 1, 2]))):
            codes[:, p] = answer[begin + i * (count + (OUTSIDE + 1)) + code]
    return codes


def forest_quantized(
    x: Floats,
    group: Integers,
    cuts: Floats,
    plane: Integers,
    sets: Integers,
    answer: Integers,
    tree: Integers,
    tile: Integers,
    op: Integers,
    leaf: Floats,
    step: Integers,
    step_leaf: Integers,
    base: Floats,
    few: int,
    rank: Integers,
    columns: Floats,
    codes: Integers,
    slots: Integers,
    sums: Floats,
    reached: Integers,
    out: Floats,
) -> None:
    """out = base + sum over trees of the leaf's row, in tree order, at the tree's target."""
    of_rows = codes_of(x, group, cuts, plane, sets, answer)
    word = step.view(np.uint32).astype(np.int64)
    asked, distance, needed = word >> 17, word >> 8 & 511, word & 255
    out[:] = base
    rows = np.arange(len(x))
    for _, _, _, target, _, _, first_step, _ in tree[:-1].tolist():
        at = np.full(len(x), first_step)
        while distance[at].any():
            at += np.where(distance[at], distance[at] + (of_rows[rows, asked[at]] >= needed[at]), 0)
        out[:, target : target + leaf.shape[1]] += leaf[step_leaf[at]]
