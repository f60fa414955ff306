"""Server-Timing, traceparent, and JSON logs."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
from typing import Any

import pytest

from inferir.server.request.exchange import STAGES
from inferir.server.telemetry import ServerTelemetry
from inferir.server.telemetry.logs import BACKLOG, JsonFormatter, JsonLog
from inferir.server.telemetry.server_timing import server_timing
from inferir.server.telemetry.trace_context import trace_id_of
from tests.server.telemetry.test_metrics import exchange

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


def test_server_timing_has_every_stage_in_milliseconds() -> None:
    line = server_timing(exchange(stages=[0.0, 0.001, 0.0123456789, 1.0, 1e-6, 0.5, 2.0])).decode()
    assert line.endswith("\r\n")
    found = re.findall(r"(\w+);dur=([\d.e+-]+)", line)
    assert [name for name, _ in found] == list(STAGES)
    assert [float(value) for _, value in found] == [0.0, 1.0, 12.346, 1000.0, 0.001, 500.0, 2000.0]


@pytest.mark.parametrize("inference_s", [1e-5, 0.1])
def test_server_timing_says_nothing_of_a_queue_that_was_not_waited_in(inference_s: float) -> None:
    line = server_timing(exchange(stages=[0.0, 0.001, 0.0, 0.0, inference_s, 0.0, 0.002])).decode()
    ms = f"{inference_s * 1e3:.3f}"
    before = "deserialize;dur=0.000, validate;dur=1.000, preprocess;dur=0.000"
    after = f"inference;dur={ms}, postprocess;dur=0.000, serialize;dur=2.000"
    assert line == f"Server-Timing: {before}, {after}\r\n"


def test_only_predictions_have_server_timing() -> None:
    telemetry = ServerTelemetry()
    assert telemetry.headers(exchange(rows=0)) == b""
    assert telemetry.headers(exchange(rows=1)).startswith(b"Server-Timing: deserialize;dur=")


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
    log = JsonLog(stream, True, lambda count: None)
    log.model_loaded("churn", "1", {"read": 0.1}, 10)
    log.model_failed("churn", "E001")
    log.model_unloaded("churn", "1", "replaced")
    log.request_finished(exchange(headers={"traceparent": TRACEPARENT}, request_id="id-7"))
    log.request_finished(exchange(500, code="INTERNAL", rows=0))
    log.close()
    loaded, failed, unloaded, request, error = records(stream)
    assert (loaded["event"], loaded["seconds"], loaded["bytes"]) == ("model_loaded", {"read": 0.1}, 10)
    assert (failed["level"], failed["code"]) == ("error", "E001")
    assert unloaded["reason"] == "replaced"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", request["time"])
    assert {key: request[key] for key in ("method", "route", "status", "model", "version", "rows")} == {
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "model": "churn",
        "version": "1",
        "rows": 1,
    }
    assert (request["request_id"], request["trace_id"], request["level"]) == ("id-7", TRACE_ID, "info")
    assert (error["level"], error["code"]) == ("error", "INTERNAL")


def test_requests_are_logged_only_if_asked_for() -> None:
    stream = io.BytesIO()
    log = JsonLog(stream, False, lambda count: None)
    log.request_finished(exchange())
    log.close()
    assert records(stream) == []


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
    log = JsonLog(stream, True, dropped.append)
    put = 2 * BACKLOG + 100
    for _ in range(put):
        log.request_finished(exchange())
    assert len(log._records) <= BACKLOG
    assert sum(dropped) >= 100, "BACKLOG wait, and at most as many are on their way to the stream"
    stream.taken.set()
    log.close()
    assert len(records(stream)) + sum(dropped) == put


def test_a_log_that_stays_stuck_does_not_hold_up_the_end() -> None:
    stream = _Stuck()
    log = JsonLog(stream, True, lambda count: None, close_s=0.05)
    log.request_finished(exchange())
    log.close()
    assert records(stream) == []
    stream.taken.set()


def test_a_full_disk_is_counted() -> None:
    class _Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise OSError(28, "No space left on device")

    dropped: list[int] = []
    log = JsonLog(_Full(), True, dropped.append)
    log.request_finished(exchange())
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
