"""Covers and leaves on their way into a forest's tensors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.tree import DecisionTreeRegressor

import inferir
from inferir.errors import ModelLoadError
from inferir.formats.importers._forest import Forest, Tree, narrowed, shared_leaves

X = np.random.default_rng(0).normal(size=(200, 3))
Y = X[:, 0] + X[:, 1] ** 2


def test_covers_are_float32_where_that_changes_none() -> None:
    assert narrowed(np.array([1.0, 2.0**24])).dtype == np.float32
    wide = np.array([1.0, 2.0**24 + 1, 0.1])
    assert narrowed(wide).dtype == np.float64
    np.testing.assert_array_equal(narrowed(wide), wide)


def stump(cover: Any) -> Tree:
    ends = np.array([0, -1, -1])
    return Tree(
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        split_index=ends * 0,
        threshold=np.zeros(3),
        flags=np.zeros(3, np.uint8),
        value=np.zeros((3, 1)),
        cover=cover,
    )


def test_all_trees_have_covers_or_none_does() -> None:
    forest = Forest("f32", "f64", [stump(np.array([3.0, 1.0, 2.0])), stump(np.array([5.0, 4.0, 1.0]))])
    assert forest.tensors([0.0])["node_cover"].tolist() == [3, 1, 2, 5, 4, 1]
    forest.trees.append(stump(None))
    assert "node_cover" not in forest.tensors([0.0])
    assert "node_cover" not in Forest("f32", "f64").tensors([0.0])


def leaves(rows: Any) -> tuple[Any, Any]:
    """`left_child` and `leaf_value` of a forest whose leaves are these rows, in a chain, and the two shared."""
    n = len(rows)
    left_child = np.stack([2 * np.arange(n) + 1, ~np.arange(n)], axis=1).astype(np.int32).reshape(-1)
    return left_child, np.asarray(rows, np.float64)


def test_leaves_of_equal_bits_share_a_row() -> None:
    """-0.0 is another row than 0.0, and a NaN is one row with itself."""
    some = [[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0], [np.nan, 2.0]]
    left_child, rows = leaves([some[i % 4] for i in range(3000)])
    shared, few = shared_leaves(left_child, rows)
    assert len(few) == 4
    assert shared[left_child >= 0].tolist() == left_child[left_child >= 0].tolist()
    assert few[~shared[left_child < 0]].tobytes() == rows[~left_child[left_child < 0]].tobytes()


@pytest.mark.parametrize("rows", [np.arange(3000.0)[:, None], np.zeros((1000, 1)), np.zeros((0, 1)), np.zeros((9, 0))])
def test_leaves_that_differ_or_are_few_keep_their_rows(rows: Any) -> None:
    left_child, rows = leaves(rows)
    shared, same = shared_leaves(left_child, rows)
    assert shared is left_child
    assert same is rows


def test_half_of_the_leaves_have_to_be_spared() -> None:
    """Looked at are some; what counts is all."""
    _, rows = leaves(np.where(np.arange(4000) % 2, np.arange(4000.0), 0.0)[:, None])
    assert shared_leaves(_, rows)[1] is rows


def covers(model: inferir.Model) -> Any:
    operator = next(op for op in model.spec.operators if op.op == "forest")
    tensor = model.spec.tensors[operator.tensors["node_cover"]]
    return np.frombuffer(tensor.data, {"f32": "<f4", "f64": "<f8"}[tensor.dtype])


def test_weights_of_rows_count() -> None:
    weights = np.random.default_rng(1).random(len(X))
    tree = DecisionTreeRegressor(max_depth=1).fit(X, Y, sample_weight=weights)
    found = covers(inferir.convert(tree, backend="reference"))
    left = X[:, tree.tree_.feature[0]] <= tree.tree_.threshold[0]
    np.testing.assert_allclose(found, [weights.sum(), weights[left].sum(), weights[~left].sum()], rtol=1e-12)


def test_a_lightgbm_text_may_be_without_counts(tmp_path: Path) -> None:
    booster = lightgbm.train({"verbose": -1, "num_leaves": 4}, lightgbm.Dataset(X, Y), 2)
    text = booster.model_to_string()
    path = tmp_path / "model.txt"
    path.write_text(text)
    assert covers(inferir.convert(path, backend="reference"))[0] == len(X)
    path.write_text(re.sub(r"^(leaf|internal)_count=.*\n", "", text, flags=re.MULTILINE))
    without = inferir.convert(path, backend="reference")
    np.testing.assert_array_equal(without.raw(X), booster.predict(X, raw_score=True))
    assert not [op for op in without.spec.operators if "node_cover" in op.tensors]


def test_xgboost_hessians_have_one_number_a_node(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    xgboost.XGBRegressor(n_estimators=1, max_depth=1).fit(X, Y).save_model(path)
    assert covers(inferir.convert(path, backend="reference"))[0] == len(X)
    path.write_text(re.sub(r'"sum_hessian":\[[^,]*,', '"sum_hessian":[', path.read_text()))
    with pytest.raises(ModelLoadError, match="sum_hessian"):
        inferir.convert(path, backend="reference")
