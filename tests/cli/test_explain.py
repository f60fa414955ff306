"""`inferir explain`: contributions in a file, in batches, for one output and several."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result

import inferir
from tests.cli.conftest import Case

Run = Callable[..., Result]


def test_a_line_adds_up_to_the_score(pipeline: Case, run: Run) -> None:
    result = run("explain", pipeline.apr, pipeline.csv)
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(io.StringIO(result.stdout))
    assert list(table.columns) == ["city", "height", "base"]
    np.testing.assert_allclose(table.sum(axis=1), pipeline.estimator.decision_function(pipeline.rows), rtol=1e-10)


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_several_scores(batch_rows: int, forest: Case, tmp_path: Path, run: Run) -> None:
    output = tmp_path / "contributions.parquet"
    result = run("explain", forest.apr, forest.csv, "-o", output, "--batch-rows", batch_rows)
    assert (result.exit_code, result.stdout) == (0, "")
    table = pd.read_parquet(output)
    values, base = inferir.load(forest.apr).explain(forest.rows)
    names = [f"{column}_{k}" for column in forest.rows.columns for k in range(3)]
    assert list(table.columns) == [*names, "base_0", "base_1", "base_2"]
    np.testing.assert_array_equal(table[names], values.reshape(len(values), -1))
    np.testing.assert_array_equal(table.iloc[0, -3:], base)


def test_a_file_of_column_names(forest: Case, tmp_path: Path, run: Run) -> None:
    empty = tmp_path / "empty.csv"
    forest.rows[:0].to_csv(empty, index=False)
    assert len(run("explain", forest.apr, empty).stdout.strip().split("\n")) == 1


def test_what_cannot_be_explained_is_said(scaler: Case, run: Run) -> None:
    result = run("explain", scaler.apr, scaler.csv)
    assert result.exit_code == 18
    assert "explain: expected a model with scores" in result.stderr
