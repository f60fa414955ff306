"""Shapes: whatever a graph does to them, rows stay rows, and what cannot be is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inferir.errors import ModelLoadError, UnsupportedModelError
from tests.formats.importers.onnx.agreement import FLOAT, INT, close, converted, graph, node, rows, theirs

WIDTH = 6


def made(nodes: Any, constants: Any = None, opset: int = 18) -> Any:
    arrays = {name: np.asarray(value) for name, value in (constants or {}).items()}
    return graph(nodes, {"x": (FLOAT, [None, WIDTH])}, {"y": FLOAT}, arrays, opset)


def agree(model: Any, n: int = 7) -> None:
    x = rows(n, WIDTH)
    ours = converted(model)
    close(ours._run("transformed", x), theirs(model, x)[0])


def back(name: str) -> list[Any]:
    """To [N, columns], so that a reshape before it shows in the order of columns."""
    return [node("Reshape", f"{name} flat", "y")]


@pytest.mark.parametrize(
    "shape", [[-1, 2, 3], [-1, 1, 6], [0, 3, 2], [0, -1], [-1, 6, 1], [1, -1, 6], [1, 1, -1, 2, 3], [-1, 2, 3, 1]]
)
def test_reshape_and_back(shape: Any) -> None:
    agree(made([node("Reshape", "x s", "h"), *back("h")], {"s": shape, "flat": [-1, WIDTH]}))


def test_rows_that_become_several() -> None:
    """[N, 6] to [6 N] and to [3 N, 2], something done to each, and back."""
    for shape in ([-1], [-1, 2], [-1, 3]):
        nodes = [node("Reshape", "x s", "h"), node("Mul", "h c", "g"), node("Add", "g g", "k"), *back("k")]
        agree(made(nodes, {"s": shape, "flat": [-1, WIDTH], "c": np.float32(3)}))


@pytest.mark.parametrize("order", [[0, 2, 1], [2, 0, 1], [1, 0, 2], [1, 2, 0], [2, 1, 0]])
def test_transpose(order: Any) -> None:
    """[N, 2, 3] in any order; a reduction tells whether elements are where they should be."""
    axis = order.index(1)
    nodes = [
        node("Reshape", "x s", "h"),
        node("Transpose", "h", "t", perm=order),
        node("Mul", "t w", "m"),
        node("ReduceSum", "m a", "r", keepdims=1),
        node("Transpose", "r", "u", perm=np.argsort(order).tolist()),
        *back("u"),
    ]
    weight = np.transpose(np.arange(6, dtype=np.float32).reshape(1, 2, 3), order)
    agree(made(nodes, {"s": [-1, 2, 3], "w": weight, "a": [axis], "flat": [-1, 3]}))


def test_squeeze_and_unsqueeze() -> None:
    nodes = [
        node("Unsqueeze", "x a", "u"),
        node("Squeeze", "u b", "v"),
        node("Unsqueeze", "v c", "w"),
        node("Squeeze", "w", "y"),
    ]
    agree(made(nodes, {"a": [1, 3], "b": [1], "c": [-1]}))


def test_axes_as_attributes() -> None:
    agree(made([node("Unsqueeze", "x", "u", axes=[2]), node("Squeeze", "u", "y", axes=[2])], opset=11))


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_flatten(axis: int) -> None:
    nodes = [node("Reshape", "x s", "h"), node("Flatten", "h", "f", axis=axis), *back("f")]
    agree(made(nodes, {"s": [-1, 2, 3], "flat": [-1, WIDTH]}))


def test_shape_of_the_rows() -> None:
    """The number of rows travels through shapes, and a constant of that shape is one for each row."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "n"),
        node("Concat", "n two three", "target", axis=0),
        node("Cast", "target", "same", to=INT),
        node("Reshape", "x same", "h"),
        node("ConstantOfShape", "target", "zeros"),
        node("Add", "h zeros", "g"),
        *back("g"),
    ]
    agree(made(nodes, {"zero": [0], "two": [2], "three": [3], "flat": [-1, WIDTH]}))


def test_a_constant_beside_rows() -> None:
    from onnx import numpy_helper

    nodes = [
        node("Slice", "x b e a", "one"),
        node("Shape", "one", "shape"),
        node("ConstantOfShape", "shape", "c", value=numpy_helper.from_array(np.array([2.5], np.float32))),
        node("Concat", "c x", "y", axis=1),
    ]
    agree(made(nodes, {"b": [0], "e": [1], "a": [1]}))


def test_constants_for_each_row_can_be_summed_along_columns() -> None:
    nodes = [
        node("Shape", "x", "shape"),
        node("ConstantOfShape", "shape", "zeros"),
        node("Add", "zeros c", "ones"),
        node("CumSum", "ones one", "sums"),
        node("ReduceMax", "sums axes", "most"),
        node("Mul", "x sums", "p"),
        node("Add", "p most", "y"),
    ]
    agree(made(nodes, {"c": np.float32(1), "one": np.int64(1), "axes": [1]}))


def test_expand() -> None:
    nodes = [
        node("Expand", "c s", "wide"),
        node("Add", "x wide", "h"),
        node("Unsqueeze", "h a", "u"),
        node("Expand", "u t", "v"),
        node("ReduceSum", "v a", "y", keepdims=0),
    ]
    agree(made(nodes, {"c": np.float32([[2]]), "s": [1, 6], "a": [1], "t": [1, 4, 6]}))


def test_broadcasting_across_axes() -> None:
    """[N, 1, 6] against [1, 4, 6], as naive Bayes is written."""
    nodes = [
        node("Reshape", "x s", "h"),
        node("Sub", "h c", "d"),
        node("Pow", "d two", "p"),
        node("ReduceSum", "p a", "y", keepdims=0),
    ]
    c = np.random.default_rng(0).normal(size=(1, 4, 6)).astype(np.float32)
    agree(made(nodes, {"s": [-1, 1, 6], "c": c, "two": np.float32(2), "a": [2]}))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Reshape", "x s23", "y")], "a reshape of .* to .2, 3"),
        ([node("Reshape", "x s61", "h"), node("Reshape", "h flat", "y")], "keep rows apart"),
        ([node("Unsqueeze", "x zero", "u"), node("Squeeze", "u one", "y")], "Squeeze of axes"),
        ([node("Transpose", "x", "t"), node("Add", "x t", "y")], "rows line up"),
        ([node("Reshape", "x x", "y")], "shape that depends on the rows"),
    ],
)
def test_unsupported(nodes: Any, message: str) -> None:
    constants = {"s23": [2, 3], "s61": [6, -1], "flat": [-1, 6], "zero": [0], "one": [1]}
    with pytest.raises(UnsupportedModelError, match=message):
        converted(made(nodes, constants))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Reshape", "x s", "y")], "lengths for 6 elements"),
        ([node("Reshape", "x two", "y")], "at most one -1"),
        ([node("Reshape", "x text", "y")], "expected a shape"),
        ([node("Transpose", "x", "y", perm=[0, 0])], "order of 2 axes"),
        ([node("Flatten", "x", "y", axis=5)], "axis within a tensor of rank 2"),
        ([node("Unsqueeze", "x twice", "y")], "expected different axes"),
        ([node("ConstantOfShape", "huge", "c"), node("Add", "x c", "y")], "at most"),
        ([node("Expand", "c huge", "w"), node("Add", "x w", "y")], "at most"),
        ([node("Expand", "c minus", "w"), node("Add", "x w", "y")], "at most"),
    ],
)
def test_malformed(nodes: Any, message: str) -> None:
    constants = {"s": [-1, 4], "two": [-1, -1], "text": np.array(["a", "b"]), "twice": [1, 1], "huge": [2**40, 2**20],
                 "c": np.ones((1, 1), np.float32), "minus": [-4, 3]}  # fmt: skip
    with pytest.raises(ModelLoadError, match=message):
        converted(made(nodes, constants))
