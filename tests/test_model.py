"""Model: what it answers, what it says of itself, and what it says to rows that it cannot take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import inferir
from inferir.demo import FOLDER
from inferir.errors import (
    BackendError,
    DimensionError,
    FileAccessError,
    InferirError,
    InvalidInputError,
    ModelLoadError,
    TaskError,
)
from inferir.kernels import available
from tests.parity import assert_bits
from tests.patience import PATIENCE_S

ROWS, LABELS = load_wine(return_X_y=True)
NAMES = [f"column {i}" for i in range(13)]


@pytest.fixture(scope="module")
def forest() -> inferir.Model:
    return inferir.convert(RandomForestClassifier(5, random_state=0).fit(ROWS, LABELS), name="wine", version="1.2.0")


@pytest.fixture(scope="module")
def linear() -> inferir.Model:
    frame = pd.DataFrame(ROWS, columns=NAMES)
    return inferir.convert(LogisticRegression(max_iter=20, tol=1).fit(StandardScaler().fit(frame).set_output(
        transform="pandas").transform(frame), LABELS))  # fmt: skip


def test_shapes_and_dtypes(forest: inferir.Model) -> None:
    assert forest.predict(ROWS).shape == (178,)
    assert forest.predict(ROWS).dtype == np.int64
    probabilities = forest.predict_proba(ROWS)
    assert isinstance(probabilities, np.ndarray)
    assert probabilities.shape == (178, 3)
    assert forest.classes == (0, 1, 2)
    x, y = load_diabetes(return_X_y=True)
    assert inferir.convert(LinearRegression().fit(x, y)).predict(x).dtype == np.float64
    two = inferir.convert(DecisionTreeRegressor(max_depth=2).fit(x, np.c_[y, y]))
    assert two.predict(x).shape == (442, 2)
    both = inferir.convert(DecisionTreeClassifier(max_depth=2).fit(ROWS, np.c_[LABELS, LABELS > 0]))
    assert both.predict(ROWS).shape == (178, 2)
    assert [p.shape for p in both.predict_proba(ROWS)] == [(178, 3), (178, 2)]
    assert both.classes == ((0, 1, 2), (0, 1))


FACES = {"predict": "prediction", "predict_proba": "probabilities", "raw": "raw"}


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("labels", [LABELS, LABELS * 2 + 1, np.array(["a", "b", "c"], object)[LABELS]])
def test_the_short_ways_answer_as_the_long_one_does(backend: str, labels: Any) -> None:
    """The first batch goes the long way, and later ones of the same dtype a short one."""
    model = inferir.convert(LogisticRegression(max_iter=20, tol=1).fit(ROWS, labels), backend=backend)
    shapes = [ROWS, np.asfortranarray(ROWS), ROWS[::-1], ROWS[:, ::-1][:, ::-1], ROWS[:1], ROWS[:0], ROWS[5:9]]
    shapes += [np.repeat(ROWS, 30, axis=0), ROWS.astype(np.float32), ROWS.astype(np.float32)[:3]]
    for name in FACES:
        ask = getattr(model, name)
        first = [getattr(inferir.Model(model.spec, backend=backend), name)(rows) for rows in shapes]
        for _ in range(2):
            for rows, right in zip(shapes, first, strict=True):
                answer = ask(rows)
                assert answer.dtype == right.dtype
                assert answer.tolist() == right.tolist()


@pytest.mark.parametrize("backend", available())
def test_the_short_ways_refuse_what_the_long_one_does(linear: inferir.Model, backend: str) -> None:
    model, bad = inferir.Model(linear.spec, backend=backend), ROWS.copy()
    bad[150, 4] = np.nan
    for _ in range(2):
        model.predict(ROWS)
        with pytest.raises(InvalidInputError, match="row 150, column 'column 4': expected a finite number, got nan"):
            model.predict(bad)
        for rows in (ROWS[:, :-1].copy(), ROWS[0], np.float64(3.0), np.array(3.0), ROWS[None], np.zeros((0, 12))):
            with pytest.raises(InferirError):
                model.predict(rows)


def test_text_labels_come_back_as_text() -> None:
    labels = np.array(["red", "white", "rose"])[LABELS]
    model = inferir.convert(RandomForestClassifier(3, random_state=0).fit(ROWS, labels))
    assert set(model.predict(ROWS).tolist()) == {"red", "white", "rose"}
    assert model.classes == ("red", "rose", "white")


@pytest.mark.parametrize("name", ["penguins", "breast_cancer"])
def test_encoded_rows_are_answered_alike(name: str) -> None:
    model = inferir.load(FOLDER / f"{name}.apr")
    few = [[None if k % 3 else (column.categories or (1.5,))[0] for k, column in enumerate(model.columns)]] * 3
    encoded = model.encode(few)
    assert encoded.dtype == model.rows_dtype
    for face in (model.predict, model.predict_proba, model.raw):
        np.testing.assert_array_equal(face(encoded, encoded=True), face(few))


@pytest.mark.parametrize(("name", "dtype"), [("penguins", "str"), ("breast_cancer", "int64")])
def test_types_of_answers(name: str, dtype: str) -> None:
    model = inferir.load(FOLDER / f"{name}.apr")
    row = [[None if column.categories is None else "x" for column in model.columns]]
    assert model.answer_type("prediction") == (dtype, 1)
    probabilities = model.predict_proba(row)
    assert model.answer_type("probabilities") == (str(probabilities.dtype), probabilities.shape[1])


def test_tasks() -> None:
    assert inferir.convert(KMeans(2, n_init=1).fit(ROWS)).task == "clustering"
    outliers = inferir.convert(IsolationForest(n_estimators=5, random_state=0).fit(ROWS))
    assert outliers.task == "anomaly"
    assert set(outliers.predict(ROWS).tolist()) <= {-1, 1}


def test_what_a_model_cannot_answer(forest: inferir.Model) -> None:
    scaler = inferir.convert(StandardScaler().fit(ROWS))
    for ask, message in (
        (scaler.predict, "a transform model 'StandardScaler' has no prediction; it has transformed"),
        (forest.transform, "a classification model 'wine' has no transformed; it has prediction, probabilities"),
        (forest.raw, "has no raw"),
    ):
        with pytest.raises(TaskError, match=message) as caught:
            ask(ROWS)
        assert caught.value.code == "E008"
        assert isinstance(caught.value, AttributeError)


def test_it_describes_itself(forest: inferir.Model) -> None:
    info = json.loads(json.dumps(forest.info()))
    assert (info["name"], info["version"], info["type"], info["task"]) == (
        "wine",
        "1.2.0",
        "RandomForest",
        "classification",
    )
    assert info["framework"]["name"] == "scikit-learn"
    assert info["answers"] == ["prediction", "probabilities"]
    assert [c["name"] for c in info["columns"]] == [f"x{i}" for i in range(13)]
    assert repr(forest) == "<inferir.Model 'wine' 1.2.0: RandomForest, classification, 13 columns>"
    assert forest.backend in available()


def test_saved_and_loaded(forest: inferir.Model, tmp_path: Path) -> None:
    path = tmp_path / "wine.apr"
    forest.save(path)
    assert path.read_bytes() == forest.to_bytes()
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        again = inferir.load(source)
        assert again.to_bytes() == forest.to_bytes()
        assert_bits(again.predict_proba(ROWS), forest.predict_proba(ROWS))


def test_the_same_model_makes_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first, second = (
        inferir.convert(RandomForestClassifier(5, random_state=0).fit(ROWS, LABELS)).to_bytes() for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("backend", [*available(), "auto"])
def test_backends(forest: inferir.Model, backend: str) -> None:
    model = inferir.load(forest.to_bytes(), backend=backend)
    assert model.backend == (available()[0] if backend == "auto" else backend)
    assert_bits(model.predict_proba(ROWS[:9]), forest.predict_proba(ROWS[:9]))


def test_an_unknown_backend(forest: inferir.Model) -> None:
    with pytest.raises(
        BackendError, match=r"backend 'cuda' is not available: .*; expected auto or one of .*jit, reference"
    ):
        inferir.load(forest.to_bytes(), backend="cuda")


def test_one_model_answers_many_threads_at_once(forest: inferir.Model) -> None:
    expected, wrong = forest.predict_proba(ROWS), []

    def ask() -> None:
        for _ in range(30):
            if not np.array_equal(forest.predict_proba(ROWS), expected):
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


_FORK = """
import os, sys, warnings
import numpy as np
import inferir

warnings.simplefilter("ignore")  # Python 3.12 warns of a fork with threads: that is what is tried here
model = inferir.load(sys.argv[1], threads=2)
rows = np.zeros((9000, len(model.columns)))
before = model.predict(rows)
child = os.fork()
if not child:
    os._exit(0 if (model.predict(rows) == before).all() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_threads_of_its_own(linear: inferir.Model, tmp_path: Path) -> None:
    linear.save(tmp_path / "model.apr")
    subprocess.run([sys.executable, "-c", _FORK, str(tmp_path / "model.apr")], check=True, timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (ROWS[:, :12], DimensionError, "expected 13 columns, got 12"),
        (ROWS[0], DimensionError, "reshape"),
        (ROWS[None], DimensionError, "expected two dimensions"),
        (ROWS.astype(complex), InvalidInputError, "complex"),
        (ROWS.astype(object), None, ""),
        (np.full((2, 13), "a"), InvalidInputError, "expected a number"),
        ([["a"] * 13], InvalidInputError, "row 0, column 'x0': expected a number"),
        ([[1.0] * 13, [1.0] * 12], DimensionError, "row 1"),
        (7, (DimensionError, InvalidInputError), "expected"),
        ("rows.csv", InvalidInputError, "expected"),
        (None, InvalidInputError, "expected"),
        (np.zeros((2, 13), "M8[s]"), InvalidInputError, "datetime"),
    ],
    ids=range(12),
)
def test_rows_of_the_wrong_kind(forest: inferir.Model, rows: Any, error: Any, message: str) -> None:
    if error is None:
        assert_bits(forest.predict(rows), forest.predict(ROWS))
        return
    with pytest.raises(error, match=message) as caught:
        forest.predict(rows)
    assert isinstance(caught.value, InferirError)


def test_names_of_columns(linear: inferir.Model) -> None:
    frame = pd.DataFrame(ROWS, columns=NAMES)
    assert [column.name for column in linear.columns] == NAMES
    assert_bits(linear.predict(frame[NAMES[::-1]]), linear.predict(frame))
    with pytest.raises(DimensionError, match="column 3"):
        linear.predict(frame.drop(columns="column 3"))
    with pytest.raises(InvalidInputError, match="row 1, column 'column 4': expected a finite number, got nan"):
        linear.predict(_spoiled(ROWS[:2]))


def _spoiled(rows: Any) -> Any:
    rows = rows.copy()
    rows[1, 4] = np.nan
    return rows


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: None, FileAccessError, "no such file"),
        (lambda path: path.mkdir(), FileAccessError, "directory"),
        (lambda path: path.write_bytes(b""), ModelLoadError, "empty"),
        (lambda path: path.write_bytes(b"PK\x03\x04" * 20), ModelLoadError, "APR"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, make: Any, error: Any, message: str) -> None:
    make(tmp_path / "model.apr")
    with pytest.raises(error, match=f"(?i){message}"):
        inferir.load(tmp_path / "model.apr")


def test_a_baseline_is_of_rows_as_the_model_takes_them(tmp_path: Path) -> None:
    """By name from a table, categories as codes; and the same bytes of the same rows."""
    model = inferir.load(FOLDER / "penguins.apr", backend="reference")
    table = pd.read_csv(FOLDER / "penguins.csv")
    table = pd.concat([table, table.iloc[::-1]])[list(reversed(table.columns))]
    model.record_baseline(table)
    model.save(tmp_path / "m.apr")
    again = inferir.load(tmp_path / "m.apr", backend="reference")
    baseline = again.spec.baseline
    assert [each["name"] for each in baseline["columns"]] == [column.name for column in model.columns]
    assert {sum(each["counts"]) for each in baseline["columns"]} == {len(table)} == {baseline["rows"]}
    for column, each in zip(model.columns, baseline["columns"], strict=True):
        assert each["counts"][-1] == table[column.name].isna().sum()
        if column.categories is not None:
            known = [int((table[column.name] == column.categories[int(code)]).sum()) for code in each["codes"]]
            assert each["counts"][: len(known)] == known
    again.record_baseline(table)
    assert again.to_bytes() == (tmp_path / "m.apr").read_bytes()


def test_a_baseline_of_too_few_rows_changes_nothing(forest: inferir.Model) -> None:
    before = forest.spec
    with pytest.raises(
        InvalidInputError, match="baseline: expected at least 500 rows, to tell drift from chance, got 3"
    ):
        forest.record_baseline(ROWS[:3])
    with pytest.raises(DimensionError):
        forest.record_baseline(np.zeros((600, 2)))
    assert forest.spec is before
