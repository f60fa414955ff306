"""`inferir convert`."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

import inferir
from tests.cli.conftest import Case

Run = Callable[..., Result]


class _Bomb:
    """What a pickle can do: this one makes a folder when it is loaded."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.folder,)


def test_a_pickle_that_is_trusted_is_converted(forest: Case, tmp_path: Path, run: Run) -> None:
    output = tmp_path / "model.apr"
    result = run("convert", forest.pickle, "-o", output, "--trust-pickle", "--name", "iris", "--version", "7")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{output}: RandomForest, classification, 4 columns, ")
    model = inferir.load(output)
    assert (model.name, model.version) == ("iris", "7")
    np.testing.assert_array_equal(model.predict(forest.rows), forest.estimator.predict(forest.rows))


@pytest.mark.parametrize("name", ["bomb.pkl", "bomb.pickle", "bomb.joblib", "bomb.skops", "bomb.json", "bomb"])
def test_a_pickle_is_not_loaded_unless_it_is_trusted(name: str, tmp_path: Path, run: Run) -> None:
    """Whatever its name: a pickle that is called .json is still one."""
    trap, source, output = tmp_path / "trap", tmp_path / name, tmp_path / "model.apr"
    source.write_bytes(pickle.dumps(_Bomb(str(trap))))
    result = run("convert", source, "-o", output)
    assert result.exit_code == 14
    assert "error: [E004]" in result.stderr
    assert "runs any code" in result.stderr
    assert "--trust-pickle" in result.stderr
    assert not trap.exists()
    assert not output.exists()


def test_a_joblib_file_of_arrays_is_loaded(tmp_path: Path, run: Run) -> None:
    joblib = pytest.importorskip("joblib")
    estimator = LinearRegression().fit(np.eye(3), [1.0, 2.0, 4.0])
    joblib.dump(estimator, tmp_path / "linear.joblib", compress=3)
    result = run("convert", tmp_path / "linear.joblib", "-o", tmp_path / "m.apr", "--trust-pickle")
    assert result.exit_code == 0, result.stderr
    np.testing.assert_allclose(inferir.load(tmp_path / "m.apr").predict(np.eye(3)), [1.0, 2.0, 4.0], rtol=1e-10)


def test_a_skops_file_is_loaded(forest: Case, tmp_path: Path, run: Run) -> None:
    skops_io = pytest.importorskip("skops.io", reason="skops is not installed")
    skops_io.dump(forest.estimator, tmp_path / "forest.skops")
    result = run("convert", tmp_path / "forest.skops", "-o", tmp_path / "m.apr", "--trust-pickle")
    assert result.exit_code == 0, result.stderr
    ours = inferir.load(tmp_path / "m.apr").predict_proba(forest.rows)
    np.testing.assert_array_equal(ours, forest.estimator.predict_proba(forest.rows))


def test_a_pickle_of_a_package_that_is_not_there(tmp_path: Path, run: Run) -> None:
    source = tmp_path / "model.pkl"
    source.write_bytes(b"\x80\x02cno_such_package_of_ours\nModel\n.")
    result = run("convert", source, "-o", tmp_path / "m.apr", "--trust-pickle")
    assert result.exit_code == 19
    assert "'no_such_package_of_ours', which is not installed" in result.stderr


@pytest.mark.parametrize("content", [b"\x80\x04", b"\x80\x02cos\nno_such_name\n.", b"\x80\x04K\x01R."])
def test_a_pickle_that_cannot_be_loaded(content: bytes, tmp_path: Path, run: Run) -> None:
    source = tmp_path / "model.pkl"
    source.write_bytes(content)
    result = run("convert", source, "-o", tmp_path / "m.apr", "--trust-pickle")
    assert result.exit_code == 14
    assert "cannot be loaded: " in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_cannot_be_converted_says_what_it_was(tmp_path: Path, run: Run) -> None:
    source, output = tmp_path / "model.pkl", tmp_path / "m.apr"
    source.write_bytes(pickle.dumps({"a": 1}))
    result = run("convert", source, "-o", output, "--trust-pickle")
    assert result.exit_code == 14
    assert "dict" in result.stderr
    assert not output.exists()


def test_a_file_of_no_known_kind(tmp_path: Path, run: Run) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"what is this")
    result = run("convert", source, "-o", tmp_path / "m.apr")
    assert result.exit_code == 14
    assert str(source) in result.stderr


def test_missing_and_unwritable_files_are_e010(forest: Case, tmp_path: Path, run: Run) -> None:
    assert run("convert", tmp_path / "none.pkl", "-o", tmp_path / "m.apr").exit_code == 20
    assert run("convert", tmp_path, "-o", tmp_path / "m.apr").exit_code == 20
    result = run("convert", forest.pickle, "-o", tmp_path / "no" / "m.apr", "--trust-pickle")
    assert result.exit_code == 20


def test_signed_on_the_way(forest: Case, tmp_path: Path, run: Run) -> None:
    key, output = tmp_path / "key.pem", tmp_path / "m.apr"
    assert run("keygen", key).exit_code == 0
    result = run("convert", forest.pickle, "-o", output, "--trust-pickle", "--sign", key)
    assert result.stdout.endswith(", signed\n")
    assert run("verify", output).exit_code == 17
    assert run("verify", output, "--trusted-key", tmp_path / "key.pub.pem").exit_code == 0


def test_tables_are_kept_unless_told_not_to(tmp_path: Path, run: Run) -> None:
    rows = np.random.default_rng(0).standard_normal((400, 3))
    (tmp_path / "m.pkl").write_bytes(
        pickle.dumps(RandomForestRegressor(8, max_leaf_nodes=60, random_state=0).fit(rows, rows[:, 0]))
    )
    made = {}
    for flag in ("--prepared", "--no-prepared"):
        path = tmp_path / f"m{flag}.apr"
        result = run("convert", tmp_path / "m.pkl", "--trust-pickle", flag, "-o", path)
        assert result.exit_code == 0, result.stderr
        made[flag] = inferir.load(path)
    assert made["--prepared"].info()["prepared_bytes"] > 0 == made["--no-prepared"].info()["prepared_bytes"]
    np.testing.assert_array_equal(made["--prepared"].predict(rows), made["--no-prepared"].predict(rows))


def test_a_baseline_goes_into_the_file(tmp_path: Path, run: Run) -> None:
    """Of a file with more rows than are read at a time, and with a column that the model does not know."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20_000, 2))
    estimator = LinearRegression().fit(rows, rows.sum(axis=1))
    source, data, output = tmp_path / "m.pkl", tmp_path / "rows.csv", tmp_path / "m.apr"
    source.write_bytes(pickle.dumps(estimator))
    np.savetxt(data, rows, delimiter=",", header="x0,x1", comments="")
    result = run("convert", source, "-o", output, "--trust-pickle", "--baseline", data)
    assert result.exit_code == 0, result.stderr
    model = inferir.load(output)
    assert model.spec.baseline["rows"] == 20_000
    assert model.spec.baseline == inferir.convert(estimator, baseline=rows, backend="reference").spec.baseline
    assert [each["counts"] for each in model.spec.baseline["columns"]] == [[2000] * 10 + [0]] * 2


@pytest.mark.parametrize(
    ("lines", "code", "says"),
    [
        (["x0,x1"], 16, "baseline: expected at least 500 rows, to tell drift from chance, got 0"),
        (["x0,x1", "1,2"], 16, "expected at least 500 rows, to tell drift from chance, got 1"),
        (["x0,x1", *["1,2"] * 600, "1,old"], 16, "rows.csv, line 602, column 'x1': expected a number, got 'old'"),
        (["x0", *["1"] * 600], 13, "expected 2 columns, got 1"),
    ],
)
def test_a_baseline_that_is_none(lines: list[str], code: int, says: str, tmp_path: Path, run: Run) -> None:
    source, data, output = tmp_path / "m.pkl", tmp_path / "rows.csv", tmp_path / "m.apr"
    source.write_bytes(pickle.dumps(LinearRegression().fit(np.eye(2), [1.0, 2.0])))
    data.write_text("\n".join(lines))
    result = run("convert", source, "-o", output, "--trust-pickle", "--baseline", data)
    assert result.exit_code == code, result.stderr
    assert says in result.stderr
    assert not output.exists()
