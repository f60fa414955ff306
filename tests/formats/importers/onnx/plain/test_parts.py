"""Slices, gathers and joins against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from inferir.errors import InvalidInputError, ModelLoadError, UnsupportedModelError
from tests.formats.importers.onnx.agreement import (
    FLOAT,
    INT,
    TEXT,
    close,
    converted,
    graph,
    ml,
    node,
    rows,
    same_labels,
    theirs,
)

WIDTH = 6


def made(nodes: Any, constants: Any = None, opset: int = 18, kind: int = FLOAT) -> Any:
    arrays = {name: np.asarray(value) for name, value in (constants or {}).items()}
    return graph(nodes, {"x": (kind, [None, WIDTH])}, {"y": FLOAT}, arrays, opset)


def agree(model: Any, x: Any = None) -> None:
    x = rows(30, WIDTH) if x is None else x
    ours = converted(model)
    close(ours._run("transformed", x), theirs(model, x)[0])


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [(1, 4, 1), (0, 100, 2), (-3, -1, 1), (5, 0, -2), (-1, -100, -1), (2, 2**62, 1), (4, 5, 1)],
)
def test_slice(start: int, end: int, step: int) -> None:
    agree(made([node("Slice", "x s e a p", "y")], {"s": [start], "e": [end], "a": [1], "p": [step]}))


def test_slice_by_attributes() -> None:
    agree(made([node("Slice", "x", "y", starts=[0, 2], ends=[2**62, 5])], opset=9))


def test_slice_of_all_rows_without_axes() -> None:
    agree(made([node("Slice", "x s e", "y")], {"s": [0, 1], "e": [2**62, 3]}))


@pytest.mark.parametrize("sizes", [[1, 2, 3], [6], [0, 6]])
def test_split(sizes: Any) -> None:
    names = [f"p{k}" for k in range(len(sizes))]
    nodes = [node("Split", "x s", " ".join(names), axis=1), node("Concat", " ".join(names[::-1]), "y", axis=1)]
    agree(made(nodes, {"s": sizes}))


def test_split_into_equal_parts() -> None:
    nodes = [node("Split", "x", "a b c", axis=-1, num_outputs=3), node("Concat", "c a", "y", axis=-1)]
    agree(made(nodes))


@pytest.mark.parametrize("index", [[0], [5, 0, 0], [-1, 2], [[0, 1], [2, 3]], 3])
def test_gather_columns(index: Any) -> None:
    width = np.asarray(index).size
    nodes = [node("Gather", "x i", "g", axis=1), node("Reshape", "g flat", "y")]
    agree(made(nodes, {"i": index, "flat": [-1, width]}))


@pytest.mark.parametrize("index", [[0], [5, 0, 0], 3, [[1, 2]]])
def test_array_feature_extractor(index: Any) -> None:
    nodes = [ml("ArrayFeatureExtractor", "x i", "g"), node("Reshape", "g flat", "y")]
    agree(made(nodes, {"i": np.asarray(index, np.int64), "flat": [-1, np.asarray(index).size]}))


def test_columns_of_text() -> None:
    """Concat, Gather and ArrayFeatureExtractor of text are no computation: encoders read the input columns."""
    nodes = [
        node("Concat", "a b", "ab", axis=1),
        node("Gather", "ab one", "second", axis=1),
        ml("ArrayFeatureExtractor", "ab zero", "first"),
        ml("OneHotEncoder", "second", "h", cats_strings=["p", "q"]),
        node("Flatten", "h", "hot"),
        ml("LabelEncoder", "first", "code", keys_strings=["u", "v"], values_floats=[1.5, 2.5], default_float=-1.0),
        node("Concat", "code hot", "y", axis=1),
    ]
    inputs = {"a": (TEXT, [None, 1]), "b": (TEXT, [None, 1])}
    model = graph(nodes, inputs, {"y": FLOAT}, {"one": np.array([1]), "zero": np.array([0])})
    a, b = np.array([["u"], ["v"], ["w"]], object), np.array([["q"], ["r"], ["p"]], object)
    ours = converted(model)
    right = theirs(model, {"a": a, "b": b})[0]
    close(ours.transform(np.concatenate([a, b], axis=1)), right)
    assert [column.kind for column in ours.columns] == ["category", "category"]


def test_constants_by_computed_positions() -> None:
    """Labels of an array by ArgMax: a new table. Rows of a matrix by a whole number: a search."""
    table = np.array([10.5, -3.0, 0.25, 7.0, 1.0, 2.0], np.float32)
    nodes = [
        node("ArgMax", "x", "best", axis=1, keepdims=1),
        ml("ArrayFeatureExtractor", "table best", "picked"),
        node("Reshape", "picked column", "a"),
        node("Gather", "table best", "b"),
        node("Gather", "matrix best1", "c"),
        node("ArgMax", "x", "best1", axis=1, keepdims=0),
        node("Concat", "a b c", "y", axis=1),
    ]
    nodes[4], nodes[5] = nodes[5], nodes[4]
    matrix = np.arange(12, dtype=np.float32).reshape(6, 2)
    agree(made(nodes, {"table": table, "matrix": matrix, "column": [-1, 1]}))


@pytest.mark.parametrize("rank", [1, 2])
def test_constants_by_numbers_that_came(rank: int) -> None:
    table = np.arange(5.0, dtype=np.float32) if rank == 1 else np.arange(10.0, dtype=np.float32).reshape(5, 2)
    nodes = [node("Gather", "table x", "g"), node("Reshape", "g flat", "y")]
    model = graph(nodes, {"x": (INT, [None, 2])}, {"y": FLOAT}, {"table": table, "flat": np.array([-1, 2 * rank])})
    x = np.array([[0, 4], [3, 3], [1, 2]])
    ours = converted(model)
    close(ours.transform(x), theirs(model, x)[0])
    with pytest.raises(InvalidInputError, match="row 1"):
        ours.transform([[0, 1], [5, 0]])


def test_classes_of_strings_by_position() -> None:
    nodes = [
        node("ArgMin", "x", "best", axis=1, keepdims=0),
        ml("ArrayFeatureExtractor", "names best", "picked"),
        node("Reshape", "picked flat", "y"),
    ]
    constants = {"names": np.array(list("abcdef")), "flat": np.array([-1])}
    model = graph(nodes, {"x": (FLOAT, [None, 6])}, {"y": TEXT}, constants)
    ours = converted(model)
    same_labels(ours.predict(rows(30, 6)), theirs(model, rows(30, 6))[0])
    assert ours.classes == tuple("abcdef")


def test_rows_stacked_below_each_other() -> None:
    """Two [N, 6] joined to [2 N, 6], and taken apart by a reshape, as skl2onnx writes discriminant analysis."""
    nodes = [
        node("ReduceSum", "x one", "s", keepdims=1),
        node("ReduceMax", "x one", "m", keepdims=1),
        node("Concat", "s m", "stack", axis=0),
        node("Reshape", "stack shape", "apart"),
        node("Transpose", "apart", "y", perm=[1, 0]),
    ]
    agree(made(nodes, {"one": [1], "shape": [2, -1]}))


@pytest.mark.parametrize("attributes", [{"value_float": 2.5}, {"value_floats": [1.0, 2, 3, 4, 5, 6]}, {"value": None}])
def test_constant(attributes: Any) -> None:
    if "value" in attributes:
        attributes = {"value": numpy_helper.from_array(np.array([[3.0]], np.float32))}
    agree(made([node("Constant", "", "c", **attributes), node("Add", "x c", "y")]))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Slice", "x s e zero", "y")], "Slice of rows"),
        ([node("Gather", "x i", "y", axis=0)], "Gather of rows"),
        ([node("Concat", "x x", "y", axis=0)], "below each other"),
        ([node("Concat", "x x", "xx", axis=0), node("Neg", "xx", "y")], "rows stacked below each other"),
        ([node("ArgMax", "x", "b", axis=1), node("Gather", "x b", "y", axis=1)], "Gather of rows by rows"),
        ([node("Constant", "", "c", sparse_value=None), node("Add", "x c", "y")], "Constant with"),
    ],
)
def test_unsupported(nodes: Any, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        converted(made(nodes, {"s": [0], "e": [2], "zero": [0], "i": [0]}))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Gather", "x seven", "y", axis=1)], "entries within axis 1, of length 6"),
        ([node("Gather", "x half", "y", axis=1)], "positions of integers"),
        ([node("Slice", "x one", "y")], "starts and ends"),
        ([node("Slice", "x one one one zero", "y")], "steps other than 0"),
        ([node("Slice", "x two one", "y")], "as many starts as ends"),
        ([node("Split", "x two", "a y", axis=1)], "2 sizes that add up to 6"),
        ([node("Concat", "x", "y")], "expected an attribute 'axis'"),
        ([node("Concat", "x x", "y", axis=3)], "axis within a tensor of rank 2"),
        ([node("Concat", "c d", "e", axis=0), node("Add", "x e", "y")], "shapes that fit"),
    ],
)
def test_malformed(nodes: Any, message: str) -> None:
    constants = {"seven": [7], "half": np.array([0.5]), "one": [1], "zero": [0], "two": [1, 2],
                 "c": np.ones((1, 2), np.float32), "d": np.ones((1, 3), np.float32)}  # fmt: skip
    with pytest.raises(ModelLoadError, match=message):
        converted(made(nodes, constants))
