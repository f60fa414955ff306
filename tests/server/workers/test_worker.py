"""What two workers know together: truths of predictions that the other made, scores of the rows of both."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from inferir.rows.baseline import read, record
from inferir.server.monitoring.drift import psi
from inferir.server.request.auth import Keys
from inferir.server.settings import Settings
from inferir.server.workers.worker import _Worker
from tests.server.monitoring.test_monitor import REFERENCE, with_baseline
from tests.server.serving import Process, linear_spec, process
from tests.server.workers.test_supervisor import call, counted, wait_until

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="reads /proc, which is Linux's")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("models")
    path = with_baseline(folder / "m.apr", name="m", version="1", intercept=1)
    options = ("--workers", 2, "--backend", "reference", "--remember", 1000, "--truth-window", 50)
    with process(folder / "log", path, *options, "--drift-rows-per-s", 10_000) as started:
        yield started


def test_sockets_never_block_who_else_listens_at_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocking is a property of what all processes share of a socket: a worker that starts must not touch it while
    another, its deputy, takes connections.
    """

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as ours:
            ours.setblocking(False)
            came = socket.socket(ours.family, ours.type, ours.proto, fileno=os.dup(ours.fileno()))  # as multiprocessing
            worker = _Worker(Settings(backend="reference"), Keys({}), 0, [came])
            blocking = []

            async def listen(sockets: list[socket.socket], *_: Any, **__: Any) -> None:
                blocking.append(os.get_blocking(ours.fileno()))
                for each in sockets:
                    each.close()

            monkeypatch.setattr(worker._app, "listen", listen)
            await worker._listen(0)
            assert blocking == [False]
            came.close()
            await worker._app.stop()

    asyncio.run(main())


#: Rows that were predicted, in the order in which they were sent.
SENT: list[list[float]] = []


def predict(served: Process, *rows: list[float]) -> dict[str, Any]:
    SENT.extend(rows)
    if len(rows) == 1:
        return call(served, "/predict", json.dumps({"features": rows[0]}).encode())[1]  # type: ignore[no-any-return]
    return call(served, "/predict/batch", json.dumps({"instances": rows}).encode())[1]  # type: ignore[no-any-return]


def feedback(served: Process, **body: Any) -> tuple[int, dict[str, Any]]:
    return call(served, "/feedback", json.dumps(body).encode())


def test_a_truth_finds_the_worker_that_made_the_prediction(served: Process) -> None:
    answers = [predict(served, [k, 0.0]) for k in range(40)]
    assert len({answer["request_id"][:8] for answer in answers}) == 2  # the first half of an id is its worker's
    for answer in answers:
        status, body = feedback(served, request_id=answer["request_id"], truth="wrong kind")
        assert (status, body["code"]) == (400, "E006")
    for answer in answers:
        truth = answer["prediction"] + 0.5
        assert feedback(served, request_id=answer["request_id"], truth=truth)[0] == 200
        assert feedback(served, request_id=answer["request_id"], truth=truth)[1]["code"] == "NOT_REMEMBERED"
    assert counted(served, r"model_absolute_error\{.*\}") == pytest.approx(0.5)
    assert counted(served, r"inferir_truths_total\{.*\}") == 40
    for _ in range(200):
        feedback(served, model_id="m", prediction=1.0, truth=3.0)
    assert counted(served, r"model_absolute_error\{.*\}") == pytest.approx(2.0), "the window is shared by the workers"
    assert feedback(served, request_id="never", truth=1)[0] == 404


def test_scores_are_of_the_rows_of_both(served: Process) -> None:
    """One row at a time, so that either worker has some of them."""
    rows_counted = r"inferir_drift_rows\{.*\}"
    rows = np.random.default_rng(1).normal([0.0, 1.5], size=(2000, 2))
    for start in range(0, len(rows), 20):
        predict(served, *rows[start : start + 20].tolist())
    wait_until(lambda: counted(served, rows_counted) == len(SENT))
    columns = linear_spec().columns
    bins = read(record(columns, REFERENCE), columns)
    for k, name in enumerate("ab"):
        expected = psi(bins[k].reference.tolist(), bins[k].count(np.array(SENT)[:, k]).tolist())
        assert counted(served, rf'model_drift_score\{{feature="{name}".*\}}') == pytest.approx(expected)
