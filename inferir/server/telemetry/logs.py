"""Logs as JSON, one object a line: what happened to a request, with the ids under which others know it.

    {"time": "2026-11-21T07:00:00.123456Z", "level": "info", "event": "request", "method": "POST", "route": "/predict",
     "status": 200, "seconds": 0.00021, "model": "churn", "version": "1.2.0", "rows": 1, "request_id": "...",
     "trace_id": "..."}

Lines are made and written by a thread, so that a log that nobody reads stops no request: those of requests when many
have left their records (`records.py`), or FLUSH_S after the first of them. At most BACKLOG lines wait; those that come
then are counted and dropped. The end of the server waits CLOSE_S for the thread, no longer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from http import HTTPStatus
from itertools import islice
from select import PIPE_BUF
from typing import IO, Any

import msgspec
import numpy as np
import numpy.typing as npt

from inferir.server.telemetry.records import ENDED_S, KIND, ROWS, STARTED_S, Kind
from inferir.server.telemetry.trace_context import trace_id_of

__all__ = ["BACKLOG", "FLUSH_S", "JsonFormatter", "JsonLog"]

BACKLOG = 20_000
FLUSH_S = 0.1
CLOSE_S = 5.0

#: Lines that are made and written together. The event loop waits a third of a millisecond while they are made.
_AT_ONCE = 256

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
        #: What lines are to be made of, and of how many.
        self._waiting: deque[tuple[Iterator[Any], int]] = deque()
        self._n_put = self._n_taken = 0
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._write, name="inferir-log", daemon=True)
        self._thread.start()

    def read(self, kinds: Sequence[Kind], numbers: npt.NDArray[np.float64], texts: npt.NDArray[Any]) -> None:
        """Lines for requests; see `records.Reader`."""
        self._put(_requests(kinds, numbers.copy(), texts.copy()), len(numbers))

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
        self._put(iter([{"time": _utc(time.time()), "level": level, "event": event, **fields}]), 1)

    def _put(self, lines: Iterator[Any], count: int) -> None:
        if self._n_put - self._n_taken + count > BACKLOG:
            self._dropped(count)
        else:
            self._n_put += count
            self._waiting.append((lines, count))

    def _write(self) -> None:
        while not self._ended or self._waiting:
            self._wake.wait(FLUSH_S)
            while self._waiting:
                lines, count = self._waiting.popleft()
                self._n_taken += count
                written = 0
                try:
                    while some := list(islice(lines, _AT_ONCE)):
                        self._write_lines(_encoder.encode_lines(some))
                        written += len(some)
                except Exception:  # a full disk, a closed stream, a bug: serving goes on, and the metric says so
                    self._dropped(count - written)

    def _write_lines(self, lines: bytes) -> None:
        """Whole lines, PIPE_BUF at a time: other workers write to the same pipe, and only so much stays together."""
        start = 0
        while start < len(lines):
            end = lines.rfind(b"\n", start, start + PIPE_BUF) + 1 or lines.find(b"\n", start) + 1
            self._stream.write(lines[start:end])
            self._stream.flush()
            start = end


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


class _Request(msgspec.Struct, omit_defaults=True, gc=False):
    """The line of a request. What it has nothing to say of is left out."""

    time: str
    level: str
    event: str
    method: str
    route: str
    status: int
    seconds: float
    rows: int
    model: str = ""
    version: str = ""
    code: str = ""
    shed: str = ""
    key: str = ""
    request_id: str = ""
    trace_id: str = ""


def _requests(kinds: Sequence[Kind], numbers: npt.NDArray[np.float64], texts: npt.NDArray[Any]) -> Iterator[_Request]:
    in_common: list[tuple[Any, ...]] = [
        (_level(kind.status), "request", kind.route.method, kind.route.path, kind.status) for kind in kinds
    ]
    of_model: list[tuple[str, ...]] = [(kind.model, kind.version, kind.code, kind.shed, kind.key) for kind in kinds]
    ended_s = numbers[:, ENDED_S]
    microseconds = ((ended_s + time.time() - time.monotonic()) * 1e6).astype(np.int64)
    seconds, rest = np.divmod(microseconds, 1_000_000)
    columns = (
        *(numbers[:, KIND].astype(np.int64), seconds, *np.divmod(rest, 1000)),
        *(np.round(ended_s - numbers[:, STARTED_S], 6), numbers[:, ROWS].astype(np.int64)),
        *texts.T,
    )
    second, until_then = -1, ""
    requests = zip(*map(np.ndarray.tolist, columns), strict=True)
    for kind, whole, ms, us, took_s, rows, request_id, traceparent in requests:
        if whole != second:
            second, until_then = whole, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(whole))
        yield _Request(  # type: ignore[call-arg]  # of two stars it counts too many
            f"{until_then}{_THREE_DIGITS[ms]}{_THREE_DIGITS[us]}Z",
            *in_common[kind],
            took_s,
            rows,
            *of_model[kind],
            request_id.decode("utf-8", "replace"),
            trace_id_of(traceparent.decode("utf-8", "replace")) if traceparent else "",
        )


def _level(status: int) -> str:
    """503 is what a server says that is not ready, or has enough to do: no fault of it."""
    return "info" if status < 500 else "warning" if status == HTTPStatus.SERVICE_UNAVAILABLE else "error"


_THREE_DIGITS = [f"{number:03d}" for number in range(1000)]


def _utc(since_1970_s: float) -> str:
    return datetime.fromtimestamp(since_1970_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
