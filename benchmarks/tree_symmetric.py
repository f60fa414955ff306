"""Symmetric trees over codes: batches, and row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.common import SAME_ANSWER_ROWS, Case, KernelBenchmark
from benchmarks.specs import symmetric_trees
from benchmarks.tree import missing_rows
from inferir.kernels.signatures import BLOCK_ROWS, Signature
from inferir.operators._quantizer import NUMBERS_NBYTES, quantize_symmetric, room_for_leaves


@dataclass(frozen=True)
class Symmetric(Case):
    """A hundred trees of six levels."""

    few: int = 0

    def arguments(self, signature: Signature, rows: int) -> list[Any]:
        trees = symmetric_trees(100, 6)
        tables = quantize_symmetric(trees["split_index"], trees["threshold"], trees["nan_right"])
        assert tables is not None
        leaf = room_for_leaves(len(trees["leaf_value"]), trees["leaf_value"])
        leaf[: len(trees["leaf_value"])] = trees["leaf_value"]
        given = {**trees, **tables._asdict(), "leaf_value": leaf, "scale": 1.0, "few": self.few, "x": missing_rows}
        lengths = {"b": BLOCK_ROWS, "y": BLOCK_ROWS, "s": tables.codes_nbytes, "f": NUMBERS_NBYTES}
        return Case(given, lengths).arguments(signature, rows)


class TreeSymmetric(
    KernelBenchmark,
    cases={
        "oblivious_quantized/100_depth_6": Symmetric(reference_rows=SAME_ANSWER_ROWS),
        "oblivious_quantized/100_depth_6_by_row": Symmetric(few=BLOCK_ROWS, reference_rows=SAME_ANSWER_ROWS),
    },
):
    """Kernels of `kernels.tree_symmetric`."""
