"""Inputs of a graph as columns: one tensor, several, numbers of every type, and text."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.compose as compose
import sklearn.ensemble as ensemble
import sklearn.impute as impute
import sklearn.linear_model as linear
import sklearn.pipeline as pipeline
import sklearn.preprocessing as preprocessing
from onnx import TensorProto

from inferir.errors import DimensionError, InferirError, ModelLoadError, UnsupportedModelError
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

N = 150
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "age": np.where(RNG.random(N) < 0.1, np.nan, RNG.normal(40, 9, N)),
        "pay": RNG.normal(size=N),
        "city": RNG.choice(["rome", "oslo", "lima"], N),
        "rooms": RNG.integers(1, 6, N),
        "job": RNG.choice(["a", "b", "c", "d"], N),
    }
)
TWO = (TABLE["pay"] + (TABLE["city"] == "oslo") > 0.5).to_numpy().astype(np.int64)
NUMBER = TABLE["pay"].to_numpy() * 3 + TABLE["rooms"].to_numpy()


def fitted(estimator: Any, table: Any, target: Any = None) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    kinds = {"f": FloatTensorType, "i": Int64TensorType}
    types = [(name, kinds.get(table[name].dtype.kind, StringTensorType)([None, 1])) for name in table]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(table, target)
        return to_onnx(estimator, initial_types=types, target_opset={"": 18, "ai.onnx.ml": 3})


def feeds(table: Any) -> dict[str, Any]:
    """Columns as onnxruntime takes them."""
    out = {}
    for name in table:
        column = table[[name]].to_numpy()
        kind = table[name].dtype.kind
        out[name] = column.astype(np.float32) if kind == "f" else column if kind == "i" else column.astype(object)
    return out


def unseen(table: Any) -> Any:
    """Rows with categories that no encoder knows."""
    out = table.copy()
    for name in table:
        if table[name].dtype.kind not in "fi":
            out.loc[::7, name] = "elsewhere"
    return out


def numbers() -> Any:
    return pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())


def one_hot(**more: Any) -> Any:
    return preprocessing.OneHotEncoder(handle_unknown="ignore", **more)


def ordinal() -> Any:
    return preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


PIPELINES: dict[str, tuple[Any, Any, Any]] = {
    "one-hot and logistic": (
        [("n", numbers(), ["age", "pay"]), ("c", one_hot(), ["city", "job"])], linear.LogisticRegression(), TWO
    ),
    "one-hot and forest": (
        [("n", numbers(), ["age", "pay"]), ("c", one_hot(), ["city", "job"])],
        ensemble.RandomForestClassifier(5, max_depth=5, random_state=0), TWO,
    ),
    "ordinal and boosting": (
        [("c", ordinal(), ["job", "city"]), ("n", impute.SimpleImputer(), ["age", "pay"])],
        ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0), NUMBER,
    ),
    "integers too": (
        [("c", one_hot(), ["city", "rooms"]), ("n", impute.SimpleImputer(), ["age"])], linear.Ridge(), NUMBER
    ),
    "dropped": (
        [("a", one_hot(), ["city"]), ("b", one_hot(drop="first"), ["job"]), ("n", "passthrough", ["pay"])],
        linear.Ridge(), NUMBER,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_pipeline_of_a_table(name: str) -> None:
    parts, last, target = PIPELINES[name]
    used = [column for column in TABLE if any(column in part[2] for part in parts)]
    model_graph = fitted(pipeline.make_pipeline(compose.ColumnTransformer(parts), last), TABLE[used], target)
    model = converted(model_graph)
    assert [column.name for column in model.columns] == used
    assert [column.kind for column in model.columns] == ["category" if c in ("city", "job") else "number" for c in used]
    table = unseen(TABLE)
    right = theirs(model_graph, feeds(table[used]))
    shuffled = table[used[::-1]]
    for form in (table[used], shuffled, table[used].to_dict("records")):
        if model.task == "classification":
            same_labels(model.predict(form), right[0])
            close(model.predict_proba(form), right[1])
        else:
            close(model.predict(form), right[0], 3e-6, 3e-6)
    same_labels(model.predict(table[used].iloc[:1]), np.asarray(model.predict(table[used]))[:1])


@pytest.mark.parametrize(
    "encoder", [one_hot(), one_hot(drop="first"), ordinal()], ids=["one-hot", "dropped", "ordinal"]
)
def test_encoder_alone(encoder: Any) -> None:
    table = TABLE[["city", "job"]]
    model_graph = fitted(encoder, table)
    right = theirs(model_graph, feeds(unseen(table)))[0]
    close(converted(model_graph).transform(unseen(table)), right)


def test_inputs_of_several_columns_and_of_none() -> None:
    """[N, 2], [N] and [N, 1]: columns of the first are numbered."""
    nodes = [node("Unsqueeze", "b one", "b2"), node("Concat", "a b2 c", "y", axis=1)]
    inputs = {"a": (FLOAT, [None, 2]), "b": (FLOAT, [None]), "c": (FLOAT, [1, 1])}
    model = converted(graph(nodes, inputs, {"y": FLOAT}, {"one": np.array([1])}))
    assert [column.name for column in model.columns] == ["a_0", "a_1", "b", "c"]
    np.testing.assert_array_equal(model.transform(rows(5, 4)), rows(5, 4))


def test_one_input_has_columns_without_names() -> None:
    model = converted(graph([node("Identity", "x", "y")], {"x": (FLOAT, [None, 3])}, {"y": FLOAT}))
    frame = pd.DataFrame(rows(4, 3), columns=["p", "q", "r"])
    np.testing.assert_array_equal(model.transform(frame), rows(4, 3))
    with pytest.raises(DimensionError):
        model.transform(rows(4, 2))


def test_types_of_inputs() -> None:
    """float32 rounds, float64 does not, integers stay whole, bool is 0 and 1."""
    nodes = [
        node("Cast", "i", "i2", to=DOUBLE),
        node("Cast", "b", "b2", to=DOUBLE),
        node("Cast", "f", "f2", to=DOUBLE),
        node("Concat", "d f2 i2 b2", "y", axis=1),
    ]
    inputs = {
        "d": (DOUBLE, [None, 1]),
        "f": (FLOAT, [None, 1]),
        "i": (INT, [None, 1]),
        "b": (TensorProto.BOOL, [None, 1]),
    }
    made = graph(nodes, inputs, {"y": DOUBLE})
    row = [0.1, 0.1, 2**40 + 1, True]
    np.testing.assert_array_equal(converted(made).transform([row]), [[0.1, float(np.float32(0.1)), 2.0**40 + 1, 1.0]])


def test_a_float_model_takes_doubles_as_float32() -> None:
    """Rounded once, as onnxruntime's caller has to."""
    made = graph([ml("Binarizer", "x", "y", threshold=float(np.float32(0.1)))], {"x": (FLOAT, [None, 1])}, {"y": FLOAT})
    assert converted(made).predict([[0.1 + 1e-9]]).tolist() == [0.0]


def test_text_that_nothing_reads() -> None:
    model = converted(
        graph([node("Identity", "x", "y")], {"x": (FLOAT, [None, 1]), "t": (TEXT, [None, 1])}, {"y": FLOAT})
    )
    assert model.predict([[1.5, "anything"]]).tolist() == [1.5]


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({"x": (FLOAT, [None, None])}, UnsupportedModelError, r"input 'x' of shape \[None, None\]; supported: \[N\]"),
        ({"x": (FLOAT, [None, 3, 3])}, UnsupportedModelError, r"of shape \[None, 3, 3\]"),
        ({"x": (FLOAT, [])}, UnsupportedModelError, r"of shape \[\]"),
        ({"x": (FLOAT, [8, 3])}, UnsupportedModelError, "takes 8 rows at once"),
        ({"x": (TensorProto.FLOAT16, [None, 3])}, UnsupportedModelError, "a tensor of float16; supported: float32"),
        ({}, ModelLoadError, "a graph with an input"),
    ],
)
def test_inputs_that_cannot_be_columns(inputs: Any, error: type, message: str) -> None:
    constants = {} if inputs else {"x": np.ones(3, np.float32)}
    with pytest.raises(error, match=message):
        converted(graph([node("Identity", "x", "y")], inputs, {"y": FLOAT}, constants))


# -- outputs


def scored(*more: Any, outputs: Any) -> Any:
    made = ml(
        "LinearClassifier", "x", "label p", classlabels_strings=["u", "v", "w"], post_transform="SOFTMAX",
        coefficients=np.eye(3).ravel().tolist(), intercepts=[0.0] * 3,
    )  # fmt: skip
    return graph([made, *more], {"x": (FLOAT, [None, 3])}, outputs)


def test_labels_alone() -> None:
    model = converted(scored(outputs={"label": TEXT}))
    assert model.faces == ("prediction", "raw")
    assert model.predict([[0, 9, 0]]).tolist() == ["v"]


def test_probabilities_alone() -> None:
    model = converted(scored(outputs={"p": FLOAT}))
    assert model.faces == ("probabilities",)
    close(model.predict_proba([[0, 0, 0]]), [[1 / 3] * 3])


def test_maps_in_another_order_than_the_labels() -> None:
    """Probabilities follow the classes of the labels."""
    turned = [node("Gather", "p order", "q", axis=1), ml("ZipMap", "q", "maps", classlabels_strings=["w", "u", "v"])]
    made = scored(*turned, outputs={"label": TEXT, "maps": FLOAT})
    from onnx import numpy_helper

    made.graph.initializer.append(numpy_helper.from_array(np.array([2, 0, 1]), "order"))
    model = converted(made)
    plain = converted(scored(outputs={"label": TEXT, "p": FLOAT}))
    assert model.classes == plain.classes
    np.testing.assert_array_equal(model.predict_proba(rows(9, 3)), plain.predict_proba(rows(9, 3)))


@pytest.mark.parametrize(
    ("nodes", "outputs", "message"),
    [
        ([ml("ZipMap", "p", "m", classlabels_strings=["u", "v"])], {"m": FLOAT}, "2 class labels for 3 columns"),
        ([ml("ZipMap", "p", "m", classlabels_strings=["u", "v", "w"])], {"m": FLOAT}, "maps without labels"),
        (
            [ml("ZipMap", "p", "m", classlabels_strings=["u", "v", "x"])],
            {"label": TEXT, "m": FLOAT},
            "the same classes",
        ),
        ([node("Identity", "p", "q")], {"label": TEXT, "p": FLOAT, "q": FLOAT}, "the outputs 'label', 'p', 'q'"),
        ([node("Identity", "label", "l")], {"label": TEXT, "l": TEXT}, "the outputs 'label', 'l'"),
        ([node("Constant", "", "c", value_float=1.0)], {"c": FLOAT}, "constants"),
    ],
)
def test_outputs_that_cannot_be_told(nodes: Any, outputs: Any, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        converted(scored(*nodes, outputs=outputs))


def test_names_of_scores() -> None:
    """Where no node says what numbers beside a label are, their name does."""
    for name, face in (("p", "probabilities"), ("decision_scores", "raw")):
        nodes = [node("Sigmoid", "x", name), node("ArgMax", name, "label", axis=1, keepdims=0)]
        model = converted(graph(nodes, {"x": (FLOAT, [None, 3])}, {"label": INT, name: FLOAT}))
        assert model.faces == ("prediction", face)


def test_errors_name_the_output() -> None:
    with pytest.raises(InferirError, match=r"in output 'y'"):
        converted(graph([node("Identity", "t", "y")], {"t": (TEXT, [None, 2])}, {"y": TEXT}))
