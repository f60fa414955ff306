"""Forests against their NumPy twin, bit for bit, and against what the flags promise and scikit-learn's trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

from inferir.kernels.signatures import BLOCK_ROWS
from tests.kernels.twins import (
    DTYPES,
    INTERPRETED,
    ROWS,
    Array,
    begins,
    call,
    check,
    examples,
    numbers,
    same_bits,
    widths,
)

DEFAULT_LEFT, ZERO_MISSING, CATEGORICAL, OUTSIDE_LEFT, TRUNCATE = 1, 2, 4, 8, 16

NODES = ("split_index", "threshold", "left_child", "node_flags", "category_begin", "category_words", "tree_root")

#: Values around which rules turn: signs of zero, LightGBM's zero, bits and words of category sets, what no set holds.
EDGES = (
    0.0,
    -0.0,
    1e-35,
    -1e-35,
    1.1e-35,
    5e-324,
    -0.5,
    -1.0,
    0.5,
    1,
    31,
    31.9,
    32,
    33,
    63,
    64,
    95,
    96,
    16777216,
    1e10,
)
BEYOND = (np.nan, np.inf, -np.inf)


def grow(random: np.random.Generator, n_leaves: int, first_node: int, first_leaf: int) -> tuple[list[int], list[int]]:
    """left_child of a tree of random shape whose nodes start at `first_node`, and each node's depth."""
    left_child, depth, leaves = [-1], [0], [0]
    while len(leaves) < n_leaves:
        node = leaves.pop(random.integers(len(leaves)))
        left_child[node] = first_node + len(left_child)
        leaves += [len(left_child), len(left_child) + 1]
        left_child += [-1, -1]
        depth += [depth[node] + 1] * 2
    for number, node in enumerate(random.permutation(leaves)):
        left_child[node] = ~(first_leaf + number)
    return left_child, depth


@st.composite
def forests(draw: Any, width: str, leaf_width: str = "f64", special: bool = True) -> dict[str, Any]:
    """Arguments of `forest`, all but the rows: trees of any shape, and with `special` nodes with any flags."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_columns, n_trees, values = draw(st.integers(1, 4)), draw(st.integers(0, 5)), draw(st.integers(1, 3))
    left_child: list[int] = []
    depths, roots, n_leaves = [], [], 0
    for _ in range(n_trees):
        leaves = int(draw(st.sampled_from([1, 2, 3, 8, 20])))
        roots.append(len(left_child))
        nodes, depth = grow(random, leaves, len(left_child), n_leaves)
        left_child += nodes
        depths.append(max(depth))
        n_leaves += leaves
    m = len(left_child)
    words = random.integers(0, 4, draw(st.integers(1, 3)))  # words of each set; a set may be empty
    begin = begins(words)
    flags = random.integers(0, 32 if special else 2, m)
    pool = np.concatenate([[*EDGES, *BEYOND[1:]], random.normal(size=9)])
    threshold = random.choice(pool, m).astype(DTYPES[width])
    categorical = flags & CATEGORICAL != 0
    threshold[categorical] = random.integers(0, len(words), categorical.sum())
    outputs = draw(st.integers(values, 4))
    order = random.permutation(n_trees)
    return {
        "split_index": random.integers(0, n_columns, m),
        "threshold": threshold,
        "left_child": np.array(left_child, np.int32),
        "node_flags": flags,
        "category_begin": begin,
        "category_words": random.integers(0, 2**32, begin[-1], np.uint32),
        "leaf_value": (random.normal(size=(n_leaves, values)) * 10.0 ** random.integers(-9, 9, (n_leaves, 1))),
        "tree_root": np.array(roots, np.int32)[order],
        "tree_depth": [draw(st.sampled_from([0, depths[t], depths[t] + 2, max(depths[t] - 1, 0)])) for t in order],
        "tree_target": random.integers(0, outputs - values + 1, n_trees),
        "base": random.normal(size=outputs),
        "special": int(special),
        "n_columns": n_columns,
    }


@st.composite
def rows_for(draw: Any, forest: Mapping[str, Any], width: str) -> Array:
    """Rows on the thresholds, one unit in the last place beside them, and at everything that a flag is about."""
    dtype = DTYPES[width]
    n = draw(st.sampled_from(ROWS))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    on = np.asarray(forest["threshold"], dtype)
    on = on[np.isfinite(on)]
    pool = np.concatenate([on, np.nextafter(on, dtype(np.inf)), np.nextafter(on, dtype(-np.inf)), [*EDGES, *BEYOND]])
    return random.choice(pool, (n, forest["n_columns"])).astype(dtype)


def run(name: str, forest: Mapping[str, Any], x: Array, block: int = 4) -> Array:
    """`forest` under the law, to the bit."""
    given = {key: value for key, value in forest.items() if key != "n_columns"}
    return check(name, {"x": x, **given}, {"b": block})["out"]


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(("width", "leaf_width"), [("f32", "f32"), ("f32", "f64"), ("f64", "f64")])
@given(data=st.data())
@examples(60)
def test_forest(width: str, leaf_width: str, special: bool, data: Any) -> None:
    forest = data.draw(forests(width, leaf_width, special))
    x = data.draw(rows_for(forest, width))
    block = data.draw(st.sampled_from([1, 3, 7] if INTERPRETED else [1, 3, 7, 256]))
    out = run(f"forest_{width}_{leaf_width}", forest, x, block)
    leaf = check(f"forest_leaves_{width}", {"x": x, **{name: forest[name] for name in NODES}})["out"]
    right = np.tile(np.asarray(forest["base"], DTYPES[leaf_width]), (len(x), 1))  # the same leaves one by one
    value = np.asarray(forest["leaf_value"], DTYPES[leaf_width])
    for t, target in enumerate(forest["tree_target"]):
        right[:, target : target + value.shape[1]] += value[leaf[:, t]]
    assert same_bits(out, right)


@given(data=st.data())
@examples(20)
def test_special_is_only_a_promise(data: Any) -> None:
    """A forest of plain nodes answers the same, whichever walk it is given."""
    forest = data.draw(forests("f32", "f32", special=False))
    x = data.draw(rows_for(forest, "f32"))
    assert same_bits(run("forest_f32_f32", forest, x), run("forest_f32_f32", forest | {"special": 1}, x))


def test_a_block_is_full() -> None:
    """More rows than a block, and a block that ends with the rows."""
    random, block = np.random.default_rng(0), BLOCK_ROWS
    left_child, depth = grow(random, 30, 0, 0)
    forest = {
        "split_index": random.integers(0, 3, len(left_child)),
        "threshold": random.normal(size=len(left_child)),
        "left_child": left_child,
        "node_flags": np.zeros(len(left_child)),
        "category_begin": [0],
        "category_words": [],
        "leaf_value": np.arange(30)[:, None],
        "tree_root": [0, 0],
        "tree_depth": [max(depth)] * 2,
        "tree_target": [0, 0],
        "base": [0.5],
        "special": 0,
    }
    x = random.normal(size=(2 * block + 1, 3))
    whole = run("forest_f64_f64", forest, x, block)
    for n in (block - 1, block, block + 1, 2 * block):
        assert same_bits(run("forest_f64_f64", forest, x[:n], block), whole[:n])


#: (flags, value) -> whether it goes left at a threshold of 1, or at the set {0, 2, 33} of two words.
LEFT = [
    (0, 1.0, True),
    (0, np.nextafter(1.0, 2), False),
    (0, -np.inf, True),
    (0, np.inf, False),
    (0, np.nan, False),
    (DEFAULT_LEFT, np.nan, True),
    (ZERO_MISSING, 0.0, False),
    (ZERO_MISSING, -0.0, False),
    (ZERO_MISSING | DEFAULT_LEFT, 0.0, True),
    (ZERO_MISSING, 1.0000000180025095e-35, False),
    (ZERO_MISSING, 1.00000002e-35, True),
    (ZERO_MISSING, -1e-35, False),
    (ZERO_MISSING, np.nan, False),
    (CATEGORICAL, 0.0, True),
    (CATEGORICAL, -0.0, True),
    (CATEGORICAL, 1.0, False),
    (CATEGORICAL, 2.9, True),
    (CATEGORICAL, 33.0, True),
    (CATEGORICAL, 63.0, False),
    (CATEGORICAL, 64.0, False),
    (CATEGORICAL, -1.0, False),
    (CATEGORICAL, -0.5, False),
    (CATEGORICAL, np.inf, False),
    (CATEGORICAL, -np.inf, False),
    (CATEGORICAL, np.nan, False),
    (CATEGORICAL | DEFAULT_LEFT, np.nan, True),
    (CATEGORICAL | TRUNCATE, -0.5, True),
    (CATEGORICAL | TRUNCATE, -1.0, False),
    (CATEGORICAL | OUTSIDE_LEFT, 64.0, True),
    (CATEGORICAL | OUTSIDE_LEFT, -0.5, True),
    (CATEGORICAL | OUTSIDE_LEFT, -np.inf, True),
    (CATEGORICAL | OUTSIDE_LEFT, np.inf, True),
    (CATEGORICAL | OUTSIDE_LEFT, 63.0, False),
    (CATEGORICAL | OUTSIDE_LEFT, np.nan, False),
    (CATEGORICAL | OUTSIDE_LEFT | TRUNCATE, -0.5, True),
    (CATEGORICAL | ZERO_MISSING, 0.0, False),
]


@pytest.mark.parametrize(("flags", "value", "left"), LEFT)
def test_flags(flags: int, value: float, left: bool) -> None:
    arguments = {
        "split_index": [0, 0, 0],
        "threshold": [0 if flags & CATEGORICAL else 1, np.nan, np.nan],
        "left_child": [1, ~0, ~1],
        "node_flags": [flags, 0, 0],
        "category_begin": [0, 2],
        "category_words": [0b101, 0b10],
        "tree_root": [0],
    }
    assert check("forest_leaves_f64", {"x": [[value]], **arguments})["out"] == [[0 if left else 1]]


@pytest.mark.parametrize("kind", [RandomForestRegressor, ExtraTreesRegressor])
def test_scikit_learn(kind: Any) -> None:
    """Its nodes are not in pairs: a child's number is looked up in the order in which children are met."""
    random = np.random.default_rng(4)
    x = random.normal(size=(400, 5)).round(1).astype(np.float32)
    x[random.random(x.shape) < 0.1] = np.nan
    y = np.column_stack([np.nansum(x, axis=1), random.normal(size=400)])
    model = kind(12, random_state=0).fit(x, y)
    parts: dict[str, list[Any]] = {name: [] for name in ("split_index", "threshold", "left_child", "node_flags")}
    roots, leaf_values, leaf_nodes = [], [], []
    for estimator in model.estimators_:
        tree, root = estimator.tree_, len(parts["left_child"])
        roots.append(root)
        order, leaves = [0], []
        for node in order:  # grows while it is read: children enter in pairs
            internal = tree.children_left[node] >= 0
            parts["split_index"].append(max(tree.feature[node], 0))
            parts["threshold"].append(tree.threshold[node])
            parts["node_flags"].append(int(tree.missing_go_to_left[node]))
            parts["left_child"].append(root + len(order) if internal else ~(len(leaf_values)))
            if internal:
                order += [tree.children_left[node], tree.children_right[node]]
            else:
                leaf_values.append(tree.value[node][:, 0])
                leaves.append(node)
        leaf_nodes.append(leaves)
    nodes = {**parts, "category_begin": [0], "category_words": [], "tree_root": roots}
    rows = x[:300].astype(np.float64)
    leaf = call("jit", "forest_leaves_f64", {"x": rows, **nodes})["out"]
    number_of_leaf = np.concatenate(leaf_nodes)
    np.testing.assert_array_equal(number_of_leaf[leaf], model.apply(x[:300]))
    given = {name: nodes[name] for name in ("split_index", "left_child", "tree_root")}
    given |= {"n_columns": 5, "n_leaves": len(leaf_values)}
    assert check("check_forest", given)["out"].tolist() == [-1, 0]
    given = {
        "x": rows,
        **nodes,
        "leaf_value": leaf_values,
        "tree_depth": [estimator.get_depth() for estimator in model.estimators_],
        "tree_target": np.zeros(12),
        "base": [0, 0],
        "special": 0,
    }
    out = check("forest_f64_f64", given, {"b": BLOCK_ROWS})["out"]
    np.testing.assert_array_equal(out / 12, model.predict(x[:300]))


@given(data=st.data())
@examples(60)
def test_linear_leaves(data: Any) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    d, t, k = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 4)), data.draw(st.integers(1, 3))
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    n = data.draw(st.sampled_from([0, 1, 2, 40]))
    pool = np.concatenate([random.normal(size=20), [*EDGES, *BEYOND]])
    given = {
        "x": random.choice(pool, (n, d)),
        "leaf": random.integers(0, len(lengths), (n, t)),
        "leaf_value": random.normal(size=len(lengths)),
        "leaf_const": random.normal(size=len(lengths)),
        "coef_begin": begins(lengths),
        "coef_index": random.integers(0, d, sum(lengths)),
        "coef": random.normal(size=sum(lengths)),
        "tree_target": random.integers(0, k, t),
        "base": random.normal(size=k),
    }
    check("linear_leaves", given)


@given(width=widths, data=st.data())
@examples(80)
def test_oblivious(width: str, data: Any) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    d, k = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    depths = data.draw(st.lists(st.integers(0, 7), max_size=5))
    q, n = sum(depths), data.draw(st.sampled_from(ROWS))
    threshold = random.choice([*EDGES, *random.normal(size=5), np.inf, -np.inf], q).astype(DTYPES[width])
    plain = data.draw(st.booleans())
    given = {
        "x": random.choice([*threshold.tolist(), *EDGES, *BEYOND, *random.normal(size=9)], (n, d)),
        "split_begin": begins(depths),
        "split_index": random.integers(0, d, q),
        "threshold": threshold,
        "nan_right": np.zeros(q) if plain else random.integers(0, 2, q),
        "equal": np.zeros(q) if plain else random.integers(0, 4, q) == 0,
        "leaf_begin": begins([2**depth for depth in depths])[:-1],
        "leaf_value": random.normal(size=(sum(2**depth for depth in depths), k)),
        "base": random.normal(size=k),
        "scale": float(data.draw(st.sampled_from([1.0, 0.5, 0.3]))),
    }
    given["leaf_begin"] = np.append(given["leaf_begin"], 0)  # as long as split_begin: the last one is not read
    check(f"oblivious_{width}", given, {"b": data.draw(st.sampled_from([1, 5, 16] if INTERPRETED else [1, 5, 256]))})


def test_oblivious_reads_answers_as_bits() -> None:
    given = {
        "split_begin": [0, 3],
        "split_index": [0, 1, 2],
        "threshold": [0, 0, 5],
        "nan_right": [0, 1, 1],
        "equal": [0, 0, 1],
        "leaf_begin": [0, 8],
        "leaf_value": np.arange(8)[:, None],
        "base": [100],
        "scale": 1.0,
    }
    x = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 5], [np.nan, np.nan, np.nan]]
    assert check("oblivious_f64", {"x": x, **given}, {"b": 2})["out"][:, 0].tolist() == [100, 101, 102, 107, 102]


@given(data=st.data())
@examples(150)
def test_check_forest(data: Any) -> None:
    m, t = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 3))
    i32 = st.integers(-4, 8) | st.integers(-(2**31), 2**31 - 1)
    given = {
        "split_index": data.draw(hnp.arrays(np.int32, m, elements=st.integers(-1, 3))),
        "left_child": data.draw(hnp.arrays(np.int32, m, elements=i32)),
        "tree_root": data.draw(hnp.arrays(np.int32, t, elements=i32)),
        "n_columns": data.draw(st.integers(0, 4)),
        "n_leaves": data.draw(st.integers(0, 4)),
    }
    check("check_forest", given)


@given(data=st.data())
@examples(40)
def test_check_forest_finds_the_one_thing_that_is_wrong(data: Any) -> None:
    forest = data.draw(forests("f64"))
    m, t, n_leaves = len(forest["left_child"]), len(forest["tree_root"]), len(forest["leaf_value"])
    given = {name: np.array(forest[name], np.int32) for name in ("split_index", "left_child", "tree_root")}
    given |= {"n_columns": forest["n_columns"], "n_leaves": n_leaves}
    assert check("check_forest", given)["out"].tolist() == [-1, 0]
    if m == 0:
        return
    i, tree = data.draw(st.integers(0, m - 1)), data.draw(st.integers(0, t - 1))
    wrong = {
        1: ("split_index", i, [-1, forest["n_columns"]]),
        2: ("left_child", i, [i, m - 1, 2**31 - 1]),
        3: ("left_child", i, [~n_leaves, -(2**31)]),
        4: ("tree_root", tree, [-1, m]),
    }
    rule = data.draw(st.sampled_from(sorted(wrong)))
    name, at, values = wrong[rule]
    broken = given[name].copy()
    broken[at] = data.draw(st.sampled_from(values))
    assert check("check_forest", given | {name: broken})["out"].tolist() == [at, rule]


@given(value=numbers("f64"), flags=st.integers(0, 31))
@examples(40)
def test_accepted_nodes_walk_to_a_leaf(value: float, flags: int) -> None:
    """Nothing that a row holds leads out of a forest that was checked."""
    arguments = {
        "split_index": [0, 0, 0],
        "threshold": [0, 0, 0],
        "left_child": [1, ~0, ~1],
        "node_flags": [flags, flags, flags],
        "category_begin": [0, 1],
        "category_words": [0xFFFF0000],
        "tree_root": [0, 1, 2],
    }
    out = check("forest_leaves_f64", {"x": [[value]], **arguments})["out"]
    assert out[0].tolist() in ([0, 0, 1], [1, 0, 1])
