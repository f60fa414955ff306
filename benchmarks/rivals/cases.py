"""Models that are compared, each trained on made-up rows, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

__all__ = ["CASES", "Array", "Call", "Case", "Peer"]

Array: TypeAlias = npt.NDArray[Any]
Call: TypeAlias = Callable[[Array], Any]

MOST_ROWS = 10_000


@dataclass(frozen=True)
class Case:
    """`ask` is the method of scikit-learn's estimator; rows are of `dtype`, and so were those it was trained on."""

    label: str
    estimator: Any
    ask: str
    columns: int
    classes: int = 2
    training_rows: int = 2000
    dtype: type = np.float32

    def _rows(self, n: int, stream: int) -> tuple[Array, Array]:
        random = np.random.default_rng((self.columns, stream))
        centers = np.random.default_rng(self.columns).standard_normal((self.classes, self.columns))
        y = random.integers(0, self.classes, n)
        return (centers[y] * 0.5 + random.standard_normal((n, self.columns))).astype(self.dtype), y

    @cached_property
    def fitted(self) -> Any:
        x, y = self._rows(self.training_rows, 1)
        return self.estimator.fit(x, y)

    @cached_property
    def rows(self) -> Array:
        return self._rows(MOST_ROWS, 2)[0]

    @property
    def name(self) -> str:
        return f"{self.label}, {np.dtype(self.dtype).name}"


Peer: TypeAlias = Callable[[Case], Call | None]


def _models(dtype: type) -> list[Case]:
    return [
        Case("LogisticRegression, 784 columns, 10 classes", LogisticRegression(max_iter=50), "predict_proba", 784, 10),
        Case("LinearRegression, 28 columns", LinearRegression(), "predict", 28),
        Case("MLP 64-100-10", MLPClassifier((100,), max_iter=100, tol=1e-2, random_state=0), "predict_proba", 64, 10),
        Case("KMeans, 100 centers, 100 columns", KMeans(100, n_init=1, random_state=0), "predict", 100, 100, 5000),
        Case("PCA, 100 columns to 10", PCA(10, random_state=0), "transform", 100),
        Case("GaussianNB, 28 columns", GaussianNB(), "predict_proba", 28, 3),
        Case("k-NN, k = 5, 10,000 points, 32 columns", KNeighborsClassifier(5, algorithm="brute"), "predict", 32, 3,
             10_000),
        Case("SVC RBF, 6,000 training rows, 28 columns", SVC(), "predict", 28, 2, 6000),
    ]  # fmt: skip


CASES = tuple(
    Case(c.label, c.estimator, c.ask, c.columns, c.classes, c.training_rows, dtype)
    for dtype in (np.float32, np.float64)
    for c in _models(dtype)
)
