"""Model.answers: several faces from one run, with the bits that each has alone, whatever the number of rows, their
width, the backend and the threads."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import inferir
from inferir.errors import InvalidInputError, TaskError
from inferir.formats.spec import ColumnSpec, ModelSpec, OperatorSpec, TensorSpec
from inferir.kernels import available, select
from inferir.model import Model
from inferir.operators import OPERATORS
from inferir.plan import CHUNK_ROWS, LEAST_SHARED_ROWS, Plan
from tests.parity import hard_rows

ROWS, LABELS = load_wine(return_X_y=True)
ROWS = np.ascontiguousarray(ROWS)
NAMES = np.array(["a", "b", "c"], object)[LABELS]


def _boosted(objective: str, labels: Any) -> Any:
    xgboost = pytest.importorskip("xgboost")
    return xgboost.XGBClassifier(n_estimators=5, max_depth=3, objective=objective).fit(ROWS, labels)


ESTIMATORS: dict[str, Any] = {
    "tree": DecisionTreeClassifier(max_depth=3),
    "forest": RandomForestClassifier(5, max_depth=4, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=3),
    "hist boosting": HistGradientBoostingClassifier(max_iter=3),
    "adaboost": AdaBoostClassifier(n_estimators=3),
    "bagging": BaggingClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=2, random_state=0),
    "voting": VotingClassifier([("nb", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=2))], voting="soft"),
    "calibrated": CalibratedClassifierCV(GaussianNB(), cv=2),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=20, tol=1)),
    "one against the rest": make_pipeline(StandardScaler(), SGDClassifier(loss="modified_huber", random_state=0)),
    "bins": make_pipeline(
        KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), LogisticRegression(max_iter=20, tol=1)
    ),
    "components": make_pipeline(StandardScaler(), PCA(2), LogisticRegression(max_iter=20, tol=1)),
    "network": make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=3, tol=1.0, random_state=0)),
    "naive Bayes": GaussianNB(),
    "neighbours": KNeighborsClassifier(),
    "brute neighbours": KNeighborsClassifier(algorithm="brute"),
    "centroids": NearestCentroid(),
    "discriminant": LinearDiscriminantAnalysis(),
    "svm": SVC(),
    "svm of pairs": SVC(decision_function_shape="ovo"),
    "outliers": IsolationForest(n_estimators=3, random_state=0),
    "clusters": KMeans(3, n_init=1, random_state=0),
}


def _spec(estimator: Any, labels: Any = LABELS) -> ModelSpec:
    return inferir.convert(estimator.fit(ROWS, labels)).spec


def _by_hand(
    task: Any, steps: Any, tensors: Any = (), roles: Any = (), attributes: Any = (), classes: Any = ()
) -> ModelSpec:
    """Of 13 columns. Steps: operator, its input, its output. All `tensors` are 13 numbers; the first step has them as
    `roles`, and the attributes."""
    operators = [OperatorSpec(op, (value,), output) for op, value, output in steps]
    operators[0] = replace(operators[0], tensors=dict(roles), attributes=dict(attributes))
    columns = tuple(ColumnSpec(f"x{k}") for k in range(13))
    found = {name: TensorSpec(name, "f64", (13,), memoryview(values.tobytes())) for name, values in tensors}
    return ModelSpec("m", "", 4, task, columns, tuple(operators), found, classes=classes)


def _specs() -> dict[str, ModelSpec]:
    specs = {name: _spec(estimator) for name, estimator in ESTIMATORS.items()}
    specs["two outputs"] = _spec(RandomForestClassifier(3, random_state=0), np.c_[LABELS, LABELS > 0])
    specs["text"] = _spec(RandomForestClassifier(3, random_state=0), NAMES)
    specs["numbers"] = _spec(RandomForestRegressor(3, random_state=0))
    specs["line"] = _spec(LinearRegression())
    specs["arithmetic"] = _by_hand(
        "classification",
        [("apply", "input", "raw"), ("softmax", "raw", "probabilities"), ("argmax", "probabilities", "prediction")],
        attributes={"function": "absolute"},
        classes=tuple(range(13)),
    )
    specs["xgboost of two"] = inferir.convert(_boosted("binary:logistic", LABELS > 0)).spec
    specs["xgboost of three"] = inferir.convert(_boosted("multi:softprob", LABELS)).spec
    return specs


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # estimators need not be good
    SPECS = _specs()


def alone(model: Model, face: str, rows: Any) -> Any:
    ask = {
        "prediction": model.predict,
        "probabilities": model.predict_proba,
        "raw": model.raw,
        "transformed": model.transform,
    }
    return ask[face](rows)


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal in every bit, and in what they are."""
    if isinstance(theirs, list):
        assert isinstance(ours, list)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert ours.tolist() == theirs.tolist() if ours.dtype == object else ours.tobytes() == theirs.tobytes()


def test_every_family_of_operators_is_here() -> None:
    used = {OPERATORS[operator.op].__module__ for spec in SPECS.values() for operator in spec.operators}
    assert used >= {function.__module__ for function in OPERATORS.values()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("name", SPECS)
def test_the_bits_of_each_face_alone(name: str, backend: str, dtype: type) -> None:
    model = Model(SPECS[name], backend=backend, threads=1)
    rows = hard_rows(ROWS, n=60, width=dtype, nan=False, inf=False)
    for n_faces in range(1, len(model.faces) + 1):
        for faces in permutations(model.faces, n_faces):
            for n in (1, 2, 60, 0, 1):
                found = model.answers(rows[:n], faces)
                assert tuple(found) == faces
                for face, answer in found.items():
                    assert_same(answer, alone(model, face, rows[:n]))


def test_a_forest_is_run_once() -> None:
    called: list[str] = []

    class Counted:
        library = None
        of = select("reference")

        def __getitem__(self, kernel: str) -> Any:
            def call(*arguments: Any) -> Any:
                called.append(kernel)
                return self.of[kernel](*arguments)

            return call

    counted: Any = Counted()
    plan = Plan(SPECS["forest"], counted, "f64")
    del called[:]  # kernels that proved the file
    plan.together(("prediction", "probabilities")).run(ROWS)
    assert sum("forest" in kernel for kernel in called) == 1


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("backend", [name for name in available() if name != "reference"])
@pytest.mark.parametrize("name", ["forest", "svm", "neighbours", "xgboost of three", "bins", "two outputs"])
def test_many_rows(name: str, backend: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferir.plan._LEAST_SHARED_S", 0.0)
    monkeypatch.setattr("inferir.shares.LONGEST_PART_S", 1e-4)
    monkeypatch.setattr("inferir.shares.SHORTEST_PART_S", 1e-5)
    model, single = (Model(SPECS[name], backend=backend, threads=count) for count in (threads, 1))
    rows = hard_rows(ROWS, n=2 * CHUNK_ROWS + 77, nan=False, inf=False)
    for _ in range(2):  # first in parts of which the time is not known yet
        for n in (LEAST_SHARED_ROWS + 1, len(rows)):
            for face, answer in model.answers(rows[:n], model.faces).items():
                assert_same(answer, alone(single, face, rows[:n]))


@pytest.mark.parametrize("backend", available())
def test_values_that_are_one_and_the_same_are_arrays_of_their_own(backend: str) -> None:
    steps = [("affine", "input", "v"), ("identity", "v", "prediction"), ("identity", "v", "raw")]
    steps.append(("identity", "input", "transformed"))
    twos, roles = [("two", np.full(13, 2.0))], {"factor": "two", "offset": "two"}
    model = Model(_by_hand("regression", steps, twos, roles), backend=backend)
    for n in (1, 5):
        rows = ROWS[:n].copy()
        for faces in permutations(model.faces):
            found = model.answers(rows, faces)
            for face, answer in found.items():
                assert_same(answer, rows if face == "transformed" else rows * 2 + 2)
            for one, other in combinations([*found.values(), rows], 2):
                assert not np.shares_memory(one, other)
        assert_same(model.answers(rows, ("transformed", "transformed"))["transformed"], rows)


@pytest.mark.parametrize("backend", available())
def test_a_bad_row_says_which_it_is(backend: str) -> None:
    model = Model(SPECS["logistic"], backend=backend, threads=1)
    rows = np.tile(ROWS, (30 if backend != "reference" else 2, 1))
    rows[len(rows) - 3, 4] = np.inf
    for n in (len(rows), 1):
        with pytest.raises(InvalidInputError, match=rf"row {max(0, n - 3)}, column 'x4': expected a finite number"):
            model.answers(rows[-n - 2 : len(rows) - 2] if n == 1 else rows, ("prediction", "probabilities"))


def test_a_face_that_is_not_there_is_refused() -> None:
    model = Model(SPECS["svm"])
    with pytest.raises(TaskError, match="has no probabilities; it has prediction, raw"):
        model.answers(ROWS, ("prediction", "probabilities"))
    with pytest.raises(TaskError, match="has no smell"):
        model.answers(ROWS, ("prediction", "smell"))


def test_a_face_asked_for_twice_is_there_once_and_none_is_nothing() -> None:
    model = Model(SPECS["forest"])
    assert list(model.answers(ROWS, ("prediction", "prediction"))) == ["prediction"]
    assert model.answers(ROWS, ()) == {}


def test_codes_and_text_are_told_apart() -> None:
    rows = np.array([["a", "x"], ["b", "y"], ["c", "x"]] * 5, object)
    estimator = make_pipeline(OrdinalEncoder(), LogisticRegression(max_iter=5, tol=1)).fit(rows, [0, 1, 1] * 5)
    model = inferir.convert(estimator)
    for _ in range(2):
        for asked, encoded in ((rows, False), (model.encode(rows), True)):
            found = model.answers(asked, ("prediction", "probabilities"), encoded=encoded)
            assert_same(found["prediction"], model.predict(rows))
            assert_same(found["probabilities"], model.predict_proba(rows))
