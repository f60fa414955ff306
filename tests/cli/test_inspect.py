"""`inferir inspect` and `inferir info`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from sklearn.ensemble import RandomForestRegressor

import inferir
from inferir import kernels
from inferir.formats.apr.inspect import describe
from tests.cli.conftest import Case

Run = Callable[..., Result]


def test_json_is_what_describe_says(forest: Case, run: Run) -> None:
    result = run("inspect", forest.apr, "--json")
    assert json.loads(result.stdout) == describe(forest.apr)


def test_text_names_model_columns_operators_and_tensors(pipeline: Case, run: Run) -> None:
    result = run("inspect", pipeline.apr, "--all")
    found = describe(pipeline.apr)
    assert "pipeline 1" in result.stdout
    assert "cold, warm" in result.stdout
    assert "Cusco, Lima, Puno" in result.stdout
    for operator in found["operators"]:
        assert operator["op"] in result.stdout
    for tensor in found["tensors"]:
        assert tensor["name"] in result.stdout
    assert not [line for line in result.stdout.splitlines() if line != line.rstrip()]


def test_long_tables_are_cut_unless_all_is_asked_for(forest: Case, pipeline: Case, run: Run) -> None:
    n_operators = len(describe(pipeline.apr)["operators"])
    assert n_operators > 12
    assert f"operators: {n_operators}, the first 12; --all shows all" in run("inspect", pipeline.apr).stdout
    assert f"operators: {n_operators}\n" in run("inspect", pipeline.apr, "--all").stdout


def test_prepared_tables_are_shown_with_their_share(tmp_path: Path, run: Run) -> None:
    rows = np.random.default_rng(0).standard_normal((400, 3))
    model = inferir.convert(RandomForestRegressor(8, max_leaf_nodes=60, random_state=0).fit(rows, rows[:, 0]))
    model.save(tmp_path / "m.apr")
    result = run("inspect", tmp_path / "m.apr", "--all")
    file = describe(tmp_path / "m.apr")["file"]
    assert file["prepared_bytes"] == model.info()["prepared_bytes"] > 0
    assert f"of tables, {file['prepared_bytes'] / file['bytes']:.0%} of the file" in result.stdout
    assert "/quantized/step" in result.stdout


def test_no_prepared_tables_are_said_so(pipeline: Case, run: Run) -> None:
    assert "no tables" in run("inspect", pipeline.apr).stdout


def test_info_says_what_is_missing_and_why(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_REASONS", {"aot": "they were left out of this installation"})
    found = json.loads(run("info", "--json").stdout)
    assert found["unavailable"] == {"aot": "they were left out of this installation"}
    assert found["auto"] == "jit"
    assert found["library"] is None
    assert "no aot" in run("info").stdout
    assert "they were left out of this installation" in " ".join(run("info").stdout.split())


def test_info_says_what_auto_picks(run: Run) -> None:
    found = json.loads(run("info", "--json").stdout)
    assert found["inferir"] == inferir.__version__
    assert found["auto"] == kernels.select().name
    assert found["backends"] == list(kernels.available())
    assert found["packages"]["numpy"]
    text = run("info").stdout
    assert inferir.__version__ in text
    assert found["processor"]["name"] in " ".join(text.split())
