from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

import inferir
from tests.formats.importers.sklearn.agreement import BINARY, MULTI, NUMBERS, Data, agree, converted, fitted
from tests.parity import assert_bits, assert_labels, assert_relative, hard_rows, thresholds

FAST = {"max_iter": 10, "random_state": 0}


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (HistGradientBoostingRegressor(**FAST), NUMBERS),
        (HistGradientBoostingRegressor(loss="poisson", **FAST), NUMBERS),
        (HistGradientBoostingRegressor(loss="gamma", **FAST), NUMBERS),
        (HistGradientBoostingRegressor(loss="absolute_error", max_leaf_nodes=4, **FAST), NUMBERS),
        (HistGradientBoostingRegressor(loss="quantile", quantile=0.3, early_stopping=True, **FAST), NUMBERS),
        (HistGradientBoostingClassifier(**FAST), MULTI),
        (HistGradientBoostingClassifier(**FAST), BINARY),
        (HistGradientBoostingClassifier(max_depth=2, class_weight="balanced", **FAST), BINARY),
    ],
    ids=str,
)
def test_agrees(estimator: object, data: Data) -> None:
    agree(estimator, data, relative=1e-12)


def _missing(data: Data) -> Data:
    rows = data.rows.copy()
    rows[np.random.default_rng(3).random(rows.shape) < 0.2] = np.nan
    return Data(rows, data.target)


@pytest.mark.parametrize("data", [MULTI, BINARY], ids=["multi", "binary"])
def test_raw_on_missing_and_infinite_values_is_equal_bit_for_bit(data: Data) -> None:
    estimator = fitted(HistGradientBoostingClassifier(**FAST), _missing(data))
    model = converted(estimator)
    rows = hard_rows(data.rows, thresholds(model.spec))
    with np.errstate(all="ignore"):
        finite = np.where(np.isinf(rows), np.nan, rows)
    assert_bits(model.raw(finite), estimator.decision_function(finite))
    model.raw(rows)  # infinities are routed, not refused


@pytest.fixture(scope="module")
def tints() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 600
    frame = pd.DataFrame(
        {
            "weight": rng.standard_normal(n),
            "tint": rng.choice(["red", "green", "blue", "white", "black"], n),
            "grade": rng.integers(0, 30, n),
        }
    )
    frame.loc[rng.random(n) < 0.1, "tint"] = None
    frame["y"] = (frame["tint"].isin(["red", "blue"]) * 2 + frame["weight"] + frame["grade"] % 7).astype(float)
    return frame


def test_categories_of_a_data_frame(tints: pd.DataFrame) -> None:
    frame = tints.assign(tint=tints["tint"].astype("category"), grade=tints["grade"].astype("category"))
    estimator = HistGradientBoostingRegressor(categorical_features="from_dtype", **FAST)
    estimator.fit(frame.drop(columns="y"), frame["y"])
    model = converted(estimator)
    assert [column.kind for column in model.columns] == ["number", "category", "number"]
    asked = frame.drop(columns="y").assign(tint=frame["tint"].cat.add_categories("never seen"))
    asked.loc[:40, "tint"] = "never seen"
    assert_bits(model.predict(asked), estimator.predict(asked))
    as_lists = [[w, None if t != t else t, g] for w, t, g in asked.itertuples(index=False)]
    assert_bits(model.predict(as_lists), estimator.predict(asked))


def test_categories_in_a_number_column_negative_unseen_and_fractional_ones_included() -> None:
    rng = np.random.default_rng(1)
    rows = np.c_[rng.standard_normal(800), rng.integers(0, 40, 800)]
    estimator = HistGradientBoostingClassifier(categorical_features=[1], **FAST)
    estimator.fit(rows, (rows[:, 0] + (rows[:, 1] % 5) > 2).astype(int))
    model = converted(estimator)
    asked = np.c_[rng.standard_normal(900), rng.choice([-1, -0.5, 0, 0.5, 3, 39, 40, 41, 255, 256, 1e9, np.nan], 900)]
    assert_labels(model.predict(asked), estimator.predict(asked))
    assert_relative(model.raw(asked), estimator.decision_function(asked), 0.0)


def test_a_category_that_only_the_validation_rows_had_is_missing() -> None:
    rng = np.random.default_rng(2)
    rows = np.c_[rng.standard_normal(300), np.r_[rng.integers(0, 4, 299), 9]]
    estimator = HistGradientBoostingRegressor(
        categorical_features=[1], early_stopping=True, validation_fraction=0.4, max_iter=8, random_state=5
    )
    estimator.fit(rows, rows[:, 1] * 2 + rows[:, 0])
    assert_bits(converted(estimator).predict(rows), estimator.predict(rows))


def test_every_backend_says_the_same() -> None:
    estimator = fitted(HistGradientBoostingClassifier(**FAST), _missing(MULTI))
    rows = hard_rows(MULTI.rows, n=60)
    expected = converted(estimator, backend="reference").raw(rows)
    for backend in inferir.kernels.available():
        assert_bits(converted(estimator, backend=backend).raw(rows), expected)
