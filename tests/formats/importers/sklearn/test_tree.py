from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

import inferir
from inferir.errors import UnsupportedModelError
from tests.formats.importers.sklearn.agreement import (
    BINARY,
    MULTI,
    NUMBERS,
    TEXT_LABELS,
    TWO_LABELS,
    TWO_NUMBERS,
    Data,
    agree,
    converted,
    fitted,
)
from tests.parity import assert_bits, hard_rows, thresholds

SEED = {"random_state": 0}


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (DecisionTreeClassifier(**SEED), MULTI),
        (DecisionTreeClassifier(max_depth=3, **SEED), BINARY),
        (DecisionTreeClassifier(max_leaf_nodes=9, **SEED), TEXT_LABELS),
        (DecisionTreeClassifier(**SEED), TWO_LABELS),
        (DecisionTreeRegressor(**SEED), NUMBERS),
        (DecisionTreeRegressor(max_depth=5, **SEED), TWO_NUMBERS),
        (DecisionTreeRegressor(max_depth=0 + 1, criterion="absolute_error", **SEED), NUMBERS),
        (ExtraTreeClassifier(**SEED), MULTI),
        (ExtraTreeRegressor(**SEED), NUMBERS),
        (RandomForestClassifier(12, **SEED), MULTI),
        (RandomForestClassifier(12, class_weight="balanced", **SEED), BINARY),
        (RandomForestClassifier(8, **SEED), TWO_LABELS),
        (RandomForestRegressor(12, **SEED), NUMBERS),
        (RandomForestRegressor(8, **SEED), TWO_NUMBERS),
        (ExtraTreesClassifier(8, **SEED), MULTI),
        (ExtraTreesRegressor(8, **SEED), NUMBERS),
        (GradientBoostingRegressor(n_estimators=10, **SEED), NUMBERS),
        (GradientBoostingRegressor(n_estimators=10, loss="huber", **SEED), NUMBERS),
        (GradientBoostingRegressor(n_estimators=10, init="zero", **SEED), NUMBERS),
    ],
    ids=str,
)
def test_sums_of_leaves_are_equal_bit_for_bit(estimator: object, data: Data) -> None:
    agree(estimator, data, routed=True)


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (GradientBoostingClassifier(n_estimators=8, **SEED), MULTI),
        (GradientBoostingClassifier(n_estimators=8, **SEED), BINARY),
        (GradientBoostingClassifier(n_estimators=8, loss="exponential", **SEED), BINARY),
        (IsolationForest(n_estimators=10, **SEED), MULTI),
        (IsolationForest(n_estimators=10, max_features=0.5, max_samples=40, contamination=0.1, **SEED), BINARY),
    ],
    ids=str,
)
def test_links_are_within_the_contract(estimator: object, data: Data) -> None:
    agree(estimator, data, relative=1e-12)


def test_raw_of_gradient_boosting_is_equal_bit_for_bit() -> None:
    estimator = fitted(GradientBoostingClassifier(n_estimators=8, **SEED), MULTI)
    model = converted(estimator)
    rows = hard_rows(MULTI.rows, thresholds(model.spec), nan=False, inf=False)
    assert_bits(model.raw(rows), estimator.decision_function(rows))


@pytest.mark.parametrize("inf", [False, True])
def test_missing_and_infinite_values_take_the_trees_own_way(inf: bool) -> None:
    """scikit-learn refuses infinities before its trees see them; the trees themselves route them, and so do we."""
    rows = MULTI.rows.copy()
    rows[::3, 0] = np.nan
    rows[::5, 2] = np.nan
    estimator = fitted(DecisionTreeClassifier(**SEED), Data(rows, MULTI.target))
    model = converted(estimator)
    asked = hard_rows(MULTI.rows, thresholds(model.spec), width=np.float32, nan=True, inf=inf)
    assert_bits(model.predict_proba(asked), estimator.tree_.predict(asked)[:, :3])


def test_another_first_estimator_is_refused() -> None:
    estimator = fitted(GradientBoostingRegressor(n_estimators=2, init=LinearRegression()), NUMBERS)
    with pytest.raises(UnsupportedModelError, match="init=LinearRegression; supported: init=None and init='zero'"):
        inferir.convert(estimator)


def test_float64_rows_beyond_float32_become_infinite_and_are_refused_where_scikit_learn_does() -> None:
    estimator = fitted(GradientBoostingRegressor(n_estimators=2), NUMBERS)
    rows = NUMBERS.rows[:3].copy()
    rows[1, 4] = 1e300
    with pytest.raises(ValueError, match="too large"), np.errstate(over="ignore"):
        estimator.predict(rows)
    with pytest.raises(inferir.errors.InvalidInputError, match="row 1, column 'x4': expected a finite number, got inf"):
        converted(estimator).predict(rows)
