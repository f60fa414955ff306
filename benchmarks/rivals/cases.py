"""Models that are compared, and what is asked of them. Each is trained once, by `prepare`, into a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["CASES", "THREAD_CASES", "Array", "Case"]

Array: TypeAlias = npt.NDArray[Any]

#: Rows of a call -> threads of every peer; 0 stands for all cores.
_ROWS = {1: 1, 100: 1, 10_000: 1, 100_000: 0}

#: Explaining costs a hundred times as much.
_EXPLAINED_ROWS = {1: 1, 100: 1, 5_000: 0}


@dataclass(frozen=True)
class Case:
    """A model, the rows it gets, and a question.

    library   what trains it: its own way to predict is a peer's too.
    estimator an unfitted estimator with scikit-learn's methods.
    ask       "probabilities", "prediction", "transformed" or "contributions".
    dtype     of rows: the width in which the library compares or multiplies.
    nodes     that the trees have is counted when it is trained; `flops` and `bytes` are a row's, for the roofline.
    """

    key: str
    label: str
    library: str
    estimator: Callable[[], Any]
    ask: str = "probabilities"
    columns: int = 28
    classes: int = 2
    training_rows: int = 20_000
    dtype: type = np.float32
    flops: int = 0
    data: str = "signal"
    is_tree: bool = True

    @property
    def rows(self) -> Mapping[int, int]:
        return _EXPLAINED_ROWS if self.ask == "contributions" else _ROWS

    def make(self, n: int, stream: int) -> tuple[Array, Array]:
        """`n` rows and their classes; another `stream`, other rows of the same kind."""
        random = np.random.default_rng((self.columns, stream))
        x, y = _DATA[self.data](self, n, random)
        return x.astype(np.float32).astype(self.dtype), y


def _signal(case: Case, n: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Normal numbers, and two classes that trees can learn, with noise that they cannot."""
    x = random.standard_normal((n, case.columns))
    signal = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + np.abs(x[:, 3]) - x[:, 4] * (x[:, 5] > 0) + x[:, 6:12].sum(1) / 4
    return x, (signal + random.standard_normal(n) > 0.8).astype(int)


def _clusters(case: Case, n: int, random: np.random.Generator) -> tuple[Array, Array]:
    """A cloud around a center for each class."""
    centers = np.random.default_rng(case.columns).standard_normal((case.classes, case.columns))
    y = random.integers(0, case.classes, n)
    return centers[y] * 0.5 + random.standard_normal((n, case.columns)), y


def _digits(case: Case, n: int, random: np.random.Generator) -> tuple[Array, Array]:
    """scikit-learn's digits, drawn again and again, each pixel up to one shade lighter or darker."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    drawn = random.integers(0, len(x), n)
    return np.clip(x[drawn] + random.integers(-1, 2, (n, x.shape[1])), 0, 16), y[drawn]


_DATA: Mapping[str, Callable[[Case, int, np.random.Generator], tuple[Array, Array]]] = {
    "signal": _signal,
    "clusters": _clusters,
    "digits": _digits,
}


def _xgboost(trees: int, depth: int) -> Callable[[], Any]:
    def make() -> Any:
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=trees, max_depth=depth, n_jobs=1)

    return make


def _lightgbm(trees: int, leaves: int) -> Callable[[], Any]:
    def make() -> Any:
        from lightgbm import LGBMClassifier

        return LGBMClassifier(n_estimators=trees, num_leaves=leaves, n_jobs=1, verbose=-1)

    return make


def _catboost(trees: int, depth: int) -> Callable[[], Any]:
    def make() -> Any:
        from catboost import CatBoostClassifier

        options = {"thread_count": 1, "verbose": False, "allow_writing_files": False}
        return CatBoostClassifier(n_estimators=trees, depth=depth, **options)

    return make


def _sklearn(name: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        import importlib

        module, _, attribute = name.partition(":")
        return getattr(importlib.import_module(f"sklearn.{module}"), attribute)(**options)

    return make


def _trees() -> list[Case]:
    histogram = _sklearn("ensemble:HistGradientBoostingClassifier", max_iter=200, early_stopping=False, random_state=0)
    forest = _sklearn("ensemble:RandomForestClassifier", n_estimators=100, random_state=0)
    wide = np.float64
    return [
        Case("xgboost_100x6", "XGBoost, 100 trees, depth 6", "xgboost", _xgboost(100, 6)),
        Case("xgboost_500x8", "XGBoost, 500 trees, depth 8", "xgboost", _xgboost(500, 8)),
        Case("xgboost_digits", "XGBoost, digits, 10 classes x 100 rounds", "xgboost", _xgboost(100, 6), columns=64,
             classes=10, training_rows=4_000, data="digits"),
        Case("lightgbm_200x31", "LightGBM, 200 trees, 31 leaves", "lightgbm", _lightgbm(200, 31), dtype=wide),
        Case("lightgbm_500x255", "LightGBM, 500 trees, 255 leaves", "lightgbm", _lightgbm(500, 255), dtype=wide),
        Case("histogram_200x31", "HistGradientBoosting, 200 trees, 31 leaves", "sklearn", histogram, dtype=wide),
        Case("forest_100", "RandomForest, 100 trees, any depth", "sklearn", forest),
        Case("catboost_100x6", "CatBoost, 100 trees, depth 6", "catboost", _catboost(100, 6)),
        Case("catboost_1000x8", "CatBoost, 1,000 trees, depth 8", "catboost", _catboost(1000, 8)),
    ]  # fmt: skip


def _explained() -> list[Case]:
    forest = _sklearn("ensemble:RandomForestRegressor", n_estimators=100, max_depth=8, random_state=0)
    ask = "contributions"
    return [
        Case("shap_xgboost_100x6", "TreeSHAP, XGBoost, 100 trees, depth 6", "xgboost", _xgboost(100, 6), ask),
        Case("shap_xgboost_100x8", "TreeSHAP, XGBoost, 100 trees, depth 8", "xgboost", _xgboost(100, 8), ask),
        Case("shap_lightgbm_100x31", "TreeSHAP, LightGBM, 100 trees, 31 leaves", "lightgbm", _lightgbm(100, 31), ask,
             dtype=np.float64),
        Case("shap_catboost_100x6", "TreeSHAP, CatBoost, 100 trees, depth 6", "catboost", _catboost(100, 6), ask),
        Case("shap_forest_100x8", "TreeSHAP, RandomForest, 100 trees, depth 8", "sklearn", forest, ask),
    ]  # fmt: skip


def _dense(dtype: type) -> list[Case]:
    def case(
        key: str, label: str, estimator: Callable[[], Any], ask: str, *shape: int, flops: int, data: str = "clusters"
    ) -> Case:
        width = np.dtype(dtype).name
        name = key if dtype is np.float32 else f"{key}_{width}"
        return Case(name, f"{label}, {width}", "sklearn", estimator, ask, *shape, dtype, flops, data, is_tree=False)

    proba, labels = "probabilities", "prediction"
    mlp = _sklearn("neural_network:MLPClassifier", hidden_layer_sizes=(100,), max_iter=100, tol=1e-2, random_state=0)
    return [
        case("logistic_784", "LogisticRegression, 784 columns, 10 classes",
             _sklearn("linear_model:LogisticRegression", max_iter=50), proba, 784, 10, 2000, flops=2 * 784 * 10),
        case("linear_28", "LinearRegression, 28 columns",
             _sklearn("linear_model:LinearRegression"), labels, 28, 2, 2000, flops=2 * 28),
        case("mlp_64", "MLP 64-100-10", mlp, proba, 64, 10, 2000, flops=2 * 100 * (64 + 10)),
        case("kmeans_100", "KMeans, 100 centers, 100 columns",
             _sklearn("cluster:KMeans", n_clusters=100, n_init=1, random_state=0), labels, 100, 100, 5000,
             flops=2 * 100 * 100),
        case("knn_10000", "k-NN, k = 5, 10,000 points, 32 columns",
             _sklearn("neighbors:KNeighborsClassifier", n_neighbors=5, algorithm="brute"), labels, 32, 3, 10_000,
             flops=2 * 32 * 10_000),
        # classes that overlap: half of the rows become support vectors
        case("svc_6000", "SVC RBF, 6,000 training rows, 28 columns", _sklearn("svm:SVC"), labels, 28, 2, 6000, flops=0,
             data="signal"),
        case("naive_bayes_28", "GaussianNB, 28 columns",
             _sklearn("naive_bayes:GaussianNB"), proba, 28, 3, 2000, flops=0),
        case("pca_100", "PCA, 100 columns to 10",
             _sklearn("decomposition:PCA", n_components=10, random_state=0), "transformed", 100, 2, 2000,
             flops=2 * 100 * 10),
    ]  # fmt: skip


CASES: Mapping[str, Case] = {
    case.key: case for case in (*_trees(), *_dense(np.float32), *_explained(), *_dense(np.float64))
}

#: Models with which two threads are compared with one.
THREAD_CASES = ("xgboost_100x6", "lightgbm_200x31", "forest_100", "catboost_100x6", "mlp_64", "kmeans_100", "knn_10000",
                "svc_6000")  # fmt: skip
