"""Servers in processes of their own, on one core, and the model that all of them serve."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS, TREES, DEPTH = 28, 100, 6

#: Name -> the package that a rival needs, and how it is started. PORT and MODEL are put in.
RIVALS = {
    "fastapi": ("fastapi", [sys.executable, "-m", "benchmarks.serving.rivals.fastapi_xgboost", "PORT", "MODEL"]),
}


@dataclass(frozen=True)
class Server:
    """A server that answers on `port`."""

    name: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """CPU time used so far, of the process and its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def train(folder: Path) -> tuple[Path, Path]:
    """The model as XGBoost's file and as ours: 100 trees over 28 features."""
    import xgboost

    import inferir

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20_000, COLUMNS))
    target = (rows[:, 0] * rows[:, 1] + rows[:, 2] > 0).astype(int)
    theirs, ours = folder / "model.ubj", folder / "model.apr"
    xgboost.XGBClassifier(n_estimators=TREES, max_depth=DEPTH).fit(rows, target).save_model(theirs)
    inferir.convert(str(theirs), name="model", version="1").save(ours)
    return theirs, ours


def features(rows: int = 1) -> list[list[float]]:
    """Rows as clients send them: a few digits."""
    made: list[list[float]] = np.random.default_rng(1).standard_normal((rows, COLUMNS)).round(6).tolist()
    return made


def installed(name: str) -> bool:
    return importlib.util.find_spec(RIVALS[name][0]) is not None


@contextmanager
def ours(model: Path, port: int, *options: str, core: int | None = 0) -> Iterator[Server]:
    """`inferir serve`."""
    command = [sys.executable, "-m", "inferir", "serve", str(model), "--port", str(port), *options]
    with started("inferir", command, port, core) as server:
        yield server


@contextmanager
def rival(name: str, model: Path, port: int, core: int | None = 0) -> Iterator[Server]:
    put = {"PORT": str(port), "MODEL": str(model)}
    command = [put.get(word, word) for word in RIVALS[name][1]]
    with started(name, command, port, core) as server:
        yield server


@contextmanager
def started(name: str, command: list[str], port: int, core: int | None) -> Iterator[Server]:
    """A command that answers POST /predict once it is ready."""
    pin = ["taskset", "-c", str(core)] if core is not None else []
    threads = {"OMP_NUM_THREADS": "1"} if core is not None else {}
    with subprocess.Popen([*pin, *command], env={**os.environ, **threads}, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(process, port)
            yield Server(name, port, process.pid)
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end_s = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end_s:
        try:
            ask(port, "/predict", {"features": features()[0]})
            return
        except urllib.error.HTTPError as error:
            if error.code != 503:  # other models have other columns
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{process.args}: did not start")


def ask(port: int, path: str, body: object) -> object:
    """One answer, decoded."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def get(port: int, path: str) -> Any:
    """What is at a path, decoded."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return json.load(response)


def metric(port: int, name: str) -> float:
    """The sum of a metric's lines in /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + "{", name + " ")))
