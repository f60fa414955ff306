"""Answers: objectives, labels, iterations, names, pipelines, files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import inferir
from inferir.errors import FormatError, UnsupportedModelError
from tests.formats.importers.lightgbm.agreement import (
    agree,
    answers_agree,
    converted,
    target,
    theirs,
    trained,
    training_rows,
)
from tests.parity import assert_bits, assert_relative

ROWS = training_rows()
SMALL = {"n_estimators": 10, "num_leaves": 7, "min_child_samples": 4, "verbose": -1, "n_jobs": 1}


@pytest.mark.parametrize("sqrt", [False, True])
@pytest.mark.parametrize(
    ("objective", "label"),
    [
        ("regression", "number"),
        ("regression_l1", "number"),
        ("huber", "number"),
        ("fair", "number"),
        ("quantile", "number"),
        ("mape", "positive"),
        ("poisson", "positive"),
        ("gamma", "positive"),
        ("tweedie", "positive"),
        ("cross_entropy", "share"),
        ("cross_entropy_lambda", "share"),
        ("binary", "two"),
        ("multiclass", "three"),
        ("multiclassova", "three"),
    ],
)
def test_objectives(objective: str, label: str, sqrt: bool) -> None:
    classes = {"num_class": 3} if objective.startswith("multiclass") else {}
    estimator = trained(ROWS, target(ROWS, label), 8, objective=objective, reg_sqrt=sqrt, **classes)
    model = agree(estimator, ROWS, n=300)
    assert model.task == ("classification" if label in ("two", "three") else "regression")


@pytest.mark.parametrize("objective", ["lambdarank", "rank_xendcg"])
def test_ranking(objective: str) -> None:
    grade = target(ROWS, "three")
    booster = trained(ROWS, grade, 8, dataset={"group": [100] * 4}, objective=objective)
    assert agree(booster, ROWS, n=300).task == "ranking"
    ranker = lgb.LGBMRanker(**SMALL, objective=objective).fit(ROWS, grade, group=[100] * 4)
    assert agree(ranker, ROWS, n=300).task == "ranking"


@pytest.mark.parametrize("sigmoid", [0.3, 1.0, 2.5, 0.123456789])
@pytest.mark.parametrize(("objective", "label", "classes"), [("binary", "two", 1), ("multiclassova", "three", 3)])
def test_sigmoid_scale(objective: str, label: str, classes: int, sigmoid: float) -> None:
    parameters = {"objective": objective, "num_class": classes, "sigmoid": sigmoid}
    agree(trained(ROWS, target(ROWS, label), 5, **parameters), ROWS, n=100)


def test_a_booster_in_training_has_all_digits() -> None:
    """`sigmoid` is written with six; a booster that was not read back from its text uses all."""
    parameters = {"objective": "binary", "sigmoid": 0.123456789, "verbose": -1}
    estimator = lgb.train(parameters, lgb.Dataset(ROWS, target(ROWS, "two")), 5, keep_training_booster=True)
    agree(estimator, ROWS, n=100)


@pytest.mark.parametrize(
    ("objective", "label"),
    [("regression", "number"), ("poisson", "positive"), ("binary", "two"), ("multiclass", "three")],
)
def test_random_forest(objective: str, label: str) -> None:
    """Raw scores are sums, answers are of the mean."""
    sampled = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}
    classes = {"num_class": 3} if label == "three" else {}
    agree(trained(ROWS, target(ROWS, label), 7, objective=objective, **sampled, **classes), ROWS, n=200)


def squared(predicted: Any, data: Any) -> tuple[Any, Any]:
    return predicted - data.get_label(), np.ones_like(predicted)


def test_custom_objective() -> None:
    booster = trained(ROWS, target(ROWS), objective=squared)
    assert "objective=" not in booster.model_to_string().split("Tree=0")[0]
    assert agree(booster, ROWS, n=100).task == "regression"
    own = lgb.LGBMClassifier(**SMALL, objective=lambda y, p: (p - y, np.ones_like(p))).fit(ROWS, target(ROWS, "two"))
    model = converted(own)
    assert model.task == "regression"
    assert_bits(model.predict(ROWS), theirs(own, ROWS))


# -- estimators


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], [3, 7], [False, True], ["ä", "b", "c"], [-1, 0, 5]],
    ids=["texts", "numbers", "booleans", "three texts", "three numbers"],
)
def test_classifier_labels(labels: list[Any]) -> None:
    positions = target(ROWS, "two" if len(labels) == 2 else "three").astype(int)
    model = agree(lgb.LGBMClassifier(**SMALL).fit(ROWS, np.array(labels)[positions]), ROWS, n=300)
    assert list(model.classes) == sorted(labels)


@pytest.mark.parametrize("objective", ["cross_entropy", "regression", "cross_entropy_lambda", "multiclassova"])
def test_classifier_of_another_objective(objective: str) -> None:
    """(1 - p, p) of whatever the objective gives, as LGBMClassifier does it."""
    label = target(ROWS, "three" if objective == "multiclassova" else "two").astype(int)
    agree(lgb.LGBMClassifier(**SMALL, objective=objective).fit(ROWS, label), ROWS, n=200)


def test_two_classes_with_a_score_each() -> None:
    estimator = lgb.LGBMClassifier(**SMALL, objective="multiclass", num_class=2).fit(ROWS, target(ROWS, "two"))
    assert agree(estimator, ROWS, n=200).raw(ROWS).shape == (len(ROWS), 2)


@pytest.mark.parametrize(("objective", "label"), [(None, "number"), ("gamma", "positive"), ("binary", "two")])
def test_regressor(objective: str | None, label: str) -> None:
    model = agree(lgb.LGBMRegressor(**SMALL, objective=objective).fit(ROWS, target(ROWS, label)), ROWS, n=200)
    assert model.task == "regression"


@pytest.mark.parametrize("keep", [False, True])
def test_early_stopping(keep: bool) -> None:
    """Answers are those of the best iteration, also of a booster that still has the later ones."""
    noise = target(ROWS) + 3 * np.random.default_rng(0).normal(size=len(ROWS))
    train = lgb.Dataset(ROWS[:200], noise[:200])
    estimator = lgb.train(
        {"objective": "regression", "verbose": -1, "num_leaves": 7, "learning_rate": 0.3}, train, 50,
        valid_sets=[lgb.Dataset(ROWS[200:], noise[200:], reference=train)],
        callbacks=[lgb.early_stopping(3, verbose=False)], keep_training_booster=keep,
    )  # fmt: skip
    assert 0 < estimator.best_iteration < (estimator.num_trees() if keep else 50)
    agree(estimator, ROWS, n=200)


def test_pipeline() -> None:
    rows = np.nan_to_num(ROWS)
    estimator = make_pipeline(StandardScaler(), lgb.LGBMClassifier(**SMALL)).fit(rows, target(rows, "three"))
    model = converted(estimator)
    assert_relative(model.predict_proba(rows), estimator.predict_proba(rows))
    answers_agree(estimator, model, rows)


def test_one_leaf() -> None:
    estimator = trained(ROWS, np.ones(len(ROWS)), 3, objective="regression")
    model = converted(estimator)
    assert_bits(model.raw(ROWS), theirs(estimator, ROWS, raw_score=True))
    linear = trained(ROWS, np.ones(len(ROWS)), 3, objective="regression", linear_tree=True)
    assert_bits(converted(linear).raw(ROWS), theirs(linear, ROWS, raw_score=True))


# -- names, files


def test_names_of_columns() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(ROWS, columns=list("abcde"))
    estimator = lgb.LGBMRegressor(**SMALL).fit(frame, target(ROWS))
    model = converted(estimator)
    assert [c.name for c in model.columns] == list("abcde")
    assert_bits(model.predict(frame[list("edcba")]), theirs(estimator, frame))
    unnamed = converted(lgb.LGBMRegressor(**SMALL).fit(ROWS, target(ROWS)))
    assert [c.name for c in unnamed.columns] == [f"x{i}" for i in range(5)]
    assert_bits(unnamed.predict(frame), unnamed.predict(ROWS))  # by position


def test_a_file_needs_no_lightgbm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a model.txt"
    estimator = lgb.LGBMClassifier(**SMALL).fit(ROWS, target(ROWS, "three"))
    estimator.booster_.save_model(path)
    expected = estimator.predict_proba(ROWS), theirs(estimator, ROWS, raw_score=True)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    for source in (path, str(path)):
        model = inferir.convert(source, version="1.2")
        assert (model.name, model.version, model.classes) == ("a model", "1.2", (0, 1, 2))
        assert_relative(model.predict_proba(ROWS), expected[0])
        assert_bits(model.raw(ROWS), expected[1])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert_bits(inferir.convert(path).raw(ROWS), expected[1])


# -- what is refused


def test_refused() -> None:
    two = target(ROWS, "two").astype(int)
    for estimator, match in [
        (lgb.LGBMClassifier(**SMALL, pred_early_stop=True).fit(ROWS, two), "pred_early_stop"),
        (lgb.LGBMClassifier(**SMALL).fit(ROWS, np.zeros(len(ROWS))), "1 classes with 1 scores"),
    ]:
        with pytest.raises(UnsupportedModelError, match=match):
            inferir.convert(estimator)


def test_not_fitted() -> None:
    with pytest.raises(FormatError, match="fitted"):
        inferir.convert(lgb.LGBMClassifier())
