"""Whatever the bytes, the answer is a model or a FormatError."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import inferir
from inferir.errors import BackendError, FormatError, InferirError, ModelLoadError, UnsupportedModelError
from inferir.formats.importers.onnx.reader import read_model
from tests.formats.importers.onnx.agreement import FLOAT, INT, converted, graph, ml, node, rows
from tests.formats.importers.onnx.ml.test_ensembles import MIXED, classifier
from tests.formats.importers.onnx.ml.test_forests import chain
from tests.formats.importers.onnx.ml.test_svm import classifier as svm
from tests.patience import PATIENCE_S


def models() -> list[Any]:
    """Small models of many operators: what is mutilated below."""
    plain = graph(
        [
            ml("Scaler", "x", "s", offset=[1.0, 2, 3, 4], scale=[1.0, 2, 3, 4]),
            node("MatMul", "s w", "m"),
            node("Add", "m b", "a"),
            node("Reshape", "a shape", "r"),
            node("ReduceSum", "r axes", "t", keepdims=0),
            node("Softmax", "t", "p"),
            node("ArgMax", "p", "best", axis=1, keepdims=0),
            ml("ArrayFeatureExtractor", "names best", "picked"),
            node("Reshape", "picked flat", "label"),
            ml("ZipMap", "p", "probabilities", classlabels_strings=["u", "v"]),
        ],
        {"x": (FLOAT, [None, 4])},
        {"label": TensorProto.STRING, "probabilities": FLOAT},
        {
            "w": rows(4, 6),
            "b": rows(1, 6),
            "shape": np.array([-1, 2, 3]),
            "axes": np.array([2]),
            "names": np.array(["u", "v"]),
            "flat": np.array([-1]),
        },
    )
    return [
        plain,
        classifier([0, 1, 2], MIXED, ["a", "b", "c"], "SOFTMAX"),
        chain([3.0, 1.0]),
        svm(["a", "b", "c"], "RBF", True),
    ]


def answers(data: bytes) -> Any:
    """What the model in the bytes answers, None where they are refused. Any other error is this test's business."""
    try:
        model = converted(data)
        return model.predict(np.zeros((2, len(model.columns))))
    except FormatError:
        return None
    except InferirError as error:  # a row of zeros is not for every model
        return str(error)


@pytest.mark.parametrize("position", range(4))
def test_truncated(position: int) -> None:
    data = models()[position].SerializeToString()
    refused = sum(answers(data[:length]) is None for length in range(0, len(data), max(1, len(data) // 150)))
    assert refused > 100


@pytest.mark.parametrize("position", range(4))
@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_mutilated(position: int, data: Any) -> None:
    original = bytearray(models()[position].SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(original) - 1))
        kind = data.draw(st.sampled_from(["set", "flip", "cut", "double"]))
        if kind == "set":
            original[at] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
        elif kind == "flip":
            original[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del original[at : at + data.draw(st.integers(1, 9))]
        else:
            original[at:at] = original[at : at + data.draw(st.integers(1, 30))]
        if not original:
            break
    answers(bytes(original))


@given(garbage=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_garbage(garbage: bytes) -> None:
    for data in (garbage, b"\x08\x09\x3a" + garbage, b"\x08\x09\x12\x00:" + bytes([len(garbage) % 128]) + garbage):
        assert answers(data) is None


def test_other_files() -> None:
    for data in (b"", b"\x08", b"\x08\x09:\x00", b"PK\x03\x04", b"\x80\x04\x95", b"{}"):
        with pytest.raises(FormatError):
            converted(data)
    with pytest.raises(ModelLoadError, match="expected a graph with nodes and outputs"):
        read_model(b"\x08\x09:\x00")


def trees(**changes: Any) -> Any:
    """A tree of two levels, with attributes changed; None leaves one out."""
    attributes: dict[str, Any] = {
        "n_targets": 1,
        "nodes_treeids": [0] * 5,
        "nodes_nodeids": [0, 1, 2, 3, 4],
        "nodes_featureids": [0, 1, 0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
        "nodes_values": [0.5, -0.5, 0, 0, 0],
        "nodes_truenodeids": [1, 3, 0, 0, 0],
        "nodes_falsenodeids": [2, 4, 0, 0, 0],
        "target_treeids": [0] * 3,
        "target_nodeids": [2, 3, 4],
        "target_ids": [0] * 3,
        "target_weights": [1.0, 2.0, 3.0],
    }
    attributes = {k: v for k, v in {**attributes, **changes}.items() if v is not None}
    return graph([ml("TreeEnsembleRegressor", "x", "y", **attributes)], {"x": (FLOAT, [None, 2])}, {"y": FLOAT})


HOSTILE = {
    "a node that leads to itself": ({"nodes_truenodeids": [0, 3, 0, 0, 0]}, "reached in two ways"),
    "a child that leads to its parent": ({"nodes_truenodeids": [1, 0, 0, 0, 0]}, "reached in two ways"),
    "a node with two parents": ({"nodes_falsenodeids": [3, 4, 0, 0, 0]}, "reached in two ways"),
    "a circle apart from the root": (
        {"nodes_modes": ["LEAF", "BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF"], "nodes_truenodeids": [0, 2, 1, 0, 0]},
        "expected a weight for each leaf|reached in two ways",
    ),
    "a circle of equals": (
        {"nodes_modes": ["BRANCH_EQ"] * 2 + ["LEAF"] * 3, "nodes_featureids": [0] * 5,
         "nodes_truenodeids": [3, 3, 0, 0, 0], "nodes_falsenodeids": [1, 0, 0, 0, 0]},
        "reached in two ways",
    ),
    "a child that is not there": ({"nodes_truenodeids": [9, 3, 0, 0, 0]}, "nodes_truenodeids of nodes that exist"),
    "a negative child": ({"nodes_falsenodeids": [-1, 4, 0, 0, 0]}, "expected nodes_falsenodeids of nodes that exist"),
    "a child in another tree": (
        {"nodes_treeids": [0, 0, 0, 1, 1], "target_treeids": [0, 1, 1]}, "nodes_truenodeids of nodes that exist"
    ),
    "trees mixed up": ({"nodes_treeids": [0, 1, 0, 0, 0]}, "stand together"),
    "a node twice": ({"nodes_nodeids": [0, 1, 2, 3, 3]}, "node 3 of tree 0 is there twice"),
    "a column that is not there": ({"nodes_featureids": [0, 2, 0, 0, 0]}, "within the 2 columns, got 0 to 2"),
    "a negative column": ({"nodes_featureids": [-1, 1, 0, 0, 0]}, "within the 2 columns, got -1 to 1"),
    "a mode that there is not": ({"nodes_modes": ["BRANCH_LEQ", "SWITCH", "LEAF", "LEAF", "LEAF"]}, "got SWITCH"),
    "too few values": ({"nodes_values": [0.5]}, "expected 5 values in nodes_values"),
    "no modes": ({"nodes_modes": None}, "expected 5 values in nodes_modes"),
    "no nodes": ({"nodes_nodeids": None}, "expected nodes, found none"),
    "no targets": ({"n_targets": None}, "expected n_targets of 1 or more"),
    "a target that is not there": ({"target_ids": [0, 1, 0]}, "expected target_ids within 0 and 0"),
    "a leaf without weight": ({"target_nodeids": [2, 3, 3]}, "expected a weight for each leaf"),
    "two weights for a leaf": (
        {"target_nodeids": [2, 3, 4, 4], "target_ids": [0] * 4, "target_treeids": [0] * 4, "target_weights": [1.0] * 4},
        "expected one weight for each leaf and output",
    ),
    "a weight for no leaf": ({"target_nodeids": [2, 3, 7]}, "expected target_nodeids of nodes that exist"),
    "too few weights": ({"target_weights": [1.0]}, "expected as many target_ids"),
    "two base values": ({"base_values": [1.0, 2.0]}, "expected 0 or 1 base_values, got 2"),
    "integers for thresholds": ({"nodes_values": [1, 2, 3, 4, 5]}, "'nodes_values' to be a list of float"),
    "a number for ids": ({"nodes_nodeids": 5}, "'nodes_nodeids' to be list, got int"),
    "a tensor of integers": ({"nodes_values": None, "nodes_values_as_tensor": numpy_helper.from_array(np.arange(5))},
                             "to hold floats or doubles, got int64"),
    "a word for aggregation": ({"aggregate_function": "MEDIAN"}, "one of AVERAGE, SUM, MIN, MAX"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_trees_that_are_none(case: str) -> None:
    changes, message = HOSTILE[case]
    with pytest.raises(ModelLoadError, match=message):
        converted(trees(**changes))


def test_weights_of_nodes_that_are_no_leaves_are_ignored() -> None:
    """As onnxruntime does: old converters wrote them."""
    changes = {
        "target_nodeids": [2, 3, 4, 1],
        "target_ids": [0] * 4,
        "target_treeids": [0] * 4,
        "target_weights": [1.0, 2, 3, 9],
    }
    x = rows(20, 2)
    np.testing.assert_array_equal(converted(trees(**changes)).predict(x), converted(trees()).predict(x))


def ensemble(**changes: Any) -> Any:
    """TreeEnsemble of ai.onnx.ml 5, with attributes changed."""
    bytes_of = lambda values: numpy_helper.from_array(np.array(values, np.uint8))  # noqa: E731
    floats = lambda values: numpy_helper.from_array(np.array(values, np.float32))  # noqa: E731
    attributes: dict[str, Any] = {
        "n_targets": 1,
        "tree_roots": [0],
        "nodes_modes": bytes_of([0, 0]),
        "nodes_featureids": [0, 1],
        "nodes_splits": floats([0.5, 0.25]),
        "nodes_truenodeids": [1, 0],
        "nodes_trueleafs": [0, 1],
        "nodes_falsenodeids": [2, 1],
        "nodes_falseleafs": [1, 1],
        "leaf_targetids": [0, 0, 0],
        "leaf_weights": floats([1, 2, 3]),
    }
    made = {
        "modes": lambda v: {"nodes_modes": bytes_of(v)},
        "members": lambda v: {"nodes_modes": bytes_of([6, 6]), "membership_values": floats(v)},
    }
    for key, value in changes.items():
        attributes |= made[key](value) if key in made else {key: value}
    attributes = {k: v for k, v in attributes.items() if v is not None}
    return graph([ml("TreeEnsemble", "x", "y", **attributes)], {"x": (FLOAT, [None, 2])}, {"y": FLOAT}, ml_opset=5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes_truenodeids": [0, 0]}, "node 0 can be reached in two ways"),
        ({"tree_roots": [0, 1]}, "node 1 can be reached in two ways"),
        ({"tree_roots": [2]}, "positions below 2 nodes, got 2"),
        ({"tree_roots": None}, "expected tree_roots"),
        ({"nodes_falsenodeids": [3, 1]}, "positions below 3 leaves, got 3"),
        ({"nodes_falsenodeids": [-1, 1]}, "positions below 3 leaves, got -1"),
        ({"nodes_featureids": [0, 2]}, "within the 2 columns"),
        ({"nodes_featureids": [0]}, "expected 2 values in nodes_featureids"),
        ({"leaf_targetids": [0, 0, 1]}, "leaf_targetids below n_targets=1"),
        ({"leaf_weights": None}, "expected an attribute 'leaf_weights'"),
        ({"modes": [0, 7]}, "nodes_modes up to 6, got 7"),
        ({"members": [1.0, np.nan, 2.0, np.nan, 3.0, np.nan]}, "membership_values for 2 nodes"),
        ({"aggregate_function": 4}, "aggregate_function within 0 and 3"),
        ({"post_transform": 5}, "post_transform within 0 and 4"),
        ({"nodes_modes": numpy_helper.from_array(np.zeros(2, np.int64))}, "nodes_modes to hold bytes, got int64"),
    ],
)
def test_ensembles_that_are_none(changes: Any, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        converted(ensemble(**changes))


def simple(nodes: Any = None, **more: Any) -> Any:
    return graph(nodes or [node("Identity", "x", "y")], {"x": (FLOAT, [None, 2])}, {"y": FLOAT}, **more)


def test_data_in_other_files_is_refused() -> None:
    model = simple([node("Add", "x c", "y")], constants={"c": np.ones(2, np.float32)})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    with pytest.raises(UnsupportedModelError, match="data is in another file"):
        converted(model)


@pytest.mark.parametrize(("dims", "raw"), [([2**40], b""), ([-1], b"\0\0\0\0"), ([3], b"\0" * 8), ([2], b"\0" * 3)])
def test_tensors_whose_shape_is_not_that_of_their_data(dims: Any, raw: bytes) -> None:
    model = simple([node("Add", "x c", "y")])
    model.graph.initializer.append(TensorProto(name="c", dims=dims, data_type=FLOAT, raw_data=raw))
    with pytest.raises(FormatError):
        converted(model)


def test_text_that_is_not_utf8() -> None:
    made = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml")
    attribute = made.attribute.add()
    attribute.name, attribute.type = "keys_strings", 8
    attribute.strings.append(b"\xff\xfe")
    with pytest.raises(ModelLoadError, match="UTF-8"):
        converted(simple([made]))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Add", "x later", "y"), node("Neg", "x", "later")], "inputs that are computed before, got 'later'"),
        ([node("Add", "y y", "y")], "inputs that are computed before, got 'y'"),
        ([node("Neg", "x", "a"), node("Neg", "a", "x")], "outputs that are not there yet, got 'x'"),
        ([node("Neg", "x", "z")], "expected an output that is computed, got 'y'"),
        ([node("Neg", "x", "y z")], "expected at most 1 outputs, got 2"),
        ([node("Neg", "", "y")], "expected inputs, found none"),
    ],
)
def test_graphs_that_are_none(nodes: Any, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        converted(simple(nodes))


def test_functions_of_the_file_are_refused() -> None:
    model = simple([node("Neg", "x", "y", "local")])
    model.functions.append(helper.make_function("local", "Neg", ["a"], ["b"], [node("Neg", "a", "b")], []))
    with pytest.raises(UnsupportedModelError, match=r"the operator Neg .*supported: operators of"):
        converted(model)


def test_a_node_is_named_in_errors() -> None:
    made = helper.make_node("Mystery", ["x"], ["y"], name="third", domain="org.example")
    with pytest.raises(
        UnsupportedModelError, match=r"operator Mystery .in node org.example:Mystery 'third'.*ai.onnx.ml"
    ):
        converted(simple([made]))


def test_without_the_onnx_package(monkeypatch: pytest.MonkeyPatch) -> None:
    data = simple().SerializeToString()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendError, match=r"pip install inferir\[import\]"):
        converted(data)


def test_onnx_is_imported_for_onnx_files_alone() -> None:
    code = "import inferir, inferir.formats.importers, sys; assert 'onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_S)


def test_integers_as_rows() -> None:
    """A file of one operator, from bytes to an answer."""
    model = converted(graph([node("Identity", "x", "y")], {"x": (INT, [None, 2])}, {"y": INT}))
    assert isinstance(model, inferir.Model)
    assert model.transform([[1, 2]]).tolist() == [[1, 2]]
