"""Naive Bayes: ten classes; the categorical one has 20 categories a column."""

from __future__ import annotations

from benchmarks.common import COLUMNS, Case, KernelBenchmark, below, positive, runs

_CLASSES, _CATEGORIES = 10, 20


class NaiveBayes(
    KernelBenchmark,
    cases={
        "gaussian_nb": Case({"normal": positive}, {"k": _CLASSES, "g": 2, "w": 16}),
        "categorical_nb": Case(
            {"x": below(_CATEGORIES), "begin": runs(COLUMNS, _CATEGORIES)},
            {"k": _CLASSES, "q": COLUMNS * _CATEGORIES},
        ),
    },
):
    """Kernels of `kernels.naive_bayes`."""
