"""Models of scikit-learn that went through skl2onnx: we and onnxruntime on the same file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx.helper
import pytest
import sklearn.calibration as calibration
import sklearn.cluster as cluster
import sklearn.decomposition as decomposition
import sklearn.discriminant_analysis as discriminant
import sklearn.ensemble as ensemble
import sklearn.feature_selection as selection
import sklearn.gaussian_process as gaussian
import sklearn.impute as impute
import sklearn.linear_model as linear
import sklearn.mixture as mixture
import sklearn.multiclass as multiclass
import sklearn.naive_bayes as bayes
import sklearn.neighbors as neighbors
import sklearn.neural_network as network
import sklearn.pipeline as pipeline
import sklearn.preprocessing as preprocessing
import sklearn.svm as svm
import sklearn.tree as tree
from sklearn.base import clone
from sklearn.cross_decomposition import PLSRegression
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.random_projection import GaussianRandomProjection

import inferir
from inferir.errors import UnsupportedModelError
from tests.formats.importers.onnx.agreement import close, converted, same_labels, theirs
from tests.parity import assert_bits, hard_rows, layouts, thresholds

RNG = np.random.default_rng(0)
X = RNG.normal(size=(160, 5)).astype(np.float32)
POSITIVE, WHOLE = np.abs(X) + np.float32(0.1), np.floor(np.abs(2 * X))
TWO = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(np.int64)
THREE = np.array(["a", "b", "c"])[np.argmax(X[:, :3] + 0.5 * RNG.normal(size=(160, 3)), axis=1)]
NUMBER = (X @ np.array([1, -2, 0.5, 0, 3]) + np.sin(3 * X[:, 0])).astype(np.float32)
COUNT, PAIR = np.abs(NUMBER), np.stack([NUMBER, X[:, 1]], axis=1)


def _stump() -> Any:
    return tree.DecisionTreeClassifier(max_depth=3, random_state=0)


def _votes(voting: str) -> Any:
    parts = [("a", linear.LogisticRegression()), ("b", _stump()), ("c", bayes.GaussianNB())]
    return ensemble.VotingClassifier(parts, voting=voting, flatten_transform=False)


#: Run with two classes and with three.
CLASSIFIERS: dict[str, Any] = {
    "logistic regression": linear.LogisticRegression(),
    "stochastic gradient": linear.SGDClassifier(random_state=0),
    "stochastic gradient, log loss": linear.SGDClassifier(loss="log_loss", random_state=0),
    "perceptron": linear.Perceptron(random_state=0),
    "ridge": linear.RidgeClassifier(),
    "linear SVC": svm.LinearSVC(random_state=0),
    "tree": tree.DecisionTreeClassifier(max_depth=5, random_state=0),
    "extra tree": tree.ExtraTreeClassifier(max_depth=5, random_state=0),
    "forest": ensemble.RandomForestClassifier(9, max_depth=5, random_state=0),
    "extra trees": ensemble.ExtraTreesClassifier(9, max_depth=5, random_state=0),
    "boosting": ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0),
    "histogram boosting": ensemble.HistGradientBoostingClassifier(max_iter=8),
    "SVC": svm.SVC(),
    "SVC, linear": svm.SVC(kernel="linear"),
    "SVC, polynomial": svm.SVC(kernel="poly"),
    "SVC, probability": svm.SVC(probability=True, random_state=0),
    "nu SVC": svm.NuSVC(nu=0.2),
    "network": network.MLPClassifier((8, 5), max_iter=60, random_state=0),
    "network, tanh": network.MLPClassifier((8,), activation="tanh", max_iter=60, random_state=0),
    "Gaussian naive Bayes": bayes.GaussianNB(),
    "Bernoulli naive Bayes": bayes.BernoulliNB(),
    "neighbours": neighbors.KNeighborsClassifier(3),
    "neighbours by distance": neighbors.KNeighborsClassifier(4, weights="distance"),
    "neighbours, manhattan": neighbors.KNeighborsClassifier(3, metric="manhattan"),
    "neighbours, minkowski": neighbors.KNeighborsClassifier(3, p=3),
    "AdaBoost": ensemble.AdaBoostClassifier(n_estimators=4, random_state=0),
    "bagged trees": ensemble.BaggingClassifier(n_estimators=4, random_state=0),
    "bagged logistic": ensemble.BaggingClassifier(linear.LogisticRegression(), 3, max_features=0.6, random_state=0),
    "calibrated": calibration.CalibratedClassifierCV(linear.LogisticRegression(), cv=2),
    "calibrated, isotonic": calibration.CalibratedClassifierCV(_stump(), cv=2, method="isotonic"),
    "calibrated SVC": calibration.CalibratedClassifierCV(svm.LinearSVC(random_state=0), cv=2),
    "hard votes": _votes(voting="hard"),
    "soft votes": _votes(voting="soft"),
    "stacking": ensemble.StackingClassifier([("a", linear.LogisticRegression()), ("b", _stump())], cv=2),
    "one against the rest": multiclass.OneVsRestClassifier(linear.LogisticRegression()),
    "linear discriminant": discriminant.LinearDiscriminantAnalysis(),
    "quadratic discriminant": discriminant.QuadraticDiscriminantAnalysis(reg_param=0.1),
    "scaled logistic": pipeline.make_pipeline(preprocessing.StandardScaler(), linear.LogisticRegression()),
    "scaled PCA and SVC": pipeline.make_pipeline(
        preprocessing.RobustScaler(), decomposition.PCA(3), svm.SVC(probability=True, random_state=0)
    ),
    "union and forest": pipeline.make_pipeline(
        pipeline.make_union(decomposition.PCA(2), preprocessing.MinMaxScaler(clip=True)),
        ensemble.RandomForestClassifier(4, max_depth=4, random_state=0),
    ),
}


REGRESSORS: dict[str, tuple[Any, Any]] = {
    "linear": (linear.LinearRegression(), NUMBER),
    "linear, two targets": (linear.LinearRegression(), PAIR),
    "ridge": (linear.Ridge(), NUMBER),
    "lasso": (linear.Lasso(0.05), NUMBER),
    "elastic net": (linear.ElasticNet(0.05), NUMBER),
    "Bayesian ridge": (linear.BayesianRidge(), NUMBER),
    "Huber": (linear.HuberRegressor(), NUMBER),
    "quantile": (linear.QuantileRegressor(alpha=0.01), NUMBER),
    "stochastic gradient": (linear.SGDRegressor(random_state=0), NUMBER),
    "Poisson": (linear.PoissonRegressor(), COUNT),
    "gamma": (linear.GammaRegressor(), COUNT + 1),
    "Tweedie": (linear.TweedieRegressor(power=1.5), COUNT),
    "linear SVR": (svm.LinearSVR(random_state=0), NUMBER),
    "SVR": (svm.SVR(), NUMBER),
    "nu SVR": (svm.NuSVR(), NUMBER),
    "tree": (tree.DecisionTreeRegressor(max_depth=5, random_state=0), NUMBER),
    "forest": (ensemble.RandomForestRegressor(9, max_depth=5, random_state=0), NUMBER),
    "forest, two targets": (ensemble.RandomForestRegressor(5, max_depth=4, random_state=0), PAIR),
    "boosting": (ensemble.GradientBoostingRegressor(n_estimators=8, random_state=0), NUMBER),
    "histogram boosting": (ensemble.HistGradientBoostingRegressor(max_iter=8), NUMBER),
    "network": (network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=60, random_state=0), NUMBER),
    "network, logistic": (
        network.MLPRegressor(hidden_layer_sizes=(8,), activation="logistic", max_iter=60),
        NUMBER,
    ),
    "neighbours": (neighbors.KNeighborsRegressor(3), NUMBER),
    "neighbours, two targets": (neighbors.KNeighborsRegressor(3), PAIR),
    "neighbours by distance": (neighbors.KNeighborsRegressor(3, weights="distance"), NUMBER),
    "AdaBoost": (ensemble.AdaBoostRegressor(n_estimators=4, random_state=0), NUMBER),
    "bagged trees": (ensemble.BaggingRegressor(n_estimators=4, random_state=0), NUMBER),
    "votes": (
        ensemble.VotingRegressor([("a", linear.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))]),
        NUMBER,
    ),
    "stacking": (ensemble.StackingRegressor([("a", linear.Ridge()), ("b", linear.Lasso(0.1))], cv=2), NUMBER),
    "each target on its own": (MultiOutputRegressor(linear.Ridge()), PAIR),
    "partial least squares": (PLSRegression(2), NUMBER),
    "polynomial ridge": (pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), linear.Ridge()), NUMBER),
    "Gaussian process": (gaussian.GaussianProcessRegressor(alpha=0.1), NUMBER),
}

TRANSFORMERS: dict[str, tuple[Any, Any]] = {
    "standard": (preprocessing.StandardScaler(), X),
    "robust": (preprocessing.RobustScaler(), X),
    "min-max": (preprocessing.MinMaxScaler(), X),
    "min-max, clipped": (preprocessing.MinMaxScaler(clip=True), X),
    "max-abs": (preprocessing.MaxAbsScaler(), X),
    "l1": (preprocessing.Normalizer(norm="l1"), X),
    "l2": (preprocessing.Normalizer(norm="l2"), X),
    "max": (preprocessing.Normalizer(norm="max"), X),
    "binarizer": (preprocessing.Binarizer(threshold=0.2), X),
    "polynomial": (preprocessing.PolynomialFeatures(2), X),
    "Yeo-Johnson": (preprocessing.PowerTransformer(), X),
    "Box-Cox": (preprocessing.PowerTransformer(method="box-cox"), POSITIVE),
    "quantiles": (preprocessing.QuantileTransformer(n_quantiles=20), X),
    "bins": (preprocessing.KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"), X),
    "mean for NaN": (impute.SimpleImputer(), X),
    "the most frequent for NaN": (impute.SimpleImputer(strategy="most_frequent"), WHOLE),
    "PCA": (decomposition.PCA(3), X),
    "whitened PCA": (decomposition.PCA(3, whiten=True), X),
    "incremental PCA": (decomposition.IncrementalPCA(3), X),
    "SVD": (decomposition.TruncatedSVD(3), X),
    "kernel PCA": (decomposition.KernelPCA(3, kernel="rbf"), X),
    "variance threshold": (selection.VarianceThreshold(0.5), X * np.float32([1, 0.1, 1, 1, 0.2])),
    "random projection": (GaussianRandomProjection(3, random_state=0), X),
    "one-hot": (preprocessing.OneHotEncoder(handle_unknown="ignore"), WHOLE),
    "ordinal": (preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), WHOLE),
}


@contextmanager
def _plain_booleans() -> Iterator[None]:
    """skl2onnx 1.20 hands NumPy's booleans on, which protobuf 7 takes for no integers."""
    original = onnx.helper.make_attribute

    def make(key: str, value: Any, *args: Any, **more: Any) -> Any:
        if isinstance(value, (list, tuple)) and any(isinstance(item, (bool, np.bool_)) for item in value):
            value = [int(item) for item in value]
        return original(key, value, *args, **more)

    onnx.helper.make_attribute = make
    try:
        yield
    finally:
        onnx.helper.make_attribute = original


def fitted(estimator: Any, rows: Any, target: Any = None, **options: Any) -> Any:
    """The graph of a fitted copy."""
    from skl2onnx import to_onnx

    with warnings.catch_warnings(), _plain_booleans():
        warnings.simplefilter("ignore")
        estimator = clone(estimator)
        estimator.fit(rows) if target is None else estimator.fit(rows, target)
        chosen = {id(estimator): options} if options else None
        return to_onnx(estimator, rows[:1], target_opset={"": 18, "ai.onnx.ml": 3}, options=chosen)


def is_forest(model: inferir.Model) -> bool:
    """Whether rows go straight to the trees, and nothing but a link follows."""
    names = [o.op for o in model.spec.operators]
    return names[:2] == ["cast", "forest"] and names.count("forest") == 1


def fresh_rows(model: inferir.Model, rows: Any = X, spread: float = 1.0) -> Any:
    """Fresh rows; for trees, on their thresholds and beside, with NaN and infinities."""
    if is_forest(model):
        return hard_rows(rows, thresholds(model.spec), n=150, width=np.float32)
    fresh = rows[RNG.integers(len(rows), size=90)] + np.float32(spread) * RNG.normal(size=(90, rows.shape[1]))
    return fresh.astype(np.float32)


def agree(graph: Any, rows: Any = None, relative: float = 3e-6, absolute: float = 1e-5) -> inferir.Model:
    """Labels equal; numbers within the contract, those of trees to the bit."""
    model = converted(graph)
    rows = fresh_rows(model) if rows is None else rows
    for right in theirs(graph, rows):
        if right.dtype.kind in "iOU":
            same_labels(model.predict(rows), right)
            continue
        face = next(f for f in ("probabilities", "raw", "transformed", "prediction") if f in model.faces)
        face = "prediction" if model.task == "regression" else face
        ours = model._run(face, rows)
        if is_forest(model) and "raw" not in model.faces:
            assert_bits(ours, right.reshape(ours.shape))
        size = float(np.nanmax(np.abs(right[np.isfinite(right)]), initial=1.0))
        close(ours, right, relative, absolute * size)
    return model


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier(name: str, classes: int) -> None:
    target = TWO if classes == 2 else THREE
    model = agree(fitted(CLASSIFIERS[name], X, target))
    assert model.task == "classification"
    assert model.classes == ((0, 1) if classes == 2 else ("a", "b", "c"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = clone(CLASSIFIERS[name]).fit(X, target)
    if not hasattr(estimator, "predict_proba"):
        assert "probabilities" not in model.faces or name == "hard votes"


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor(name: str) -> None:
    estimator, target = REGRESSORS[name]
    loose = {"Gaussian process": 1e-4}.get(name, 1e-5)
    model = agree(fitted(estimator, X, target), absolute=loose)
    assert "prediction" in model.faces


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformer(name: str) -> None:
    estimator, rows = TRANSFORMERS[name]
    whole = rows is WHOLE
    graph = fitted(estimator, rows)
    fresh = np.concatenate([rows[:50], rows[:20] + 1, -rows[:3]]) if whole else fresh_rows(converted(graph), rows, 0.1)
    if rows is POSITIVE:
        fresh = np.abs(fresh) + np.float32(0.01)
    fresh = fresh.astype(np.float32)
    if "NaN" in name:
        fresh[::3, 1] = np.nan
    assert "transformed" in agree(graph, fresh).faces


@pytest.mark.parametrize("name", ["tree", "forest", "boosting", "histogram boosting"])
def test_layouts(name: str) -> None:
    graph = fitted(CLASSIFIERS[name], X, THREE)
    model = converted(graph)
    rows = fresh_rows(model)
    label, scores = theirs(graph, rows)
    for _, form in layouts(rows):
        same_labels(model.predict(form), np.resize(label, len(form)))
        close(model.predict_proba(form), np.resize(scores, (len(form), 3)))


@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (cluster.KMeans(4, n_init=1, random_state=0), None),
        (cluster.MiniBatchKMeans(4, n_init=1, random_state=0), None),
    ],
)
def test_clusters(estimator: Any, target: Any) -> None:
    model = agree(fitted(estimator, X, target))
    assert (model.task, model.faces) == ("clustering", ("prediction", "transformed"))


@pytest.mark.parametrize(
    "estimator",
    [
        ensemble.IsolationForest(n_estimators=6, random_state=0),
        svm.OneClassSVM(),
        neighbors.LocalOutlierFactor(novelty=True),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_outliers(estimator: Any) -> None:
    model = agree(fitted(estimator, X), 2 * X, absolute=3e-5)
    assert model.task == "anomaly"
    assert set(model.predict(4 * X)) <= {-1, 0, 1}


@pytest.mark.parametrize("covariance", ["full", "diag", "tied", "spherical"])
def test_mixtures(covariance: str) -> None:
    estimator = mixture.GaussianMixture(2, covariance_type=covariance, reg_covar=0.1, random_state=0)
    agree(fitted(estimator, X), absolute=1e-4)


@pytest.mark.parametrize(
    ("estimator", "rows"),
    [(bayes.MultinomialNB(), POSITIVE), (bayes.ComplementNB(), POSITIVE), (bayes.CategoricalNB(), WHOLE)],
    ids=lambda value: type(value).__name__,
)
def test_naive_bayes_of_counts(estimator: Any, rows: Any) -> None:
    agree(fitted(estimator, rows, THREE), rows[::-1].copy())


@pytest.mark.parametrize("zipmap", [True, False, "columns"])
def test_probabilities_in_every_form(zipmap: Any) -> None:
    graph = fitted(linear.LogisticRegression(), X, THREE, zipmap=zipmap)
    model = converted(graph)
    label, *scores = theirs(graph, X)
    same_labels(model.predict(X), label)
    close(model.predict_proba(X), np.stack(scores, axis=1) if zipmap == "columns" else scores[0])


@pytest.mark.parametrize(
    "estimator", [linear.LogisticRegression(), ensemble.GradientBoostingClassifier(n_estimators=4)]
)
def test_raw_scores(estimator: Any) -> None:
    model = agree(fitted(estimator, X, THREE, raw_scores=True))
    assert model.faces == ("prediction", "raw")


@pytest.mark.parametrize("name", ["neighbours", "neighbours by distance"])
def test_neighbours_by_cdist(name: str) -> None:
    agree(fitted(CLASSIFIERS[name], X, THREE, optim="cdist"))


DOUBLES: dict[str, tuple[Any, Any]] = {
    "logistic regression": (linear.LogisticRegression(), THREE),
    "forest": (ensemble.RandomForestClassifier(9, max_depth=5, random_state=0), THREE),
    "forest, two classes": (ensemble.RandomForestClassifier(9, max_depth=5, random_state=0), TWO),
    "linear regression": (linear.LinearRegression(), NUMBER),
    "k-means": (cluster.KMeans(3, n_init=1, random_state=0), None),
    "PCA": (decomposition.PCA(2), None),
    "standard": (preprocessing.StandardScaler(), None),
    "l2": (preprocessing.Normalizer(), None),
    "quantiles": (preprocessing.QuantileTransformer(n_quantiles=20), None),
    "neighbours": (neighbors.KNeighborsClassifier(3), TWO),
}


@pytest.mark.parametrize("name", DOUBLES)
def test_doubles(name: str) -> None:
    estimator, target = DOUBLES[name]
    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else {}
    graph = fitted(estimator, X.astype(np.float64), target, **options)
    rows = X.astype(np.float64) + 0.1 * RNG.normal(size=X.shape)
    narrow = "forest" in name
    agree(graph, rows, 3e-6 if narrow else 1e-10, 1e-7 if narrow else 1e-12)


UNSUPPORTED: dict[str, tuple[Any, Any, str]] = {
    "several labels": (
        MultiOutputClassifier(linear.LogisticRegression()),
        np.stack([TWO, 1 - TWO], 1),
        "SequenceConstruct",
    ),
    "Gaussian process": (gaussian.GaussianProcessClassifier(), TWO, "operator Solve"),
    "neighbours for NaN": (impute.KNNImputer(), None, "operator Compress"),
    "labels of a network": (
        network.MLPClassifier((4,), max_iter=20),
        np.stack([TWO, 1 - TWO], 1),
        "class labels for 4 columns",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported(name: str) -> None:
    estimator, target, message = UNSUPPORTED[name]
    with pytest.raises(UnsupportedModelError, match=message):
        converted(fitted(estimator, X, target))
