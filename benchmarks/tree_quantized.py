"""Quantised forests: complete and ragged trees, small and large, with and without sets of categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from benchmarks.common import SAME_ANSWER_ROWS, Case, Given, KernelBenchmark, recorder
from benchmarks.specs import grown_forest
from inferir.kernels.signatures import BLOCK_ROWS, Signature
from inferir.operators._quantizer import SLOTS_NBYTES, quantize

_NODES = ("split_index", "threshold", "left_child", "node_flags", "category_begin", "category_words")
_NO_SETS = {"category_begin": np.zeros(1, np.int32), "category_words": np.zeros(0, np.uint32)}


@cache
def _tables(width: str, leaf_width: str, n_trees: int, n_leaves: int, **options: Any) -> Given:
    """Arguments of forest_quantized by name, and those that `quantize` gave the other kernels."""
    forest = _NO_SETS | grown_forest(n_trees, n_leaves, compare=width, accumulate=leaf_width, **options).tensors([0.0])
    binder, calls = recorder(width)
    nodes = [forest[name] for name in _NODES]
    leaf_value = forest["leaf_value"]
    tables = quantize(binder, nodes, forest["tree_root"], forest["tree_target"], leaf_value.shape[1])
    assert tables is not None
    quantized = tables.over(leaf_value)
    return {**quantized._asdict(), "base": forest["base"], "codes_nbytes": quantized.codes_nbytes, "calls": calls}


@dataclass(frozen=True)
class Quantized(Case):
    """A kernel over a forest of `trees` (trees, leaves), or what the operator asks of it while it makes one."""

    trees: tuple[int, int] = (100, 64)
    options: Mapping[str, Any] = field(default_factory=dict)
    few: int = 0

    def arguments(self, signature: Signature, rows: int) -> list[Any]:
        dtypes = {a.name: a.dtype for a in signature.arguments}
        width = dtypes.get("x", dtypes.get("threshold", "f32"))
        given = {**_tables(width, dtypes.get("leaf", "f64"), *self.trees, **self.options), "few": self.few}
        if signature.body in given["calls"]:
            return list(given["calls"][signature.body])
        lengths = {"b": BLOCK_ROWS, "e": given["codes_nbytes"], "f": SLOTS_NBYTES}
        return Case(given, lengths).arguments(signature, rows)


class TreeQuantized(
    KernelBenchmark,
    cases={
        "forest_quantized/100_depth_6": Quantized(trees=(100, 64), options={"complete": True}),
        "forest_quantized/100_depth_6_walked": Quantized(trees=(100, 64), options={"complete": True}, few=BLOCK_ROWS),
        "forest_quantized/200_31_leaves": Quantized(trees=(200, 31)),
        "forest_quantized/200_31_leaves_categories": Quantized(trees=(200, 31), options={"categories": 40}),
        "forest_quantized/500_255_leaves": Quantized(trees=(500, 255), reference_rows=SAME_ANSWER_ROWS),
    },
):
    """Kernels of `kernels.tree_quantized`."""
