"""Shapley values of forests, complete and ragged, and of a linear model."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from benchmarks.common import COLUMNS, SAME_ANSWER_ROWS, Case, Given, KernelBenchmark, random
from benchmarks.specs import grown_forest
from inferir.explain.forests import Nodes, schedule, shares


@cache
def _explained(n_trees: int, n_leaves: int, complete: bool) -> tuple[Given, dict[str, int]]:
    """Arguments of tree_shap, and the lengths of its scratch."""
    tensors: dict[str, Any] = grown_forest(n_trees, n_leaves, complete=complete).tensors(np.zeros(1))
    tensors |= {"category_begin": np.zeros(1, np.int32), "category_words": np.zeros(0, np.uint32)}
    cover = random().integers(1, 1000, len(tensors["left_child"]))
    nodes = Nodes(**{name: tensors.get(name, cover) for name in Nodes._fields})
    steps = schedule(nodes, shares(nodes), tensors["tree_target"])
    gain, agrees, bent, carried, _, sums = steps.scratch.values()
    return steps._asdict(), {"g": gain, "a": agrees, "h": bent, "s": carried, "b": sums, "k": 1}


def _case(n_trees: int, n_leaves: int, complete: bool = False) -> Case:
    given, lengths = _explained(n_trees, n_leaves, complete)
    return Case(given, lengths, reference_rows=SAME_ANSWER_ROWS)


class Shap(
    KernelBenchmark,
    cases={
        "tree_shap/20_depth_6": _case(20, 64, complete=True),
        "tree_shap/20_31_leaves": _case(20, 31),
        "linear_shap": Case({"mean": np.zeros(COLUMNS), "missing": 1}),
    },
):
    """Kernels of `kernels.shap`."""
