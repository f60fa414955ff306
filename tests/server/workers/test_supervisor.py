"""Two workers on one port, each in a process of its own: what they share, and what happens when one dies."""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inferir.errors import BackendError
from inferir.kernels import select
from inferir.server.request.auth import Keys
from inferir.server.settings import Settings
from inferir.server.workers.supervisor import Supervisor
from tests.patience import PATIENCE_S
from tests.server.serving import Process, linear_model, process

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="reads /proc, which is Linux's")

BODY = b'{"features": [0, 0]}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def served(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    linear_model(folder / "m.apr", name="m", version="1", intercept=1)
    linear_model(folder / "z.apr", name="z", version="1", pad_bytes=2**24)
    log = tmp_path_factory.mktemp("log") / "log"
    with process(log, folder, "--workers", 2, "--backend", "reference", "--watch-s", "0.05") as started:
        yield started


def call(served: Process, path: str, body: bytes | None = None) -> tuple[int, Any]:
    """One request on a connection of its own, so that either worker may answer."""
    request = urllib.request.Request(served.url + path, data=body, headers={"Connection": "close"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode()


def wait_until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def said(served: Process) -> set[float]:
    """What twenty requests are answered."""
    return {call(served, "/predict", BODY)[1].get("prediction") for _ in range(20)}


def listening(served: Process) -> set[str]:
    """Workers that answer: the first halves of the ids that they give."""
    return {call(served, "/predict", BODY)[1]["request_id"][:8] for _ in range(40)}


def counted(served: Process, name: str) -> float:
    """The sum of a counter's values; `name` is a regular expression."""
    text = call(served, "/metrics")[1]
    return sum(map(float, re.findall(rf"^{name} (\S+)", text, re.MULTILINE)))


def test_both_answer_and_metrics_are_their_sum(served: Process) -> None:
    answered = r'http_server_request_duration_seconds_count\{.*200.*route="/predict".*\}'
    assert len(served.workers()) == 2
    before = counted(served, answered)
    ids = [call(served, "/predict", BODY)[1]["request_id"] for _ in range(60)]
    assert len({one[:8] for one in ids}) == 2  # the first half of an id is its worker's
    assert counted(served, answered) == before + 60
    assert counted(served, "inferir_workers") == 2


def predicted(served: Process) -> float:
    return counted(served, r"model_predictions_total\{.*\}")


def test_what_a_dead_worker_counted_is_not_lost(served: Process) -> None:
    before = served.workers()
    for _ in range(30):
        assert call(served, "/predict", BODY)[0] == 200
    known = predicted(served)
    assert known >= 30
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: pid not in served.workers())  # type: ignore[misc]
        wait_until(lambda: len(listening(served)) == 2)
        assert predicted(served) > known
        assert counted(served, "inferir_workers") == 2


def test_tensors_are_there_once(served: Process) -> None:
    """Both workers map the supervisor's copy, and their own memory does not hold another."""
    wait_until(lambda: len(listening(served)) == 2)
    for pid in served.workers():
        maps = Path(f"/proc/{pid}/smaps").read_text()
        sections = [each for each in re.split(r"^(?=[0-9a-f]+-)", maps, flags=re.MULTILINE) if "inferir-model" in each]
        kib = [dict(re.findall(r"^(\w+):\s+(\d+)", each, re.MULTILINE)) for each in sections]
        (large,) = [each for each in kib if int(each["Size"]) * 1024 >= 2**24]
        assert large["Private_Dirty"] == "0"


def test_a_change_reaches_all(served: Process, folder: Path) -> None:
    linear_model(folder / "m.apr", name="m", version="2", intercept=2)
    wait_until(lambda: said(served) == {2.0})
    (folder / "m.apr").write_bytes(b"rubbish")
    status, body = call(served, "/v2/repository/models/m/load", b"{}")
    assert (status, body["code"]) == (400, "E001")
    assert said(served) == {2.0}
    linear_model(folder / "m.apr", name="m", version="3", intercept=3)
    assert call(served, "/v2/repository/models/m/load", b"{}")[0] == 200
    assert said(served) == {3.0}
    assert call(served, "/v2/repository/models/other/load", b"{}")[0] == 404


def test_a_dead_worker_is_replaced_and_knows_everything(served: Process, folder: Path) -> None:
    linear_model(folder / "m.apr", name="m", version="4", intercept=4)
    wait_until(lambda: said(served) == {4.0} and len(listening(served)) == 2)
    pids, ids = set(served.workers()), listening(served)
    stop, asked = threading.Event(), list[tuple[float, int, str]]()

    def ask() -> None:
        while not stop.is_set():
            began_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            try:
                status, body = call(served, "/predict", BODY)
                asked.append((began_s, status, body.get("request_id", "")[:8]))
            except (urllib.error.URLError, ConnectionError, http.client.HTTPException):
                asked.append((began_s, 0, ""))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        os.kill(min(pids), signal.SIGKILL)
        wait_until(lambda: len(set(served.workers()) - pids) == 1)
        (new,) = set(served.workers()) - pids
        wait_until(lambda: _all_listen(served) and bool({worker for _, _, worker in asked} - ids - {""}))
    finally:
        stop.set()
        asking.join()
    assert "starting another" in served.log.read_text()
    assert said(served) == {4.0}
    statuses = [status for _, status, _ in asked]
    assert set(statuses) <= {200, 0}
    assert statuses.count(0) <= 2  # what the dead one had in hand
    answered_by_new = [began_s for began_s, _, worker in asked if worker and worker not in ids]
    assert min(answered_by_new) > _born_s(new) - 0.02, "nobody waited for the new one: the other one answered"


def test_a_new_worker_knows_what_is_not_loaded(served: Process, folder: Path) -> None:
    """Whichever worker is asked, the answer is the same."""
    linear_model(folder / "away.apr", name="away")
    wait_until(lambda: call(served, "/predict", b'{"model_id": "away", "features": [0, 0]}')[0] == 200)
    assert call(served, "/v2/repository/models/away/unload", b"{}")[0] == 200
    (folder / "rubbish.apr").write_bytes(b"rubbish")
    wait_until(lambda: "rubbish.apr" in str(call(served, "/models")[1]))
    wait_until(lambda: _all_listen(served))
    old = set(served.workers())
    os.kill(min(old), signal.SIGKILL)
    wait_until(lambda: len(set(served.workers()) - old) == 1 and _all_listen(served))
    paths = {
        "/predict": b'{"model_id": "away", "features": [0, 0]}',
        "/v2/repository/index": b"{}",
        "/models": None,
    }
    for path, body in paths.items():
        answers = [call(served, path, body) for _ in range(20)]
        said = {(status, _without_times(answer)) for status, answer in answers}
        assert len(said) == 1, said
    assert "not loaded" in call(served, "/predict", paths["/predict"])[1]["message"]
    assert {"name": "away", "version": "", "state": "UNAVAILABLE", "reason": "unloaded"} in call(
        served, "/v2/repository/index", b"{}"
    )[1]
    assert "rubbish.apr" in str(call(served, "/models")[1])


def test_a_new_worker_starts_where_a_model_has_the_name_of_an_alias(served: Process, folder: Path) -> None:
    def asks(model_id: str) -> Any:
        return call(served, "/predict", json.dumps({"model_id": model_id, "features": [0, 0]}).encode())[1]

    wait_until(lambda: _all_listen(served))
    put = urllib.request.Request(f"{served.url}/models/aliases/prod", b'{"model_id": "z"}', method="PUT")
    with urllib.request.urlopen(put, timeout=PATIENCE_S) as response:
        assert response.status == 200
    linear_model(folder / "prod.apr", name="prod", intercept=7)
    wait_until(lambda: "CONFLICT" in str(call(served, "/models")[1]))
    old = set(served.workers())
    os.kill(min(old), signal.SIGKILL)
    wait_until(lambda: len(set(served.workers()) - old) == 1 and _all_listen(served))
    assert {asks("prod")["model_id"] for _ in range(20)} == {"z"}
    assert all("CONFLICT" in str(call(served, "/models")[1]) for _ in range(20))
    delete = urllib.request.Request(f"{served.url}/models/aliases/prod", method="DELETE")
    with urllib.request.urlopen(delete, timeout=PATIENCE_S) as response:
        assert response.status == 200
    served.signal(signal.SIGHUP)
    wait_until(lambda: asks("prod").get("prediction") == 7.0)


def _without_times(answer: Any) -> str:
    """What every worker says alike: not when and how fast it loaded, and not the request's id."""
    own = {"request_id", "loaded_at", "load_seconds", "kernel_seconds", "batching"}
    if isinstance(answer, dict):
        return str({key: _without_times(value) for key, value in answer.items() if key not in own})
    return str([_without_times(each) for each in answer]) if isinstance(answer, list) else str(answer)


def _all_listen(served: Process) -> bool:
    """Connections may be reset while a worker comes and goes; how many of those that `ask` makes is counted there."""
    try:
        return len(listening(served)) == 2
    except ConnectionError:
        return False


def _born_s(pid: int) -> float:
    """When a process began, by the clock that counts from the start of the machine; to a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def test_hangup_loads_what_changed(served: Process, folder: Path) -> None:
    linear_model(folder / "n.apr", name="n", version="1", intercept=9)
    served.signal(signal.SIGHUP)
    wait_until(lambda: call(served, "/predict", b'{"model_id": "n", "features": [0, 0]}')[0] == 200)


def test_the_end(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")
    with process(tmp_path / "log", path, "--workers", 2, "--backend", "reference") as served:
        workers = served.workers()
        assert call(served, "/ready")[0] == 200
        served.signal(signal.SIGTERM)
        assert served.process.wait(PATIENCE_S) == 0
        assert not [pid for pid in workers if os.path.exists(f"/proc/{pid}")]


def test_a_model_that_does_not_load_at_start(tmp_path: Path) -> None:
    (tmp_path / "bad.apr").write_bytes(b"rubbish")
    with (
        pytest.raises(AssertionError, match=r"error: \[E001\]"),
        process(tmp_path / "log", tmp_path / "bad.apr", "--workers", 2),
    ):
        pass


def test_workers_are_told_the_backend_by_name() -> None:
    """Found out once: a worker that starts later must not find another one to be the best."""
    supervisor = Supervisor(Settings(workers=2, backend="auto"), Keys({}))
    assert supervisor._settings.backend == select("auto").name
    with pytest.raises(BackendError, match="backend 'quantum' is not available"):
        Supervisor(Settings(workers=2, backend="quantum"), Keys({}))


class Starting:
    """A process that is a long time starting, or cannot at all; it hangs up at once."""

    exitcode = 0

    def __init__(self, target: Any, args: Any, name: str) -> None:
        self.number: int = args[2]
        self.connection: socket.socket = args[4]

    def start(self) -> None:
        if self.number == 0:
            raise OSError("no more processes")
        time.sleep(0.1)

    def join(self, timeout_s: float | None = None) -> None: ...


def test_the_end_of_a_start_that_fails_while_another_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.get_context("spawn"), "Process", Starting)
    with pytest.raises(OSError, match="no more processes"):
        asyncio.run(Supervisor(Settings(workers=2, port=0, backend="reference"), Keys({})).run(print))


def test_a_process_that_starts_when_the_server_has_stopped_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    starting, stopped, heard = threading.Event(), threading.Event(), []

    class Late(Starting):
        def start(self) -> None:
            starting.set()
            stopped.wait(PATIENCE_S)
            self.connection.settimeout(PATIENCE_S)
            heard.append(self.connection.recv(1))

    monkeypatch.setattr(multiprocessing.get_context("spawn"), "Process", Late)

    async def main() -> None:
        supervisor = Supervisor(Settings(workers=2, backend="reference"), Keys({}))
        replacing = asyncio.ensure_future(supervisor._start(supervisor._slots[1]))
        await asyncio.get_running_loop().run_in_executor(None, starting.wait, PATIENCE_S)
        replacing.cancel()
        await supervisor._stop()
        stopped.set()

    asyncio.run(main())
    assert heard == [b""]
