"""Symmetric trees over codes: answers of the levels as a matrix, tree by tree."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._codes import codes_of
from inferir.kernels.reference._types import Floats, Integers


def oblivious_quantized(
    x: Floats,
    group: Integers,
    cuts: Floats,
    plane: Integers,
    sets: Integers,
    answer: Integers,
    level: Integers,
    split_begin: Integers,
    leaf_begin: Integers,
    leaf_value: Floats,
    base: Floats,
    scale: float,
    few: int,
    rank: Integers,
    columns: Floats,
    codes: Integers,
    numbers: Integers,
    sums: Floats,
    out: Floats,
) -> None:
    """out = base + scale * sum over trees; a leaf's number in its tree is the answers of the levels, low bit first."""
    asked, needed = level >> 8, level & 255
    answers = codes_of(x, group, cuts, plane, sets, answer)[:, asked] >= needed
    out[:] = 0
    for t in range(split_begin.size - 1):
        own = answers[:, split_begin[t] : split_begin[t + 1]]
        out += leaf_value[leaf_begin[t] + own @ (1 << np.arange(own.shape[1]))]
    out *= scale
    out += base
