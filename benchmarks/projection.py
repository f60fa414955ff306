"""Projections: 100 columns onto 10, as PCA makes them without whitening."""

from __future__ import annotations

import numpy as np

from benchmarks.common import Case, KernelBenchmark


class Projection(
    KernelBenchmark,
    cases={"project": Case({"scale": np.ones(10)}, {"d": 100, "k": 10})},
):
    """Kernels of `kernels.projection`."""
