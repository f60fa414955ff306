"""Element-wise operators against onnxruntime: rows with rows, rows with constants on either side, every broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from inferir.errors import ModelLoadError, UnsupportedModelError
from tests.formats.importers.onnx.agreement import (
    DOUBLE,
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

BINARY = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min")
RELATIONS = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
UNARY = ("Neg", "Abs", "Sqrt", "Floor", "Ceil", "Round", "Sign", "Reciprocal", "Exp", "Log", "Tanh", "Sigmoid",
         "Softplus", "Relu", "Erf", "Identity")  # fmt: skip


def sample(kind: int = FLOAT) -> Any:
    x = rows(40, 3).astype({FLOAT: np.float32, DOUBLE: np.float64, INT: np.float32}[kind])
    x[:9, 0] = [0.0, -0.0, np.nan, np.inf, -np.inf, 0.5, 1.5, -2.5, 2.0]
    return np.round(np.nan_to_num(x * 3, posinf=7, neginf=-7)).astype(np.int64) if kind == INT else x


def agree(model: Any, x: Any, relative: float = 2e-6) -> None:
    right = theirs(model, x)[0]
    ours = converted(model)
    close(ours._run("transformed" if "transformed" in ours.faces else "prediction", x), right, relative, relative / 10)


def with_float_output(op: str, inputs: str, kind: int, **attributes: Any) -> list[Any]:
    """`op`, and a cast of truth to numbers where it makes truth."""
    if op in (*RELATIONS, "IsNaN", "Not", "And", "Or"):
        return [node(op, inputs, "t", **attributes), node("Cast", "t", "y", to=kind)]
    return [node(op, inputs, "y", **attributes)]


CONSTANTS = {
    "scalar": np.array(1.5),
    "one": np.array([2.0]),
    "row": np.array([0.5, -2.0, 3.0]),
    "rank 2": np.array([[0.5, -2.0, 3.0]]),
    "zero": np.array(0.0),
}


@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("side", ["c x", "x c"])
@pytest.mark.parametrize("op", [*BINARY, *RELATIONS])
def test_rows_and_a_constant(op: str, side: str, constant: str) -> None:
    c = CONSTANTS[constant].astype(np.float32)
    model = graph(with_float_output(op, side, FLOAT), {"x": (FLOAT, [None, 3])}, {"y": FLOAT}, {"c": c})
    agree(model, sample())


#: Negative powers of whole numbers are no whole numbers.
TYPED = [(op, kind) for op in (*BINARY, *RELATIONS) for kind in (DOUBLE, INT) if (op, kind) != ("Pow", INT)]


@pytest.mark.parametrize("side", ["c x", "x c"])
@pytest.mark.parametrize(("op", "kind"), TYPED)
def test_other_types(op: str, kind: int, side: str) -> None:
    dtype = np.float64 if kind == DOUBLE else np.int64
    x = sample(kind)
    if op == "Div" and kind == INT:
        x[x == 0] = 5
    model = graph(
        with_float_output(op, side, kind), {"x": (kind, [None, 3])}, {"y": kind}, {"c": np.array([2, -3, 4], dtype)}
    )
    agree(model, x, 1e-12)


@pytest.mark.parametrize("op", [*BINARY, *RELATIONS])
def test_rows_and_rows(op: str) -> None:
    """[N, 3] with [N, 3], and with [N, 1]."""
    for other in ("z", "w"):
        nodes = [
            node("Slice", "x s1 e3 a1", "z"),
            node("Slice", "x s0 e1 a1", "w"),
            *with_float_output(op, f"z {other}" if other == "z" else "w z", FLOAT),
        ]
        if other == "z":
            nodes[1] = node("Slice", "x s0 e2 a1", "w")
            nodes[2] = with_float_output(op, "w z", FLOAT)[0]
        constants = {"s1": [1], "e3": [3], "s0": [0], "e1": [1], "e2": [2], "a1": [1]}
        model = graph(nodes, {"x": (FLOAT, [None, 3])}, {"y": FLOAT}, {k: np.array(v) for k, v in constants.items()})
        agree(model, sample())


#: Those of which onnxruntime has no kernel for doubles, or one of less than a double's precision.
NARROW = ("Softplus", "Erf", "Sigmoid", "Tanh")


@pytest.mark.parametrize(
    ("op", "kind"), [*((op, FLOAT) for op in UNARY), *((op, DOUBLE) for op in UNARY if op not in NARROW)]
)
def test_unary(op: str, kind: int) -> None:
    model = graph(with_float_output(op, "x", kind), {"x": (kind, [None, 3])}, {"y": kind})
    agree(model, sample(kind), 3e-6 if kind == FLOAT else 1e-12)


def test_truth() -> None:
    """Not, And, Or, Where, IsNaN over comparisons."""
    nodes = [
        node("IsNaN", "x", "nan"),
        node("Not", "nan", "number"),
        node("Greater", "x c", "large"),
        node("And", "number large", "both"),
        node("Less", "x d", "small"),
        node("Or", "both small", "either"),
        node("Where", "either x c", "chosen"),
        node("Where", "either d chosen", "again"),
        node("Cast", "both", "number1", to=FLOAT),
        node("Add", "again number1", "y"),
    ]
    constants = {"c": np.array([0.5], np.float32), "d": np.array([-0.5, 0.0, 0.1], np.float32)}
    agree(graph(nodes, {"x": (FLOAT, [None, 3])}, {"y": FLOAT}, constants), sample())


def test_a_constant_condition() -> None:
    nodes = [node("Where", "c x zero", "y")]
    constants = {"c": np.array([True, False, True]), "zero": np.array(0, np.float32)}
    agree(graph(nodes, {"x": (FLOAT, [None, 3])}, {"y": FLOAT}, constants), sample())


@pytest.mark.parametrize("inputs", ["x low high", "x low", "x  high"])
def test_clip(inputs: str) -> None:
    from onnx import helper

    made = helper.make_node("Clip", inputs.split(" "), ["y"])
    constants = {"low": np.array(-0.5, np.float32), "high": np.array(1.25, np.float32)}
    agree(graph([made], {"x": (FLOAT, [None, 3])}, {"y": FLOAT}, constants), sample())


def test_clip_by_attributes() -> None:
    made = node("Clip", "x", "y", min=-0.5, max=0.5)
    agree(graph([made], {"x": (FLOAT, [None, 3])}, {"y": FLOAT}, opset=6), sample())


@pytest.mark.parametrize("op", ["Sum", "Mean", "Max", "Min"])
def test_any_number_of_operands(op: str) -> None:
    constants = {"c": np.array([[0.5, -1, 2]], np.float32), "d": np.array(0.25, np.float32)}
    model = graph([node(op, "x c x d", "y")], {"x": (FLOAT, [None, 3])}, {"y": FLOAT}, constants)
    agree(model, sample())


@pytest.mark.parametrize("target", [FLOAT, DOUBLE, INT, TensorProto.INT32, TensorProto.BOOL])
@pytest.mark.parametrize("source", [FLOAT, DOUBLE, INT])
def test_casts(source: int, target: int) -> None:
    x = sample(source)
    if target in (INT, TensorProto.INT32):
        x = np.nan_to_num(x, posinf=9, neginf=-9)
    nodes = [node("Cast", "x", "t", to=target), node("Cast", "t", "y", to=FLOAT)]
    agree(graph(nodes, {"x": (source, [None, 3])}, {"y": FLOAT}), x)


def test_constants_are_folded() -> None:
    """All that depends on constants alone is computed once, before the model is made."""
    nodes = [
        node("Mul", "a b", "ab"),
        node("Sqrt", "ab", "root"),
        node("Cast", "root", "wide", to=DOUBLE),
        node("Cast", "wide", "narrow", to=FLOAT),
        node("Sum", "narrow a b", "total"),
        node("Exp", "total", "e"),
        node("Where", "flag e a", "w"),
        node("Add", "x w", "y"),
    ]
    constants = {
        "a": np.array([1.5, 2.0, 0.3], np.float32),
        "b": np.array(2, np.float32),
        "flag": np.array([True, False, True]),
    }
    model = graph(nodes, {"x": (FLOAT, [None, 3])}, {"y": FLOAT}, constants)
    agree(model, sample())
    assert [o.op for o in converted(model).spec.operators].count("affine") == 1


def test_text_is_compared_and_chosen() -> None:
    nodes = [
        node("Equal", "t c", "same"),
        node("Cast", "same", "number", to=FLOAT),
        node("Add", "number n", "y"),
    ]
    model = graph(
        nodes, {"t": (TEXT, [None, 1]), "n": (FLOAT, [None, 2])}, {"y": FLOAT}, {"c": np.array(["oslo", "rome"])}, 19
    )
    text = np.array([["oslo"], ["rome"], ["lima"], [""]], object)
    numbers = rows(4, 2)
    right = theirs(model, {"t": text, "n": numbers})[0]
    table = [{"t": t, "n_0": a, "n_1": b} for (t,), (a, b) in zip(text.tolist(), numbers.tolist(), strict=True)]
    close(converted(model).transform(table), right)


def test_a_choice_of_two_strings_is_a_label() -> None:
    nodes = [node("Greater", "x c", "g"), node("Where", "g yes no", "y")]
    constants = {"c": np.array([0.0], np.float32), "yes": np.array("yes"), "no": np.array("no")}
    model = graph(nodes, {"x": (FLOAT, [None, 1])}, {"y": TEXT}, constants)
    ours = converted(model)
    same_labels(ours.predict(sample()[:, :1]), theirs(model, sample()[:, :1])[0])
    assert ours.classes == ("no", "yes")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Sub", "x", "y")], "expected 2 inputs, got 1"),
        ([node("Neg", "x x", "y")], "expected 1 inputs, got 2"),
        ([node("Add", "x text", "y")], "of strings and numbers|one kind"),
        ([node("Cast", "x", "y")], "expected an attribute 'to'"),
        ([node("Add", "c wrong", "z"), node("Add", "x z", "y")], "expected shapes that fit"),
        ([node("Add", "c text", "z"), node("Add", "x z", "y")], "operands that go together"),
        ([node("Add", "big1 big2", "z"), node("Add", "x z", "y")], "at most"),
    ],
)
def test_malformed(nodes: Any, message: str) -> None:
    constants = {
        "c": np.ones(3, np.float32),
        "wrong": np.ones(4, np.float32),
        "text": np.array(["a", "b", "c"]),
        "big1": np.ones((50000, 1), np.float32),
        "big2": np.ones((1, 50000), np.float32),
    }
    with pytest.raises((ModelLoadError, UnsupportedModelError), match=message):
        converted(graph(nodes, {"x": (FLOAT, [None, 3])}, {"y": FLOAT}, constants))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Cast", "x", "y", to=TEXT)], "a cast from float32 to string"),
        ([node("Cast", "x", "y", to=TensorProto.FLOAT16)], "element type 10"),
        ([node("Add", "x wide", "y")], "rows line up"),
        ([node("Clip", "x x", "y")], "Clip whose min is computed"),
        ([node("Mod", "x x", "y")], "the operator Mod .*supported: of ai.onnx: Abs, Add"),
    ],
)
def test_unsupported(nodes: Any, message: str) -> None:
    constants = {"wide": np.ones((5, 3), np.float32)}
    with pytest.raises(UnsupportedModelError, match=message):
        converted(graph(nodes, {"x": (FLOAT, [None, 3])}, {"y": FLOAT}, constants))


def test_labels_of_few_values() -> None:
    """-1 and 1 from a comparison, as outlier detectors write it; three values from Sign."""
    for nodes in (
        [
            node("Less", "s zero", "l"),
            node("Cast", "l", "i", to=INT),
            node("Mul", "i m2", "j"),
            node("Add", "j p1", "y"),
        ],
        [node("Sign", "s", "g"), node("Cast", "g", "y", to=INT)],
    ):
        constants = {"zero": np.array([0.0], np.float32), "m2": np.array([-2]), "p1": np.array([1])}
        model = graph(
            [ml("LinearRegressor", "x", "s", coefficients=[1.0, 1.0, 1.0], intercepts=[0.0]), *nodes],
            {"x": (FLOAT, [None, 3])},
            {"y": INT, "s": FLOAT},
            constants,
        )
        x = np.concatenate([rows(50, 3), np.zeros((1, 3), np.float32)])
        ours = converted(model)
        same_labels(ours.predict(x), theirs(model, x)[0])
        assert ours.task == "anomaly"
        close(ours.raw(x), theirs(model, x)[1], 1e-5, 1e-6)


def test_initializers_may_be_listed_as_inputs() -> None:
    model = graph([node("Add", "x c", "y")], {"x": (FLOAT, [None, 3]), "c": (FLOAT, [3])}, {"y": FLOAT})
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "c"))
    assert len(converted(model).columns) == 3
