"""Packed forests: large trees, with one value a leaf and with two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks.common import COLUMNS, DTYPES, SAME_ANSWER_ROWS, Array, Case, Given, KernelBenchmark
from benchmarks.specs import grown_forest
from inferir.kernels import select
from inferir.kernels.signatures import BLOCK_ROWS, Signature


@cache
def packing(width: str, values: int) -> dict[str, Array]:
    """Arguments of pack_forest by name: a forest of 100 trees of 2,000 leaves, and what is written, packed."""
    forest = grown_forest(100, 2000, compare=width, values=values).tensors(np.zeros(values))
    n_nodes, n_trees = len(forest["left_child"]), len(forest["tree_root"])
    words = 2 * DTYPES[width]().itemsize // 4
    arguments = {name: forest[name] for name in ("split_index", "threshold", "left_child", "node_flags", "tree_root")}
    arguments |= {name: np.empty(n_nodes, np.int32) for name in ("size", "below", "place")}
    arguments |= {"slot": np.empty(4 * COLUMNS, np.int32), "node": np.zeros(words * (n_nodes + n_trees), np.int32)}
    arguments |= {"packed_root": np.empty(n_trees, np.int32), "out": np.empty(2, np.int64)}
    select("jit")[f"pack_forest_{width}"](*arguments.values())
    return {**forest, **arguments}


@dataclass(frozen=True)
class Packed(Case):
    """A kernel over a packed forest: nodes take as many words as the rows' width has them take."""

    values: int = 1

    def arguments(self, signature: Signature, rows: int) -> list[Any]:
        packed = packing(next(a.dtype for a in signature.arguments if a.name in ("x", "threshold")), self.values)
        slots = np.flatnonzero(packed["slot"] >= 0)
        given: Given = {name: value for name, value in packed.items() if name != "out"}
        given = {**given, "slot_column": slots // 4, "slot_flags": slots % 4, "shift": int(packed["out"][1])}
        return Case(given, {"b": BLOCK_ROWS}).arguments(signature, rows)


class TreePacked(
    KernelBenchmark,
    cases={
        "forest_packed/100_2000_leaves": Packed(reference_rows=SAME_ANSWER_ROWS),
        "forest_packed/100_2000_leaves_2_values": Packed(reference_rows=SAME_ANSWER_ROWS, values=2),
        "pack_forest/200000_leaves": Packed(),
    },
):
    """Kernels of `kernels.tree_packed`."""
