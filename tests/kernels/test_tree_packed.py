"""Packed forests: answers against those of the forest that was packed, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.kernels import select
from inferir.kernels.signatures import BLOCK_ROWS
from inferir.operators._quantizer import SLOTS_NBYTES, quantize
from tests.kernels.test_tree import BEYOND, DEFAULT_LEFT, EDGES, ZERO_MISSING, rows_for, run
from tests.kernels.test_tree_packer import STUMP, cut, pack, plain_forests
from tests.kernels.test_tree_quantized import complete, grown, some_rows
from tests.kernels.twins import DTYPES, Array, check, examples, same_bits

#: Blocks of rows that go through a tree together.
BLOCKS = 2

#: Rows of a block that walk all the way: none, and all.
FEW = (0, 1000)


def tables_of_tops(forest: Mapping[str, Any], packed: Mapping[str, Array], width: str, most: int) -> dict[str, Any]:
    """Arguments `group` to `entry`, as the operator makes them, and lengths of scratch."""
    tops = cut(forest, packed, most)
    kept, no_sets = tops["kept"], [np.zeros(1, np.int32), np.zeros(0, np.uint32)]
    nodes = [
        np.asarray(forest["split_index"], np.int32)[kept], np.asarray(forest["threshold"], DTYPES[width])[kept],
        tops["left_child"], np.asarray(forest["node_flags"], np.uint8)[kept], *no_sets,
    ]  # fmt: skip
    binder: Any = SimpleNamespace(kernel=lambda name: select("jit")[name])
    tables = quantize(binder, nodes, tops["tree_root"], np.zeros(len(tops["tree_root"]), np.int32), 1)
    assert tables is not None
    made = {**tables.codes._asdict(), **tables._asdict()}
    names = ("group", "cuts", "plane", "tree", "tile", "op")
    return {name: made[name] for name in names} | {
        "entry": tables.leaf_row[:, None],
        "h": BLOCKS * tables.codes_nbytes,
    }


def answers(
    forest: Mapping[str, Any], x: Array, width: str, leaf_width: str, most: int, few: tuple[int, ...] = FEW
) -> list[Array]:
    packed = pack(forest, width)
    n_slots, shift = packed["out"].tolist()
    slots = np.flatnonzero(packed["slot"] >= 0)
    assert len(slots) == n_slots
    tables = tables_of_tops(forest, packed, width, most)
    rows = BLOCKS * BLOCK_ROWS
    lengths = {"b": BLOCK_ROWS, "z": rows * n_slots, "f": SLOTS_NBYTES, "h": tables.pop("h"), "y": rows}
    arguments = {
        "x": x,
        "slot_column": slots // 4,
        "slot_flags": slots % 4,
        "node": packed["node"],
        "packed_root": packed["packed_root"],
        **tables,
        "leaf_value": forest["leaf_value"],
        "tree_target": forest["tree_target"],
        "base": forest["base"],
        "shift": shift,
    }
    name = f"forest_packed_{width}_{leaf_width}"
    return [check(name, {**arguments, "few": n}, lengths)["out"] for n in few]


@pytest.mark.parametrize(("width", "leaf_width"), [("f32", "f32"), ("f32", "f64"), ("f64", "f64")])
@given(data=st.data())
@examples(40)
def test_answers_of_the_forest(width: str, leaf_width: str, data: Any) -> None:
    forest = data.draw(plain_forests(width, leaf_width))
    x = data.draw(rows_for(forest, width))
    if (np.asarray(forest["left_child"]) < 0).all():  # no node asks anything: nothing to pack
        assert pack(forest, width)["out"][0] == 0
        return
    right = run(f"forest_{width}_{leaf_width}", forest, x)
    for out in answers(forest, x, width, leaf_width, data.draw(st.sampled_from([2, 4, 256]))):
        assert same_bits(out, right)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("most", [2, 16, 256])
def test_walks_that_end_at_the_top_and_far_below(outputs: int, most: int) -> None:
    """Trees lower than their tops, trees taller, and a chain that is far taller than the levels walked unasked."""
    n = 90
    chain = [1, *[c for i in range(1, n) for c in (~i, 2 * i + 1)], ~(n - 1), ~n]
    forest = grown([complete(9), complete(2), chain, complete(0)], outputs=1)
    values = np.asarray(forest["leaf_value"])
    forest["leaf_value"] = np.repeat(values, outputs, axis=1) * np.arange(1, outputs + 1)
    forest["base"] = np.arange(outputs) + 0.5
    x = some_rows(1300, forest["n_columns"])
    right = run("forest_f32_f64", forest, x)
    for out in answers(forest, x, "f32", "f64", most):
        assert same_bits(out, right)


@pytest.mark.parametrize("width", ["f32", "f64"])
@pytest.mark.parametrize("flags", range(4))
def test_slots(width: str, flags: int) -> None:
    """A missing value is -inf where it goes left, +inf where it goes right, and nothing else is."""
    forest = STUMP | {"node_flags": [flags, 0, 0]}
    x = np.array([*EDGES, *BEYOND, 1.0, np.nextafter(DTYPES[width](1), DTYPES[width](2))], DTYPES[width])[:, None]
    small = np.abs(x[:, 0].astype(np.float64)) <= float(np.float32(1e-35))
    missing = np.isnan(x[:, 0]) | (small & bool(flags & ZERO_MISSING))
    left = np.where(missing, bool(flags & DEFAULT_LEFT), x[:, 0] <= 1)
    for out in answers(forest, x, width, "f64", 256):
        np.testing.assert_array_equal(out[:, 0], np.where(left, 10, 20))


def test_rows_behind_the_last_one() -> None:
    """Lanes that no row fills have codes of anything, and still begin at a leaf that there is: the last tree's top is a
    tile in which two nodes are missing, and what is missing goes where a code of 255 would lead."""
    six_leaves = [1, 3, 5, 7, ~0, 9, ~1, ~2, ~3, ~4, ~5]
    forest = grown([complete(9), six_leaves])
    x = some_rows(257, forest["n_columns"])
    right = run("forest_f32_f64", forest, x)
    for out in answers(forest, x, "f32", "f64", 256):
        assert same_bits(out, right)
