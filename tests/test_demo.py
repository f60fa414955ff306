"""`inferir demo`: what it shows is true, what it ships is small, and a difference is noticed."""

from __future__ import annotations

import csv
import json
import runpy
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import inferir
from inferir.cli import commands
from inferir.cli import demo as demo_command
from inferir.demo import EXAMPLES, FOLDER, Example, open_example
from tests.patience import PATIENCE_S

_MAKE = Path(__file__).parents[1] / "tools" / "make_demo.py"
_LIMIT_BYTES = 300_000


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_command, "_SECONDS", 0.01)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["demo", *arguments])


def test_answers_agree_with_those_recorded() -> None:
    result = _run("--json")
    assert result.exit_code == 0, result.output
    models = json.loads(result.stdout)["models"]
    assert [Path(m["model"]).stem for m in models] == list(EXAMPLES)
    for model in models:
        found = {a["answer"]: a for a in model["agreements"]}
        assert set(found) == {"prediction", "probabilities", "raw"}
        assert all(a["within"] and a["rows"] > 300 for a in found.values())
        assert found["prediction"]["unequal"] == 0
    by_name = {Path(m["model"]).stem: {a["answer"]: a for a in m["agreements"]} for m in models}
    assert by_name["breast_cancer"]["raw"]["contract"] == "bit for bit"


def test_text_shows_both_models_and_the_verdict() -> None:
    result = _run()
    assert result.exit_code == 0, result.output
    for name in EXAMPLES:
        assert f"{name}, from " in result.stdout
    assert result.stdout.count(" holds ") == 3 * len(EXAMPLES)
    assert " per row, in calls of 1, " in result.stdout


def test_a_difference_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_wrong_answer(name: str, *, backend: str) -> Example:
        example = open_example(name, backend=backend)
        example.recorded["raw"][7] = np.nextafter(example.recorded["raw"][7], 9) + 1e-3
        return example

    monkeypatch.setattr(demo_command, "open_example", with_a_wrong_answer)
    result = _run()
    assert result.exit_code == 1
    assert "broken in row 7" in result.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_recorded_answers_are_those_in_the_file(name: str) -> None:
    """Read once more, with nothing of ours."""
    with open(FOLDER / f"{name}.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    recorded = open_example(name).recorded
    model = inferir.load(FOLDER / f"{name}.apr")
    assert [row["prediction"] for row in rows] == [str(label) for label in recorded["prediction"]]
    assert [float(row["raw"]) for row in rows] == recorded["raw"].tolist()
    for position, label in enumerate(model.classes):
        assert [float(row[f"probability_{label}"]) for row in rows] == recorded["probabilities"][:, position].tolist()


@pytest.mark.parametrize("name", EXAMPLES)
def test_recorded_answers_are_those_of_the_library_today(name: str) -> None:
    """Trained once more by the script: another version of the library may differ in the last digits, and no further."""
    train: Callable[..., tuple[object, ...]] = runpy.run_path(str(_MAKE))[name]
    estimator, _, rows, raw = train()
    recorded = open_example(name).recorded
    np.testing.assert_array_equal(estimator.predict(rows), recorded["prediction"])  # type: ignore[attr-defined]
    np.testing.assert_allclose(raw, recorded["raw"], rtol=1e-4, atol=1e-4)  # type: ignore[arg-type]


def test_what_is_shipped_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.*")) < _LIMIT_BYTES


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl, which the calls are of")
def test_the_calls_it_shows_are_answered(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-m", "inferir", "demo", "--serve", "--port", "0", "--backend", "reference"]
    with open(log, "wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            end_s = time.monotonic() + PATIENCE_S
            while "/metrics" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end_s, log.read_text()
                time.sleep(0.1)
            calls = [shlex.split(line) for line in log.read_text().splitlines() if line.startswith("curl ")]
            said = [
                subprocess.run([*call, "-sS"], capture_output=True, check=True, timeout=PATIENCE_S).stdout
                for call in calls
            ]
        finally:
            process.terminate()
        assert process.wait(PATIENCE_S) == 0
    assert [json.loads(answer)["prediction"] for answer in said[:2]] == [
        open_example(name).recorded["prediction"][0] for name in EXAMPLES
    ]
    assert len(json.loads(said[2])["models"]) == 2
    assert b"inferir" in said[3]
