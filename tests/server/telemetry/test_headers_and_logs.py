"""traceparent, read, and JSON logs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
import time
from datetime import datetime
from select import PIPE_BUF
from typing import Any

import pytest

from inferir.server.request.auth import ANYBODY, Principal
from inferir.server.settings import Settings
from inferir.server.telemetry import create
from inferir.server.telemetry.logs import BACKLOG, JsonFormatter, JsonLog
from inferir.server.telemetry.records import CAPACITY, Records
from inferir.server.telemetry.trace_context import trace_id_of
from tests.patience import PATIENCE_S
from tests.server.telemetry.test_metrics import exchange

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (TRACEPARENT, TRACE_ID),
        (f"cc-{TRACE_ID}-b7ad6b7169203331-01-later", TRACE_ID),
        (None, ""),
        ("", ""),
        (TRACEPARENT + "-x", ""),
        (TRACEPARENT.upper(), ""),
        (f"ff-{TRACE_ID}-b7ad6b7169203331-01", ""),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", ""),
        (f"00-{TRACE_ID}-{'0' * 16}-01", ""),
        ("00-1-2-3", ""),
    ],
)
def test_traceparent(header: str | None, expected: str) -> None:
    assert trace_id_of(header) == expected


def records(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_for_each_request_and_change() -> None:
    stream = io.BytesIO()
    made = create(Settings(log_format="json", log_requests=True), stream)
    made.model_loaded("churn", "1", {"read": 0.1}, 10)
    made.model_failed("churn", "E001")
    made.model_unloaded("churn", "1", "replaced")
    made.finished(exchange(headers={"traceparent": TRACEPARENT}, request_id="id-7"))
    made.finished(exchange(500, code="INTERNAL", rows=0, request_id='"\\'))
    made.finished(exchange(503, code="OVERLOADED", shed="queue_full", rows=0, model="", version=""))
    began_s = time.time()
    asyncio.run(made.close())
    loaded, failed, unloaded, request, error, shed = records(stream)
    assert (loaded["event"], loaded["seconds"], loaded["bytes"]) == ("model_loaded", {"read": 0.1}, 10)
    assert (failed["level"], failed["code"]) == ("error", "E001")
    assert unloaded["reason"] == "replaced"
    ended = datetime.fromisoformat(request.pop("time").replace("Z", "+00:00"))
    assert ended.timestamp() == pytest.approx(began_s, abs=5)
    assert request == {
        "level": "info",
        "event": "request",
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "seconds": 0.05,
        "rows": 1,
        "model": "churn",
        "version": "1",
        "request_id": "id-7",
        "trace_id": TRACE_ID,
    }
    assert (error["level"], error["code"], error["rows"], error["request_id"]) == ("error", "INTERNAL", 0, '"\\')
    assert (shed["shed"], shed["code"], shed["level"]) == ("queue_full", "OVERLOADED", "warning")
    assert shed.keys().isdisjoint({"model", "version", "trace_id", "request_id"})


def test_every_request_has_its_own_line() -> None:
    stream = io.BytesIO()
    made = create(Settings(log_format="json", log_requests=True), stream)
    asked = [
        exchange((200, 404)[k % 3 == 0], version=str(k % 7), rows=k, request_id=f"id-{k}", ended_s=1.5 * k, started_s=k)
        for k in range(2 * CAPACITY + 100)
    ]
    for each in asked:
        made.finished(each)
    asyncio.run(made.close())
    found = [
        (line["request_id"], line["status"], line["version"], line["rows"], line["seconds"]) for line in records(stream)
    ]
    assert found == [(each.request_id, each.status, each.version, each.rows, each.rows / 2) for each in asked]


def test_a_line_does_not_wait_for_many_others() -> None:
    stream = io.BytesIO()

    async def ask() -> None:
        made = create(Settings(log_format="json", log_requests=True), stream)
        for k in range(3):
            made.finished(exchange(request_id=f"id-{k}"))
            while len(records(stream)) <= k:
                await asyncio.sleep(0.01)
        await made.close()

    asyncio.run(asyncio.wait_for(ask(), PATIENCE_S))
    assert [line["request_id"] for line in records(stream)] == ["id-0", "id-1", "id-2"]


def test_requests_are_logged_only_if_asked_for() -> None:
    stream = io.BytesIO()
    made = create(Settings(log_format="json"), stream)
    made.finished(exchange())
    asyncio.run(made.close())
    assert records(stream) == []


def test_who_asked() -> None:
    stream = io.BytesIO()
    made = create(Settings(log_format="json", log_requests=True), stream)
    for principal in (None, ANYBODY, Principal("scoring", frozenset()), Principal("reports", frozenset())):
        made.finished(exchange(principal=principal))
    asyncio.run(made.close())
    assert [line.get("key") for line in records(stream)] == [None, None, "scoring", "reports"]


def test_lines_of_several_workers_are_not_torn() -> None:
    """They share a pipe, in which only so many bytes stay together."""

    class _Pipe(io.BytesIO):
        def write(self, data: Any, /) -> int:
            pieces.append(bytes(data))
            return super().write(data)

    pieces: list[bytes] = []
    stream = _Pipe()
    made = create(Settings(log_format="json", log_requests=True), stream)
    for k in range(1000):
        made.finished(exchange(request_id="i" * (k % 128 + 1)))
    made.model_failed("m" * 5000, "E001")
    asyncio.run(made.close())
    assert all(piece.endswith(b"\n") for piece in pieces)
    *others, longest = sorted(pieces, key=len)
    assert len(others[-1]) <= PIPE_BUF < len(longest)
    assert len(others) < 200
    assert len(records(stream)) == 1001


def test_a_line_that_cannot_be_made_does_not_end_the_log() -> None:
    stream = io.BytesIO()
    dropped: list[int] = []
    log = JsonLog(stream, dropped.append)
    log.model_failed("\ud800", "E001")
    log.model_failed("churn", "E001")
    log.close()
    assert [line["model"] for line in records(stream)] == ["churn"]
    assert dropped == [1]


class _Stuck(io.BytesIO):
    """A log that nobody reads, until somebody does."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = threading.Event()

    def write(self, data: Any, /) -> int:
        self.taken.wait()
        return super().write(data)


def test_a_stuck_log_stops_nobody_and_is_bounded() -> None:
    stream = _Stuck()
    dropped: list[int] = []
    log = JsonLog(stream, dropped.append)
    left = Records([log], texts=True)
    put = 2 * BACKLOG + 10 * CAPACITY
    for _ in range(put):
        left.leave(exchange())
    left.flush()
    assert sum(dropped) >= put - 2 * BACKLOG, "BACKLOG wait, and at most as many are on their way to the stream"
    stream.taken.set()
    log.close()
    assert len(records(stream)) + sum(dropped) == put


def test_a_log_that_stays_stuck_does_not_hold_up_the_end() -> None:
    stream = _Stuck()
    log = JsonLog(stream, lambda count: None, close_s=0.05)
    log.model_failed("churn", "E001")
    log.close()
    assert records(stream) == []
    stream.taken.set()


def test_a_full_disk_is_counted() -> None:
    class _Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise OSError(28, "No space left on device")

    dropped: list[int] = []
    log = JsonLog(_Full(), dropped.append)
    log.model_failed("churn", "E001")
    log.close()
    assert dropped == [1]


def test_logs_of_libraries() -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        record = logging.LogRecord("aiohttp", logging.ERROR, "f", 1, "it %s", ("broke",), sys.exc_info())
    said = json.loads(JsonFormatter().format(record))
    assert (said["level"], said["logger"], said["message"]) == ("error", "aiohttp", "it broke")
    assert "ValueError: bad" in said["exception"]
