"""Trees of a document: what their arrays must keep to, and rules that no trained model shows."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

import inferir
from inferir.errors import FormatError, ModelLoadError
from inferir.formats.importers.xgboost import trees
from inferir.formats.importers.xgboost.booster import model_file
from tests.formats.importers.xgboost.zoo import ROWS, booster
from tests.parity import assert_bits


def document(name: str) -> dict[str, Any]:
    return copy.deepcopy(_DOCUMENTS.setdefault(name, json.loads(booster(name).save_raw("json"))))


_DOCUMENTS: dict[str, Any] = {}


def model_of(name: str, change: Any = lambda model: None) -> inferir.Model:
    """The model of a document whose trees were changed."""
    changed = document(name)
    outer = changed["learner"]["gradient_booster"]
    change(outer.get("gbtree", outer)["model"])
    b, answers, framework = model_file(json.dumps(changed).encode())
    return inferir.Model(b.spec(answers, name=name, version="", framework=framework))


def test_order_is_that_of_the_ids() -> None:
    def shuffled(model: Any) -> None:
        model["trees"] = [model["trees"][i] for i in (3, 1, 5, 0, 4, 2)]

    assert_bits(model_of("squared error", shuffled).raw(ROWS), model_of("squared error").raw(ROWS))


def test_weights_of_dart_in_either_place() -> None:
    """Beside the trees' model, or in it since a dart is a gbtree with weights."""
    changed = document("dart")
    learner = changed["learner"]
    dart = learner["gradient_booster"]
    learner["gradient_booster"] = {
        "name": "gbtree",
        "model": {**dart["gbtree"]["model"], "weight_drop": dart["weight_drop"]},
    }
    b, answers, framework = model_file(json.dumps(changed).encode())
    later = inferir.Model(b.spec(answers, name="", version="", framework=framework))
    assert_bits(later.raw(ROWS), model_of("dart").raw(ROWS))
    assert not np.array_equal(later.raw(ROWS), _unweighted().raw(ROWS))


def _unweighted() -> inferir.Model:
    changed = document("dart")
    changed["learner"]["gradient_booster"] = changed["learner"]["gradient_booster"]["gbtree"]
    b, answers, framework = model_file(json.dumps(changed).encode())
    return inferir.Model(b.spec(answers, name="", version="", framework=framework))


def _first(key: str, values: Any) -> Any:
    def change(model: Any) -> None:
        tree = model["trees"][0]
        tree[key] = values(tree[key]) if callable(values) else values

    return change


def _at(position: int, value: Any) -> Any:
    def changed(values: list[Any]) -> list[Any]:
        values[position] = value
        return values

    return changed


def _model(key: str, value: Any) -> Any:
    def change(model: Any) -> None:
        model[key] = value(model[key]) if callable(value) else value

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("squared error", _first("left_children", _at(0, 0)), "left_children: expected children from 1 to"),
        (
            "squared error",
            _first("left_children", _at(1, 1)),
            "left_children: expected each node to be the child of one",
        ),
        (
            "squared error",
            _first("right_children", _at(0, 1)),
            "left_children: expected each node to be the child of one",
        ),
        ("squared error", _first("right_children", _at(0, -1)), "left_children: expected children from 1 to"),
        ("squared error", _first("right_children", _at(0, 10**6)), "left_children: expected children from 1 to"),
        ("squared error", _first("left_children", lambda v: v[1:]), "left_children: expected an array of 15 whole"),
        ("squared error", _first("split_indices", _at(0, 6)), "split_indices: expected numbers of columns below 6"),
        ("squared error", _first("split_indices", _at(0, -1)), "split_indices: expected numbers of columns below 6"),
        ("squared error", _first("split_conditions", _at(0, float("nan"))), "split_conditions: expected numbers above"),
        (
            "squared error",
            _first("split_conditions", _at(0, float("-inf"))),
            "split_conditions: expected numbers above",
        ),
        ("squared error", _first("default_left", _at(0, 2**8)), "default_left: expected an array of 15 whole"),
        ("squared error", _first("id", 1), "trees: expected a different id in each"),
        ("squared error", _first("id", 6), "id: expected a whole number from 0 to 5"),
        ("squared error", _first("tree_param", {"num_nodes": "0", "size_leaf_vector": "0"}), "num_nodes: expected"),
        ("squared error", _first("tree_param", {"num_nodes": "15", "size_leaf_vector": "3"}), "size_leaf_vector of 1"),
        ("squared error", _model("tree_info", [0, 0, 0, 0, 0, 1]), "tree_info: expected numbers of outputs below 1"),
        ("squared error", _model("tree_info", [0]), "tree_info: expected an array of 6 whole"),
        ("squared error", _model("trees", lambda v: v[:-1]), "trees: expected num_trees = 6 trees"),
        ("vector leaves", _first("leaf_weights", lambda v: v[:-1]), "leaf_weights: expected 3 weights for each leaf"),
        ("vector leaves", _first("right_children", _at(-1, 99)), "leaf_weights: expected 3 weights for each leaf"),
        ("vector leaves", _first("tree_param", {"num_nodes": "15", "size_leaf_vector": "1"}), "as many values a leaf"),
        ("partition", _first("categories", _at(0, -1)), "categories: expected categories from 0"),
        ("partition", _first("categories", _at(0, 2**24)), "categories: expected categories from 0"),
        ("partition", _first("categories_nodes", lambda v: v[:-1]), "categories_nodes: expected as many as"),
        ("partition", _first("categories_nodes", _at(0, 10**6)), "categories_nodes: expected every node"),
        ("partition", _first("categories_segments", _at(0, -1)), "categories_segments: expected runs within"),
        ("partition", _first("categories_sizes", _at(0, 10**6)), "categories_segments: expected runs within"),
        ("partition", _first("categories_sizes", _at(0, 2**63 - 1)), "categories_segments: expected runs within"),
    ],
)
def test_trees_that_are_refused(name: str, change: Any, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        model_of(name, change)


def test_too_few_weights_of_dart() -> None:
    changed = document("dart")
    changed["learner"]["gradient_booster"]["weight_drop"].pop()
    with pytest.raises(ModelLoadError, match="weight_drop: expected 9 weights, got 8"):
        model_file(json.dumps(changed).encode())


@pytest.mark.parametrize("indptr", [[0, 3], [1, 6], [0, 5, 2, 6], [], "no"])
def test_rounds_that_are_wrong(indptr: Any) -> None:
    changed = document("squared error")
    changed["learner"]["attributes"] = {"best_iteration": "1", "scikit_learn": '{"_estimator_type": "regressor"}'}
    changed["learner"]["gradient_booster"]["model"]["iteration_indptr"] = indptr
    with pytest.raises(FormatError, match="iteration_indptr: expected"):
        model_file(json.dumps(changed).encode())


def test_a_small_file_cannot_ask_for_large_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MAX_SET_WORDS", 1000)
    with pytest.raises(ModelLoadError, match="categories: expected sets of 1000 words"):
        model_of("partition", _first("categories", _at(0, 32 * 2000)))


@pytest.mark.parametrize("extreme", [np.inf, 3.4028234663852886e38, -3.4028234663852886e38, 0.0, -0.0, 1e-45])
def test_thresholds_at_the_ends(extreme: float) -> None:
    ends = [np.finfo(np.float32).max, np.finfo(np.float32).min, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, np.nan]
    rows = np.array(ends, np.float32)[:, None].repeat(6, axis=1)
    theirs = booster("squared error").copy()
    changed = document("squared error")
    for tree in changed["learner"]["gradient_booster"]["model"]["trees"]:
        tree["split_conditions"] = [
            condition if left < 0 else extreme
            for condition, left in zip(tree["split_conditions"], tree["left_children"], strict=True)
        ]
    data = json.dumps(changed).encode()
    theirs.load_model(bytearray(data))
    b, answers, framework = model_file(data)
    ours = inferir.Model(b.spec(answers, name="", version="", framework=framework))
    assert_bits(ours.raw(rows), theirs.inplace_predict(rows, predict_type="margin"))


def test_a_deep_tree() -> None:
    """A chain of 3,000 nodes: each leaf a level below the last."""

    def chain(model: Any) -> None:
        depth = 3000
        tree = model["trees"][0]
        n = 2 * depth + 1
        inner = np.arange(n) % 2 == 0
        inner[-1] = False
        tree["tree_param"]["num_nodes"] = str(n)
        tree["left_children"] = np.where(inner, np.arange(n) + 1, -1).tolist()
        tree["right_children"] = np.where(inner, np.arange(n) + 2, -1).tolist()
        tree["split_indices"] = [0] * n
        tree["split_conditions"] = [float(i) / 100 for i in range(n)]
        for key in ("default_left", "split_type", "parents"):
            tree[key] = [0] * n
        for key in ("loss_changes", "sum_hessian", "base_weights"):
            tree[key] = [0.0] * n

    rows = ROWS.copy()
    rows[:, 0] = np.linspace(-1, 65, len(rows))
    changed = document("squared error")
    chain(changed["learner"]["gradient_booster"]["model"])
    theirs = booster("squared error").copy()
    theirs.load_model(bytearray(json.dumps(changed).encode()))
    assert_bits(model_of("squared error", chain).raw(rows), theirs.inplace_predict(rows, predict_type="margin"))
