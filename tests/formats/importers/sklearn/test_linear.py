from __future__ import annotations

import numpy as np
import pytest
from sklearn import linear_model as lm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.svm import LinearSVC, LinearSVR

from tests.formats.importers.sklearn.agreement import BINARY, MULTI, NUMBERS, TEXT_LABELS, TWO_NUMBERS, Data, agree

SEED = {"random_state": 0}


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (lm.LinearRegression(), NUMBERS),
        (lm.LinearRegression(fit_intercept=False), NUMBERS),
        (lm.LinearRegression(), TWO_NUMBERS),
        (lm.Ridge(), NUMBERS),
        (lm.Ridge(), TWO_NUMBERS),
        (lm.RidgeCV(), NUMBERS),
        (lm.Lasso(), NUMBERS),
        (lm.ElasticNet(), NUMBERS),
        (lm.SGDRegressor(**SEED), NUMBERS),
        (lm.HuberRegressor(), NUMBERS),
        (lm.BayesianRidge(), NUMBERS),
        (lm.MultiTaskLasso(), TWO_NUMBERS),
        (lm.PoissonRegressor(), NUMBERS),
        (lm.GammaRegressor(), NUMBERS),
        (lm.TweedieRegressor(power=0), NUMBERS),
        (LinearSVR(**SEED), NUMBERS),
        (lm.LogisticRegression(), BINARY),
        (lm.LogisticRegression(), MULTI),
        (lm.LogisticRegression(), TEXT_LABELS),
        (lm.LogisticRegression(solver="liblinear"), BINARY),
        (lm.LogisticRegression(fit_intercept=False), MULTI),
        (lm.SGDClassifier(**SEED), BINARY),
        (lm.SGDClassifier(**SEED), MULTI),
        (lm.SGDClassifier(loss="log_loss", **SEED), BINARY),
        (lm.SGDClassifier(loss="log_loss", **SEED), MULTI),
        (lm.SGDClassifier(loss="modified_huber", **SEED), BINARY),
        (lm.SGDClassifier(loss="modified_huber", **SEED), MULTI),
        (lm.Perceptron(**SEED), MULTI),
        (lm.RidgeClassifier(), MULTI),
        (lm.RidgeClassifier(), BINARY),
        (LinearSVC(**SEED), MULTI),
        (LinearSVC(**SEED), BINARY),
        (LinearDiscriminantAnalysis(), MULTI),
        (LinearDiscriminantAnalysis(solver="eigen"), BINARY),
        (LinearDiscriminantAnalysis(solver="lsqr"), MULTI),
    ],
    ids=str,
)
def test_agrees(estimator: object, data: Data) -> None:
    agree(estimator, data)


def test_float32_coefficients() -> None:
    agree(lm.LogisticRegression(), Data(MULTI.rows.astype(np.float32), MULTI.target), relative=1e-5)
