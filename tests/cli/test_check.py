"""`inferir check`: against scikit-learn; other libraries in the tests of their importers' answers."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from sklearn.ensemble import RandomForestClassifier

import inferir
from tests.cli.conftest import Case

Run = Callable[..., Result]


def test_the_same_model_agrees(forest: Case, pipeline: Case, scaler: Case, run: Run) -> None:
    for case, answers in (
        (forest, ["prediction", "probabilities"]),
        (pipeline, ["prediction", "probabilities", "raw"]),
        (scaler, ["transformed"]),
    ):
        result = run("check", case.apr, "--against", case.pickle, case.csv, "--trust-pickle", "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)["answers"]
        assert [a["answer"] for a in found] == answers
        assert all(a["within"] and a["rows"] == len(case.rows) for a in found)


def test_another_model_does_not(forest: Case, tmp_path: Path, run: Run) -> None:
    other = RandomForestClassifier(5, max_depth=4, random_state=1)
    other.fit(forest.rows, forest.estimator.predict(forest.rows))
    source = tmp_path / "other.pkl"
    source.write_bytes(pickle.dumps(other))
    result = run("check", forest.apr, "--against", source, forest.csv, "--trust-pickle", "--json")
    assert result.exit_code == 1
    found = {a["answer"]: a for a in json.loads(result.stdout)["answers"]}["probabilities"]
    ours, theirs = inferir.load(forest.apr).predict_proba(forest.rows), other.predict_proba(forest.rows)
    assert found["unequal"] == np.count_nonzero(ours != theirs)
    assert found["largest_absolute"] == np.abs(ours - theirs).max()
    assert found["first_outside"] == np.flatnonzero((ours != theirs).any(axis=1))[0]
    text = run("check", forest.apr, "--against", source, forest.csv, "--trust-pickle")
    assert text.exit_code == 1
    assert f"broken in row {found['first_outside']}" in text.stdout


def test_numbers_are_read_as_they_were_written(tmp_path: Path, run: Run) -> None:
    """A forest that splits between neighbouring floats sees whether a file's digits were read to the last bit."""
    from sklearn.tree import DecisionTreeClassifier

    values = np.random.default_rng(0).uniform(0.1, 1, 400)
    rows = np.sort(values).reshape(-1, 1)
    tree = DecisionTreeClassifier().fit(rows, np.arange(400) % 2)
    source, data, model = tmp_path / "tree.pkl", tmp_path / "rows.csv", tmp_path / "m.apr"
    source.write_bytes(pickle.dumps(tree))
    data.write_text("x\n" + "\n".join(map(repr, rows[:, 0].tolist())))
    inferir.convert(tree).save(model)
    assert run("check", model, "--against", source, data, "--trust-pickle").exit_code == 0
    answers = run("predict", model, data).stdout.splitlines()[1:]
    np.testing.assert_array_equal(np.array(answers, int), np.arange(400) % 2)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_data_that_pandas_cannot_read(name: str, forest: Case, tmp_path: Path, run: Run) -> None:
    data = tmp_path / name
    assert run("check", forest.apr, "--against", forest.pickle, data, "--trust-pickle").exit_code == 20
    data.write_bytes(b"")
    assert run("check", forest.apr, "--against", forest.pickle, data, "--trust-pickle").exit_code == 16


def test_pickles_are_not_loaded_unless_they_are_trusted(forest: Case, run: Run) -> None:
    assert run("check", forest.apr, "--against", forest.pickle, forest.csv).exit_code == 14


def test_a_source_of_no_known_kind(forest: Case, tmp_path: Path, run: Run) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"what is this")
    result = run("check", forest.apr, "--against", source, forest.csv)
    assert result.exit_code == 16
    assert str(source) in result.stderr
