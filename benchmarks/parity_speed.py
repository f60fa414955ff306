"""Our forests beside the libraries they come from: one process, one thread, one machine; Markdown on standard output.

    python -m benchmarks.parity_speed [--rounds 9] [--only NAME] [--load-bytes 200000000]

Needs the libraries, and no asv. Each model is trained here on made-up rows and converted, and both must give the same
answer. Then

    10,000 rows  ours and theirs take turns and the fastest of each counts, so a busy machine slows both
    one row      `predict`, another row each time, as a service sees them: the median, in the quietest of several rounds

Theirs is the leanest call each library documents for NumPy rows, ours is `inferir.Model`; both are given the width of
float the library works in.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import inferir
from benchmarks.specs import grown_forest
from inferir.formats import apr
from inferir.formats.importers._builder import Answers, Builder

Array = npt.NDArray[Any]
Call = Callable[[Array], Any]

COLUMNS, TRAINING_ROWS, BATCH_ROWS = 28, 20_000, 10_000
ROUND_CALLS, ROUND_S = 1000, 0.5


class Rival(NamedTuple):
    """One model. `estimator` is "module:Class"; `ask` is their call that answers as `face` of ours does."""

    label: str
    estimator: str
    options: dict[str, Any]
    dtype: type
    ask: Callable[[Any], Call]
    face: str = "predict_proba"


def _method(name: str) -> Callable[[Any], Call]:
    return lambda model: getattr(model, name)


def _xgboost(model: Any) -> Call:
    return model.get_booster().inplace_predict  # type: ignore[no-any-return]


def _lightgbm(model: Any) -> Call:
    return partial(model.booster_.predict, num_threads=1)


def _catboost(model: Any) -> Call:
    return partial(model.predict, prediction_type="Probability", thread_count=1)


_SKLEARN = {"random_state": 0}
_ENSEMBLE = {**_SKLEARN, "n_estimators": 100, "n_jobs": 1}

RIVALS = (
    Rival(
        "RandomForest, 100 trees, any depth",
        "sklearn.ensemble:RandomForestClassifier",
        _ENSEMBLE,
        np.float32,
        _method("predict_proba"),
    ),
    Rival(
        "ExtraTrees, 100 trees, any depth",
        "sklearn.ensemble:ExtraTreesClassifier",
        _ENSEMBLE,
        np.float32,
        _method("predict_proba"),
    ),
    Rival(
        "GradientBoosting, 100 trees, depth 3",
        "sklearn.ensemble:GradientBoostingClassifier",
        {**_SKLEARN, "n_estimators": 100},
        np.float32,
        _method("predict_proba"),
    ),
    Rival(
        "HistGradientBoosting, 100 trees, 31 leaves",
        "sklearn.ensemble:HistGradientBoostingClassifier",
        {**_SKLEARN, "max_iter": 100, "early_stopping": False},
        np.float64,
        _method("predict_proba"),
    ),
    Rival(
        "IsolationForest, 100 trees",
        "sklearn.ensemble:IsolationForest",
        _ENSEMBLE,
        np.float32,
        _method("decision_function"),
        "raw",
    ),
    Rival(
        "XGBoost, 100 trees, depth 6",
        "xgboost:XGBClassifier",
        {"n_estimators": 100, "max_depth": 6, "n_jobs": 1},
        np.float32,
        _xgboost,
    ),
    Rival(
        "LightGBM, 200 trees, 31 leaves",
        "lightgbm:LGBMClassifier",
        {"n_estimators": 200, "num_leaves": 31, "n_jobs": 1, "verbose": -1},
        np.float64,
        _lightgbm,
    ),
    Rival(
        "CatBoost, 100 trees, depth 6",
        "catboost:CatBoostClassifier",
        {"n_estimators": 100, "depth": 6, "thread_count": 1, "verbose": False, "allow_writing_files": False},
        np.float32,
        _catboost,
    ),
)


def data(rows: int, seed: int) -> tuple[Array, Array]:
    """Rows of normal numbers, and two classes that trees can learn, with noise that they cannot."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((rows, COLUMNS)).astype(np.float32)
    signal = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + np.abs(x[:, 3]) - x[:, 4] * (x[:, 5] > 0) + x[:, 6:12].sum(1) / 4
    return x, (signal + generator.standard_normal(rows) > 0.8).astype(int)


def take_turns(calls: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Fastest of `rounds` calls of each, in seconds."""
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def one_row(call: Call, rows: Array, rounds: int) -> float:
    """Seconds of a call with one row: the median of a round through many rows, in the quietest round."""
    single = [rows[i : i + 1] for i in range(ROUND_CALLS)]
    medians = []
    for _ in range(rounds):
        times, end = [], time.perf_counter() + ROUND_S
        for row in single:
            start = time.perf_counter()
            call(row)
            times.append(time.perf_counter() - start)
            if start > end:
                break
        medians.append(statistics.median(times))
    return min(medians)


def compare(rival: Rival, x: Array, y: Array, rows: Array, rounds: int) -> str:
    """A line of the table."""
    module, _, name = rival.estimator.partition(":")
    theirs = getattr(importlib.import_module(module), name)(**rival.options)
    theirs.fit(x.astype(rival.dtype), y)
    model = inferir.convert(theirs, threads=1)
    rows = np.ascontiguousarray(rows, rival.dtype)
    ask, answer = rival.ask(theirs), getattr(model, rival.face)
    right, ours = np.asarray(ask(rows)), np.asarray(answer(rows))
    if ours.ndim > right.ndim:  # libraries that give the second class alone
        ours = ours[:, 1]
    np.testing.assert_allclose(ours, right, rtol=1e-6, atol=1e-7)
    seconds, their_seconds = take_turns([lambda: answer(rows), lambda: ask(rows)], rounds)
    single, their_single = (one_row(call, rows, rounds) for call in (model.predict, theirs.predict))
    return (
        f"| {rival.label} | {np.dtype(rival.dtype).name} | {seconds * 1e3:.1f} | {their_seconds * 1e3:.1f} | "
        f"{seconds / their_seconds:.2f} | {single * 1e6:.1f} | {their_single * 1e6:.0f} |"
    )


def load_against_crc(target_nbytes: int, rounds: int) -> str:
    """Time to load a large forest from a file, beside the checksum of the same bytes, which is part of it."""
    forest = grown_forest(100, 2000, values=2)
    forest.trees *= max(1, target_nbytes // 8_400_000)  # what these 100 take
    builder = Builder(COLUMNS)
    raw = builder.op("forest", "input", tensors=forest.tensors(np.zeros(2)), **forest.attributes())
    spec = builder.spec(Answers("regression", "RandomForest", raw, raw=raw), name="large", version="1", framework={})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.apr"
        apr.write(spec, path)
        contents = path.read_bytes()
        calls: list[Callable[[], Any]] = [
            partial(zlib.crc32, contents),
            partial(apr.read, path),
            partial(inferir.load, path),
        ]
        for call in calls:
            call()
        crc, read, load = take_turns(calls, rounds)
    return (
        f"A forest of {len(forest.trees):,} trees, {len(contents) / 1e6:,.0f} MB: CRC-32 {crc * 1e3:.0f} ms, "
        f"`formats.apr.read` {read * 1e3:.0f} ms, `inferir.load` {load * 1e3:.0f} ms: {load / crc:.2f} times the CRC."
    )


def environment() -> Iterator[str]:
    """What figures depend on."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # another system: the short name has to do
    busy = f", load {os.getloadavg()[0]:.1f} before the run" if hasattr(os, "getloadavg") else ""
    yield f"{cpu}, {os.cpu_count()} cores{busy}; {platform.system()}, Python {platform.python_version()}"
    packages = ("inferir", "numpy", "numba", "llvmlite", "sklearn", "xgboost", "lightgbm", "catboost")
    yield ", ".join(f"{name} {importlib.import_module(name).__version__}" for name in packages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each measurement (default 9)")
    parser.add_argument("--only", default="", help="models whose name contains this")
    parser.add_argument("--load-bytes", type=int, default=200_000_000, help="size of the file to load; 0: none")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries are imported, which start their pools then
    warnings.simplefilter("ignore")  # libraries' own, about rows without names

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    for line in environment():
        say(f"- {line}")
    say("")
    say("| model | rows | ours, ms | theirs, ms | ours / theirs | ours, one row, us | theirs, one row, us |")
    say("|---|---|---:|---:|---:|---:|---:|")
    (x, y), (rows, _) = data(TRAINING_ROWS, 0), data(BATCH_ROWS, 1)
    for rival in RIVALS:
        if arguments.only in rival.label:
            say(compare(rival, x, y, rows, arguments.rounds))
    if arguments.load_bytes:
        say("")
        say(load_against_crc(arguments.load_bytes, arguments.rounds))


if __name__ == "__main__":
    main()
