"""Quantised forests: tables, schedules and answers, against those of the forest they were made of, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.kernels import select
from inferir.kernels.signatures import BLOCK_ROWS, KERNELS
from inferir.operators._quantizer import SLOTS_NBYTES, quantize
from tests.kernels.test_tree import BEYOND, CATEGORICAL, EDGES, LEFT, forests, grow, rows_for, run
from tests.kernels.twins import DTYPES, INTERPRETED, Array, call, check, examples, same_bits

NODES = ("split_index", "threshold", "left_child", "node_flags", "category_begin", "category_words")
LINE = 64

#: Rows of a block that walk: none, and all.
FEW = (0, 1000)


def tables(forest: Mapping[str, Any], width: str, leaf_width: str, backend: str) -> dict[str, Any] | None:
    dtypes = {a.name: DTYPES[a.dtype] for a in KERNELS[f"forest_{width}_{leaf_width}"].arguments if a.dims}
    arrays = {name: np.ascontiguousarray(forest[name], dtypes[name]) for name in dtypes if name in forest}
    nodes = [arrays[name] for name in NODES]
    binder: Any = SimpleNamespace(kernel=lambda name: select(backend)[name])
    leaf_value = arrays["leaf_value"]
    found = quantize(binder, nodes, arrays["tree_root"], arrays["tree_target"], leaf_value.shape[1])
    return None if found is None else {**found.over(leaf_value)._asdict(), "base": forest["base"]}


def answer(quantized: Mapping[str, Any], x: Array, width: str, leaf_width: str, few: int) -> Array:
    return check(f"forest_quantized_{width}_{leaf_width}", {"x": x, **quantized, "few": few}, sizes(quantized))["out"]


def sizes(quantized: Mapping[str, Any]) -> dict[str, int]:
    """Of scratch."""
    return {"b": BLOCK_ROWS, "e": LINE + BLOCK_ROWS * int(quantized["sets"][-1, 2]), "f": SLOTS_NBYTES}


def agrees(forest: Mapping[str, Any], x: Array, width: str = "f32", leaf_width: str = "f64") -> dict[str, Any]:
    """Both schedules, evaluated and walked, give what the forest gives. Returns the compiled kernel's schedule."""
    right = run(f"forest_{width}_{leaf_width}", forest, x, BLOCK_ROWS)
    for backend in ("reference", "jit"):
        quantized = tables(forest, width, leaf_width, backend)
        if (np.asarray(forest["left_child"]) < 0).all():  # no node asks anything
            assert quantized is None
            return {}
        assert quantized is not None
        for few in FEW:
            assert same_bits(answer(quantized, x, width, leaf_width, few), right), (backend, few)
    assert quantized is not None
    return quantized


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(("width", "leaf_width"), [("f32", "f32"), ("f32", "f64"), ("f64", "f64")])
@given(data=st.data())
@examples(30)
def test_answers_of_the_forest(width: str, leaf_width: str, special: bool, data: Any) -> None:
    forest = data.draw(forests(width, leaf_width, special))
    missing = np.array(forest["node_flags"]) & CATEGORICAL == 0
    forest["threshold"][missing & (np.arange(len(missing)) % 7 == 0)] = np.nan  # nothing is above it
    agrees(forest, data.draw(rows_for(forest, width)), width, leaf_width)


@pytest.mark.parametrize("n_columns", [1, 4, 7])
@pytest.mark.parametrize("width", ["f32", "f64"])
@pytest.mark.parametrize("n_thresholds", [1, 15, 16, 17, 64, 65, 128, 129, 200, 254, 255, 256, 257])
def test_thresholds_of_a_column(n_thresholds: int, width: str, n_columns: int) -> None:
    """Values at, below and above each of them: 256 are searched in registers where rows have four columns or more."""
    forest, random = grown([chain(255, right=False)] * 2, n_columns), np.random.default_rng(n_thresholds)
    borders = np.sort(random.normal(size=n_thresholds)).astype(DTYPES[width])
    forest["threshold"] = random.choice(borders, len(forest["threshold"]))
    forest["split_index"][:] = n_columns - 1
    forest["threshold"][np.flatnonzero(np.array(forest["left_child"]) >= 0)[:n_thresholds]] = borders
    around = [borders, np.nextafter(borders, DTYPES[width](np.inf)), np.nextafter(borders, DTYPES[width](-np.inf))]
    values = np.concatenate([*around, [np.nan, np.inf, -np.inf, 0.0]])
    x = np.full((20 if INTERPRETED else len(values) // 16 * 16 + 3, n_columns), np.nan, DTYPES[width])
    x[:, -1] = random.permutation(np.resize(values, len(x)))
    agrees(forest, x, width)


def complete(depth: int) -> list[int]:
    """left_child of a tree in which all leaves are `depth` below the root."""
    inner = 2**depth - 1
    return [*range(1, 2 * inner, 2), *(~i for i in range(2**depth))]


def grown(trees: list[list[int]], n_columns: int = 3, outputs: int = 1) -> dict[str, Any]:
    """A forest of trees of these shapes, with thresholds of a few columns."""
    random = np.random.default_rng(0)
    left_child: list[int] = []
    roots, n_leaves = [], 0
    for shape in trees:
        roots.append(len(left_child))
        left_child += [c + roots[-1] if c >= 0 else c - n_leaves for c in shape]
        n_leaves += sum(c < 0 for c in shape)
    m = len(left_child)
    return {
        "split_index": random.integers(0, n_columns, m),
        "threshold": random.normal(size=m).astype(np.float32),
        "left_child": np.array(left_child, np.int32),
        "node_flags": random.integers(0, 2, m),
        "category_begin": [0],
        "category_words": [],
        "leaf_value": random.normal(size=(n_leaves, 1)) * 10.0 ** random.integers(-9, 9, (n_leaves, 1)),
        "tree_root": np.array(roots, np.int32),
        "tree_depth": [0] * len(roots),
        "tree_target": np.arange(len(roots)) % outputs,
        "base": np.arange(outputs) + 0.5,
        "special": 0,
        "n_columns": n_columns,
    }


def some_rows(n: int, n_columns: int) -> Array:
    random = np.random.default_rng(1)
    x = random.normal(size=(n, n_columns)).astype(np.float32)
    x[random.random(x.shape) < 0.1] = np.nan
    return x


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    "shapes",
    [
        *([complete(depth)] * 5 for depth in (0, 1, 2, 3, 4, 6)),
        [complete(8)],
        [complete(depth) for depth in (3, 0, 5, 4, 3, 1, 0, 2, 3, 3, 6)],
    ],
    ids=lambda shapes: "-".join(str(len(shape)) for shape in shapes),
)
def test_complete_trees(shapes: list[list[int]], outputs: int) -> None:
    """Three levels at the bottom are one tile, and four trees one pass."""
    forest = grown(shapes, outputs=outputs)
    quantized = agrees(forest, some_rows(30 if INTERPRETED else 321, 3))
    if not quantized:
        return
    tiles = sum(2 ** (len(shape).bit_length() - 4) for shape in shapes if len(shape) >= 15)
    assert len(quantized["tile"]) == tiles
    assert len(quantized["op"]) + 7 * tiles == sum(len(shape) // 2 for shape in shapes)


@pytest.mark.parametrize("seed", range(2 if INTERPRETED else 12))
def test_trees_of_any_shape_up_to_256_leaves(seed: int) -> None:
    random = np.random.default_rng(seed)
    shapes = [grow(random, n, 0, 0)[0] for n in (256, 255, 31, 64, 7, 6, 5, 1)]
    agrees(grown([*shapes, chain(255, right=bool(seed % 2))]), some_rows(20 if INTERPRETED else 300, 3))


def chain(n_inner: int, *, right: bool) -> list[int]:
    """A tree that is one path, whose nodes' other children are leaves."""
    left_child = []
    for i in range(n_inner):
        own = [1 + 2 * i] if i == 0 else ([~(i - 1), 1 + 2 * i] if right else [1 + 2 * i, ~(i - 1)])
        left_child += own
    return [*left_child, ~(n_inner - 1), ~n_inner]


@pytest.mark.parametrize("width", ["f32", "f64"])
@pytest.mark.parametrize("n", [15, 16, 17, 254, 255, 256, 257, 300, 509] + ([] if INTERPRETED else [4096, 4097, 5000]))
def test_any_number_of_thresholds(n: int, width: str) -> None:
    """Stumps on one column, on both sides of a plane's 254 thresholds, and of 1 to 4 levels of search."""
    forest = grown([complete(1)] * n, n_columns=1)
    dtype = DTYPES[width]
    forest["threshold"] = np.repeat(np.random.default_rng(0).normal(size=n), 3).astype(dtype)
    forest["leaf_value"] = np.tile([[0.0], [1.0]], (n, 1))
    forest["base"] = [0.0]
    cuts = np.sort(forest["threshold"][::3])
    at = cuts[[0, 1, n // 2, *(k for k in (253, 254, 255, 256, 507, 508) if k < n), n - 2, n - 1]]
    beside = np.concatenate([at, np.nextafter(at, dtype(np.inf)), np.nextafter(at, dtype(-np.inf))])
    x = np.concatenate([beside, [np.inf, -np.inf]]).astype(dtype)[:, None]
    quantized = tables(forest, width, "f64", "jit")
    assert quantized is not None
    expected = (cuts[None, :] < x).sum(axis=1)
    for few in FEW:
        np.testing.assert_array_equal(answer(quantized, x, width, "f64", few)[:, 0], expected)


@pytest.mark.parametrize("width", ["f32", "f64"])
def test_flags(width: str) -> None:
    """What each flag promises of each value, as in `test_tree.LEFT`, all in one forest of stumps."""
    for flags, value, left in LEFT:
        if width == "f32" and float(np.float32(value)) != value and np.isfinite(value):
            continue  # between two float32
        arguments = {
            "split_index": [0, 0, 0],
            "threshold": [0 if flags & CATEGORICAL else 1, 0, 0],
            "left_child": [1, ~0, ~1],
            "node_flags": [flags, 0, 0],
            "category_begin": [0, 2],
            "category_words": [0b101, 0b10],
            "tree_root": [0],
            "tree_target": [0],
            "leaf_value": [[0.0], [1.0]],
            "base": [0.0],
        }
        quantized = tables(arguments, width, "f64", "jit")
        assert quantized is not None
        for few in FEW:
            out = call(
                "jit", f"forest_quantized_{width}_f64", {"x": [[value]], **quantized, "few": few}, sizes(quantized)
            )
            assert out["out"].tolist() == [[0.0 if left else 1.0]], (flags, value)


def test_edges_of_categories() -> None:
    """A column with sets of different lengths, met by every value that has a code of its own."""
    random = np.random.default_rng(5)
    n = 40
    forest = grown([complete(1)] * n, n_columns=1)
    forest |= {
        "threshold": random.integers(0, 3, 3 * n).astype(np.float32),
        "node_flags": CATEGORICAL | random.integers(0, 32, 3 * n),
        "category_begin": [0, 1, 1, 4],
        "category_words": random.integers(0, 2**32, 4, np.uint32),
        "special": 1,
    }
    x = np.array([*EDGES, *BEYOND, *range(100)], np.float32)[:, None]
    agrees(forest, x)
