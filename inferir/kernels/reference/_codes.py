"""Codes of quantised forests and symmetric trees: thresholds are counted, categories looked up."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers
from inferir.kernels.reference.tree import ZERO_THRESHOLD

BLOCK, LAST_CODE = 256, 254

#: Codes of a value that is no category, behind those of the categories.
NAN, ZERO, NEGATIVE_ZERO, FRACTION, OUTSIDE = 0, 1, 2, 3, 4


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
