"""Linear models: a matrix product, and XGBoost's in its own order of sums."""

from __future__ import annotations

from benchmarks.common import Case, KernelBenchmark


class Linear(
    KernelBenchmark,
    cases={
        "matmul/1_output": Case({"relu": 0}, {"k": 1}),
        "matmul/10_outputs_784_columns": Case({"relu": 0}, {"k": 10, "d": 784}, reference_rows=100),
        "dot/1_output": Case(lengths={"k": 1, "v": 4}),
        "linear_in_order": Case(lengths={"k": 1}),
    },
):
    """Kernels of `kernels.linear`."""
