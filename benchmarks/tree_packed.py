"""Packed forests: large trees, with one value a leaf and with two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks.common import COLUMNS, SAME_ANSWER_ROWS, Case, Given, KernelBenchmark, recorder
from benchmarks.specs import grown_forest
from inferir.kernels.signatures import BLOCK_ROWS, Signature
from inferir.operators._packer import pack
from inferir.operators._quantizer import SLOTS_NBYTES

_NODES = ("split_index", "threshold", "left_child", "node_flags")
_NO_SETS = (np.zeros(1, np.int32), np.zeros(0, np.uint32))


@cache
def _arrays(width: str, leaf_width: str, values: int) -> Given:
    """Arguments of forest_packed by name, of 100 trees of 2,000 leaves, and those that `pack` gave other kernels."""
    forest = grown_forest(100, 2000, compare=width, accumulate=leaf_width, values=values).tensors(np.zeros(values))
    binder, calls = recorder(width)
    packed = pack(binder, [*(forest[name] for name in _NODES), *_NO_SETS], forest["tree_root"], COLUMNS)
    assert packed is not None
    slots = {"slot_column": packed.slots // 4, "slot_flags": packed.slots % 4}
    tops = {name: getattr(packed.tops, name) for name in ("tree", "tile", "op")}
    tops |= {name: getattr(packed.tops.codes, name) for name in ("group", "cuts", "plane")}
    own = {"node": packed.node, "packed_root": packed.packed_root, "shift": packed.shift}
    entry = {"entry": packed.tops.leaf_row[:, None]}
    rows = packed.n_blocks * BLOCK_ROWS
    lengths = {"h": packed.n_blocks * packed.tops.codes_nbytes, "z": rows * len(packed.slots), "y": rows}
    return {**forest, **own, **slots, **tops, **entry, "lengths": lengths, "calls": calls}


@dataclass(frozen=True)
class Packed(Case):
    """A kernel over a packed forest, or what the operator asks of it while it packs one."""

    values: int = 1
    few: int = 0

    def arguments(self, signature: Signature, rows: int) -> list[Any]:
        dtypes = {a.name: a.dtype for a in signature.arguments}
        width, leaf_width = dtypes.get("x", dtypes.get("threshold", "f32")), dtypes.get("leaf_value", "f64")
        given = {**_arrays(width, leaf_width, self.values), "few": self.few}
        if signature.body in given["calls"]:
            return list(given["calls"][signature.body])
        lengths = {"b": BLOCK_ROWS, "f": SLOTS_NBYTES, **given["lengths"]}
        return Case(given, lengths).arguments(signature, rows)


class TreePacked(
    KernelBenchmark,
    cases={
        "forest_packed/100_2000_leaves": Packed(reference_rows=SAME_ANSWER_ROWS),
        "forest_packed/100_2000_leaves_walked": Packed(reference_rows=SAME_ANSWER_ROWS, few=10_000),
        "forest_packed/100_2000_leaves_2_values": Packed(reference_rows=SAME_ANSWER_ROWS, values=2),
    },
):
    """Kernels of `kernels.tree_packed`."""
