"""The parser: what CatBoost writes is read to the last bit, and what it would not write is refused with a reason."""

from __future__ import annotations

import copy
import json
import random
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost as cb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inferir
from inferir.errors import FormatError, ModelLoadError, UnsupportedModelError
from inferir.formats.importers.catboost.model import json_file
from inferir.formats.importers.catboost.model_json import parse
from tests.formats.importers.catboost.agreement import SMALL, target, training_rows


def _document(**parameters: Any) -> dict[str, Any]:
    """The JSON of a small model on five columns, the last of which holds categories."""
    pd = pytest.importorskip("pandas")
    rows = pd.DataFrame(training_rows(), columns=list("abcde"))
    rows["e"] = np.random.default_rng(0).choice(["x", "y", "z"], len(rows))
    n_classes = 3 if "loss_function" in parameters else 2
    label = (target(training_rows(), "three") + (rows["e"] == "x").to_numpy()) % n_classes
    pool = cb.Pool(rows, label, cat_features=["e"])
    estimator = cb.CatBoostClassifier(**{**SMALL, "iterations": 3, "one_hot_max_size": 9, **parameters}).fit(pool)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.json"
        estimator.save_model(str(path), format="json", pool=pool)
        document: dict[str, Any] = json.loads(path.read_text())
    return document


SYMMETRIC, NESTED = _document(), _document(grow_policy="Depthwise", loss_function="MultiClass")


def test_read() -> None:
    model = parse(json.dumps(SYMMETRIC).encode())
    assert (model.n_columns, model.names, model.oblivious, len(model.trees)) == (5, list("abcde"), True, 3)
    assert (model.loss, model.labels, model.class_of_score) == ("Logloss", [0, 1], [0, 1])
    assert (model.scale, model.probability_border) == (1.0, 0.5)
    assert {feature.column for feature in model.float_features.values()} == {0, 1, 2, 3}
    assert list(model.cat_features.values()) == [4]
    assert sorted(model.texts.values()) == ["x", "y", "z"]
    assert not parse(json.dumps(NESTED).encode()).oblivious


Edit = Callable[[dict[str, Any]], Any]


def put(*path: Any, value: Any, document: dict[str, Any] = SYMMETRIC) -> str:
    """The document with another value at `path`."""
    edited = copy.deepcopy(document)
    inner: Any = edited
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return json.dumps(edited)


def nested(*path: Any, value: Any) -> str:
    return put(*path, value=value, document=NESTED)


FLOAT = ("features_info", "float_features", 0)
TREE = ("oblivious_trees", 0)
BORDER = ["border" in split for split in SYMMETRIC["oblivious_trees"][0]["splits"]].index(True)
HOSTILE = {
    "": "Expecting value",
    "[": "Expecting value",
    "[" * 100_000: "nested too deep",
    "[1]": "expected the document to be an object",
    "{}": "expected the document to be an object with 'features_info'",
    put("features_info", value=...): "object with 'features_info'",
    put("model_info", value=7): "expected model_info to be an object, got 7",
    put("oblivious_trees", value=None): "either 'oblivious_trees' or 'trees'",
    put("trees", value=[]): "either 'oblivious_trees' or 'trees'",
    put("oblivious_trees", value={}): "expected oblivious_trees to be a list",
    put(*TREE, value=3): r"expected oblivious_trees[0] to be an object, got 3",
    put(*TREE, "leaf_values", value=...): "oblivious_trees[0] to be an object with 'leaf_values'",
    put(*TREE, "leaf_values", value=[1.0, "x"]): "oblivious_trees[0].leaf_values to be a number, or a list of numbers",
    put(*TREE, "leaf_values", value=[1.0] * 17): "to be 1 values for each of 16 leaves",
    put(*TREE, "leaf_values", value=[]): "to be 1 values for each of 16 leaves",
    put(*TREE, "leaf_values", value=[10**400]): "leaf_values to be finite",
    put(*TREE, "leaf_values", value=[float("nan")]): "expected finite numbers, got NaN",
    put(*TREE, "splits", value=[{}] * 5000): "oblivious_trees[0].leaf_values to be 1 values",
    put(*TREE, "splits", 0, "split_type", value="Magic"): "split of type 'Magic'",
    put(
        *TREE, "splits", 0, value={"split_type": "FloatFeature", "float_feature_index": 9}
    ): "a feature of features_info",
    put(*TREE, "splits", 0, value={"split_type": "FloatFeature", "float_feature_index": 0}): "object with 'border'",
    put(
        *TREE, "splits", 0, value={"split_type": "OneHotFeature", "cat_feature_index": 9}
    ): "a feature of features_info",
    put(*TREE, "splits", 0, value={"split_type": "OneHotFeature", "cat_feature_index": 0, "value": 7}): "a hash only",
    put(*FLOAT, "flat_feature_index", value=1): "not all of its columns",
    put(*FLOAT, "flat_feature_index", value=70): "not all of its columns",
    put(*FLOAT, "flat_feature_index", value=-1): "float_features[0].flat_feature_index to be within [0, 65536)",
    put(*FLOAT, "flat_feature_index", value=True): "flat_feature_index to be a whole number",
    put(*FLOAT, "feature_index", value=1): "not all of its columns",
    put(*FLOAT, "has_nans", value=0): "has_nans to be true or false",
    put(*FLOAT, "nan_value_treatment", value="AsMaybe"): "AsIs, AsFalse or AsTrue, got 'AsMaybe'",
    put("features_info", value={}): "not all of its columns",
    put("features_info", "cat_features_hash", 0, "hash", value=2**32): "hash to be within [0, 4294967296)",
    put("scale_and_bias", value=[1]): "scale_and_bias to be a scale and a list of biases",
    put("scale_and_bias", value=["x", []]): "scale_and_bias[0] to be a number",
    put("scale_and_bias", value=[1, [0, 0]]): "scale_and_bias to have 1 biases, got 2",
    put(*TREE, "splits", BORDER, "border", value=1e39): f"splits[{BORDER}].border to be a float32, got 1e+39",
    put("model_info", "params", "loss_function", "type", value="Sorcery"): "loss 'Sorcery'",
    put("model_info", "params", "loss_function", "type", value=4): "loss_function.type to be a string",
    put("model_info", "class_params", "class_names", value=["a", "b", "c"]): "3 classes with one score",
    put("model_info", "class_params", "class_names", value=[[], {}]): "class labels that are strings",
    put("model_info", "class_params", "classes_count", value=2**40): "classes_count to be within [0, 65536)",
    put("model_info", "class_params", "class_to_label", value=[0.5]): "class_to_label to be whole numbers",
    put("model_info", "binclass_probability_threshold", value="1.5"): "within (0, 1)",
    put("model_info", "binclass_probability_threshold", value="half"): "to be a number",
    nested("trees", 0, "left", value=...): "trees[0] to be an object with 'left'",
    nested("trees", 0, value={"value": []}): "trees[0].value to be 1 values",
    nested("trees", 1, value={"value": [1.0]}): "trees[1].value to be 3 values",
    nested("model_info", "class_params", "class_to_label", value=[0, 1, 1]): "class_to_label to be 3 of 3 classes",
    nested("model_info", "class_params", "class_to_label", value=[0, 1, 9]): "class_to_label to be 3 of 3 classes",
    nested("scale_and_bias", value=[1, [1, 2]]): "scale_and_bias to have 3 biases, got 2",
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.items(), ids=range(len(HOSTILE)))
def test_hostile(text: str, message: str) -> None:
    with pytest.raises((ModelLoadError, UnsupportedModelError), match=re.escape(message)):
        json_file(text.encode())


def test_not_utf8() -> None:
    with pytest.raises(ModelLoadError, match="invalid start byte"):
        parse(b'{"features_info": "\xff"}')


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a document but what training knew."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, part in inner:
        if key not in ("params", "output_options", "leaf_weights"):
            found += _places(part, (*path, key))
    return found


@settings(max_examples=200)
@given(st.randoms(use_true_random=False), st.sampled_from([SYMMETRIC, NESTED]))
def test_a_damaged_document_is_refused_or_runs(rng: random.Random, document: dict[str, Any]) -> None:
    """Values replaced and dropped: a FormatError, or a model that answers."""
    values = (..., None, True, -1, 0, 1, 2, 3, 1e39, 10**30, "", "x", [], [1], {}, "OneHotFeature", "FloatFeature")
    text = put(*rng.choice(_places(document)), value=rng.choice(values), document=document)
    try:
        builder, answers, framework = json_file(text.encode())
        model = inferir.Model(builder.spec(answers, name="m", version="", framework=framework))
    except FormatError:
        return
    rows = [{column.name: 0.5 if column.kind == "number" else word for column in model.columns} for word in ("x", "?")]
    assert len(model.predict(rows)) == 2


def test_the_binary_is_refused_with_a_hint(tmp_path: Any) -> None:
    path = tmp_path / "m.cbm"
    cb.CatBoostRegressor(**SMALL).fit(training_rows(), target(training_rows())).save_model(str(path))
    with pytest.raises(UnsupportedModelError, match="format='json'"):
        inferir.convert(path)
