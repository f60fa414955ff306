"""Every mode of a node, on rows on its threshold, one unit in the last place beside it, and NaN: three voices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferir.errors import UnsupportedModelError
from tests.formats.importers.onnx.agreement import DOUBLE, FLOAT, close, converted, graph, ml, reference, theirs
from tests.parity import Array, assert_bits, layouts

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
VALUES = (0.0, -0.0, 0.1, -3.5, 1e-40, np.finfo(np.float32).max, np.inf, -np.inf)


def regressor(
    modes: Any,
    columns: Any,
    values: Any,
    yes: Any,
    no: Any,
    weights: Any,
    tracks: Any = None,
    kind: int = FLOAT,
    **more: Any,
) -> Any:
    """One tree whose node ids are positions; leaves have a weight, other nodes None."""
    n = len(modes)
    leaves = [k for k in range(n) if weights[k] is not None]
    attributes = {
        "n_targets": 1,
        "nodes_treeids": [0] * n,
        "nodes_nodeids": list(range(n)),
        "nodes_featureids": columns,
        "nodes_modes": modes,
        "nodes_values": [float(v) for v in values],
        "nodes_truenodeids": yes,
        "nodes_falsenodeids": no,
        "target_treeids": [0] * len(leaves),
        "target_nodeids": leaves,
        "target_ids": [0] * len(leaves),
        "target_weights": [float(weights[k]) for k in leaves],
        **more,
    }
    if tracks is not None:
        attributes["nodes_missing_value_tracks_true"] = tracks
    made = ml("TreeEnsembleRegressor", "x", "y", **{k: v for k, v in attributes.items() if v is not None})
    return graph([made], {"x": (kind, [None, max(columns) + 1])}, {"y": FLOAT})


def around(value: float, width: type = np.float32) -> Array:
    """The value, its neighbours, and what no threshold should trip over."""
    exact = width(value)
    with np.errstate(over="ignore"):
        beside = [np.nextafter(exact, width(-np.inf)), np.nextafter(exact, width(np.inf))]
    return np.array([exact, *beside, 0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf], width)[:, None]


@pytest.mark.parametrize("tracks", [None, 0, 1])
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("mode", MODES)
def test_one_node(mode: str, value: float, tracks: int | None) -> None:
    track = None if tracks is None else [tracks, 0, 0]
    model = regressor([mode, "LEAF", "LEAF"], [0, 0, 0], [value, 0, 0], [1, 0, 0], [2, 0, 0], [None, 1.5, -2.25], track)
    x = around(value)
    ours = converted(model).predict(x)
    assert_bits(ours, theirs(model, x)[0][:, 0])
    if (
        tracks is not None
    ):  # which onnx's evaluator cannot do without; it takes NaN != v for false, onnxruntime for true
        apart = np.isnan(x[:, 0]) & (mode == "BRANCH_NEQ") & (tracks == 0)
        assert_bits(ours[~apart], reference(model, {"x": x})[0][~apart, 0].astype(np.float32))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tracks", [0, 1])
def test_threshold_that_is_not_a_number(mode: str, tracks: int) -> None:
    x = around(1.0)
    model = regressor(
        [mode, "LEAF", "LEAF"], [0] * 3, [np.nan, 0, 0], [1, 0, 0], [2, 0, 0], [None, 1.0, 2.0], [tracks, 0, 0]
    )
    assert_bits(converted(model).predict(x), theirs(model, x)[0][:, 0])


@pytest.mark.parametrize("mode", MODES)
def test_doubles_are_compared_as_doubles(mode: str) -> None:
    """Rows one unit in the last place of a double beside a float32 threshold."""
    model = regressor([mode, "LEAF", "LEAF"], [0] * 3, [0.1, 0, 0], [1, 0, 0], [2, 0, 0], [None, 1.0, 2.0], kind=DOUBLE)
    x = around(float(np.float32(0.1)), np.float64)
    assert_bits(converted(model).predict(x).astype(np.float32), theirs(model, x)[0][:, 0])


@st.composite
def trees(draw: Any) -> Any:
    """A random tree of mixed modes over two columns and a few values, so that rows meet thresholds."""
    modes: list[str] = []
    columns, values, yes, no, weights, tracks = [], [], [], [], [], []

    def grow(depth: int) -> int:
        k = len(modes)
        inner = depth < 4 and draw(st.booleans() if depth else st.just(True))
        modes.append(draw(st.sampled_from(MODES)) if inner else "LEAF")
        columns.append(draw(st.integers(0, 1)))
        values.append(draw(st.sampled_from([0.0, 1.0, 2.0, 2.5])))
        tracks.append(draw(st.integers(0, 1)))
        yes.append(0), no.append(0)
        weights.append(None if inner else float(k))
        if inner:
            yes[k], no[k] = grow(depth + 1), grow(depth + 1)
        return k

    grow(0)
    return modes, columns, values, yes, no, weights, tracks


@given(tree=trees())
@settings(max_examples=60, deadline=None)
def test_mixed_modes(tree: Any) -> None:
    modes, columns, values, yes, no, weights, tracks = tree
    model = regressor(modes, [*columns[:-1], 1], values, yes, no, weights, tracks)
    grid = [0.0, 1.0, 2.0, 2.5, 3.0, np.nan, np.nextafter(np.float32(1), np.float32(0)), np.inf, -1.0]
    x = np.array([[a, b] for a in grid for b in grid], np.float32)
    assert_bits(converted(model).predict(x), theirs(model, x)[0][:, 0])


def chain(members: Any, tracks: int = 0) -> Any:
    """x = a, else x = b, ... all of which lead to one node, which asks on: LightGBM's categories."""
    k = len(members)
    modes = ["BRANCH_EQ"] * k + ["BRANCH_LEQ", "LEAF", "LEAF", "LEAF"]
    yes, no = [k] * k + [k + 1, 0, 0, 0], [*range(1, k), k + 3, k + 2, 0, 0, 0]
    columns = [0] * k + [1, 0, 0, 0]
    weights = [None] * (k + 1) + [1.0, 2.0, 3.0]
    return regressor(modes, columns, [*members, 0.5, 0, 0, 0], yes, no, weights, [tracks] * k + [0] * 4)


@pytest.mark.parametrize("tracks", [0, 1])
@pytest.mark.parametrize("members", [[3.0, 1.0], [7.0, -1.0, 0.5, 2.0, 1e9], [5.0]])
def test_chain_of_equals_is_one_question(members: Any, tracks: int) -> None:
    model = chain(members, tracks)
    x = np.array([[a, b] for a in [*members, 0, 1.5, -7, np.nan, np.inf] for b in (0.5, 0.6)], np.float32)
    ours = converted(model)
    assert_bits(ours.predict(x), theirs(model, x)[0][:, 0])
    forest = next(o for o in ours.spec.operators if o.op == "forest")
    assert ours.spec.tensors[forest.tensors["split_index"]].shape == (5,)


def two_trees(aggregate: str, base: Any = None, targets: int = 1, kind: int = FLOAT) -> Any:
    ids = list(range(targets))
    attributes: dict[str, Any] = {
        "n_targets": targets,
        "aggregate_function": aggregate,
        "nodes_treeids": [0, 0, 0, 7, 7, 7],
        "nodes_nodeids": [0, 1, 2, 5, 3, 4],
        "nodes_featureids": [0, 0, 0, 1, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * 2,
        "nodes_values": [0.25, 0, 0, -0.5, 0, 0],
        "nodes_truenodeids": [1, 0, 0, 3, 0, 0],
        "nodes_falsenodeids": [2, 0, 0, 4, 0, 0],
        "target_treeids": [0] * 2 * targets + [7] * 2 * targets,
        "target_nodeids": [1] * targets + [2] * targets + [3] * targets + [4] * targets,
        "target_ids": ids * 4,
        "target_weights": [0.1 * (k + 1) for k in range(4 * targets)],
    }
    if base is not None:
        attributes["base_values"] = base
    return graph([ml("TreeEnsembleRegressor", "x", "y", **attributes)], {"x": (kind, [None, 2])}, {"y": FLOAT})


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("based", [False, True])
@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE"])
def test_sums(aggregate: str, based: bool, targets: int, kind: int) -> None:
    model = two_trees(aggregate, [0.3, -1.5, 2.0][:targets] if based else None, targets, kind)
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float64 if kind == DOUBLE else np.float32)
    right = theirs(model, x)[0]
    ours = converted(model)
    for _, form in layouts(x):
        assert_bits(ours.predict(form), np.resize(right, (len(form), targets))[:, 0 if targets == 1 else slice(None)])


@pytest.mark.parametrize("aggregate", ["MIN", "MAX"])
def test_extremes_are_refused(aggregate: str) -> None:
    with pytest.raises(UnsupportedModelError, match=f"aggregate_function {aggregate}.*AVERAGE, SUM"):
        converted(two_trees(aggregate))


def test_double_attributes() -> None:
    """Thresholds and leaves that no float32 holds, rows of doubles on them and beside."""
    threshold, leaves = 0.1 + 1e-12, np.array([1 / 3, 1e-9 / 3])
    attributes = {
        "n_targets": 1,
        "nodes_treeids": [0] * 3,
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0] * 3,
        "nodes_modes": ["BRANCH_LT", "LEAF", "LEAF"],
        "nodes_values_as_tensor": _tensor([threshold, 0, 0]),
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights_as_tensor": _tensor(leaves),
        "base_values_as_tensor": _tensor([1e-3]),
    }
    model = graph([ml("TreeEnsembleRegressor", "x", "y", **attributes)], {"x": (DOUBLE, [None, 1])}, {"y": FLOAT})
    x = around(threshold, np.float64)
    assert_bits(converted(model).predict(x), theirs(model, x)[0][:, 0])


def _tensor(values: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(values, np.float64))


def test_many_trees_add_up_in_float32() -> None:
    """300 trees whose leaves do not add up exactly: the order shows in the last bit."""
    rng = np.random.default_rng(3)
    n = 300
    flat = lambda *parts: [v for part in zip(*parts, strict=True) for v in part]  # noqa: E731
    attributes = {
        "n_targets": 1,
        "nodes_treeids": [t for t in range(n) for _ in range(3)],
        "nodes_nodeids": [0, 1, 2] * n,
        "nodes_featureids": flat(rng.integers(0, 3, n).tolist(), [0] * n, [0] * n),
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * n,
        "nodes_values": flat(rng.normal(size=n).tolist(), [0.0] * n, [0.0] * n),
        "nodes_truenodeids": [1, 0, 0] * n,
        "nodes_falsenodeids": [2, 0, 0] * n,
        "target_treeids": [t for t in range(n) for _ in range(2)],
        "target_nodeids": [1, 2] * n,
        "target_ids": [0] * 2 * n,
        "target_weights": (rng.normal(size=2 * n) * 10.0 ** rng.uniform(-4, 2, 2 * n)).tolist(),
        "base_values": [0.1],
    }
    model = graph([ml("TreeEnsembleRegressor", "x", "y", **attributes)], {"x": (FLOAT, [None, 3])}, {"y": FLOAT})
    x = rng.normal(size=(40, 3)).astype(np.float32)  # up to 50 rows, onnxruntime walks them one by one
    assert_bits(converted(model).predict(x), theirs(model, x)[0][:, 0])
    close(converted(model).predict(x), theirs(model, x)[0][:, 0])
