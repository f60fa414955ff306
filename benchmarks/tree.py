"""Forests of each kind and size: complete and ragged trees, with and without sets of categories, symmetric ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.common import COLUMNS, SAME_ANSWER_ROWS, Array, Case, Given, KernelBenchmark, below, random, runs
from benchmarks.specs import grown_forest, symmetric_trees
from inferir.kernels.signatures import BLOCK_ROWS

_TERMS = 4


@cache
def _forest(n_trees: int, n_leaves: int, **options: Any) -> Given:
    forest = grown_forest(n_trees, n_leaves, **options)
    tensors = forest.tensors(np.zeros(options.get("values", 1)))
    sets = {"category_begin": np.zeros(1, np.int32), "category_words": np.zeros(0, np.uint32)}
    return {**sets, **tensors, "special": int(forest.special)}


def missing_rows(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal numbers, of which the categories of a node are those above -1 without their fraction; some missing."""
    x = generator.standard_normal(shape)
    x[generator.random(shape) < 0.05] = np.nan
    return x


def _case(n_trees: int, n_leaves: int, reference_rows: int = SAME_ANSWER_ROWS, **options: Any) -> Case:
    def given() -> Given:
        return {**_forest(n_trees, n_leaves, **options), "x": missing_rows}

    return Case(given, {"b": BLOCK_ROWS}, reference_rows)


def _checked() -> Given:
    """The arrays of check_forest: a forest of 400,000 nodes."""
    forest = _forest(100, 2000, values=2)
    return {**forest, "n_columns": COLUMNS, "n_leaves": len(forest["leaf_value"])}


def _linear_leaves(n_trees: int, n_leaves: int) -> Given:
    """LightGBM's linear trees: each leaf a linear model of four terms."""
    total = n_trees * n_leaves
    first_leaf = np.arange(n_trees) * n_leaves
    return {
        "leaf": lambda generator, shape: first_leaf + generator.integers(0, n_leaves, shape),
        "leaf_value": random().standard_normal(total),
        "coef_begin": runs(total, _TERMS),
        "coef_index": below(COLUMNS)(random(), (total * _TERMS,)),
        "tree_target": np.zeros(n_trees),
        "base": np.zeros(1),
    }


def _symmetric(n_trees: int, depth: int) -> Callable[[], Given]:
    return lambda: {**symmetric_trees(n_trees, depth), "scale": 1.0, "x": missing_rows}


class Tree(
    KernelBenchmark,
    cases={
        "forest/100_depth_6": _case(100, 64, complete=True),
        "forest/200_31_leaves": _case(200, 31),
        "forest/200_31_leaves_categories": _case(200, 31, categories=40),
        "forest/100_2000_leaves_2_values": _case(100, 2000, values=2),
        "forest_leaves": _case(200, 31),
        "linear_leaves": Case(partial(_linear_leaves, 200, 31), reference_rows=SAME_ANSWER_ROWS),
        "oblivious/100_depth_6": Case(_symmetric(100, 6), {"b": BLOCK_ROWS}, reference_rows=SAME_ANSWER_ROWS),
        "check_forest/200000_leaves": Case(_checked),
    },
):
    """Kernels of `kernels.tree`."""
