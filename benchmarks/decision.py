"""From scores to answers, and from many estimators to one."""

from __future__ import annotations

from benchmarks.common import Case, KernelBenchmark, below, positive, rising, runs

_CLASSES, _KNOTS, _ESTIMATORS = 8, 100, 50


class Decision(
    KernelBenchmark,
    cases={
        **{name: Case() for name in ("argmax", "argmin", "complement", "calibrate", "add", "affine")},
        **{name: Case({"threshold": 0.5}) for name in ("above", "at_least")},
        "argmax_groups": Case({"begin": runs(2, _CLASSES // 2)}, {"g": 2}),
        "normalize_sum": Case({"x": positive, "uniform": 1}),
        "lookup": Case({"x": below(_CLASSES)}, {"d": _ESTIMATORS, "m": _CLASSES}),
        "weighted_median": Case({"weight": positive}, {"d": _ESTIMATORS}, reference_rows=100),
        "interpolate": Case({"begin": runs(_CLASSES, _KNOTS), "knot": rising(_CLASSES, _KNOTS), "value": positive}),
        "divide": Case({"divisor": positive}),
    },
):
    """Kernels of `kernels.decision`."""
