from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    RandomForestClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

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
    fitted,
)

SEED = {"random_state": 0}
THREE = [
    ("linear", LogisticRegression()),
    ("bayes", GaussianNB()),
    ("tree", DecisionTreeClassifier(max_depth=3, **SEED)),
]


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (AdaBoostClassifier(n_estimators=8, **SEED), MULTI),
        (AdaBoostClassifier(n_estimators=8, **SEED), BINARY),
        (AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=6, **SEED), TEXT_LABELS),
        (AdaBoostClassifier(GaussianNB(), n_estimators=4), MULTI),
        (AdaBoostClassifier(LogisticRegression(), n_estimators=4), BINARY),
        (AdaBoostRegressor(n_estimators=9, **SEED), NUMBERS),
        (AdaBoostRegressor(Ridge(), n_estimators=4, **SEED), NUMBERS),
        (BaggingClassifier(n_estimators=6, max_features=0.5, **SEED), MULTI),
        (BaggingClassifier(LogisticRegression(), n_estimators=3, max_features=0.6, **SEED), BINARY),
        (BaggingClassifier(SVC(), n_estimators=3, **SEED), MULTI),
        (BaggingRegressor(n_estimators=5, max_features=0.5, bootstrap_features=True, **SEED), NUMBERS),
        (BaggingRegressor(KNeighborsRegressor(), n_estimators=3, **SEED), NUMBERS),
        (VotingClassifier(THREE, voting="soft", weights=[1, 2, 0.5]), MULTI),
        (VotingClassifier(THREE, voting="soft"), BINARY),
        (VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3, **SEED))], weights=[2, 1]), NUMBERS),
        (CalibratedClassifierCV(LinearSVC(**SEED), cv=3), MULTI),
        (CalibratedClassifierCV(LinearSVC(**SEED), cv=3), BINARY),
        (CalibratedClassifierCV(LinearSVC(**SEED), cv=3, ensemble=False), BINARY),
        (CalibratedClassifierCV(RandomForestClassifier(5, **SEED), method="isotonic", cv=3), BINARY),
        (CalibratedClassifierCV(RandomForestClassifier(5, **SEED), method="isotonic", cv=3), MULTI),
        (MultiOutputRegressor(Ridge()), TWO_NUMBERS),
        (MultiOutputClassifier(LogisticRegression()), TWO_LABELS),
    ],
    ids=str,
)
def test_agrees(estimator: object, data: Data) -> None:
    agree(estimator, data, integers=False)


def test_hard_votes() -> None:
    for weights in (None, [1, 1, 3]):
        estimator = fitted(VotingClassifier(THREE, weights=weights), TEXT_LABELS)
        model = inferir.convert(estimator)
        assert (model.predict(MULTI.rows) == estimator.predict(MULTI.rows)).all()
        assert "probabilities" not in model.faces


def test_a_part_that_cannot_be_converted_says_where_it_stood() -> None:
    parts = [*THREE, ("process", GaussianProcessClassifier())]
    estimator = fitted(VotingClassifier(parts), Data(MULTI.rows[::4], MULTI.target[::4]))
    with pytest.raises(UnsupportedModelError) as caught:
        inferir.convert(estimator)
    assert "sklearn.GaussianProcessClassifier (in part 3 (GaussianProcessClassifier))" in str(caught.value)
    assert "LogisticRegression" in str(caught.value)


def test_parts_that_are_trees_become_one_forest() -> None:
    estimator = fitted(BaggingClassifier(n_estimators=6, **SEED), MULTI)
    assert [o.op for o in inferir.convert(estimator).spec.operators].count("forest") == 1


def test_folds_that_see_all_classes_are_needed() -> None:
    estimator = fitted(CalibratedClassifierCV(LinearSVC(**SEED), cv=3), MULTI)
    part = estimator.calibrated_classifiers_[0]
    part.estimator.classes_ = np.array([0, 1])
    part.estimator.coef_, part.estimator.intercept_ = part.estimator.coef_[:1], part.estimator.intercept_[:1]
    part.calibrators = part.calibrators[:1]
    with pytest.raises(UnsupportedModelError, match="a fold that has not seen every class"):
        inferir.convert(estimator)
