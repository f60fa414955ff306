"""Shapley values against their twin, and both against the mean over all sets of known columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import inferir.explain.forests as forests_of
from inferir.explain.forests import Nodes, Schedule, schedule, shares
from tests.kernels.test_tree import forests, grow, rows_for
from tests.kernels.twins import INTERPRETED, Array, call, check, examples, matrices, same_bits, widths


def explained(forest: Mapping[str, Any], cover: Array) -> tuple[dict[str, Any], dict[str, int]]:
    """Arguments of tree_shap for a forest, and the lengths of scratch."""
    nodes = Nodes(**{name: cover if name == "cover" else np.asarray(forest[name]) for name in Nodes._fields})
    steps = schedule(nodes, shares(nodes), np.asarray(forest["tree_target"]))
    return steps._asdict(), lengths(steps, len(forest["base"]))


def lengths(steps: Schedule, outputs: int) -> dict[str, int]:
    """Of scratch, by their letters."""
    gain, agrees, bent, carried, expected, sums = steps.scratch.values()
    assert carried == expected
    return {"g": gain, "a": agrees, "h": bent, "s": carried, "b": sums, "k": outputs}


def magnitude(forest: Mapping[str, Any]) -> float:
    """What no sum of leaves exceeds."""
    return float(np.abs(forest["leaf_value"]).sum())


@pytest.mark.parametrize("width", ["f32", "f64"])
@given(data=st.data())
@examples(40)
def test_tree_shap(width: str, data: Any) -> None:
    forest = data.draw(forests(width))
    x = data.draw(rows_for(forest, width))[: 70 if INTERPRETED else 140]
    n_nodes = len(forest["left_child"])
    cover = data.draw(hnp.arrays(np.float64, n_nodes, elements=st.integers(0, 9).map(float)))
    whole = data.draw(st.sampled_from([1, 3, forests_of._PART_NODES]))
    with mock.patch.object(forests_of, "_PART_NODES", whole):
        arguments, sizes = explained(forest, cover)
    check(f"tree_shap_{width}", {"x": x, **arguments}, sizes, relative=1e-11, size=magnitude(forest))


@given(data=st.data())
@examples(40)
def test_the_definition(data: Any) -> None:
    """The mean, over all orders in which columns become known, of what knowing a column adds."""
    forest = data.draw(forests("f64"))
    x = data.draw(rows_for(forest, "f64"))[:2]
    n_nodes = len(forest["left_child"])
    cover = data.draw(hnp.arrays(np.float64, n_nodes, elements=st.integers(0, 9).map(float)))
    arguments, sizes = explained(forest, cover)
    given = {"x": x, **arguments}
    share = shares(Nodes(**{f: cover if f == "cover" else np.asarray(forest[f]) for f in Nodes._fields})).share
    d = forest["n_columns"]
    nodes = [forest[name] for name in ("split_index", "threshold", "left_child", "node_flags")]
    sets = forest["category_begin"], forest["category_words"]
    for i, row in enumerate(x):
        worth = {
            known: expected(forest, share, nodes, sets, row, set(known))
            for size in range(d + 1)
            for known in combinations(range(d), size)
        }
        for column in range(d):
            right = sum(
                (worth[tuple(sorted((*known, column)))] - worth[known]) / (d * math.comb(d - 1, len(known)))
                for known in worth
                if column not in known
            )
            for backend in ("jit", "reference"):
                found = call(backend, "tree_shap_f64", given, sizes)["out"][i, column]
                np.testing.assert_allclose(found, right, rtol=0, atol=1e-11 * max(magnitude(forest), 1e-300))


def expected(
    forest: Mapping[str, Any], share: Array, nodes: list[Any], sets: tuple[Any, Any], row: Array, known: set[int]
) -> Array:
    """The forest's expected answer for a row of which only the columns `known` are known, (outputs,)."""
    split_index, threshold, left_child, node_flags = map(np.asarray, nodes)
    leaf_value = np.asarray(forest["leaf_value"], np.float64)

    def below(node: int) -> Array:
        child = int(left_child[node])
        if child < 0:
            return leaf_value[~child]
        if int(split_index[node]) not in known:
            return share[node] * below(child) + (1 - share[node]) * below(child + 1)
        alone = {"split_index": [0, 0, 0], "threshold": [threshold[node], 0, 0], "left_child": [1, -1, -2]}
        alone |= {"node_flags": [node_flags[node], 0, 0], "category_begin": sets[0], "category_words": sets[1]}
        value = row[None, [split_index[node]]]
        leaf = call("reference", "forest_leaves_f64", {"x": value, "tree_root": [0], **alone})["out"][0, 0]
        return below(child + int(leaf))

    answer = np.zeros(len(forest["base"]))
    for root, target in zip(forest["tree_root"], forest["tree_target"], strict=True):
        answer[target : target + leaf_value.shape[1]] += below(int(root))
    return answer


def ragged(n_leaves: int, n_columns: int) -> dict[str, Any]:
    random = np.random.default_rng(n_leaves)
    left_child, _ = grow(random, n_leaves, 0, 0)
    n_nodes = len(left_child)
    return {
        "split_index": random.integers(0, n_columns, n_nodes),
        "threshold": random.normal(size=n_nodes),
        "left_child": np.array(left_child, np.int32),
        "node_flags": np.zeros(n_nodes, np.uint8),
        "category_begin": [0],
        "category_words": [],
        "leaf_value": random.normal(size=(n_leaves, 1)),
        "tree_root": np.array([0], np.int32),
        "tree_target": [0],
        "base": [0.0],
        "n_columns": n_columns,
    }


def test_a_long_path_of_different_columns() -> None:
    """A chain of 40 nodes, each of which asks another column: 20 points, and still all digits."""
    depth = 40
    forest = ragged(depth + 1, depth)
    forest["left_child"] = np.array([1] + [v for k in range(depth) for v in (~k, 2 * k + 3)])[: 2 * depth + 1]
    forest["left_child"][-1] = ~depth
    forest["split_index"] = np.repeat(np.arange(depth + 1), 2)[: 2 * depth + 1] % depth
    order = {0: 0} | {2 * k + 2: k + 1 for k in range(depth)}
    for node, column in order.items():
        forest["split_index"][node] = column % depth
    random = np.random.default_rng(5)
    cover = random.integers(1, 50, 2 * depth + 1).astype(float)
    arguments, sizes = explained(forest, cover)
    assert arguments["tree"][:, 2].tolist() == [depth // 2]
    x = random.normal(size=(6, depth))
    check("tree_shap_f64", {"x": x, **arguments}, sizes, relative=1e-10, size=magnitude(forest))


@pytest.mark.skipif(INTERPRETED, reason="as many points are a matter of arithmetic, not of compiling; slow so")
@pytest.mark.parametrize("points", [5, 8, 9, 12, 13, 16])
@pytest.mark.parametrize("rows", [1, 2, 50])
def test_more_points_change_nothing(points: int, rows: int) -> None:
    """Nine columns need five points; whatever vectors more of them fill, the values are the same. Four are too few."""
    forest = ragged(200, 9)
    x = np.random.default_rng(1).normal(size=(rows, 9))
    cover = np.random.default_rng(2).integers(1, 50, len(forest["left_child"])).astype(float)
    nodes = Nodes(**{name: cover if name == "cover" else np.asarray(forest[name]) for name in Nodes._fields})
    derived = shares(nodes)
    assert derived.points.tolist() == [5]
    enough, found, wrong = (
        call("jit", "tree_shap_f64", {"x": x, **steps._asdict()}, lengths(steps, 1))["out"]
        for steps in (
            schedule(nodes, derived._replace(points=np.array([count])), np.zeros(1, np.int64))
            for count in (5, points, 4)
        )
    )
    np.testing.assert_allclose(found, enough, rtol=0, atol=1e-13 * magnitude(forest))
    assert np.abs(wrong - enough).max() > 1e-9


@pytest.mark.skipif(INTERPRETED, reason="a large tree takes minutes interpreted")
@pytest.mark.parametrize("rows", [1, 8, 11])
@pytest.mark.parametrize("nodes_of_a_part", [5, 40, 200])
def test_cutting_a_large_tree_changes_nothing_but_the_order_of_sums(rows: int, nodes_of_a_part: int) -> None:
    forest = ragged(700, 24)
    x = np.random.default_rng(1).normal(size=(rows, 24))
    cover = np.random.default_rng(2).integers(1, 50, len(forest["left_child"])).astype(float)
    found = []
    for most in (nodes_of_a_part, 1000):
        with mock.patch.object(forests_of, "_PART_NODES", most):
            arguments, sizes = explained(forest, cover)
        assert (len(arguments["part"]) > 1) == (most < 1000)
        found.append(call("jit", "tree_shap_f64", {"x": x, **arguments}, sizes)["out"])
    np.testing.assert_allclose(*found, rtol=0, atol=1e-14 * magnitude(forest))


@given(data=st.data(), width=widths, missing=st.integers(0, 1))
@examples(40)
def test_linear_shap(data: Any, width: str, missing: int) -> None:
    x = data.draw(matrices(width))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    coef, mean = random.normal(size=(2, x.shape[1])), random.normal(size=x.shape[1])
    given = {"x": x, "coef": coef, "mean": mean, "missing": missing}
    out = check(f"linear_shap_{width}", given)["out"]
    value = np.where(np.isnan(x), 0.0, x) if missing else x
    with np.errstate(over="ignore"):  # of the largest numbers
        right = (np.float64(value)[:, :, None] - mean[:, None]) * coef.T
    assert same_bits(out, right)
