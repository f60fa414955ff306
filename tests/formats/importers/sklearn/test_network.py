from __future__ import annotations

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from tests.formats.importers.sklearn.agreement import (
    BINARY,
    MULTI,
    NUMBERS,
    TWO_NUMBERS,
    Data,
    agree,
    converted,
    fitted,
)

FAST = {"max_iter": 25, "random_state": 0}


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (MLPClassifier((10, 5), **FAST), MULTI),
        (MLPClassifier((8,), activation="tanh", **FAST), BINARY),
        (MLPClassifier((8,), activation="logistic", **FAST), MULTI),
        (MLPClassifier((8,), activation="identity", **FAST), BINARY),
        (MLPRegressor(hidden_layer_sizes=(8, 8), **FAST), NUMBERS),
        (MLPRegressor(hidden_layer_sizes=(8,), activation="tanh", **FAST), TWO_NUMBERS),
    ],
    ids=str,
)
def test_agrees(estimator: object, data: Data) -> None:
    agree(estimator, data)


def test_several_labels_a_row() -> None:
    labels = np.c_[MULTI.target > 0, MULTI.target > 1].astype(int)
    estimator = fitted(MLPClassifier((8,), **FAST), Data(MULTI.rows, labels))
    assert (converted(estimator).predict(MULTI.rows) == estimator.predict(MULTI.rows)).all()
