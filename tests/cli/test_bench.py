"""`inferir bench`."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from click.testing import Result

import inferir
from inferir import kernels
from inferir.cli import bench
from inferir.cli._timing import measure
from tests.cli.conftest import Case

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_SECONDS", 0.01)


def test_every_backend_and_batch_is_measured(forest: Case, run: Run) -> None:
    result = run("bench", forest.apr, forest.csv, "--batch", "1", "--batch", "200", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["results"]
    assert [(r["backend"], r["rows"]) for r in found] == [(b, n) for b in kernels.available() for n in (1, 200)]
    assert all(0 < r["fastest_s"] <= r["median_s"] and r["calls"] >= 1 for r in found)


@pytest.mark.parametrize("data", [True, False])
def test_models_of_all_kinds_with_and_without_data(
    data: bool, forest: Case, pipeline: Case, scaler: Case, run: Run
) -> None:
    for case in (forest, pipeline, scaler):
        given = [case.csv] if data else []
        result = run("bench", case.apr, *given, "--batch", "3", "--backend", "reference")
        assert result.exit_code == 0, result.stderr
        assert "reference" in result.stdout


def test_rows_of_the_file_come_again_until_there_are_enough(forest: Case) -> None:
    model = inferir.load(forest.apr, backend="reference")
    rows = bench._matrix(model, forest.csv, None, 400)
    np.testing.assert_array_equal(rows, forest.rows.to_numpy()[np.arange(400) % 150])


def test_categories_are_passed_as_text(pipeline: Case) -> None:
    model = inferir.load(pipeline.apr, backend="reference")
    batch = bench._batch(model, bench._matrix(model, pipeline.csv, None, 60), 60)
    assert batch["city"] == list(pipeline.rows.city)
    np.testing.assert_array_equal(batch["height"], pipeline.rows.height)


def test_the_first_call_is_not_counted() -> None:
    calls: list[object] = []
    timing = measure(calls.append, "rows", 0.0)
    assert timing.calls == len(calls) - 1
    assert timing.fastest_s <= timing.median_s
