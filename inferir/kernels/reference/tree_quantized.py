"""Quantised forests: leaves by walking steps, one tree after the other."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._codes import codes_of
from inferir.kernels.reference._types import Floats, Integers

#: Trees that the compiled kernel walks at once; here, one.
WALKED_TREES = 8


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
