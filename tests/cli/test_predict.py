"""`inferir predict`: files, standard streams, batches, formats, and rows that cannot be taken."""

from __future__ import annotations

import io
import json
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result

import inferir
from tests.cli.conftest import Case

Run = Callable[..., Result]


def test_answers_go_to_standard_output_as_csv(forest: Case, run: Run) -> None:
    result = run("predict", forest.apr, forest.csv)
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(io.StringIO(result.stdout))
    assert list(table.columns) == ["prediction"]
    np.testing.assert_array_equal(table.prediction, forest.estimator.predict(forest.rows))


@pytest.mark.parametrize("batch_rows", [1, 7, 150, 100_000])
def test_batches_make_no_difference(batch_rows: int, forest: Case, run: Run) -> None:
    whole = run("predict", forest.apr, forest.csv, "--proba")
    assert run("predict", forest.apr, forest.csv, "--proba", "--batch-rows", batch_rows).stdout == whole.stdout


def test_probabilities_are_those_of_the_library_to_the_last_bit(forest: Case, tmp_path: Path, run: Run) -> None:
    output = tmp_path / "answers.csv"
    result = run("predict", forest.apr, forest.csv, "-o", output, "--proba")
    assert (result.exit_code, result.stdout) == (0, "")
    table = pd.read_csv(output, dtype=str).astype(float)  # float() reads the number that was written, whichever pandas
    assert list(table.columns) == ["prediction", "probability_0", "probability_1", "probability_2"]
    np.testing.assert_array_equal(table.iloc[:, 1:], forest.estimator.predict_proba(forest.rows))


def test_categories_and_words_as_classes(pipeline: Case, run: Run) -> None:
    result = run("predict", pipeline.apr, pipeline.csv, "--proba", "--raw")
    table = pd.read_csv(io.StringIO(result.stdout))
    assert list(table.columns) == ["prediction", "probability_cold", "probability_warm", "raw"]
    np.testing.assert_array_equal(table.prediction, pipeline.estimator.predict(pipeline.rows))
    np.testing.assert_allclose(table.raw, pipeline.estimator.decision_function(pipeline.rows), rtol=1e-10)


def test_a_transformer_answers_with_the_transformed_rows(scaler: Case, run: Run) -> None:
    table = pd.read_csv(io.StringIO(run("predict", scaler.apr, scaler.csv).stdout), dtype=str).astype(float)
    assert list(table.columns) == [f"transformed_{k}" for k in range(4)]
    np.testing.assert_array_equal(table, scaler.estimator.transform(scaler.rows))


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "json", "jsonl", "parquet", "arrow"])
def test_every_format_goes_in_and_out(suffix: str, forest: Case, tmp_path: Path, run: Run) -> None:
    data, output = tmp_path / f"rows.{suffix}", tmp_path / f"answers.{suffix}"
    write = {
        "csv": lambda: forest.rows.to_csv(data, index=False),
        "csv.gz": lambda: forest.rows.to_csv(data, index=False),
        "json": lambda: forest.rows.to_json(data, orient="records"),
        "jsonl": lambda: forest.rows.to_json(data, orient="records", lines=True),
        "parquet": lambda: forest.rows.to_parquet(data),
        "arrow": lambda: forest.rows.to_feather(data),
    }
    read = {
        "csv": lambda: pd.read_csv(output),
        "csv.gz": lambda: pd.read_csv(output),
        "json": lambda: pd.read_json(output),
        "jsonl": lambda: pd.read_json(output, lines=True),
        "parquet": lambda: pd.read_parquet(output),
        "arrow": lambda: pd.read_feather(output),
    }
    write[suffix]()
    result = run("predict", forest.apr, data, "-o", output)
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(read[suffix]().prediction, forest.estimator.predict(forest.rows))


def test_standard_input_and_another_format(forest: Case, run: Run) -> None:
    lines = forest.rows.head(3).to_json(orient="records", lines=True)
    result = run("predict", forest.apr, "-", "--data-format", "jsonl", "--format", "json", input=lines)
    assert json.loads(result.stdout) == [{"prediction": 0}] * 3


def test_columns_are_found_by_name(forest: Case, tmp_path: Path, run: Run) -> None:
    data = tmp_path / "rows.csv"
    forest.rows.assign(id=range(150), note="x")[["note", *reversed(forest.rows.columns), "id"]].to_csv(
        data, index=False
    )
    assert run("predict", forest.apr, data).stdout == run("predict", forest.apr, forest.csv).stdout


def test_a_file_without_names(forest: Case, tmp_path: Path, run: Run) -> None:
    data = tmp_path / "rows.csv"
    forest.rows.to_csv(data, index=False, header=False)
    assert run("predict", forest.apr, data).exit_code in (13, 16)
    assert run("predict", forest.apr, data, "--no-header").stdout == run("predict", forest.apr, forest.csv).stdout


def test_a_missing_column_is_e003(forest: Case, tmp_path: Path, run: Run) -> None:
    data, output = tmp_path / "rows.csv", tmp_path / "answers.csv"
    forest.rows.iloc[:, 1:].to_csv(data, index=False)
    result = run("predict", forest.apr, data, "-o", output)
    assert result.exit_code == 13
    assert "'sepal length (cm)'" in result.stderr
    assert not output.exists()


def test_a_bad_value_names_the_line_of_the_file_and_leaves_nothing(forest: Case, tmp_path: Path, run: Run) -> None:
    data, output = tmp_path / "rows.csv", tmp_path / "answers.csv"
    lines = Path(forest.csv).read_text().splitlines()
    lines[101] = "1,2,three,4"
    data.write_text("\n".join(lines))
    result = run("predict", forest.apr, data, "-o", output, "--batch-rows", "8")
    assert result.exit_code == 16
    assert "line 102" in result.stderr
    assert "three" in result.stderr
    assert list(tmp_path.iterdir()) == [data]


def test_a_row_that_an_operator_refuses_says_in_which_batch(pipeline: Case, tmp_path: Path, run: Run) -> None:
    data = tmp_path / "rows.csv"
    rows = pipeline.rows.copy()
    rows.loc[41, "city"] = "Quito"
    rows.to_csv(data, index=False)
    result = run("predict", pipeline.apr, data, "--batch-rows", "8")
    assert result.exit_code == 16
    assert "in the rows from 40 on: row 1, " in result.stderr
    assert "Quito" in result.stderr or "'city'" in result.stderr


def test_rows_without_rows_are_names_without_rows(forest: Case, tmp_path: Path, run: Run) -> None:
    data = tmp_path / "rows.csv"
    forest.rows.head(0).to_csv(data, index=False)
    assert (
        run("predict", forest.apr, data, "--proba").stdout == "prediction,probability_0,probability_1,probability_2\n"
    )


def test_an_answer_that_the_model_has_not_is_e008(scaler: Case, forest: Case, run: Run) -> None:
    result = run("predict", scaler.apr, scaler.csv, "--proba")
    assert result.exit_code == 18
    assert "it has transformed" in result.stderr
    assert run("predict", forest.apr, forest.csv, "--transform").exit_code == 18


def test_backends_and_threads(forest: Case, run: Run) -> None:
    whole = run("predict", forest.apr, forest.csv).stdout
    assert run("predict", forest.apr, forest.csv, "--backend", "reference", "--threads", "1").stdout == whole
    assert run("predict", forest.apr, forest.csv, "--backend", "abacus").exit_code == 19


def test_a_signed_model_needs_its_key(forest: Case, tmp_path: Path, run: Run) -> None:
    key, signed = tmp_path / "key.pem", tmp_path / "signed.apr"
    run("keygen", key)
    run("sign", forest.apr, "--key", key, "-o", signed)
    assert run("predict", signed, forest.csv).exit_code == 17
    assert run("predict", signed, forest.csv, "--trusted-key", tmp_path / "key.pub.pem").exit_code == 0
    assert run("predict", forest.apr, forest.csv, "--trusted-key", tmp_path / "key.pub.pem").exit_code == 17


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("to_file", [True, False])
def test_a_bar_is_drawn_for_who_watches(
    to_file: bool, forest: Case, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, unless the answers go there too."""
    leader, follower = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(follower, "w") as terminal:
        from inferir.cli import _batches

        monkeypatch.setattr(_batches.sys, "stderr", terminal)
        if not to_file:
            monkeypatch.setattr(_batches.sys, "stdout", terminal)
        reader = _batches.open_rows(forest.csv, inferir.load(forest.apr).columns)
        with reader, _batches._progress(reader, forest.csv, str(tmp_path / "o.csv") if to_file else "-") as advance:
            for _ in reader:
                advance()
        terminal.flush()
        os.set_blocking(leader, False)
        try:
            drawn = os.read(leader, 65536)
        except BlockingIOError:
            drawn = b""
    os.close(leader)
    assert (b"rows.csv" in drawn or b"forest.csv" in drawn) == to_file
