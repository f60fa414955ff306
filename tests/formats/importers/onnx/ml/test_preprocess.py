"""Scalers, imputers and encoders against onnxruntime, on what makes them differ: NaN, unknown categories, twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from inferir.errors import InvalidInputError, ModelLoadError, UnsupportedModelError
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
    same_labels,
    theirs,
)
from tests.parity import assert_bits, layouts

NAN = float("nan")


def one(op: str, kind: int, made: int, width: int = 3, ml_opset: int = 3, **attributes: Any) -> Any:
    return graph([ml(op, "x", "y", **attributes)], {"x": (kind, [None, width])}, {"y": made}, ml_opset=ml_opset)


def sample(kind: type = np.float32) -> Any:
    x = (np.random.default_rng(0).normal(size=(50, 3)) * 3).astype(kind)
    x[::5, 0], x[::7, 1], x[::9, 2] = 0.0, -0.0, 2.0
    return x


def test_scaler() -> None:
    model = one("Scaler", FLOAT, FLOAT, offset=[0.1, -3.0, 1e-3], scale=[1.7, 0.01, 3e4])
    right = theirs(model, sample())[0]
    for _, form in layouts(sample()):
        assert_bits(converted(model).transform(form), np.resize(right, (len(form), 3)))


@pytest.mark.parametrize("kind", [DOUBLE, INT])
def test_scaler_of_other_types(kind: int) -> None:
    model = one("Scaler", kind, FLOAT, offset=[0.1], scale=[1.7])
    x = sample(np.float64) if kind == DOUBLE else sample(np.float64).astype(np.int64)
    assert_bits(converted(model).transform(x).astype(np.float32), theirs(model, x)[0])


@pytest.mark.parametrize("missing", [NAN, 0.0, 2.0])
@pytest.mark.parametrize("fill", [[5.0, 6.0, 7.0], [9.0]])
def test_imputer(fill: Any, missing: float) -> None:
    model = one("Imputer", FLOAT, FLOAT, imputed_value_floats=fill, replaced_value_float=missing)
    x = sample()
    x[::4, 1] = np.nan
    assert_bits(converted(model).transform(x), theirs(model, x)[0])


def test_imputer_of_integers() -> None:
    model = one("Imputer", INT, INT, imputed_value_int64s=[7, 8, 9], replaced_value_int64=2)
    x = np.random.default_rng(1).integers(0, 4, (30, 3))
    assert_bits(converted(model).transform(x).astype(np.int64), theirs(model, x)[0])


@pytest.mark.parametrize("norm", ["L1", "L2", "MAX"])
def test_normalizer(norm: str) -> None:
    model, x = one("Normalizer", FLOAT, FLOAT, norm=norm), sample()
    x[3], x[4] = 0.0, [-1.0, -2.0, -3.0]
    close(converted(model).transform(x), theirs(model, x)[0])


def test_normalizer_by_the_largest_leaves_nan_out() -> None:
    model, x = one("Normalizer", FLOAT, FLOAT, norm="MAX"), np.array([[NAN, 1, 4], [NAN, NAN, NAN]], np.float32)
    assert_bits(converted(model).transform(x), theirs(model, x)[0])


def test_binarizer() -> None:
    model = one("Binarizer", FLOAT, FLOAT, threshold=0.1)
    x = np.array([[0.1, np.nextafter(np.float32(0.1), np.float32(1)), -np.inf]], np.float32)
    assert_bits(converted(model).transform(x), theirs(model, x)[0])


# -- encoders


@pytest.mark.parametrize("categories", [[3, 1, 2], [1, 2, 1], [-1, 0]])
@pytest.mark.parametrize("kind", [FLOAT, DOUBLE, INT])
def test_one_hot_of_numbers(kind: int, categories: Any) -> None:
    """Floats lose their fraction; of a category that is there twice, the last column counts."""
    model = graph(
        [ml("OneHotEncoder", "x", "h", cats_int64s=categories), node("Flatten", "h", "y", axis=1)],
        {"x": (kind, [None, 2])},
        {"y": FLOAT},
    )
    dtype = {FLOAT: np.float32, DOUBLE: np.float64, INT: np.int64}[kind]
    x = np.array([[1.0, 2.0], [1.7, -1.2], [3.0, 99.0], [-0.5, 0.0]]).astype(dtype)
    assert_bits(converted(model).transform(x), theirs(model, x)[0])


def test_one_hot_refuses_what_it_does_not_know() -> None:
    model = one("OneHotEncoder", FLOAT, FLOAT, 1, cats_int64s=[1, 2], zeros=0)
    made = graph(
        [ml("OneHotEncoder", "x", "h", cats_int64s=[1, 2], zeros=0), node("Flatten", "h", "y", axis=1)],
        {"x": (FLOAT, [None, 1])},
        {"y": FLOAT},
    )
    ours = converted(made)
    assert ours.transform([[1.0], [2.0]]).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(InvalidInputError, match="row 1"):
        ours.transform([[1.0], [5.0]])
    with pytest.raises(Exception, match="Unknown Category"):
        theirs(model, np.array([[5.0]], np.float32))


def tensor(values: Any, dtype: Any) -> Any:
    return numpy_helper.from_array(np.asarray(values, dtype))


ENCODERS = [
    (FLOAT, INT, 2, {"keys_floats": [0.0, 1.5, -2.0], "values_int64s": [7, 8, 9], "default_int64": -5}),
    (FLOAT, FLOAT, 2, {"keys_floats": [0.0, 1.5, NAN], "values_floats": [0.25, 8.0, 9.0]}),
    (FLOAT, FLOAT, 3, {"keys_floats": [0.0, 1.5, NAN], "values_floats": [0.25, 8.0, 9.0], "default_float": 3.5}),
    (FLOAT, INT, 4, {"keys_floats": [0.0, 1.5, NAN], "values_int64s": [7, 8, 9]}),
    (FLOAT, INT, 3, {"keys_floats": [0.0, 1.5, 0.0], "values_int64s": [7, 8, 9]}),
    (INT, FLOAT, 2, {"keys_int64s": [3, 1, 2], "values_floats": [0.1, 0.2, 0.3]}),
    (INT, INT, 2, {"keys_int64s": [3, 1, 2], "values_int64s": [30, 10, 20]}),
    (DOUBLE, DOUBLE, 4, {"keys_tensor": ([0.1, 1.5], float), "values_tensor": ([1 / 3, 2.0], float),
                         "default_tensor": ([-1.0], float)}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "made", "opset", "attributes"), ENCODERS)
def test_label_encoder_of_numbers(kind: int, made: int, opset: int, attributes: Any) -> None:
    attributes = {k: tensor(*v) if isinstance(v, tuple) else v for k, v in attributes.items()}
    model = one("LabelEncoder", kind, made, 1, opset, **attributes)
    values = [0.0, -0.0, 1.5, -2.0, NAN, 0.1, 99.0, np.inf] if kind != INT else [1, 2, 3, 4, -1, 0]
    x = np.array(values, {FLOAT: np.float32, DOUBLE: np.float64, INT: np.int64}[kind])[:, None]
    right = theirs(model, x)[0]
    assert_bits(converted(model).predict(x).astype(right.dtype), right[:, 0])


@pytest.mark.parametrize("kind", [INT, FLOAT])
def test_label_encoder_of_text(kind: int) -> None:
    values = {"values_int64s": [7, 8, 9]} if kind == INT else {"values_floats": [0.5, 1.5, 2.5]}
    model = one("LabelEncoder", TEXT, kind, 2, keys_strings=["oslo", "rome", ""], **values)
    x = np.array([["oslo", "rome"], ["", "lima"], ["rome", "Rome"]], object)
    right = theirs(model, x)[0]
    assert_bits(converted(model).transform(x).astype(right.dtype), right)


def labelled(*nodes: Any, made: int = TEXT) -> Any:
    """A classifier of three classes whose label goes on through `nodes`, from "label" to "y"."""
    classifier = ml(
        "LinearClassifier", "x", "label scores", classlabels_ints=[4, 5, 6],
        coefficients=[1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0], intercepts=[0.0] * 3, post_transform="SOFTMAX",
    )  # fmt: skip
    return graph([classifier, *nodes], {"x": (FLOAT, [None, 3])}, {"y": made, "scores": FLOAT})


@pytest.mark.parametrize(
    ("attributes", "made"),
    [
        ({"keys_int64s": [4, 6, 5], "values_strings": ["d", "f", "e"]}, TEXT),
        ({"keys_int64s": [4, 6], "values_strings": ["d", "f"], "default_string": "?"}, TEXT),
        ({"keys_int64s": [4, 6, 5], "values_int64s": [-1, 0, 1]}, INT),
    ],
)
def test_label_encoder_of_labels(attributes: Any, made: int) -> None:
    model = labelled(ml("LabelEncoder", "label", "y", **attributes), made=made)
    ours = converted(model)
    same_labels(ours.predict(sample()), theirs(model, sample())[0])
    assert not any(operator.op == "encode" for operator in ours.spec.operators)


def test_category_mapper() -> None:
    """Of a label: integers to strings. Of text: strings to integers."""
    attributes = {"cats_int64s": [4, 5], "cats_strings": ["d", "e"], "default_string": "none", "default_int64": -9}
    model = labelled(ml("CategoryMapper", "label", "y", **attributes))
    same_labels(converted(model).predict(sample()), theirs(model, sample())[0])
    model = one("CategoryMapper", TEXT, INT, 1, **attributes)
    x = np.array([["d"], ["e"], ["f"]], object)
    assert converted(model).predict(x).tolist() == theirs(model, x)[0][:, 0].tolist() == [4, 5, -9]


def test_labels_through_plain_operators() -> None:
    """Casts, sums and comparisons of a label are functions of its table: nothing is added to the plan."""
    from onnx import TensorProto

    plain = converted(labelled(node("Identity", "label", "y"), made=INT))
    for made, nodes in {
        INT: [node("Mul", "label two", "d"), node("Add", "d two", "y")],
        TEXT: [node("Cast", "label", "y", to=TensorProto.STRING)],
    }.items():
        model = labelled(*nodes, made=made)
        model.graph.initializer.append(numpy_helper.from_array(np.array(2), "two"))
        ours = converted(model)
        same_labels(ours.predict(sample()), theirs(model, sample())[0])
        assert len(ours.spec.operators) == len(plain.spec.operators)


def test_feature_vectorizer() -> None:
    model = graph(
        [ml("FeatureVectorizer", "a b", "y", inputdimensions=[2, 1])],
        {"a": (FLOAT, [None, 2]), "b": (FLOAT, [None, 1])},
        {"y": FLOAT},
    )
    x = sample()
    right = theirs(model, {"a": x[:, :2].copy(), "b": x[:, 2:].copy()})[0]
    assert_bits(converted(model).transform(x), right)


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        ("Scaler", {"offset": [1.0, 2.0], "scale": [1.0, 2.0]}, "expected 1 or 3 values in offset, got 2"),
        ("Scaler", {"offset": [1.0]}, "as many values in offset as in scale"),
        ("Imputer", {"imputed_value_floats": [1.0, 2.0]}, "expected 1 or 3 imputed values, got 2"),
        ("Imputer", {}, "expected either imputed_value_floats or imputed_value_int64s"),
        ("Normalizer", {"norm": "L3"}, "one of MAX, L1, L2"),
        ("Binarizer", {"threshold": 1}, "to be float, got int"),
        ("OneHotEncoder", {}, "either cats_int64s or cats_strings"),
        ("OneHotEncoder", {"cats_strings": ["a"]}, "categories of the input's type"),
        ("LabelEncoder", {"keys_floats": [1.0], "values_int64s": [1, 2]}, "as many keys_"),
        ("LabelEncoder", {"keys_strings": ["a"], "values_int64s": [1]}, "keys of the input's type"),
        (
            "LabelEncoder",
            {"keys_floats": [1.0], "keys_int64s": [1], "values_int64s": [1]},
            "expected one attribute keys_",
        ),
        ("CategoryMapper", {"cats_strings": ["a"], "cats_int64s": [1, 2]}, "as many cats_strings as cats_int64s"),
    ],
)
def test_malformed(op: str, attributes: Any, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        converted(one(op, FLOAT, FLOAT, **attributes))


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("DictVectorizer", {"string_vocabulary": ["a"]}),
        ("LabelEncoder", {"keys_floats": [1.0], "values_strings": ["a"]}),
    ],
)
def test_unsupported(op: str, attributes: Any) -> None:
    with pytest.raises(UnsupportedModelError, match=f"{op}|mapped to strings"):
        converted(one(op, FLOAT, FLOAT, **attributes))
