"""Logs as JSON, one object a line: what happened to a request, with the ids under which others know it.

    {"time": "2026-11-21T07:00:00.123456Z", "level": "info", "event": "request", "method": "POST", "route": "/predict",
     "status": 200, "seconds": 0.00021, "model": "churn", "version": "1.2.0", "rows": 1, "request_id": "...",
     "trace_id": "..."}

Lines of requests are made when many have left their records (`records.py`, `request_lines.py`), or FLUSH_S after the
first of them. A thread writes, so that a log that nobody reads stops no request. At most BACKLOG lines wait; those that
come then are counted and dropped. The end of the server waits CLOSE_S for the thread, no longer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from select import PIPE_BUF
from typing import IO, Any

import msgspec
import numpy as np
import numpy.typing as npt

from inferir.server.telemetry.records import Kind
from inferir.server.telemetry.request_lines import request_lines

__all__ = ["BACKLOG", "FLUSH_S", "JsonFormatter", "JsonLog"]

BACKLOG = 20_000
FLUSH_S = 0.1
CLOSE_S = 5.0

_encoder = msgspec.json.Encoder(decimal_format="number")


class JsonLog:
    """An observer that writes a line for every change of models, and for requests whose records it is given.

    stream   takes the lines, as bytes.
    dropped  is called with the number of lines that could not be written.
    close_s  seconds that `close` gives to what is left.
    """

    def __init__(self, stream: IO[bytes], dropped: Callable[[int], None], close_s: float = CLOSE_S) -> None:
        self._stream = stream
        self._dropped = dropped
        self._close_s = close_s
        #: Lines, and how many.
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._n_put = self._n_taken = 0
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._write, name="inferir-log", daemon=True)
        self._thread.start()

    def read(self, kinds: Sequence[Kind], numbers: npt.NDArray[np.float64], texts: npt.NDArray[Any]) -> None:
        """Lines for requests; see `records.Reader`."""
        self._put(lambda: request_lines(kinds, numbers, texts, time.time() - time.monotonic()), len(numbers))

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
        line = {"time": _utc(time.time()), "level": level, "event": event, **fields}
        self._put(lambda: _encoder.encode_lines([line]), 1)

    def _put(self, make: Callable[[], bytes], count: int) -> None:
        """So many lines, to be made if there is room for them."""
        if self._n_put - self._n_taken + count > BACKLOG:
            self._dropped(count)
            return
        try:
            self._waiting.append((make(), count))
        except Exception:  # nothing that a line cannot say may end what it is about
            self._dropped(count)
        else:
            self._n_put += count

    def _write(self) -> None:
        while not self._ended or self._waiting:
            self._wake.wait(FLUSH_S)
            while self._waiting:
                lines, count = self._waiting.popleft()
                self._n_taken += count
                self._write_lines(lines)

    def _write_lines(self, lines: bytes) -> None:
        """Whole lines, PIPE_BUF at a time: other workers write to the same pipe, and only so much stays together."""
        start = 0
        try:
            while start < len(lines):
                end = lines.rfind(b"\n", start, start + PIPE_BUF) + 1 or lines.find(b"\n", start) + 1
                self._stream.write(lines[start:end])
                self._stream.flush()
                start = end
        except Exception:  # a full disk, a closed stream: serving goes on, and the metric says so
            self._dropped(lines.count(b"\n", start))


class JsonFormatter(logging.Formatter):
    """For `logging`: what the libraries below us have to say, in the same form."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "event": "log",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return _encoder.encode(fields).decode()


def _utc(since_1970_s: float) -> str:
    return datetime.fromtimestamp(since_1970_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
