"""Packages under AWS's own emulator (in the wheel of aws-sam-cli), and beside AWS's own Python runtime.

The emulator is a program without a licence to be copied here: `pip install --no-deps aws-sam-cli` brings it, which is
part of the gate's environment (tox.ini). The command line tool itself is not used.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inferir.lambda_entry.emulator import Emulator, interpreter_for
from tests.lambda_entry.conftest import Packaged
from tests.lambda_entry.parts import event, runtime_api
from tests.lambda_entry.test_events import balancer, http_api, kinesis, rest_api, sqs
from tests.patience import PATIENCE_S
from tests.ports import free_port

_TASK = Path("/var/task")


def emulator_path() -> str:
    """Where AWS's emulator for this machine is."""
    found = importlib.util.find_spec("samcli")
    if found is None or not found.submodule_search_locations:
        pytest.skip("AWS's emulator is not here: pip install --no-deps aws-sam-cli==1.170.0")
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    path = Path(found.submodule_search_locations[0], "local", "rapid", f"aws-lambda-rie-{machine}")
    if not path.exists():
        pytest.skip(f"aws-sam-cli has no emulator for {machine}")
    return str(path)


def emulator(folder: Path) -> str:
    """The same as a program: in the wheel it is data, and what was installed may be another user's."""
    program = folder / "emulator"
    if not program.exists():
        shutil.copyfile(emulator_path(), program)
        program.chmod(0o755)
    return str(program)


class Rapid:
    """AWS's emulator with a function: what is sent to it is an invocation."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"

    def invoke(self, value: Any) -> Any:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        request = urllib.request.Request(self.url, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return json.loads(error.read())


@contextmanager
def rapid(command: list[str], log: Path, **environ: str) -> Iterator[Rapid]:
    port, api_port = free_port(), free_port()
    addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    addresses += ["--runtime-api-address", f"127.0.0.1:{api_port}"]
    variables = {**os.environ, "AWS_LAMBDA_FUNCTION_TIMEOUT": "300", **environ}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [emulator(log.parent), *addresses, *command], env=variables, stdout=output, stderr=output, cwd="/"
        )
    try:
        end_s = time.monotonic() + PATIENCE_S
        while not answers(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.02)
        yield Rapid(port)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def same(ours: Any, theirs: Any) -> bool:
    """Answers agree; how long they took, what they are called and where an error came from is their own."""

    def plain(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("{"):
            value = json.loads(value)
        if isinstance(value, dict):
            own = {"latency_ms", "request_id", "requestId", "stackTrace", "trace"}
            return {key: plain(item) for key, item in value.items() if key not in own}
        return [plain(item) for item in value] if isinstance(value, list) else value

    return bool(plain(ours) == plain(theirs))


def events(packaged: Packaged) -> list[Any]:
    one = {"features": packaged.rows[0].tolist(), "options": {"return_probabilities": True, "top_k": 1}}
    many = {"instances": [row.tolist() for row in packaged.rows[:5]] + [[1]]}
    return [
        *(one, many, {"features": [1]}, {"features": ["x", 1, 1, 1]}, {}, [], None, "text", 5),
        {"features": [1, 2, 3, None]},
        *(make(body=one) for make in (http_api, rest_api, balancer)),
        *(make(body=many) for make in (http_api, rest_api, balancer)),
        *(make(body={"features": [1]}) for make in (http_api, rest_api, balancer)),
        *(make("GET", "/models", None) for make in (http_api, rest_api, balancer)),
        sqs(one, {}, one),
        kinesis(one, {}, one),
        {"Records": [{"eventSource": "aws:sns"}]},
    ]


def test_the_loop_under_aws_s_emulator(packaged: Packaged, tmp_path: Path) -> None:
    log = tmp_path / "log"
    bootstrap = str(packaged.folder / "bootstrap")
    with rapid([bootstrap], log, LAMBDA_TASK_ROOT=str(packaged.folder), INFERIR_PYTHON=sys.executable) as function:
        for row in packaged.rows[:20]:
            said = function.invoke({"features": row.tolist()})
            assert said["prediction"] == packaged.forest.predict([row])[0]
        refused = function.invoke({"features": [1]})
        assert (refused["errorType"], refused["errorMessage"]) == (
            "DimensionError",
            "[E003] expected 4 features, got 1",
        )
        broken = function.invoke(b"{no json")
        assert broken.get("errorType") == "UnmarshalError", broken
        assert json.loads(function.invoke(http_api(body={"features": packaged.rows[0].tolist()}))["body"])["prediction"]
        long = function.invoke(
            {"instances": [packaged.rows[0].tolist()] * 40_000, "options": {"return_probabilities": True, "top_k": 2}}
        )
        assert long["errorType"] == "Function.ResponseSizeTooLarge"
        assert function.invoke({"features": packaged.rows[0].tolist()})["model_id"] == "forest"
    assert re.search(r"STARTUP_US=\d+ MODEL_LOAD_US=\d+ WARMUP_US=\d+", log.read_text())


def test_the_wrapper_of_a_managed_runtime_under_aws_s_emulator(packaged: Packaged, tmp_path: Path) -> None:
    """AWS_LAMBDA_EXEC_WRAPPER: the wrapper is called with the interpreter and AWS's bootstrap, and starts our own."""
    from inferir.lambda_entry.templates import bootstrap

    folder = tmp_path / "task"
    shutil.copytree(packaged.folder, folder)
    (folder / "bootstrap").write_text(bootstrap("python3.13"))
    command = [str(folder / "bootstrap"), sys.executable, "/var/runtime/bootstrap.py"]
    with rapid(command, tmp_path / "log", LAMBDA_TASK_ROOT=str(folder)) as function:
        said = function.invoke({"features": packaged.rows[0].tolist()})
        assert said["prediction"] == packaged.forest.predict(packaged.rows[:1])[0]


def test_a_model_that_is_no_model_is_an_init_error_under_aws_s_emulator(packaged: Packaged, tmp_path: Path) -> None:
    folder = tmp_path / "task"
    for name, damage, kind in (
        ("truncated", lambda data: data[:100], "ModelLoadError"),
        ("foreign", lambda data: b"GGUF" + data[4:], "ModelLoadError"),
        ("changed", lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "ChecksumError"),
        ("empty", lambda data: b"", "ModelLoadError"),
        ("missing", lambda data: None, "FileAccessError"),
    ):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(packaged.folder, folder)
        model = folder / "model" / "model.apr"
        damaged = damage(packaged.contents)  # type: ignore[no-untyped-call]
        model.unlink() if damaged is None else model.write_bytes(damaged)
        environ = {"LAMBDA_TASK_ROOT": str(folder), "INFERIR_PYTHON": sys.executable}
        with rapid([str(folder / "bootstrap")], tmp_path / "log", **environ) as function:
            assert function.invoke({})["errorType"] == kind, name


def open_to_all(*pythons: str) -> str:
    """The first interpreter of at least 3.10 that a user without rights can run."""
    check = "import sys; sys.exit(sys.version_info < (3, 10))"
    for python in pythons:
        real = Path(os.path.realpath(python))
        if not real.exists() or not all(path.stat().st_mode & 0o001 for path in (real, *real.parents)):
            continue
        if subprocess.run([python, "-c", check], check=False).returncode == 0:
            return python
    pytest.skip("there is no interpreter here that a user without rights can run")


def test_two_loops_under_aws_s_emulator_in_managed_instances_mode(packaged: Packaged, tmp_path: Path) -> None:
    """The emulator starts /var/task/bootstrap in this mode, as a user without rights."""
    emulator_path()
    if os.getuid() != 0:
        pytest.skip("AWS's emulator needs root in this mode: it starts the function as another user")
    python = open_to_all(os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3")
    try:
        _TASK.mkdir()
    except OSError as error:
        pytest.skip(f"AWS's emulator needs a /var/task of its own in this mode: {error}")
    try:
        shutil.copytree(packaged.folder, _TASK, dirs_exist_ok=True)
        (_TASK / "bootstrap").write_text(f'#!/bin/sh\nexec "{python}" -I -S /var/task/start.py\n')
        log = tmp_path / "log"
        with rapid(["/var/task/bootstrap"], log, AWS_LAMBDA_MAX_CONCURRENCY="2") as function:
            answers: list[Any] = []
            row = packaged.rows[0].tolist()

            def ask() -> None:
                said = {"errorType": "Runtime.Unavailable"}  # until the second loop has asked for its first event
                deadline = time.monotonic() + PATIENCE_S
                while said.get("errorType") == "Runtime.Unavailable" and time.monotonic() < deadline:
                    said = function.invoke({"features": row})
                answers.append(said)

            threads = [threading.Thread(target=ask) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S)
            ask()  # and once more, by whichever loop is free
        assert [said.get("prediction") for said in answers] == [packaged.forest.predict([row])[0]] * 3, log.read_text()
    finally:
        shutil.rmtree(_TASK)


def test_awslambdaric_given_the_same_events_gives_the_same_answers(packaged: Packaged) -> None:
    pytest.importorskip("awslambdaric", reason="AWS's Python runtime is not here: pip install awslambdaric")
    asked = events(packaged)
    bodies = [event(json.dumps(value).encode(), f"r-{k}") for k, value in enumerate(asked)]
    folder = str(packaged.folder)
    environ = {
        **os.environ, "LAMBDA_TASK_ROOT": folder, "PYTHONPATH": folder, "_HANDLER": "x",
        "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    }  # fmt: skip
    handler = "inferir.lambda_entry.handler.handle"
    posted = []
    for command in (
        [sys.executable, "-I", "-S", f"{folder}/start.py"],
        [sys.executable, "-m", "awslambdaric", handler],
    ):
        with runtime_api(*bodies) as api:
            process = subprocess.run(
                command, env={**environ, "AWS_LAMBDA_RUNTIME_API": api.host}, timeout=PATIENCE_S, check=False,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/",
            )  # fmt: skip
            assert len(api.posted) >= len(asked), process.stderr
            posted.append(api.posted[: len(asked)])
    for value, ours, theirs in zip(asked, *posted, strict=True):
        assert ours.path == theirs.path, value
        assert same(ours.document, theirs.document), (value, ours.body, theirs.body)


def test_the_handler_in_aws_s_runtime_under_aws_s_emulator(packaged: Packaged, tmp_path: Path) -> None:
    pytest.importorskip("awslambdaric", reason="AWS's Python runtime is not here: pip install awslambdaric")
    command = [sys.executable, "-m", "awslambdaric", "inferir.lambda_entry.handler.handle"]
    folder = str(packaged.folder)
    environ = {"LAMBDA_TASK_ROOT": folder, "PYTHONPATH": folder, "AWS_LAMBDA_FUNCTION_VERSION": "1"}
    with rapid(command, tmp_path / "log", **environ) as function:
        for row in packaged.rows[:5]:
            assert function.invoke({"features": row.tolist()})["prediction"] == packaged.forest.predict([row])[0]
        assert function.invoke({"features": [1]})["errorType"] == "DimensionError"


def test_our_own_emulator(packaged: Packaged, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        with Emulator(packaged.folder, interpreter_for(packaged.folder), log=log) as function:
            for row in packaged.rows[:50]:
                outcome = function.invoke(json.dumps({"features": row.tolist()}).encode())
                assert not outcome.error
                assert json.loads(outcome.body)["prediction"] == packaged.forest.predict([row])[0]
                assert 0 < outcome.seconds < PATIENCE_S
            assert function.invoke(b"{").error
            many = json.dumps({"instances": packaged.rows[:, :].tolist() * 4})
            outcome = function.invoke(json.dumps(http_api(body=many)).encode())
            assert json.loads(outcome.body)["statusCode"] == 200
        with Emulator(
            packaged.folder, interpreter_for(packaged.folder), log=log, environ={"INFERIR_STREAM": "1"}
        ) as function:
            outcome = function.invoke(json.dumps(http_api(body=many)).encode())
            head, _, body = outcome.body.partition(bytes(8))
            assert json.loads(head)["statusCode"] == 200
            assert len(json.loads(body)["predictions"]) == 1200
