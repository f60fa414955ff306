"""Packed forests: the layout against its twin, and answers against those of the forest that was packed, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.test_tree import (
    BEYOND,
    CATEGORICAL,
    DEFAULT_LEFT,
    EDGES,
    ZERO_MISSING,
    forests,
    rows_for,
    run,
)
from tests.kernels.twins import DTYPES, INTERPRETED, Array, call, check, examples, same_bits

LEAF_BITS = 22


def arguments_of_pack(forest: Mapping[str, Any], width: str) -> tuple[dict[str, Any], dict[str, int]]:
    names = ("split_index", "threshold", "left_child", "node_flags", "tree_root")
    sizes = {
        "s": 4 * forest["n_columns"],
        "q": 2 * DTYPES[width]().itemsize // 4 * (len(forest["left_child"]) + len(forest["tree_root"])),
    }
    return {name: forest[name] for name in names}, sizes


def pack(forest: Mapping[str, Any], width: str) -> dict[str, Array]:
    return check(f"pack_forest_{width}", *arguments_of_pack(forest, width))


def refused(forest: Mapping[str, Any], width: str) -> bool:
    """Whether both backends do; what they had written by then is of no use."""
    outs = [call(b, f"pack_forest_{width}", *arguments_of_pack(forest, width))["out"] for b in ("jit", "reference")]
    assert outs[0].tolist() == outs[1].tolist()
    return outs[0].tolist() == [-1, 0]


def answer(forest: Mapping[str, Any], packed: Mapping[str, Array], x: Array, width: str, leaf_width: str) -> Array:
    n_slots, shift = packed["out"].tolist()
    slots = np.flatnonzero(packed["slot"] >= 0)
    assert len(slots) == n_slots
    arguments = {
        "x": x,
        "slot_column": slots // 4,
        "slot_flags": slots % 4,
        "node": packed["node"],
        "packed_root": packed["packed_root"],
        "leaf_value": forest["leaf_value"],
        "tree_target": forest["tree_target"],
        "base": forest["base"],
        "shift": shift,
    }
    return check(f"forest_packed_{width}_{leaf_width}", arguments, {"b": 3 if INTERPRETED else 64})["out"]


@st.composite
def plain_forests(draw: Any, width: str, leaf_width: str) -> dict[str, Any]:
    """Forests without sets of categories."""
    forest: dict[str, Any] = draw(forests(width, leaf_width, special=True))
    forest["node_flags"] = forest["node_flags"] & (DEFAULT_LEFT | ZERO_MISSING)
    forest["threshold"] = np.where(np.isfinite(forest["threshold"]), forest["threshold"], -np.inf)
    return forest


@pytest.mark.parametrize(("width", "leaf_width"), [("f32", "f32"), ("f32", "f64"), ("f64", "f64")])
@given(data=st.data())
@examples(60)
def test_answers_of_the_forest(width: str, leaf_width: str, data: Any) -> None:
    forest = data.draw(plain_forests(width, leaf_width))
    x = data.draw(rows_for(forest, width))
    packed = pack(forest, width)
    if (np.asarray(forest["left_child"]) < 0).all():  # no node asks anything: nothing to pack
        assert packed["out"].tolist() == [0, 0]
        return
    assert packed["out"][0] > 0
    out = answer(forest, packed, x, width, leaf_width)
    assert same_bits(out, run(f"forest_{width}_{leaf_width}", forest, x))


STUMP = {
    "split_index": [0, 0, 0],
    "threshold": [1.0, 0, 0],
    "left_child": [1, ~0, ~1],
    "node_flags": [0, 0, 0],
    "tree_root": [0],
    "leaf_value": [[10.0], [20.0]],
    "tree_target": [0],
    "base": [0.0],
    "n_columns": 1,
}


@pytest.mark.parametrize("width", ["f32", "f64"])
@pytest.mark.parametrize("flags", range(4))
def test_slots(width: str, flags: int) -> None:
    """A missing value is -inf where it goes left, +inf where it goes right, and nothing else is."""
    forest = STUMP | {"node_flags": [flags, 0, 0]}
    x = np.array([*EDGES, *BEYOND, 1.0, np.nextafter(DTYPES[width](1), DTYPES[width](2))], DTYPES[width])[:, None]
    out = answer(forest, pack(forest, width), x, width, "f64")[:, 0]
    small = np.abs(x[:, 0].astype(np.float64)) <= float(np.float32(1e-35))
    missing = np.isnan(x[:, 0]) | (small & bool(flags & ZERO_MISSING))
    left = np.where(missing, bool(flags & DEFAULT_LEFT), x[:, 0] <= 1)
    np.testing.assert_array_equal(out, np.where(left, 10, 20))


@pytest.mark.parametrize(
    "change",
    [
        {"node_flags": [CATEGORICAL, 0, 0]},
        {"threshold": [np.inf, 0, 0]},
        {"threshold": [np.nan, 0, 0]},
        {"tree_root": [0, 0], "tree_target": [0, 0]},
        {"tree_root": [0, 2], "tree_target": [0, 0]},
        {"tree_root": [2, 0], "tree_target": [0, 0]},
        {"left_child": [1, ~0, ~(2**LEAF_BITS)]},
        {
            "split_index": [0] * 4,
            "threshold": [0] * 4,
            "left_child": [1, 2, ~0, ~1],
            "node_flags": [0] * 4,
        },
    ],
)
def test_what_cannot_be_packed(change: Mapping[str, Any]) -> None:
    """Sets, missing values to the right of +inf or NaN, a node with two parents, a leaf's number too long."""
    assert refused(STUMP | change, "f32")


def test_nodes_that_share_children_end() -> None:
    """Each node's children both have the next two for children: 2**60 ways down, as a hostile file may have them."""
    n = 60
    forest = STUMP | {
        "split_index": [0] * (2 * n + 1),
        "threshold": [0.0] * (2 * n + 1),
        "node_flags": [0] * (2 * n + 1),
        "left_child": [1, *np.repeat(np.arange(3, 2 * n, 2), 2).tolist(), ~0, ~1],
    }
    assert refused(forest, "f64")
