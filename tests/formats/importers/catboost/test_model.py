"""Answers: losses, labels, borders between classes, names, files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import catboost as cb
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import inferir
from tests.formats.importers.catboost.agreement import (
    SMALL,
    agree,
    answers_agree,
    converted,
    raw,
    target,
    training_rows,
)
from tests.parity import assert_bits, assert_labels, assert_relative

ROWS = training_rows()


@pytest.mark.parametrize(
    ("loss", "label"),
    [
        ("RMSE", "number"),
        ("MAE", "number"),
        ("Quantile:alpha=0.3", "number"),
        ("MultiQuantile:alpha=0.1,0.5,0.9", "number"),
        ("Expectile:alpha=0.3", "number"),
        ("LogLinQuantile", "positive"),
        ("MAPE", "positive"),
        ("Lq:q=3", "number"),
        ("Huber:delta=1", "number"),
        ("LogCosh", "number"),
        ("Poisson", "positive"),
        ("Tweedie:variance_power=1.5", "positive"),
        ("RMSEWithUncertainty", "number"),
        ("Cox", "positive"),
    ],
)
def test_regression_losses(loss: str, label: str) -> None:
    estimator = cb.CatBoostRegressor(**SMALL, loss_function=loss).fit(ROWS, target(ROWS, label))
    assert agree(estimator, ROWS, n=200).task == "regression"


@pytest.mark.parametrize("loss", ["MultiRMSE", "MultiRMSEWithMissingValues", "SurvivalAft"])
def test_two_targets(loss: str) -> None:
    low = target(ROWS, "positive")
    agree(cb.CatBoostRegressor(**SMALL, loss_function=loss).fit(ROWS, np.c_[low, low + 1]), ROWS, n=200)


@pytest.mark.parametrize(
    ("loss", "label"),
    [
        ("Logloss", "two"),
        ("CrossEntropy", "two"),
        ("Focal:focal_alpha=0.3;focal_gamma=2", "two"),
        ("MultiClass", "two"),
        ("MultiClass", "three"),
        ("MultiClassOneVsAll", "three"),
    ],
)
def test_classification_losses(loss: str, label: str) -> None:
    estimator = cb.CatBoostClassifier(**SMALL, loss_function=loss).fit(ROWS, target(ROWS, label))
    model = agree(estimator, ROWS, n=300)
    assert (model.task, list(model.classes)) == ("classification", [0, 1, 2][: len(set(target(ROWS, label)))])


@pytest.mark.parametrize("loss", ["MultiLogloss", "MultiCrossEntropy"])
def test_labels_that_are_there_or_not(loss: str) -> None:
    labels = np.c_[target(ROWS, "two"), ROWS[:, 0] > 0, ROWS[:, 1] > 0].astype(int)
    estimator = cb.CatBoostClassifier(**SMALL, loss_function=loss).fit(ROWS, labels)
    model = agree(estimator, ROWS, n=200)
    assert model.classes == ((0, 1),) * 3
    probabilities = model.predict_proba(ROWS)
    assert isinstance(probabilities, list)
    assert [part.shape for part in probabilities] == [(len(ROWS), 2)] * 3
    assert_relative(probabilities[1].sum(axis=1), np.ones(len(ROWS)))


@pytest.mark.parametrize("loss", ["YetiRank", "PairLogit", "QueryRMSE", "QuerySoftMax"])
def test_ranking(loss: str) -> None:
    pool = cb.Pool(ROWS, target(ROWS, "three"), group_id=np.repeat(np.arange(10), 30))
    model = agree(cb.CatBoostRanker(**SMALL, loss_function=loss).fit(pool), ROWS, n=200)
    assert model.task == "ranking"


class Squared:
    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> list[tuple[float, float]]:
        derivatives = []  # plain enough for Numba: CatBoost has it compile this
        for i in range(len(targets)):
            derivatives.append((targets[i] - approxes[i], -1.0))
        return derivatives


@pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaWarning")
@pytest.mark.filterwarnings("ignore:Can't optimi[sz]e method:UserWarning")
def test_custom_loss() -> None:
    estimator = cb.CatBoostRegressor(**SMALL, loss_function=Squared(), eval_metric="RMSE").fit(ROWS, target(ROWS))
    assert agree(estimator, ROWS, n=100).task == "regression"


def test_the_base_class_answers_by_its_loss() -> None:
    for loss, label, task in [("Logloss", "two", "classification"), ("RMSE", "number", "regression")]:
        estimator = cb.CatBoost({**SMALL, "loss_function": loss}).fit(ROWS, target(ROWS, label))
        assert agree(estimator, ROWS, n=100).task == task


# -- labels


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], [3, 7], [False, True], [1.0, 2.0], ["ä", "b", "c"], [-1, 0, 5], [0.0, 1.0, 2.0]],
    ids=["texts", "numbers", "booleans", "floats", "three texts", "three numbers", "three floats"],
)
def test_labels(labels: list[Any]) -> None:
    label = np.array(labels)[target(ROWS, "two" if len(labels) == 2 else "three")]
    model = agree(cb.CatBoostClassifier(**SMALL).fit(ROWS, label), ROWS, n=200)
    assert list(model.classes) == sorted(labels)


def test_labels_in_an_order_of_the_callers() -> None:
    label = np.array(["c", "a", "b"])[target(ROWS, "three")]
    estimator = cb.CatBoostClassifier(**SMALL, class_names=["b", "c", "a"]).fit(ROWS, label)
    assert agree(estimator, ROWS, n=200).classes == ("b", "c", "a")


def test_classes_that_training_did_not_see() -> None:
    """CatBoost gives them a score of -inf."""
    label = np.array([3, 0, 2])[target(ROWS, "three")]
    estimator = cb.CatBoostClassifier(**SMALL, loss_function="MultiClass", classes_count=5).fit(ROWS, label)
    model = agree(estimator, ROWS, n=200)
    assert model.classes == (0, 1, 2, 3, 4)
    assert np.isneginf(model.raw(ROWS)[:, [1, 4]]).all()


@pytest.mark.parametrize("border", [0.1, 0.5, 0.9])
def test_probability_border(border: float) -> None:
    estimator = cb.CatBoostClassifier(**SMALL).fit(ROWS, target(ROWS, "two"))
    before = estimator.predict(ROWS).sum()
    estimator.set_probability_threshold(border)
    assert (estimator.predict(ROWS).sum() == before) == (border == 0.5)
    agree(estimator, ROWS, n=300)


# -- names, pipelines, files


def test_names_of_columns() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(ROWS, columns=["a b", "ä", "c", "d", "e"])
    estimator = cb.CatBoostRegressor(**SMALL).fit(frame, target(ROWS))
    model = converted(estimator)
    assert [c.name for c in model.columns] == list(frame.columns)
    assert_bits(model.predict(frame[frame.columns[::-1]]), estimator.predict(frame))
    unnamed = converted(cb.CatBoostRegressor(**SMALL).fit(ROWS, target(ROWS)))
    assert [c.name for c in unnamed.columns] == [f"x{i}" for i in range(5)]
    assert_bits(unnamed.predict(frame), unnamed.predict(ROWS))  # by position


def test_pipeline() -> None:
    rows = np.nan_to_num(ROWS).astype(np.float64)
    estimator = make_pipeline(StandardScaler(), cb.CatBoostClassifier(**SMALL)).fit(rows, target(rows, "two"))
    model = converted(estimator)
    assert_relative(model.predict_proba(rows), estimator.predict_proba(rows))
    assert_labels(model.predict(rows), estimator.predict(rows))


def test_a_file_needs_no_catboost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a model.json"
    estimator = cb.CatBoostClassifier(**SMALL).fit(ROWS, np.array(["a", "b", "c"])[target(ROWS, "three")])
    estimator.save_model(str(path), format="json")
    expected = estimator.predict_proba(ROWS), raw(estimator, ROWS)
    monkeypatch.setitem(sys.modules, "catboost", None)
    model = inferir.convert(path, version="1.2")
    assert (model.name, model.version, model.classes) == ("a model", "1.2", ("a", "b", "c"))
    assert_relative(model.predict_proba(ROWS), expected[0])
    assert_bits(model.raw(ROWS), expected[1])


@pytest.mark.parametrize("loss", ["Poisson", "RMSEWithUncertainty", "Logloss", "YetiRank"])
def test_a_file_answers_by_its_loss(loss: str, tmp_path: Path) -> None:
    kinds: dict[str, Any] = {"Logloss": cb.CatBoostClassifier, "YetiRank": cb.CatBoostRanker}
    pool = cb.Pool(ROWS, target(ROWS, "two"), group_id=np.repeat(np.arange(10), 30))
    estimator = kinds.get(loss, cb.CatBoostRegressor)(**SMALL, loss_function=loss).fit(pool)
    estimator.save_model(str(tmp_path / "m.json"), format="json")
    model = converted(tmp_path / "m.json")
    assert model.task == {"Logloss": "classification", "YetiRank": "ranking"}.get(loss, "regression")
    answers_agree(estimator, model, ROWS)
