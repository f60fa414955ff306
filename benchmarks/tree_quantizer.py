"""What makes the tables of quantised forests, when a model is loaded."""

from __future__ import annotations

from benchmarks.common import KernelBenchmark
from benchmarks.tree_quantized import Quantized


class TreeQuantizer(
    KernelBenchmark,
    cases={
        "quantize_forest/500_255_leaves": Quantized(trees=(500, 255)),
        "category_answers/200_31_leaves": Quantized(trees=(200, 31), options={"categories": 40}),
    },
):
    """Kernels of `kernels.tree_quantizer`."""
