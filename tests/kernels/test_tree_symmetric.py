"""Symmetric trees over codes give what they give over numbers, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.kernels.signatures import BLOCK_ROWS
from inferir.operators._quantizer import NUMBERS_NBYTES, quantize_symmetric
from tests.kernels.test_tree import BEYOND, EDGES, begins
from tests.kernels.twins import INTERPRETED, call, check, examples, same_bits

LINE = 64


def forest(depths: list[int], d: int, k: int, seed: int) -> dict[str, Any]:
    random, q = np.random.default_rng(seed), sum(depths)
    return {
        "split_begin": begins(depths),
        "split_index": random.integers(0, d, q).astype(np.int32),
        "threshold": random.choice([*EDGES, *random.normal(size=5), np.inf, -np.inf], q).astype(np.float32),
        "nan_right": random.integers(0, 2, q).astype(np.uint8),
        "leaf_begin": begins([2**depth for depth in depths]),
        "leaf_value": random.normal(size=(sum(2**depth for depth in depths), k)),
        "base": random.normal(size=k),
        "scale": 0.3,
    }


def agrees(trees: dict[str, Any], x: Any) -> None:
    """Row by row and block by block, with the answers of `tree.oblivious`."""
    equal = np.zeros(len(trees["threshold"]), np.uint8)
    right = call("jit", "oblivious_f32", {"x": x, **trees, "equal": equal}, {"b": 256})["out"]
    tables = quantize_symmetric(trees["split_index"], trees["threshold"], trees["nan_right"])
    if not len(equal):
        assert tables is None
        return
    assert tables is not None
    room = np.concatenate([trees["leaf_value"], np.zeros((255, trees["leaf_value"].shape[1]))])
    for few, n_blocks in ((0, 1), (0, 2), (1000, 4)):
        sizes = {"b": BLOCK_ROWS, "y": n_blocks * BLOCK_ROWS, "f": NUMBERS_NBYTES}
        sizes["s"] = n_blocks * tables.codes_nbytes
        given = {"x": x, **tables._asdict(), **trees, "leaf_value": room, "few": few}
        assert same_bits(check("oblivious_quantized", given, sizes)["out"], right), (few, n_blocks)


@given(data=st.data())
@examples(60)
def test_answers_of_the_trees(data: Any) -> None:
    d, k = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    depths = data.draw(st.lists(st.integers(0, 8), max_size=21))
    seed = data.draw(st.integers(0, 2**32 - 1))
    trees, random = forest(depths, d, k, seed), np.random.default_rng(seed)
    n = data.draw(st.sampled_from([0, 1, 3, 65] if INTERPRETED else [0, 1, 3, 64, 65, 193, 256, 300, 600]))
    hard = [*trees["threshold"].tolist(), *EDGES, *BEYOND, *random.normal(size=9)]
    agrees(trees, random.choice(hard, (n, d)).astype(np.float32))


@pytest.mark.parametrize("n_borders", [253, 254, 255, 600])
def test_more_borders_than_a_plane_has(n_borders: int) -> None:
    """254 to a plane; CatBoost makes up to 65,535 of a column."""
    trees = forest([8] * (n_borders // 8 + 1), 1, 1, 0)
    borders = np.sort(np.random.default_rng(0).normal(size=len(trees["threshold"]))).astype(np.float32)
    trees["threshold"] = np.random.default_rng(1).permutation(borders)
    x = np.concatenate([borders, np.nextafter(borders, np.float32(np.inf)), [np.nan, np.inf, -np.inf]])
    agrees(trees, x.astype(np.float32)[: 40 if INTERPRETED else None, None])
