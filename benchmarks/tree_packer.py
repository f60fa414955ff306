"""What makes the arrays of packed forests, when a model is loaded."""

from __future__ import annotations

from benchmarks.common import KernelBenchmark
from benchmarks.tree_packed import Packed


class TreePacker(
    KernelBenchmark,
    cases={"pack_forest/200000_leaves": Packed(), "cut_forest/200000_leaves": Packed()},
):
    """Kernels of `kernels.tree_packer`."""
