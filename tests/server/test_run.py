"""Starting and stopping `inferir serve`: addresses, TLS, signals, exit codes."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from inferir.errors import FileAccessError, InvalidInputError
from inferir.server.run import check
from inferir.server.settings import Settings
from inferir.server.starting import open_socket
from tests.patience import PATIENCE_S
from tests.server.serving import linear_model, process


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert not check(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.com"])
def test_other_addresses_need_keys_or_a_word(host: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected API keys, as the server listens on"):
        check(Settings(host=host))
    assert not check(Settings(host=host, insecure=True))
    assert check(Settings(host=host, api_keys="k infer me; l read you"))
    keys = tmp_path / "keys"
    keys.write_text("# nobody\n")
    with pytest.raises(InvalidInputError, match="at least one key"):
        check(Settings(host=host, api_keys_file=str(keys)))
    with pytest.raises(FileAccessError):
        check(Settings(host=host, api_keys_file=str(tmp_path / "missing")))


# -- the command


def test_it_stops_when_it_is_told(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")
    with process(tmp_path / "log", path, "--backend", "reference", "--shutdown-s", 100 * PATIENCE_S) as served:
        client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_S)
        client.request("POST", "/predict", b'{"features": [1, 2]}')
        assert json.loads(client.getresponse().read())["prediction"] == 4.0
        served.signal(signal.SIGTERM)  # nothing is in work, and nobody has to wait for the connection, which is idle
        assert served.process.wait(PATIENCE_S) == 0
        client.close()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        ([], 16, "models: expected .apr files, or folders of them, got none"),
        (["missing.apr"], 20, "[E010]"),
        (["MODEL", "--default-model", "lion"], 21, "unknown model 'lion'"),
        (["MODEL", "--default-model", "lion", "--workers", "2"], 21, "unknown model 'lion'"),
        (["MODEL", "--aliases", "linear=linear@1"], 16, "aliases: expected an alias that is not a model's name"),
        (["MODEL", "--aliases", "linear=linear@1", "--workers", "2"], 16, "expected an alias that is not a model's"),
        ([".", "--host", "0.0.0.0"], 16, "expected API keys"),
        (["--workers", "0"], 16, "workers: expected at least 1"),
        (["--config", "missing.toml"], 20, "[E010]"),
        (["MODEL", "--trusted-keys", "missing.pub"], 20, "missing.pub"),
    ],
)
def test_what_it_refuses(tmp_path: Path, arguments: list[str], exit_code: int, says: str) -> None:
    model = linear_model(tmp_path / "m.apr")
    arguments = [model if argument == "MODEL" else argument for argument in arguments]
    with pytest.raises(AssertionError) as caught, process(tmp_path / "log", *arguments):
        pass
    assert says in str(caught.value)


def test_settings_can_be_printed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inferir", "serve", "m.apr", "--max-queue", "7", "--print-settings"]
    environ = {"INFERIR_API_KEYS": "hush infer me", "PATH": "", "INFERIR_PORT": "81"}
    done = subprocess.run(command, capture_output=True, env=environ, check=True, timeout=PATIENCE_S)
    shown = json.loads(done.stdout)
    assert (shown["models"], shown["max_queue"], shown["port"]) == (["m.apr"], 7, 81)
    assert b"hush" not in done.stdout


# -- The log


def test_a_log_of_json_has_nothing_else(tmp_path: Path) -> None:
    """Of two workers, in one file, with what the libraries below us say."""
    path = linear_model(tmp_path / "m.apr")
    arguments = [path, "--backend", "reference", "--log-format", "json", "--log-requests", "--workers", "2"]
    with process(tmp_path / "log", *arguments) as served:
        for number in range(60):
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_S)
            connection.request("POST", "/predict", '{"features": [1, 2]}', {"X-Request-Id": f"id-{number}"})
            connection.getresponse().read()
            connection.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert sum("serving on http://127.0.0.1:" in line.get("message", "") for line in lines) == 1
    asked = {line["request_id"] for line in lines if line["event"] == "request"}
    assert {f"id-{number}" for number in range(60)} <= asked


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that takes nothing")
def test_a_log_that_takes_nothing_keeps_nobody_from_serving(tmp_path: Path) -> None:
    with open_socket(Settings(port=0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "inferir", "serve", linear_model(tmp_path / "m.apr"), "--backend", "reference"]
    with open("/dev/full", "wb") as full, subprocess.Popen([*command, "--port", str(port)], stderr=full) as served:
        try:
            asyncio.run(asyncio.wait_for(_is_ready(port), PATIENCE_S))
            assert served.poll() is None
        finally:
            served.terminate()


async def _is_ready(port: int) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)
