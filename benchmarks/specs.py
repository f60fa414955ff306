"""Models made from random numbers, as importers make them from trained ones: no other library is needed.

A tree is grown by splitting one leaf after the other at a normal number: the oldest leaf each time gives the complete
trees of XGBoost, any leaf the ragged ones of LightGBM and of forests grown to pure leaves. Rows are normal numbers, so
they spread over the leaves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.common import COLUMNS, Array, random, runs
from inferir.formats.importers._builder import Answers, Builder
from inferir.formats.importers._forest import CATEGORICAL, DEFAULT_LEFT, Forest, Tree
from inferir.formats.spec import ModelSpec

__all__ = ["FORESTS", "MODELS", "grown_forest", "make", "make_forest", "symmetric_trees"]


def _grown_tree(generator: np.random.Generator, n_leaves: int, values: int, *, complete: bool) -> Tree:
    n_nodes = 2 * n_leaves - 1
    left, right = np.full((2, n_nodes), -1)
    leaves = [0]
    chosen = (
        np.zeros(n_leaves, int) if complete else (generator.random(n_leaves) * np.arange(1, n_leaves + 1)).astype(int)
    )
    for split in range(n_leaves - 1):
        node = leaves.pop(chosen[split])
        left[node], right[node] = 2 * split + 1, 2 * split + 2
        leaves += [2 * split + 1, 2 * split + 2]
    return Tree(
        left=left,
        right=right,
        split_index=generator.integers(0, COLUMNS, n_nodes),
        threshold=generator.standard_normal(n_nodes),
        flags=generator.integers(0, DEFAULT_LEFT + 1, n_nodes),
        value=generator.standard_normal((n_nodes, values)),
    )


def grown_forest(
    n_trees: int,
    n_leaves: int,
    *,
    compare: str = "f32",
    accumulate: str = "f64",
    values: int = 1,
    complete: bool = False,
    categories: int = 0,
) -> Forest:
    """A forest whose leaves hold `values` numbers. With `categories`, every fourth node asks for a set of so many."""
    generator = random()
    forest = Forest(compare, accumulate)
    for _ in range(n_trees):
        tree = _grown_tree(generator, n_leaves, values, complete=complete)
        if categories:
            chosen = np.arange(0, len(tree.left), 4)
            tree.flags[chosen] |= CATEGORICAL
            members = [np.flatnonzero(row) for row in generator.random((len(chosen), categories)) < 0.5]
            tree.threshold[chosen] = [forest.add_set(member) for member in members]
        forest.trees.append(tree)
    return forest


def symmetric_trees(n_trees: int, depth: int) -> dict[str, Array]:
    """Tensors of CatBoost's trees: one question a level."""
    generator, n_splits = random(), n_trees * depth
    return {
        "split_begin": runs(n_trees, depth),
        "split_index": generator.integers(0, COLUMNS, n_splits).astype(np.int32),
        "threshold": generator.standard_normal(n_splits).astype(np.float32),
        "nan_right": generator.integers(0, 2, n_splits).astype(np.uint8),
        "equal": np.zeros(n_splits, np.uint8),
        "leaf_begin": runs(n_trees, 2**depth),
        "leaf_value": generator.standard_normal((n_trees * 2**depth, 1)),
        "base": np.zeros(1),
    }


def _boosted(builder: Builder) -> Answers:
    """XGBoost: 100 complete trees of depth 6, float32 throughout."""
    forest = grown_forest(100, 64, accumulate="f32", complete=True)
    raw = builder.op("forest", "input", tensors=forest.tensors([0.5]), **forest.attributes())
    probabilities = builder.op("complement", builder.op("sigmoid_stepwise", raw))
    return _classifier(builder, "GradientBoosting", probabilities, raw)


def _leafwise(builder: Builder) -> Answers:
    """LightGBM: 200 trees of 31 leaves, double throughout."""
    forest = grown_forest(200, 31, compare="f64")
    raw = builder.op("forest", "input", tensors=forest.tensors([0.0]), **forest.attributes())
    probabilities = builder.op("complement", builder.op("sigmoid", raw, scale=1.0))
    return _classifier(builder, "GradientBoosting", probabilities, raw)


def _symmetric(builder: Builder) -> Answers:
    """CatBoost: 100 symmetric trees of depth 6."""
    raw = builder.op("oblivious", "input", tensors=symmetric_trees(100, 6), scale=1.0)
    probabilities = builder.op("complement", builder.op("sigmoid", raw, scale=1.0))
    return _classifier(builder, "GradientBoosting", probabilities, raw)


def _random_forest(builder: Builder) -> Answers:
    """scikit-learn: 100 trees of 2,000 leaves, a probability for each of two classes."""
    forest = grown_forest(100, 2000, values=2)
    total = builder.op("forest", "input", tensors=forest.tensors([0.0, 0.0]), **forest.attributes())
    return _classifier(builder, "RandomForest", builder.op("divide", total, tensors={"divisor": np.full(2, 100.0)}))


def _logistic(builder: Builder) -> Answers:
    """Missing values filled, columns scaled, one product, softmax over ten classes."""
    generator, columns = random(), np.arange(COLUMNS)
    indicators = np.zeros(0, np.int64)
    filled = builder.op(
        "impute", "input", tensors={"columns": columns, "fill": np.zeros(COLUMNS), "indicators": indicators}
    )
    mean, scale = generator.standard_normal(COLUMNS), 1.0 - generator.random(COLUMNS)
    scaled = builder.op("scale", filled, tensors={"mean": mean, "scale": scale})
    coef, intercept = generator.standard_normal((10, COLUMNS)), generator.standard_normal(10)
    raw = builder.op("linear", scaled, tensors={"coef": coef, "intercept": intercept})
    return _classifier(builder, "LogisticRegression", builder.op("softmax", raw), raw, n_classes=10)


def _network(builder: Builder) -> Answers:
    """Layers of 100 and 10."""
    generator, value = random(), "input"
    for width, columns, activation in ((100, COLUMNS, "relu"), (10, 100, "softmax")):
        coef = generator.standard_normal((width, columns)) / columns**0.5
        value = builder.op("linear", value, tensors={"coef": coef, "intercept": np.zeros(width)})
        value = builder.op(activation, value)
    return _classifier(builder, "NeuralNetwork", value, n_classes=10)


def _neighbors(builder: Builder) -> Answers:
    """5 nearest of 2,000 points, all looked at."""
    generator = random()
    tensors = {"points": generator.standard_normal((2000, COLUMNS)), "label": generator.integers(0, 2, 2000)}
    shares = builder.op("vote_neighbors", "input", tensors=tensors, n_classes=2, k=5, metric="euclidean", p=2.0)
    return _classifier(builder, "NearestNeighbors", shares)


def _classifier(
    builder: Builder, model_type: str, probabilities: str, raw: str | None = None, n_classes: int = 2
) -> Answers:
    prediction = builder.op("argmax", probabilities)
    classes = tuple(range(n_classes))
    return Answers("classification", model_type, prediction, probabilities, raw, classes=classes)


_BUILDERS: dict[str, Callable[[Builder], Answers]] = {
    "boosted_100_depth_6": _boosted,
    "leafwise_200_31_leaves": _leafwise,
    "symmetric_100_depth_6": _symmetric,
    "random_forest_100_2000_leaves": _random_forest,
    "logistic_10_classes": _logistic,
    "network_100_10": _network,
    "neighbors_5_of_2000": _neighbors,
}

MODELS = tuple(_BUILDERS)


def make(name: str) -> ModelSpec:
    """The model of that name in MODELS."""
    builder = Builder(COLUMNS)
    return builder.spec(_BUILDERS[name](builder), name=name, version="1", framework={})


#: Forests of `make_forest`: trees, leaves, and the width in which rows meet thresholds.
_SHAPES = {
    "500_255_leaves_f32": (500, 255, "f32"),
    "500_255_leaves_f64": (500, 255, "f64"),
    "100_31_leaves_f32": (100, 31, "f32"),
    "10_8_leaves_f32": (10, 8, "f32"),
}

FORESTS = (*_SHAPES, "symmetric_500_depth_8")


def make_forest(name: str) -> ModelSpec:
    """A regressor of one forest, of that name in FORESTS."""
    builder = Builder(COLUMNS)
    if name in _SHAPES:
        n_trees, n_leaves, width = _SHAPES[name]
        forest = grown_forest(n_trees, n_leaves, compare=width, accumulate=width)
        raw = builder.op("forest", "input", tensors=forest.tensors([0.0]), **forest.attributes())
    else:
        raw = builder.op("oblivious", "input", tensors=symmetric_trees(500, 8), scale=1.0)
    answers = Answers("regression", "GradientBoosting", raw)
    return builder.spec(answers, name=name, version="1", framework={})
