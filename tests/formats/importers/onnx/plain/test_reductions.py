"""Reductions, positions of extremes, and normalisations against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inferir.errors import ModelLoadError, UnsupportedModelError
from tests.formats.importers.onnx.agreement import (
    DOUBLE,
    FLOAT,
    INT,
    close,
    converted,
    graph,
    node,
    rows,
    same_labels,
    theirs,
)

WIDTH = 6
REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1",
              "ReduceL2", "ReduceLogSumExp")  # fmt: skip


def made(nodes: Any, constants: Any = None, opset: int = 18, kind: int = FLOAT, output: int | None = None) -> Any:
    arrays = {name: np.asarray(value) for name, value in (constants or {}).items()}
    return graph(nodes, {"x": (kind, [None, WIDTH])}, {"y": output or kind}, arrays, opset)


def agree(model: Any, relative: float = 3e-6, kind: type = np.float32) -> None:
    x = rows(50, WIDTH).astype(kind)
    ours = converted(model)
    close(ours._run("transformed", x), theirs(model, x)[0], relative, relative / 3)


@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("op", REDUCTIONS)
def test_reductions(op: str, keepdims: int, kind: int) -> None:
    nodes = [node(op, "x a", "r", keepdims=keepdims), node("Reshape", "r flat", "y")]
    model = made(nodes, {"a": [1], "flat": [-1, 1]}, kind=kind)
    agree(model, 3e-6 if kind == FLOAT else 1e-12, np.float32 if kind == FLOAT else np.float64)


@pytest.mark.parametrize("axes", [[1], [2], [1, 2], [-1]])
@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMax", "ReduceL2"])
def test_reductions_of_cubes(op: str, axes: Any) -> None:
    """[N, 2, 3] over one of its axes, or both."""
    left = 6 // int(np.prod([{1: 2, 2: 3, -1: 3}[a] for a in axes]))
    nodes = [node("Reshape", "x s", "h"), node(op, "h a", "r", keepdims=1), node("Reshape", "r flat", "y")]
    agree(made(nodes, {"s": [-1, 2, 3], "a": axes, "flat": [-1, left]}))


def test_axes_as_attributes() -> None:
    agree(made([node("ReduceMean", "x", "r", axes=[1], keepdims=1), node("Sub", "x r", "y")], opset=11))


@pytest.mark.parametrize("op", REDUCTIONS[:8])
def test_reductions_of_constants(op: str) -> None:
    nodes = [node(op, "c a", "r", keepdims=0), node("Mul", "x r", "y")]
    c = np.random.default_rng(0).normal(size=(4, WIDTH)).astype(np.float32)
    agree(made(nodes, {"c": c, "a": [0]}))


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_positions(op: str, keepdims: int) -> None:
    model = made([node(op, "x", "y", axis=1, keepdims=keepdims)], output=INT)
    x = rows(50, WIDTH).copy()
    x[3], x[4, 2] = 1.0, np.inf
    same_labels(converted(model).predict(x), theirs(model, x)[0])


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_positions_of_several(op: str) -> None:
    """[N, 2, 3] along the last axis: two positions a row."""
    nodes = [node("Reshape", "x s", "h"), node(op, "h", "p", axis=2, keepdims=0), node("Cast", "p", "y", to=FLOAT)]
    agree(made(nodes, {"s": [-1, 2, 3]}))


@pytest.mark.parametrize("k", [1, 3, 6])
@pytest.mark.parametrize("largest", [0, 1])
def test_top_k(largest: int, k: int) -> None:
    nodes = [
        node("TopK", "x k", "values positions", largest=largest, axis=1),
        node("Cast", "positions", "p", to=FLOAT),
        node("Concat", "values p", "y", axis=1),
    ]
    model = made(nodes, {"k": [k]})
    agree(model)
    x = np.round(rows(50, WIDTH))  # ties
    close(converted(model).transform(x), theirs(model, x)[0])


def test_gather_elements() -> None:
    """Values of x where another is largest, and the positions of positions."""
    nodes = [
        node("TopK", "x k", "values positions", largest=1, axis=1),
        node("ArgMin", "values", "last", axis=1, keepdims=1),
        node("GatherElements", "positions last", "where", axis=1),
        node("GatherElements", "x where", "y", axis=1),
    ]
    model = made(nodes, {"k": [3]})
    close(converted(model).predict(rows(50, WIDTH)), theirs(model, rows(50, WIDTH))[0])


def test_cumsum() -> None:
    agree(made([node("CumSum", "x a", "y")], {"a": np.array(1)}))


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset", [11, 18])
def test_softmax(op: str, opset: int) -> None:
    agree(made([node("Mul", "x c", "m"), node(op, "m", "y")], {"c": np.float32(9)}, opset))


@pytest.mark.parametrize("p", [1, 2])
def test_lp_normalization(p: int) -> None:
    agree(made([node("LpNormalization", "x", "y", p=p)]))


def test_log_sum_exp_does_not_overflow() -> None:
    nodes = [node("Mul", "x c", "m"), node("ReduceLogSumExp", "m a", "r", keepdims=1), node("Sub", "m r", "y")]
    agree(made(nodes, {"c": np.float32(300), "a": [1]}))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("ReduceSum", "x zero", "y")], "ReduceSum over the rows"),
        ([node("ReduceSum", "x", "y")], "ReduceSum over the rows"),
        (
            [node("ArgMax", "x", "p", axis=1, select_last_index=1), node("Cast", "p", "y", to=FLOAT)],
            "the last of equals",
        ),
        ([node("CumSum", "x one", "y", reverse=1)], "exclusive or reverse"),
        ([node("Softmax", "x", "y", axis=0)], "Softmax of shape"),
        ([node("TopK", "x x", "y i")], "TopK whose k depend on the rows"),
    ],
)
def test_unsupported(nodes: Any, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        converted(made(nodes, {"zero": [0], "one": np.array(1)}))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("ReduceSum", "x five", "y")], "axis within a tensor of rank 2"),
        ([node("TopK", "x nine", "y i")], "k within 1 and 6, got 9"),
        ([node("CumSum", "x", "y")], "expected one axis"),
        ([node("ReduceSum", "text zero", "y")], "expected numbers, got strings"),
    ],
)
def test_malformed(nodes: Any, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        converted(made(nodes, {"five": [5], "nine": [9], "zero": [0], "text": np.array(["a"])}))
