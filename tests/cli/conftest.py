"""Trained models, their files, and rows, made once; and the command, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import inferir
from inferir.cli import commands


@dataclass(frozen=True)
class Case:
    """A fitted estimator, its rows, and both in files."""

    estimator: Any
    rows: pd.DataFrame
    pickle: str
    csv: str
    apr: str


def _case(folder: Path, name: str, estimator: Any, rows: pd.DataFrame) -> Case:
    paths = [str(folder / f"{name}.{suffix}") for suffix in ("pkl", "csv", "apr")]
    with open(paths[0], "wb") as file:
        pickle.dump(estimator, file)
    rows.to_csv(paths[1], index=False)
    inferir.convert(estimator, name=name, version="1", backend="reference").save(paths[2])
    return Case(estimator, rows, *paths)


@pytest.fixture(scope="session")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Three classes of iris, four named columns."""
    rows, target = load_iris(return_X_y=True, as_frame=True)
    estimator = RandomForestClassifier(5, max_depth=4, random_state=0).fit(rows, target)
    return _case(tmp_path_factory.mktemp("forest"), "forest", estimator, rows)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A category column and a number column; classes are words."""
    rows = pd.DataFrame({"city": ["Lima", "Cusco", "Puno"] * 20, "height": [float(n % 17) for n in range(60)]})
    target = ["warm" if city == "Lima" or height < 3 else "cold" for city, height in rows.itertuples(index=False)]
    columns = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["height"]))
    estimator = make_pipeline(columns, LogisticRegression()).fit(rows, target)
    return _case(tmp_path_factory.mktemp("pipeline"), "pipeline", estimator, rows)


@pytest.fixture(scope="session")
def scaler(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A model that transforms and does not predict."""
    rows = load_iris(as_frame=True).data
    return _case(tmp_path_factory.mktemp("scaler"), "scaler", StandardScaler().fit(rows), rows)


@pytest.fixture
def run() -> Callable[..., Result]:
    """`inferir ARGUMENTS` in this process: exit code, output, and errors apart."""

    def invoke(*arguments: object, **options: Any) -> Result:
        return CliRunner().invoke(commands, [str(a) for a in arguments], prog_name="inferir", **options)

    return invoke


def _heed_ctrl_c() -> None:
    """Programs in the background of a script ignore SIGINT, and so does what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`inferir ARGUMENTS` in a process of its own, its three streams as pipes; it ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def popen(*arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "inferir", *map(str, arguments)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, preexec_fn=_heed_ctrl_c))  # noqa: PLW1509
        return started[-1]

    yield popen
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
