from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestCentroid

import inferir
from inferir.errors import UnsupportedModelError
from tests.formats.importers.sklearn.agreement import (
    BINARY,
    MULTI,
    NUMBERS,
    TWO_LABELS,
    TWO_NUMBERS,
    Data,
    agree,
    fitted,
)


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (KNeighborsClassifier(), MULTI),
        (KNeighborsClassifier(1), BINARY),
        (KNeighborsClassifier(algorithm="brute"), MULTI),
        (KNeighborsClassifier(weights="distance"), MULTI),
        (KNeighborsClassifier(metric="manhattan", weights="distance"), MULTI),
        (KNeighborsClassifier(metric="chebyshev"), MULTI),
        (KNeighborsClassifier(metric="cosine"), MULTI),
        (KNeighborsClassifier(p=3), MULTI),
        (KNeighborsClassifier(p=1.5, algorithm="ball_tree"), MULTI),
        (KNeighborsClassifier(), TWO_LABELS),
        (KNeighborsRegressor(), NUMBERS),
        (KNeighborsRegressor(weights="distance", n_neighbors=9), NUMBERS),
        (KNeighborsRegressor(), TWO_NUMBERS),
        (NearestCentroid(), MULTI),
        (NearestCentroid(metric="manhattan"), MULTI),
        (NearestCentroid(shrink_threshold=0.3), BINARY),
        (NearestCentroid(priors="empirical"), MULTI),
    ],
    ids=str,
)
def test_agrees(estimator: object, data: Data) -> None:
    agree(estimator, data, integers=False, n=150)


@pytest.mark.parametrize(
    "estimator", [KMeans(5, n_init=1, random_state=0), MiniBatchKMeans(4, n_init=1, random_state=0)], ids=str
)
def test_k_means(estimator: object) -> None:
    """scikit-learn itself refuses float32 rows where its centres are float64."""
    agree(estimator, MULTI, integers=False, n=150, widths=(np.float64,))


def test_rows_that_were_trained_on() -> None:
    """At distance 0 a neighbour outweighs all others."""
    estimator = fitted(KNeighborsRegressor(weights="distance"), NUMBERS)
    np.testing.assert_allclose(inferir.convert(estimator).predict(NUMBERS.rows), estimator.predict(NUMBERS.rows))


@pytest.mark.parametrize("metric", ["canberra", lambda a, b: float(np.abs(a - b).sum())], ids=["name", "function"])
def test_other_metrics_are_refused(metric: object) -> None:
    estimator = fitted(KNeighborsClassifier(metric=metric), MULTI)
    with pytest.raises(UnsupportedModelError, match=r"metric=.*; supported: euclidean"):
        inferir.convert(estimator)


def test_weights_given_as_a_function_are_refused() -> None:
    estimator = fitted(KNeighborsClassifier(weights=lambda d: 1 / (1 + d)), MULTI)
    with pytest.raises(UnsupportedModelError, match="weights given as a function"):
        inferir.convert(estimator)
