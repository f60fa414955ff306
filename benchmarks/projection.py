"""Projections: 100 columns onto 10, as PCA makes them."""

from __future__ import annotations

from benchmarks.common import Case, KernelBenchmark, positive


class Projection(
    KernelBenchmark,
    cases={"project": Case({"scale": positive}, {"d": 100, "k": 10})},
):
    """Kernels of `kernels.projection`."""
