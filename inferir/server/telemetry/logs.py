"""Logs as JSON, one object a line: what happened to a request, with the ids under which others know it.

    {"time": "2026-11-21T07:00:00.123456Z", "level": "info", "event": "request", "method": "POST", "route": "/predict",
     "status": 200, "seconds": 0.00021, "model": "churn", "version": "1.2.0", "rows": 1, "request_id": "...",
     "trace_id": "..."}

Records are gathered on the event loop and written by a thread, so that a log that nobody reads stops no request. At
most BACKLOG records wait; those that come then are counted and dropped. The end of the server waits CLOSE_S for the
thread, no longer.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

import msgspec

from inferir.server.observer import ModelsOnly, NoStart
from inferir.server.telemetry.trace_context import TRACEPARENT, trace_id_of

if TYPE_CHECKING:
    from inferir.server.request.exchange import Exchange

__all__ = ["ChangeLog", "JsonFormatter", "JsonLog"]

BACKLOG = 20_000
FLUSH_S = 0.1
CLOSE_S = 5.0

_encode = msgspec.json.Encoder(decimal_format="number").encode


class JsonLog(NoStart):
    """An observer that writes a line for every request, if `requests`, and for every change of models.

    stream   takes the lines, as bytes.
    dropped  is called with the number of records that could not be written.
    close_s  seconds that `close` gives to what is left.
    """

    def __init__(
        self, stream: IO[bytes], requests: bool, dropped: Callable[[int], None], close_s: float = CLOSE_S
    ) -> None:
        self._stream = stream
        self._requests = requests
        self._dropped = dropped
        self._close_s = close_s
        self._records: deque[tuple[float, Any]] = deque()
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._write, name="inferir-log", daemon=True)
        self._thread.start()

    def request_finished(self, exchange: Exchange) -> None:
        if self._requests:
            self._put(
                (
                    exchange.route.method,
                    exchange.route.path,
                    exchange.status,
                    exchange.seconds,
                    exchange.model,
                    exchange.version,
                    exchange.rows,
                    exchange.code,
                    exchange.shed,
                    exchange.request_id,
                    exchange.headers.get(TRACEPARENT),
                )
            )

    def batch_run(self, model: str, version: str, rows: int, requests: int, seconds: float) -> None:
        """Not logged: metrics have it."""

    def model_loaded(self, model: str, version: str, stages: dict[str, float], n_bytes: int) -> None:
        self._event("model_loaded", model=model, version=version, seconds=stages, bytes=n_bytes)

    def model_failed(self, model: str, code: str) -> None:
        self._event("model_failed", level="error", model=model, code=code)

    def model_unloaded(self, model: str, version: str, reason: str) -> None:
        self._event("model_unloaded", model=model, version=version, reason=reason)

    def close(self) -> None:
        """Writes what is left; a stream that takes nothing is given up."""
        self._ended = True
        self._wake.set()
        self._thread.join(self._close_s)

    def _event(self, event: str, level: str = "info", **fields: Any) -> None:
        self._put({"level": level, "event": event, **fields})

    def _put(self, record: Any) -> None:
        if len(self._records) >= BACKLOG:
            self._dropped(1)
        else:
            self._records.append((time.time(), record))

    def _write(self) -> None:
        while not self._ended or self._records:
            self._wake.wait(FLUSH_S)
            lines: list[bytes] = []
            while self._records and len(lines) < BACKLOG:
                seconds, record = self._records.popleft()
                lines.append(
                    _encode({"time": _timestamp(seconds), **(_request(record) if type(record) is tuple else record)})
                )
            if lines:
                try:
                    self._stream.write(b"\n".join(lines) + b"\n")
                    self._stream.flush()
                except (OSError, ValueError):  # a full disk, or closed: serving goes on, and the metric says so
                    self._dropped(len(lines))


class ChangeLog(JsonLog, ModelsOnly):
    """A line for every change of models, and none for requests."""


class JsonFormatter(logging.Formatter):
    """For `logging`: what the libraries below us have to say, in the same form."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "event": "log",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return _encode(fields).decode()


def _timestamp(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="microseconds")[:-6] + "Z"


def _request(record: tuple[Any, ...]) -> dict[str, Any]:
    method, route, status, seconds, model, version, rows, code, shed, request_id, traceparent = record
    fields = {
        "level": "info" if status < 500 else "error",
        "event": "request",
        "method": method,
        "route": route,
        "status": status,
        "seconds": round(seconds, 6),
        "model": model,
        "version": version,
        "rows": rows,
        "code": code,
        "shed": shed,
        "request_id": request_id,
        "trace_id": trace_id_of(traceparent),
    }
    return {name: value for name, value in fields.items() if value != ""}
