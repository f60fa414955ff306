"""Converted models against XGBoost's own answers, on rows exactly on thresholds and beside them, NaN and infinities.

Margins must be equal in every bit, labels equal, probabilities and exponentials within 2 ulp of float32.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import inferir
from inferir.errors import DimensionError, TaskError, UnsupportedModelError
from inferir.formats.importers.xgboost.booster import model_file
from inferir.kernels import select
from tests.formats.importers.xgboost.zoo import FOUR, MODELS, ROWS, SIGNAL, TWO, booster, model
from tests.parity import Array, assert_bits, assert_ulp32, hard_rows, layouts, thresholds

ESTIMATORS = [name for name in MODELS if name not in ("aft", "partition", "one-hot", "no trees")]


def converted(source: Any) -> inferir.Model:
    """Through an .apr file and back."""
    return inferir.load(inferir.convert(source).to_bytes())


def quietly(function: Any, *arguments: Any, **options: Any) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(function(*arguments, **options))


def tricky(ours: inferir.Model, name: str, width: type = np.float32, inf: bool = True) -> Array:
    rows = hard_rows(ROWS, thresholds(ours.spec), n=500, width=width, inf=inf and "linear" not in name)
    if name in ("partition", "one-hot"):
        strange = np.array([0, 1, 8, 9, 31, 32, 63.5, 2.9, -0.0, -0.5, -1, -7, 2.0**24, 1e30], width)
        strange = np.concatenate([strange, np.array([np.inf, -np.inf], width)]) if inf else strange
        rows[: len(strange) * 10, 5] = np.repeat(strange, 10)
    rows[::7, 3] = {"missing 0": 0.0, "missing -999": -999.0, "missing inf": np.inf}.get(name, 1.0) if inf else 1.0
    return rows


def assert_probabilities(ours: inferir.Model, rows: Array, theirs: Array) -> None:
    got = ours.predict_proba(rows)
    if isinstance(got, list):  # several targets: ours is a pair of columns for each
        assert all(np.array_equal(pair[:, 0], 1 - pair[:, 1]) for pair in got)
        got = np.column_stack([pair[:, 1] for pair in got])
    assert got.dtype == np.float32
    assert_ulp32(got, theirs)


def assert_as_estimator(ours: inferir.Model, estimator: Any, rows: Array) -> None:
    assert_bits(ours.raw(rows), quietly(estimator.predict, rows, output_margin=True))
    predicted, theirs = ours.predict(rows), quietly(estimator.predict, rows)
    assert predicted.shape == theirs.shape
    if isinstance(estimator, xgb.XGBClassifier):
        np.testing.assert_array_equal(predicted, theirs)
        if "probabilities" in ours.faces and estimator.objective != "multi:softmax":
            assert_probabilities(ours, rows, quietly(estimator.predict_proba, rows))
    else:
        assert predicted.dtype == np.float32
        assert_ulp32(predicted, theirs)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimator(name: str) -> None:
    estimator, ours = model(name), converted(model(name))
    for layout, rows in layouts(tricky(ours, name)):
        if layout == "none":
            assert ours.predict(rows).shape[0] == ours.raw(rows).shape[0] == 0
        else:
            assert_as_estimator(ours, estimator, rows)
    assert_as_estimator(ours, estimator, tricky(ours, name, np.float64))
    assert_as_estimator(ours, estimator, np.arange(-30, 30).reshape(-1, 6))


def assert_as_booster(ours: inferir.Model, theirs: xgb.Booster, data: Any, rows: Array) -> None:
    margin, answer = theirs.predict(data, output_margin=True), theirs.predict(data)
    assert_bits(ours.raw(rows), margin)
    predicted = ours.predict(rows)
    if ours.task == "classification" and answer.ndim == 2 and len(ours.classes) == answer.shape[1] > 1:
        if isinstance(ours.classes[0], tuple):
            np.testing.assert_array_equal(predicted, answer > 0.5)
        else:
            np.testing.assert_array_equal(predicted, answer.argmax(axis=1))
        assert_probabilities(ours, rows, answer)
    elif ours.task == "classification":
        expected = answer if len(ours.classes) > 2 else answer > 0.5
        np.testing.assert_array_equal(predicted, expected)
        if len(ours.classes) == 2:
            assert_probabilities(ours, rows, np.stack([1 - answer, answer], axis=1))
    else:
        assert_ulp32(predicted, answer)


@pytest.mark.parametrize("name", MODELS)
def test_booster(name: str) -> None:
    theirs = booster(name)
    ours = converted(theirs)
    finite = tricky(ours, name, inf=False)
    assert_as_booster(ours, theirs, xgb.DMatrix(finite, feature_types=theirs.feature_types), finite)
    if "linear" not in name and "dart" not in name:  # which inplace_predict does not take, or rounds another way
        rows = tricky(ours, name)
        assert_bits(ours.raw(rows), theirs.inplace_predict(rows, predict_type="margin"))


@pytest.mark.parametrize("suffix", ["json", "ubj"])
@pytest.mark.parametrize("name", MODELS)
def test_file(name: str, suffix: str, tmp_path: Any) -> None:
    """A file gives the model that the object that wrote it gives; `missing` is not in it."""
    path = tmp_path / f"model.{suffix}"
    model(name).save_model(path)
    ours = inferir.convert(path)
    assert (ours.name, ours.task) == ("model", inferir.convert(model(name)).task)
    assert ours.spec.framework == {"name": "xgboost", "version": xgb.__version__}
    if "missing" not in name:
        same = inferir.convert(model(name)).spec
        assert ours.spec.operators == same.operators
        assert ours.spec.classes == same.classes
        assert {key: bytes(t.data) for key, t in ours.spec.tensors.items()} == {
            key: bytes(t.data) for key, t in same.tensors.items()
        }
    rows = tricky(ours, name)
    fresh = type(model(name))()
    fresh.load_model(path)
    if isinstance(fresh, xgb.Booster):
        assert_bits(ours.raw(rows), fresh.inplace_predict(rows, predict_type="margin"))
    else:
        assert_as_estimator(ours, fresh, rows)


def test_best_iteration_is_for_estimators() -> None:
    estimator = model("early stop")
    rows = hard_rows(ROWS)
    assert not np.array_equal(inferir.convert(estimator).raw(rows), inferir.convert(estimator.get_booster()).raw(rows))


def test_a_booster_file_that_stopped_early_answers_as_a_booster(tmp_path: Any) -> None:
    theirs = booster("early stop")
    theirs.save_model(tmp_path / "all.json")
    assert theirs.attr("best_iteration") is not None
    assert_bits(inferir.convert(tmp_path / "all.json").raw(ROWS), theirs.predict(xgb.DMatrix(ROWS), output_margin=True))


def test_labels_at_the_edge_of_one_half() -> None:
    """Where XGBoost's float32 probability first exceeds 1/2, and not where the margin is first positive."""
    theirs = xgb.train({"objective": "binary:logistic", "base_score": 0.5}, xgb.DMatrix(ROWS, TWO), 0)
    margins = np.float32(1.5 * 2.0**-24) + np.arange(-40, 41, dtype=np.float32) * np.float32(2.0**-47)
    data = xgb.DMatrix(ROWS[: len(margins)])
    data.set_base_margin(margins)
    answers = theirs.predict(data)
    assert len(set(answers)) > 1
    tree = xgb.train({"objective": "binary:logistic", "max_depth": 1}, xgb.DMatrix(ROWS, TWO), 1)
    for margin, answer in zip(margins, answers, strict=True):
        assert _with_margin(tree, float(margin)).predict(ROWS[:1])[0] == (answer > 0.5)


def _with_margin(tree: xgb.Booster, margin: float) -> inferir.Model:
    """A model whose every margin is `margin`: a tree of one leaf, with base score 1/2, whose margin is 0."""
    document = json.loads(tree.save_raw("json"))
    document["learner"]["learner_model_param"]["base_score"] = "5E-1"
    conditions = document["learner"]["gradient_booster"]["model"]["trees"][0]
    conditions["split_conditions"] = [margin if left < 0 else 0.0 for left in conditions["left_children"]]
    b, answers, framework = model_file(json.dumps(document).encode())
    return inferir.Model(b.spec(answers, name="", version="", framework=framework))


def test_probabilities_that_cannot_be_told_apart_give_the_first_class() -> None:
    """Margins differ in their last bit, probabilities do not: numpy.argmax takes the first."""
    rng = np.random.default_rng(3)
    margins = rng.normal(size=(len(ROWS), 4)).astype(np.float32)
    margins[:, 1] = np.nextafter(margins[:, 0], np.float32(9))
    margins[:, 2:] -= 3
    theirs = xgb.train({"objective": "multi:softprob", "num_class": 4}, xgb.DMatrix(ROWS, FOUR), 0)
    data = xgb.DMatrix(ROWS)
    data.set_base_margin(margins)
    answers = theirs.predict(data)
    ours = np.empty_like(margins)
    select()["softmax_stepwise"](margins, ours)
    np.testing.assert_array_equal(ours.argmax(axis=1), answers.argmax(axis=1))
    assert (answers.argmax(axis=1) == 0).any()


def test_pipelines() -> None:
    """Doubles from a scaler are rounded to float32; columns are made of text."""
    rows = np.nan_to_num(ROWS).astype(np.float64)
    for pipeline, target in (
        (make_pipeline(StandardScaler(), xgb.XGBClassifier(n_estimators=5)), FOUR),
        (make_pipeline(StandardScaler(), xgb.XGBRegressor(n_estimators=5, booster="dart", rate_drop=0.5)), SIGNAL),
        (make_pipeline(StandardScaler(), xgb.XGBRegressor(n_estimators=5, missing=0.0)), SIGNAL),
    ):
        pipeline.fit(rows, target)
        ours = converted(pipeline)
        assert ours.predict(rows).dtype == (np.int64 if target is FOUR else np.float32)
        np.testing.assert_array_equal(ours.predict(rows), pipeline.predict(rows))
    text = np.column_stack([ROWS[:, :5].astype(object), np.array(list("abcdefghi"))[ROWS[:, 5].astype(int)]])
    encoders = [("text", OneHotEncoder(sparse_output=False), [5]), ("again", OrdinalEncoder(), [5])]
    columns = ColumnTransformer(encoders, remainder="passthrough")
    pipeline = make_pipeline(columns, xgb.XGBRegressor(n_estimators=5)).fit(text, SIGNAL)
    np.testing.assert_array_equal(converted(pipeline).predict(text.tolist()), pipeline.predict(text))


def test_names_come_along() -> None:
    frame = pd.DataFrame(ROWS, columns=list("uvwxyz"))
    estimator = xgb.XGBRegressor(n_estimators=2).fit(frame, SIGNAL)
    for source in (estimator, estimator.get_booster()):
        ours = inferir.convert(source)
        assert [column.name for column in ours.columns] == list("uvwxyz")
        assert_bits(ours.predict(frame[list("zyxwvu")]), estimator.predict(frame))
    with pytest.raises(DimensionError, match="'z'"):
        ours.predict(frame.drop(columns="z"))


@pytest.mark.parametrize(
    ("name", "kind", "task"),
    [
        ("squared error", "GradientBoosting", "regression"),
        ("linear", "LinearRegression", "regression"),
        ("linear classes", "LogisticRegression", "classification"),
        ("ndcg", "GradientBoosting", "ranking"),
    ],
)
def test_what_it_is(name: str, kind: str, task: str) -> None:
    info = inferir.convert(model(name)).info()
    assert (info["type"], info["task"]) == (kind, task)


def test_what_it_has_not() -> None:
    with pytest.raises(TaskError, match="probabilities"):
        inferir.convert(model("squared error")).predict_proba(ROWS)
    with pytest.raises(TaskError, match="probabilities"):  # XGBoost says (1 - margin, margin)
        inferir.convert(model("logit")).predict_proba(ROWS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (xgb.XGBClassifier, "is it fitted"),
        (
            lambda: xgb.XGBClassifier(objective="multi:softprob", num_class=2, n_estimators=2).fit(ROWS, TWO),
            "2 classes whose multi:softprob has 2 outputs",
        ),
        (lambda: xgb.XGBRegressor(objective="multi:softmax", num_class=4, n_estimators=2).fit(ROWS, FOUR), "regressor"),
        (lambda: make_pipeline(StandardScaler(), xgb.XGBRegressor()), "is it fitted|not fitted"),
        (xgb.Booster, "is it fitted"),
    ],
)
def test_what_is_not_supported(make: Any, message: str) -> None:
    with pytest.raises(inferir.errors.FormatError, match=message):
        inferir.convert(make())


def test_missing_that_is_no_number() -> None:
    estimator = xgb.XGBRegressor(n_estimators=1).fit(ROWS, SIGNAL)
    estimator.missing = "NA"
    with pytest.raises(UnsupportedModelError, match="missing='NA'"):
        inferir.convert(estimator)
    estimator.missing = None
    assert_bits(inferir.convert(estimator).raw(ROWS), xgb.XGBRegressor(n_estimators=1).fit(ROWS, SIGNAL).predict(ROWS))
