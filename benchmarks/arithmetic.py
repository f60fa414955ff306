"""Arithmetic of graphs, element by element, on 28 columns; operations by their position in kernels.jit.arithmetic."""

from __future__ import annotations

from benchmarks.common import COLUMNS, Case, KernelBenchmark, below

_WIDE = {"k": COLUMNS, "m": 1, "p": 1}

MULTIPLY, POWER = 2, 5
LESS = 1
SQRT, ERF = 1, 7
SUM, MOST = 0, 3


class Arithmetic(
    KernelBenchmark,
    cases={
        "combine/multiply": Case({"operation": MULTIPLY}, _WIDE),
        "combine/power": Case({"operation": POWER}, _WIDE),
        "compare/less": Case({"relation": LESS}, _WIDE),
        "choose": Case({"condition": below(2)}, _WIDE),
        "apply/sqrt": Case({"function": SQRT}, _WIDE),
        "apply/erf": Case({"function": ERF}, _WIDE),
        "reduce/sum": Case({"operation": SUM, "length": COLUMNS}, {"k": 1}),
        "reduce/most": Case({"operation": MOST, "length": 4}, {"k": COLUMNS // 4}),
        "take": Case({"x": below(100)}),
        "pick": Case({"index": below(COLUMNS)}),
        "rank/5_largest": Case({"largest": 1}, {"k": 5}),
    },
):
    """Kernels of `kernels.arithmetic`."""
