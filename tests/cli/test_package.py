"""`inferir package` and `inferir lambda invoke`: from a model file to an answer of the zip."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from inferir.cli import commands
from inferir.kernels.aot import manifest
from tests.cli.conftest import Case
from tests.lambda_entry.conftest import ARCH

Run = Callable[..., Result]

pytestmark = pytest.mark.skipif(manifest.problem() is not None, reason=f"no compiled kernels: {manifest.problem()}")


@pytest.fixture(scope="module")
def zipped(forest: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip of the model, for this machine."""
    path = tmp_path_factory.mktemp("package") / "model.zip"
    command = ["package", forest.apr, "--arch", ARCH, "--runtime", "provided.al2023"]
    result = CliRunner().invoke(commands, [*command, "--interpreter", sys.executable, "-o", str(path)])
    assert result.exit_code == 0, result.stderr
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == [
        str(path), str(path.with_suffix(".yaml")), str(path.with_name("model-deploy.sh")),
    ]  # fmt: skip
    return path


def test_a_zip_answers_as_the_estimator_does(zipped: Path, forest: Case, run: Run, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"instances": forest.rows.to_dict("records")}))
    result = run("lambda", "invoke", str(zipped), str(event), "--repeat", "3")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert [entry["prediction"] for entry in said["predictions"]] == forest.estimator.predict(forest.rows).tolist()
    assert (said["model_id"], said["model_version"]) == ("forest", "1")
    assert re.search(r"first answer after [\d.]+ m?s; 2 more, the fastest after [\d.]+ [um]?s", result.stderr)


def test_categories_survive_the_package(pipeline: Case, run: Run, tmp_path: Path) -> None:
    path, event = tmp_path / "model.zip", tmp_path / "event.json"
    made = run("package", pipeline.apr, "--arch", ARCH, "--runtime", "provided.al2023", "-o", str(path))
    assert "makes each start slower" in made.stderr
    event.write_text(json.dumps({"instances": pipeline.rows.to_dict("records")}))
    said = json.loads(run("lambda", "invoke", str(path), str(event)).stdout)
    right = pipeline.estimator.predict(pipeline.rows).tolist()
    assert [entry["prediction"] for entry in said["predictions"]] == right


def test_an_event_that_fails_is_exit_code_1(zipped: Path, run: Run, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text('{"features": [1]}')
    result = run("lambda", "invoke", str(zipped), str(event))
    assert result.exit_code == 1
    assert json.loads(result.stdout)["errorMessage"] == "[E003] expected 4 features, got 1"


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [(None, 20, "expected a zip to read"), (b"no zip", 16, "expected a zip of `inferir package`")],
)
def test_what_is_no_package(content: bytes | None, code: int, message: str, run: Run, tmp_path: Path) -> None:
    package, event = tmp_path / "package", tmp_path / "event.json"
    event.write_text("{}")
    if content is not None:
        package.write_bytes(content)
    result = run("lambda", "invoke", str(package), str(event))
    assert result.exit_code == code
    assert message in result.stderr


def test_an_event_that_is_not_there(zipped: Path, run: Run, tmp_path: Path) -> None:
    result = run("lambda", "invoke", str(zipped), str(tmp_path / "none.json"))
    assert (result.exit_code, "expected an event to read" in result.stderr) == (20, True)


def test_an_image(forest: Case, run: Run, tmp_path: Path) -> None:
    result = run("package", forest.apr, "--target", "lambda-image", "--arch", ARCH, "-o", str(tmp_path / "image"))
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "image" / "Dockerfile").read_text().startswith("ARG BASE=amazon/aws-lambda-python:3.13\n")


def test_a_python_that_is_none(forest: Case, run: Run, tmp_path: Path) -> None:
    result = run("package", forest.apr, "--python", str(tmp_path), "-o", str(tmp_path / "x.zip"))
    assert (result.exit_code, "expected a folder with bin/python3" in result.stderr) == (16, True)
