"""Tables of quantised forests: what is refused, what steps and levels say, which way categories go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.kernels.jit import tree_quantized, tree_quantizer
from inferir.operators._quantizer import SLOTS_NBYTES, WALKED_TREES
from tests.kernels.test_tree import CATEGORICAL, forests, grow
from tests.kernels.test_tree_quantized import LINE, NODES, chain, complete, grown, tables
from tests.kernels.twins import check, examples


def test_scratch_of_the_operator_is_what_kernels_take() -> None:
    assert SLOTS_NBYTES == LINE + tree_quantized.BLOCK * tree_quantizer.N_SLOTS
    assert WALKED_TREES == tree_quantized.WALKED_TREES


@pytest.mark.parametrize("backend", ["jit", "reference"])
def test_levels_are_those_of_the_deepest_of_eight_trees(backend: str) -> None:
    depths = [3, 0, 5, 4, 3, 1, 0, 2, 1, 0, 2]
    quantized = tables(grown([*map(complete, depths), chain(40, right=True)]), "f32", "f64", backend)
    assert quantized is not None
    assert quantized["tree"][::WALKED_TREES, 7].tolist() == [5, 40]


def test_257_leaves_are_too_many() -> None:
    random = np.random.default_rng(0)
    shapes = [grow(random, n, 0, 0)[0] for n in (3, 257, 3)]
    for backend in ("jit", "reference"):
        assert tables(grown(shapes), "f32", "f64", backend) is None


def test_shared_nodes_are_no_trees() -> None:
    forest = grown([complete(2)])
    for change in ({"tree_root": [0, 0]}, {"tree_root": [1, 0]}, {"tree_root": [0, 1]}):
        for backend in ("jit", "reference"):
            assert tables(forest | change | {"tree_target": [0, 0]}, "f32", "f64", backend) is None
    n = 60  # each node's children both have the next two for children: 2**60 ways down
    left_child = np.array([1, *np.repeat(np.arange(3, 2 * n, 2), 2).tolist(), ~0, ~1], np.int32)
    nodes = {name: np.zeros(len(left_child)) for name in ("split_index", "threshold", "node_flags")}
    for backend in ("jit", "reference"):
        assert tables(forest | nodes | {"left_child": left_child}, "f32", "f64", backend) is None


@pytest.mark.parametrize("width", ["f32", "f64"])
@given(data=st.data())
@examples(25)
def test_category_answers(width: str, data: Any) -> None:
    """Of every code, for sets of several lengths and all flags; and the values that the codes are of."""
    forest = data.draw(forests(width))
    chosen = np.flatnonzero((np.array(forest["left_child"]) >= 0) & (np.array(forest["node_flags"]) & CATEGORICAL > 0))
    n_words = np.diff(forest["category_begin"])
    counts = 32 * (n_words[np.array(forest["threshold"])[chosen].astype(int)] + len(chosen) % 2)
    begin = np.cumsum([0, *(counts + 5)])
    given = {name: forest[name] for name in NODES[1:]}
    given |= {"node": chosen, "n_categories": counts, "begin": begin[:-1]}
    check(f"category_answers_{width}", given, {"e": int(begin[-1])})
