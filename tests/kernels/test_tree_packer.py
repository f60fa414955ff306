"""Packed forests: their arrays against their twins, what is refused, and how the tops of trees are cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.test_tree import CATEGORICAL, DEFAULT_LEFT, ZERO_MISSING, forests
from tests.kernels.test_tree_quantized import complete, grown
from tests.kernels.twins import DTYPES, Array, call, check, examples

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


def cut(forest: Mapping[str, Any], packed: Mapping[str, Array], most: int) -> dict[str, Any]:
    """The tops of a packed forest, as a forest."""
    names = ("left_child", "tree_root")
    given = {name: forest[name] for name in names} | {"place": packed["place"], "most": most}
    made = check("cut_forest", given)
    kept = made["kept"][: made["out"][0]]
    top_left_child = made["top_left_child"][: made["out"][0]]
    return {"kept": kept, "left_child": top_left_child, "tree_root": made["top_root"]}


@st.composite
def plain_forests(draw: Any, width: str, leaf_width: str) -> dict[str, Any]:
    """Forests without sets of categories."""
    forest: dict[str, Any] = draw(forests(width, leaf_width, special=True))
    forest["node_flags"] = forest["node_flags"] & (DEFAULT_LEFT | ZERO_MISSING)
    forest["threshold"] = np.where(np.isfinite(forest["threshold"]), forest["threshold"], -np.inf)
    return forest


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


@given(data=st.data())
@examples(60)
def test_tops(data: Any) -> None:
    """A top has at most so many leaves, whose places are of the nodes that are cut off, and no taller one is left."""
    forest = data.draw(plain_forests("f32", "f64"))
    packed = pack(forest, "f32")
    if packed["out"][0] <= 0:
        return
    most = data.draw(st.sampled_from([2, 3, 4, 256]))
    tops = cut(forest, packed, most)
    child, kept = np.asarray(forest["left_child"]), tops["kept"]
    for root, top_root in zip(np.asarray(forest["tree_root"]).tolist(), tops["tree_root"].tolist(), strict=True):
        waiting, n_leaves, tallest_cut, lowest_inner = [(root, top_root)], 0, 0, 99
        while waiting:
            node, i = waiting.pop()
            assert kept[i] == node
            left = int(tops["left_child"][i])
            if left >= 0:
                waiting += [(int(child[node]) + side, left + side) for side in (0, 1)]
                lowest_inner = min(lowest_inner, levels_below(child, node))
            else:
                n_leaves += 1
                assert packed["place"][node] == ~left
                tallest_cut = max(tallest_cut, levels_below(child, node))
        assert n_leaves <= most
        assert tallest_cut == 0 or (n_leaves == most and tallest_cut <= lowest_inner)


def levels_below(child: Array, node: int) -> int:
    left = int(child[node])
    return 0 if left < 0 else 1 + max(levels_below(child, left), levels_below(child, left + 1))


def test_a_chain_taller_than_the_heights_told_apart() -> None:
    """Of nodes with 63 levels below them or more, those nearest to the root are inner."""
    n = 200
    left_child = [1, *[c for i in range(1, n) for c in (2 * i + 1, ~i)], ~(n - 1), ~n]
    forest = grown([left_child], n_columns=1)
    packed = pack(forest, "f32")
    tops = cut(forest, packed, 5)
    assert tops["kept"].tolist() == list(range(9))
    assert tops["left_child"][[0, 1, 3, 5]].tolist() == [1, 3, 5, 7]
    assert tops["left_child"][7] == ~packed["place"][7]


def test_a_complete_tree_is_cut_at_a_level() -> None:
    forest = grown([complete(6), complete(2)])
    packed = pack(forest, "f32")
    tops = cut(forest, packed, 8)
    assert tops["tree_root"].tolist() == [0, 15]
    assert (tops["left_child"][:7] > 0).all()
    assert (tops["left_child"][7:15] < 0).all()
    assert len(tops["kept"]) == 15 + 7
