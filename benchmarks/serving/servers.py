"""Servers in processes of their own, on one core, and the model that all of them serve."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS, TREES, DEPTH = 28, 100, 6

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Rival:
    """Another server: what it imports, how it is started, what it is asked.

    `command` follows a Python, which is this one or that of the environment in the variable INFERIR_RIVAL_<NAME>; PORT
    and MODEL are put in. `wrap` makes the body of a request from a row.
    """

    package: str
    command: tuple[str, ...]
    path: str = "/predict"
    wrap: Callable[[list[float]], object] = lambda row: {"features": row}


def _infer_request(row: list[float]) -> object:
    """As the Open Inference Protocol has it."""
    return {"inputs": [{"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": row}]}


RIVALS = {
    "fastapi": Rival("fastapi", ("-m", "benchmarks.serving.rivals.fastapi_xgboost", "PORT", "MODEL")),
    "mlserver": Rival(
        "mlserver_xgboost",
        (str(HERE / "rivals" / "mlserver_xgboost_model.py"), "PORT", "MODEL"),
        "/v2/models/model/infer",
        _infer_request,
    ),
    "bentoml": Rival("bentoml", (str(HERE / "rivals" / "bentoml_xgboost.py"), "PORT", "MODEL")),
}


@dataclass(frozen=True)
class Server:
    """A server that answers on `port`."""

    name: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """CPU time used so far, in seconds, of the process, its threads and its children: all of its session."""
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.pid:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

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


def neighbors(folder: Path) -> Path:
    """A model that needs milliseconds for a row: distances to 2,000 points, with a power for each column."""
    from sklearn.neighbors import KNeighborsClassifier

    import inferir

    rng = np.random.default_rng(0)
    rows, target = rng.standard_normal((2_000, COLUMNS)), rng.integers(0, 2, 2_000)
    path = folder / "neighbors.apr"
    model = KNeighborsClassifier(algorithm="brute", metric="minkowski", p=2.5).fit(rows, target)
    inferir.convert(model, name="model", version="1").save(path)
    return path


def features(rows: int = 1) -> list[list[float]]:
    """Rows as clients send them: a few digits."""
    made: list[list[float]] = np.random.default_rng(1).standard_normal((rows, COLUMNS)).round(6).tolist()
    return made


def python(name: str) -> str:
    """The Python that has a rival."""
    folder = os.environ.get(f"INFERIR_RIVAL_{name.upper()}")
    return str(Path(folder) / "bin" / "python") if folder else sys.executable


def version(name: str) -> str:
    """That of the server's package, which has its name."""
    code = f"from importlib import metadata; print(metadata.version({name!r}))"
    return subprocess.run([python(name), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def installed(name: str) -> bool:
    code = f"import sys, importlib.util as u; sys.exit(u.find_spec({RIVALS[name].package!r}) is None)"
    return subprocess.run([python(name), "-c", code], check=False).returncode == 0


def body(name: str) -> tuple[str, object]:
    """Path and body of a request for one row."""
    if name not in RIVALS:
        return "/predict", {"features": features()[0]}
    return RIVALS[name].path, RIVALS[name].wrap(features()[0])


@contextmanager
def ours(model: Path, port: int, *options: str, core: int | None = 0) -> Iterator[Server]:
    """`inferir serve`."""
    command = [sys.executable, "-m", "inferir", "serve", str(model), "--port", str(port), *options]
    with started("inferir", command, port, core) as server:
        yield server


@contextmanager
def rival(name: str, model: Path, port: int, core: int | None = 0) -> Iterator[Server]:
    put = {"PORT": str(port), "MODEL": str(model)}
    command = [python(name), *(put.get(word, word) for word in RIVALS[name].command)]
    with started(name, command, port, core) as server:
        yield server


@contextmanager
def started(name: str, command: list[str], port: int, core: int | None) -> Iterator[Server]:
    """A command that answers one row once it is ready."""
    pin = ["taskset", "-c", str(core)] if core is not None else []
    threads = {"OMP_NUM_THREADS": "1"} if core is not None else {}
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    with subprocess.Popen([*pin, *command], env={**os.environ, **threads}, **quiet) as process:
        try:
            _wait(process, port, *body(name))
            yield Server(name, port, process.pid)
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int, path: str, row: object) -> None:
    end_s = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end_s:
        try:
            ask(port, path, row)
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
