"""Two workers on one port, each in a process of its own: what they share, and what happens when one dies."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.serving import Process, linear_model, process

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="reads /proc, which is Linux's")

BODY = b'{"features": [0, 0]}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def served(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    linear_model(folder / "m.apr", name="m", version="1", intercept=1, pad_bytes=2**24)
    log = tmp_path_factory.mktemp("log") / "log"
    with process(log, folder, "--workers", 2, "--backend", "reference", "--watch-s", "0.05") as started:
        yield started


def call(served: Process, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """One request on a connection of its own, so that either worker may answer."""
    request = urllib.request.Request(served.url + path, data=body, headers={"Connection": "close"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode()


def answers(served: Process, wanted: float, within_s: float = 20.0) -> None:
    """Wait until every one of twenty answers is `wanted`."""
    end_s = time.monotonic() + within_s
    while True:
        said = {call(served, "/predict", BODY)[1].get("prediction") for _ in range(20)}
        if said == {wanted}:
            return
        assert time.monotonic() < end_s, f"expected {wanted}, got {said}"


def test_both_answer_and_metrics_are_their_sum(served: Process) -> None:
    assert len(served.workers()) == 2
    ids = [call(served, "/predict", BODY)[1]["request_id"] for _ in range(60)]
    assert len({one[:8] for one in ids}) == 2  # the first half of an id is its worker's
    text = call(served, "/metrics")[1]
    counts = re.findall(r'http_server_request_duration_seconds_count\{.*200.*route="/predict".*\} (\S+)', text)
    assert [float(count) for count in counts] == [60.0]
    assert "inferir_workers 2.0" in text


def predicted(served: Process) -> float:
    text = call(served, "/metrics")[1]
    return sum(map(float, re.findall(r"^model_predictions_total\{.*\} (\S+)", text, re.MULTILINE)))


def test_what_a_dead_worker_counted_is_not_lost(served: Process) -> None:
    before = served.workers()
    for _ in range(30):
        assert call(served, "/predict", BODY)[0] == 200
    counted = predicted(served)
    assert counted >= 30
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        end_s = time.monotonic() + 20
        while pid in served.workers() or len(served.workers()) < 2:
            assert time.monotonic() < end_s
            time.sleep(0.05)
        answers(served, call(served, "/predict", BODY)[1]["prediction"])
        assert predicted(served) > counted
        assert "inferir_workers 2.0" in call(served, "/metrics")[1]


def test_tensors_are_there_once(served: Process) -> None:
    """Both workers map the supervisor's copy, and their own memory does not hold another."""
    workers = served.workers()
    assert len(workers) == 2
    for pid in workers:
        maps = Path(f"/proc/{pid}/smaps").read_text()
        sections = [each for each in re.split(r"^(?=[0-9a-f]+-)", maps, flags=re.MULTILINE) if "inferir-model" in each]
        kib = {
            name: sum(
                int(number) for each in sections for number in re.findall(rf"^{name}:\s+(\d+)", each, re.MULTILINE)
            )
            for name in ("Size", "Private_Dirty")
        }
        assert kib["Size"] * 1024 >= 2**24
        assert kib["Private_Dirty"] == 0


def test_a_change_reaches_all(served: Process, folder: Path) -> None:
    linear_model(folder / "m.apr", name="m", version="2", intercept=2)
    answers(served, 2.0)
    (folder / "m.apr").write_bytes(b"rubbish")
    status, body = call(served, "/v2/repository/models/m/load", b"{}")
    assert (status, body["code"]) == (400, "E001")
    answers(served, 2.0)
    linear_model(folder / "m.apr", name="m", version="3", intercept=3)
    assert call(served, "/v2/repository/models/m/load", b"{}")[0] == 200
    answers(served, 3.0, within_s=0)
    assert call(served, "/v2/repository/models/other/load", b"{}")[0] == 404


def test_a_dead_worker_is_replaced_and_knows_everything(served: Process, folder: Path) -> None:
    linear_model(folder / "m.apr", name="m", version="4", intercept=4)
    answers(served, 4.0)
    before = served.workers()
    stop, asked = threading.Event(), list[tuple[int, float]]()

    def ask() -> None:
        while not stop.is_set():
            started_s = time.monotonic()
            try:
                status = call(served, "/predict", BODY)[0]
            except (urllib.error.URLError, ConnectionError):
                status = 0
            asked.append((status, time.monotonic() - started_s))

    asking = threading.Thread(target=ask)
    asking.start()
    killed_s = time.monotonic()
    os.kill(before[0], signal.SIGKILL)
    while len(set(served.workers()) - set(before)) != 1 or "another" not in served.log.read_text():
        assert time.monotonic() < killed_s + 20
        time.sleep(0.01)
    answers(served, 4.0)
    while len(_listening(served)) != 2:
        assert time.monotonic() < killed_s + 60
        time.sleep(0.05)
    replaced_s = time.monotonic() - killed_s
    stop.set()
    asking.join()
    assert {status for status, _ in asked} <= {200, 0}
    assert [status for status, _ in asked].count(0) <= 2  # what the dead one had in hand
    assert max(seconds for _, seconds in asked) < replaced_s / 2  # nobody waited for the new one


def _listening(served: Process) -> set[str]:
    """Workers that answer: the first halves of the ids that they give."""
    return {call(served, "/predict", BODY)[1]["request_id"][:8] for _ in range(40)}


def test_hangup_loads_what_changed(served: Process, folder: Path) -> None:
    linear_model(folder / "n.apr", name="n", version="1", intercept=9)
    served.signal(signal.SIGHUP)
    end_s = time.monotonic() + 20
    while call(served, "/predict", b'{"model_id": "n", "features": [0, 0]}')[0] != 200:
        assert time.monotonic() < end_s


def test_the_end(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")
    with process(tmp_path / "log", path, "--workers", 2, "--backend", "reference") as served:
        workers = served.workers()
        assert call(served, "/ready")[0] == 200
        served.signal(signal.SIGTERM)
        assert served.process.wait(20) == 0
        assert not [pid for pid in workers if os.path.exists(f"/proc/{pid}")]


def test_a_model_that_does_not_load_at_start(tmp_path: Path) -> None:
    (tmp_path / "bad.apr").write_bytes(b"rubbish")
    with (
        pytest.raises(AssertionError, match=r"error: \[E001\]"),
        process(tmp_path / "log", tmp_path / "bad.apr", "--workers", 2),
    ):
        pass
