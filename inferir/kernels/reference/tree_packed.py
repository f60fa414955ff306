"""Packed forests, walked from the root to the leaf, one tree after the other."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers
from inferir.kernels.reference.tree import DEFAULT_LEFT, ZERO_MISSING, ZERO_THRESHOLD
from inferir.kernels.reference.tree_packer import LEAF_BITS

#: Values of so many rows lie side by side, and links count them all.
LANES = 8


def forest_packed(
    x: Floats,
    slot_column: Integers,
    slot_flags: Integers,
    node: Integers,
    packed_root: Integers,
    group: Integers,
    cuts: Floats,
    plane: Integers,
    tree: Integers,
    tile: Integers,
    op: Integers,
    entry: Integers,
    leaf_value: Floats,
    tree_target: Integers,
    base: Floats,
    shift: int,
    few: int,
    values: Floats,
    position: Integers,
    lane: Integers,
    reached: Integers,
    rank: Integers,
    columns: Floats,
    codes: Integers,
    slots: Integers,
    sums: Floats,
    out: Floats,
) -> None:
    """out[i, tree_target[t] + j] = base + sum over trees t of leaf_value[leaf, j], in tree order and out's width."""
    word = x.itemsize // 4
    thresholds = node.view(x.dtype)[::2]
    links = node[word :: 2 * word].view(np.uint32).astype(np.int64)
    width = leaf_value.shape[1]
    out[:] = base
    asked = x[:, slot_column]
    zero = np.abs(asked.astype(np.float64)) <= ZERO_THRESHOLD
    missing = np.isnan(asked) | (zero & (slot_flags & ZERO_MISSING != 0))
    asked = np.where(missing, np.where(slot_flags & DEFAULT_LEFT, -np.inf, np.inf).astype(x.dtype), asked)
    rows = np.arange(len(x))
    for root, target in zip(packed_root.tolist(), tree_target.tolist(), strict=True):
        at = np.full(len(x), root)
        for _ in range(len(links)):
            far = links[at] >> shift
            if not far.any():
                break
            right = asked[rows, (links[at] & (2**shift - 1)) // LANES] > thresholds[at]
            at += np.where(far, far + right, 0)
        leaf = node[2 * word * at] & (2**LEAF_BITS - 1)
        out[:, target : target + width] += leaf_value[leaf]
