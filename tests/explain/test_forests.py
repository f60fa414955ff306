"""What is derived from covers: shares, closest nodes, points; symmetric trees as nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import TaskError
from inferir.explain import forests
from inferir.explain.forests import Nodes, expected_values, from_symmetric, quadratures, schedule, shares
from inferir.kernels import select
from tests.kernels.test_tree import grow

Array = npt.NDArray[Any]


def nodes(left_child: Any, split_index: Any, cover: Any, roots: Any = (0,)) -> Nodes:
    n = len(left_child)
    return Nodes(
        split_index=np.asarray(split_index, np.int32),
        threshold=np.zeros(n),
        left_child=np.asarray(left_child, np.int32),
        node_flags=np.zeros(n, np.uint8),
        category_begin=np.zeros(1, np.int32),
        category_words=np.zeros(0, np.uint32),
        leaf_value=np.arange(n, dtype=float)[:, None],
        tree_root=np.asarray(roots, np.int32),
        cover=np.asarray(cover, float),
    )


def test_quadratures_are_exact_up_to_their_degree() -> None:
    """The integral of t**k from 0 to 1 is 1 / (k + 1). Rules are padded to vectors, and shared."""
    counts = np.array([3, 1, 0, 8, 20, 3, 5])
    point, weight, length, begin = quadratures(counts)
    assert length.tolist() == [4, 4, 0, 8, 20, 4, 8]
    assert begin[0] == begin[5]
    assert len(point) == len(weight) == 4 + 4 + 8 + 8 + 20
    for count, padded, first in zip(counts.tolist(), length, begin, strict=True):
        rule = slice(first, first + padded)
        assert np.count_nonzero(weight[rule]) == count
        for degree in range(2 * count):
            np.testing.assert_allclose((weight[rule] * point[rule] ** degree).sum(), 1 / (degree + 1), rtol=1e-13)
    assert (point > 0).all()
    assert (point < 1).all()


def test_shares_of_a_tree_by_hand() -> None:
    """Columns 0, 1 and 0 again on the way to the deepest leaves; nobody reached the children of node 4."""
    tree = nodes([1, 3, -1, 5, 7, -2, -3, -4, -5], [0, 1, 0, 0, 0, 0, 0, 0, 0], [9, 6, 3, 6, 0, 2, 4, 0, 0])
    found = shares(tree)
    np.testing.assert_allclose(found.share[[0, 1, 3, 4]], [6 / 9, 1, 1 / 3, 0.5])
    assert found.via[[0, 1, 3, 4]].tolist() == [-1, -1, 1, 1]
    np.testing.assert_allclose(found.kept[[0, 1, 3, 4]], [1, 1, 6 / 9, 6 / 9])
    assert found.points.tolist() == [1]
    assert [level.tolist() for level in found.levels] == [[0], [1, 2], [3, 4], [5, 7, 6, 8]]
    expected = 6 / 9 * (1 / 3 * 1 + 2 / 3 * 2) + 3 / 9 * 0
    np.testing.assert_allclose(expected_values(tree, found), [[expected]])


@given(seed=st.integers(0, 2**32 - 1), n_leaves=st.integers(1, 40), n_columns=st.integers(1, 6))
def test_shares_as_a_walk_finds_them(seed: int, n_leaves: int, n_columns: int) -> None:
    random = np.random.default_rng(seed)
    left_child, depth = grow(random, n_leaves, 0, 0)
    tree = nodes(left_child, random.integers(0, n_columns, len(left_child)), random.integers(0, 9, len(left_child)))
    found = shares(tree)
    most = 0

    def walk(node: int, asked: dict[int, tuple[int, float]]) -> None:
        nonlocal most
        most = max(most, len(asked))
        child = int(tree.left_child[node])
        if child < 0:
            return
        column = int(tree.split_index[node])
        via, kept = asked.get(column, (-1, 1.0))
        assert found.via[node] == via
        np.testing.assert_allclose(found.kept[node], kept)
        for side, share in ((0, found.share[node]), (1, 1 - found.share[node])):
            walk(child + side, {**asked, column: (child + side, kept * share)})

    walk(0, {})
    assert found.points.tolist() == [(most + 1) // 2]
    assert len(found.levels) == max(depth) + 1


def test_schedule_of_a_tree_by_hand() -> None:
    """The tree above, behind one that is a leaf: nodes 0 and 1 are forks, 3 and 4 twigs, which ask column 0 again."""
    left_child = [-6, 2, 4, -1, 6, 8, -2, -3, -4, -5]
    tree = nodes(left_child, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [5, 9, 6, 3, 6, 0, 2, 4, 0, 0], roots=[0, 1])
    found = schedule(tree, shares(tree), np.array([2, 1]))
    assert found.tree.tolist() == [[0, 2, 0, 0], [1, 1, 4, 0]]
    assert found.part.tolist() == [[3, 0, 2, 2, 0, 1, 0, 2, 0]]
    assert found.split_index.tolist() == [0, 1, 0, 0]
    assert found.parent_slot.tolist() == [0, 2, 4, 5]
    assert found.ancestor_slot.tolist() == [1, 1, 2, 2]
    assert found.repeat.tolist() == [0, 0, 1, 2]
    np.testing.assert_allclose(found.share, [6 / 9, 1, 1 / 3, 0.5])
    np.testing.assert_allclose(found.kept, [6 / 9, 6 / 9])
    assert found.leaf_value[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert found.leaf_slot.tolist() == [3, 6, 7, 8, 9]
    assert found.scratch == {"gain": 32, "agrees": 80, "bent": 24, "carried": 48, "expected": 48, "sums": 4}


def test_schedule_of_a_large_tree_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in parts of one node: nodes 0 and 1 at the top, then 3 and 4, which use the same slots."""
    monkeypatch.setattr(forests, "_PART_NODES", 1)
    tree = nodes([1, 3, -1, 5, 7, -2, -3, -4, -5], [0, 1, 0, 0, 0, 0, 0, 0, 0], [9, 6, 3, 6, 0, 2, 4, 0, 0])
    found = schedule(tree, shares(tree), np.array([0]))
    assert found.tree.tolist() == [[4, 0, 4, 0]]
    assert found.part.tolist() == [
        [1, 0, 2, 0, 0, 1, 0, 0, 0],
        [3, 2, 0, 1, 1, 0, 0, 1, 6],
        [3, 3, 0, 1, 3, 0, 1, 1, 6],
        [2, 0, 2, 0, 0, 1, 0, 0, 0],
    ]
    assert found.parent_slot.tolist() == [0, 2, 4, 5]
    assert found.ancestor_slot.tolist() == [1, 1, 2, 2]
    assert found.repeat.tolist() == [0, 0, 4, 4]
    assert found.leaf_slot.tolist() == [3, 8, 9, 8, 9]
    assert found.scratch == {"gain": 32, "agrees": 80, "bent": 40, "carried": 64, "expected": 64, "sums": 4}


@pytest.mark.parametrize(("left_child", "roots"), [([1, 3, 3, -1, -2], [0]), ([1, -1, -2], [0, 1]), ([-1], [0, 0])])
def test_nodes_that_are_below_several_are_refused(left_child: list[int], roots: list[int]) -> None:
    n = len(left_child)
    with pytest.raises(TaskError, match="twice"):
        shares(nodes(left_child, [0] * n, [1] * n, roots))


def test_very_deep_trees_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forests, "MOST_LEVELS", 3)
    with pytest.raises(TaskError, match="at most 3 levels"):
        shares(nodes([1, 3, -1, 5, -2, -3, -4], [0] * 7, [1] * 7))


@given(seed=st.integers(0, 2**32 - 1), depths=st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_symmetric_trees_as_nodes(seed: int, depths: list[int]) -> None:
    """The nodes answer as the kernel for symmetric trees does, and covers of children add up."""
    random = np.random.default_rng(seed)
    splits, leaves = int(sum(depths)), [2**depth for depth in depths]
    equal = random.integers(0, 2, splits).astype(np.uint8)
    symmetric = {
        "split_begin": np.cumsum([0, *depths]),
        "split_index": np.where(equal, 2, random.integers(0, 2, splits)).astype(np.int32),
        "threshold": np.where(equal, random.integers(0, 40, splits), random.normal(size=splits)).astype(np.float32),
        "nan_right": random.integers(0, 2, splits).astype(np.uint8) * (1 - equal),
        "equal": equal,
        "leaf_begin": np.cumsum([0, *leaves]),
        "leaf_value": random.normal(size=(sum(leaves), 1)),
    }
    x = random.choice([*symmetric["threshold"], 0, 1, np.nan], (20, 3)).astype(np.float32)
    x[:, 2] = random.choice([*symmetric["threshold"][equal == 1], -1, 0, 33, np.nan], 20)  # codes of categories
    kernels = select("reference")
    right, found = np.empty((20, 1)), np.empty((20, len(depths)), np.int32)
    scratch = np.empty((3, 20), np.float32), np.empty(20, np.int32)
    kernels["oblivious_f32"](x, *symmetric.values(), np.zeros(1), 1.0, *scratch, right)
    cover = random.integers(0, 9, sum(leaves)).astype(float)
    made = from_symmetric(**symmetric, leaf_cover=cover)
    kernels["forest_leaves_f32"](x, *made[:6], made.tree_root, found)
    np.testing.assert_allclose(symmetric["leaf_value"][found, 0].sum(axis=1), right[:, 0], rtol=1e-12, atol=1e-14)
    inner = np.flatnonzero(made.left_child >= 0)
    children = made.left_child[inner]
    np.testing.assert_array_equal(made.cover[inner], made.cover[children] + made.cover[children + 1])


def test_categories_too_large_are_refused() -> None:
    tensors = {
        "split_begin": np.array([0, 1]),
        "split_index": np.zeros(1, np.int32),
        "threshold": np.array([1e9], np.float32),
        "nan_right": np.zeros(1, np.uint8),
        "equal": np.ones(1, np.uint8),
        "leaf_begin": np.array([0, 2]),
        "leaf_value": np.zeros((2, 1)),
    }
    with pytest.raises(TaskError, match="categories from 0 to"):
        from_symmetric(**tensors, leaf_cover=np.ones(2))
