"""Support vector machines: 1,000 support vectors, one decision or the 45 of ten classes; kernels by their position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.common import COLUMNS, Case, Given, KernelBenchmark, random, runs
from inferir.operators._packing import packed
from inferir.operators.svm import rbf_screen

_VECTORS, _CLASSES = 1000, 10
_PAIRS = _CLASSES * (_CLASSES - 1) // 2
_KINDS = ("linear", "poly", "rbf", "sigmoid")


def _decision(kind: str, n_classes: int) -> Case:
    pairs = max(1, n_classes * (n_classes - 1) // 2)
    given: Mapping[str, Any] = {
        "class_begin": runs(n_classes, _VECTORS // n_classes),
        "kind": _KINDS.index(kind),
        "gamma": 1.0 / COLUMNS,
        "coef0": 0.5,
        "degree": 3,
    }
    return Case(given, {"m": _VECTORS, "g": _VECTORS // 8, "j": max(1, n_classes - 1), "p": pairs}, reference_rows=100)


def _votes() -> Given:
    support, coef = random().standard_normal((_VECTORS, COLUMNS)), random(1).standard_normal(_VECTORS)
    screen = rbf_screen(support, coef, 1.0 / COLUMNS)
    assert screen is not None
    return {
        "support": packed(support), "dual_coef": coef[None], "class_begin": runs(2, _VECTORS // 2),
        "gamma": 1.0 / COLUMNS, **screen._asdict(),
    }  # fmt: skip


_BY_PAIR = {"p": _PAIRS, "c": _CLASSES}


class Svm(
    KernelBenchmark,
    cases={
        **{f"svm_decision/{kind}": _decision(kind, 1) for kind in _KINDS},
        "svm_decision/rbf_10_classes": _decision("rbf", _CLASSES),
        "svm_vote": Case(lengths=_BY_PAIR),
        "svm_vote_rbf": Case(_votes, reference_rows=100),
        "svm_ovr": Case(lengths=_BY_PAIR),
        "svm_couple": Case(lengths=_BY_PAIR, reference_rows=100),
    },
):
    """Kernels of `kernels.svm`."""
