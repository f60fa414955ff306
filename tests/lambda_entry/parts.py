"""What tests of the Lambda runtime share: a model of plain arithmetic, and a Runtime API that does what a test says."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from inferir.errors import InvalidInputError
from inferir.lambda_entry import loop
from inferir.lambda_entry.client import Connection, ConnectionLostError
from inferir.lambda_entry.function import Function
from inferir.lambda_entry.handler import LambdaHandler
from inferir.lambda_entry.logs import Logger
from inferir.lambda_entry.settings import Settings
from tests.patience import PATIENCE_S


class Line:
    """Three columns: age, a colour, height. The score is age + 10 * code + height / 100; over 50 the class is "old".

    A row with a negative height is refused, as a kernel refuses one that it cannot take.
    """

    name, version, task = "line", "1.2.0", "classification"
    columns = (("age", "number", None), ("colour", "category", ("red", "blue")), ("height", "number", None))
    classes = ("young", "old")
    faces = ("prediction", "probabilities", "raw")
    typecode = "d"

    def answer(self, face: str, rows: memoryview[Any], n_rows: int) -> list[list[Any]]:
        scores = []
        for row in range(n_rows):
            age, code, height = rows[3 * row : 3 * row + 3]
            if height < 0:
                raise InvalidInputError(f"row {row}, column 'height': expected a positive number, got {height}")
            scores.append(age + 10 * code + height / 100)
        return {
            "raw": [[score] for score in scores],
            "prediction": [[int(score > 50)] for score in scores],
            "probabilities": [[1 - score / 100, score / 100] for score in scores],
        }[face]


@dataclass
class Lines:
    """A log: what was written to it."""

    written: list[dict[str, Any]] = field(default_factory=list)

    def logger(self, environ: dict[str, str]) -> Logger:
        made = Logger(environ)

        def keep(line: str, level: str = "INFO", now: float | None = None) -> None:
            self.written.append(json.loads(line))

        made.write_text = keep  # type: ignore[method-assign]
        return made


def make_function(model: Any = None, log: Lines | None = None, **environ: str) -> Function:
    logger = (log or Lines()).logger(environ)
    return Function(LambdaHandler(model or Line()), logger, Settings(environ))


@dataclass
class Posted:
    """A request that the runtime made."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    raw: bytes
    connection: int

    @property
    def document(self) -> Any:
        return json.loads(self.body)


def event(body: bytes | Any, request_id: str = "r-1", **headers: str) -> bytes:
    """The answer to `next` that brings an event. Header names are written with dashes for underscores."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {
        "Lambda-Runtime-Aws-Request-Id": request_id,
        "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 900_000),
        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:1:function:f",
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode("latin-1") + data


def status(code: int, body: str = "{}") -> bytes:
    return f"HTTP/1.1 {code} Said\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


ACCEPTED = status(202, '{"status":"OK"}')


class RuntimeApi:
    """Speaks HTTP on a port of its own. `events` answer `next`, one after the other; then 403, at which a runtime ends.

    `reply(posted)` says what is answered to anything else; by default 202. Unless it `ends`, `next` then waits for
    ever instead. `asking`: how many connections must have asked before the first event is given, the second, ...
    """

    def __init__(
        self,
        events: list[bytes],
        reply: Callable[[Posted], bytes] | None = None,
        ends: bool = True,
        asking: Sequence[int] = (),
    ) -> None:
        self.events, self.ends = list(events), ends
        self._asking = list(asking)
        self._given = threading.Condition()
        self.reply = reply or (lambda posted: ACCEPTED)
        self.posted: list[Posted] = []
        self.asked: list[Posted] = []
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection, self.connections), daemon=True).start()

    def _talk(self, connection: socket.socket, number: int) -> None:
        with connection:
            data = b""
            while True:
                try:
                    request, data = read_request(connection, data, number)
                    if request is None:
                        return
                    if request.method == "GET" and request.path.endswith("/invocation/next"):
                        answer = self._next(request)
                        if not answer and not self.ends:
                            connection.recv(1)
                            return
                        answer = answer or status(403)
                    else:
                        self.posted.append(request)
                        answer = self.reply(request)
                    if not answer:
                        return
                    connection.sendall(answer)
                    if b"connection: close" in answer.lower():
                        return
                except OSError:
                    return

    def _next(self, request: Posted) -> bytes:
        """The next event, when it is its time; b"" where there is none any more."""
        with self._given:
            self.asked.append(request)
            self._given.notify_all()
            self._given.wait_for(
                lambda: not self._asking or len({asked.connection for asked in self.asked}) >= self._asking[0],
                PATIENCE_S,
            )
            if self._asking:
                del self._asking[0]
            return self.events.pop(0) if self.events else b""

    def wait_posted(self, count: int) -> None:
        """Wait until so many requests were made that are not for events."""
        end_s = time.monotonic() + PATIENCE_S
        while len(self.posted) < count:
            assert time.monotonic() < end_s, f"expected {count}, got {self.posted}"
            time.sleep(0.01)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # `accept` in the other thread ends; by `close` it would not
        self._server.close()


def read_request(connection: socket.socket, data: bytes, number: int) -> tuple[Posted | None, bytes]:
    """The next request on a connection, and what came after it."""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None, b""
        data += more
    head, data = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        while not data.endswith(b"\r\n\r\n"):
            more = connection.recv(65536)
            if not more:
                break
            data += more
        return Posted(method, path, headers, b"", head + b"\r\n\r\n" + data, number), b""
    length = int(headers.get("content-length", 0))
    pieces, have = [data], len(data)
    while have < length:
        pieces.append(connection.recv(1 << 20))
        if not pieces[-1]:
            return None, b""
        have += len(pieces[-1])
    data = b"".join(pieces)
    return Posted(method, path, headers, data[:length], head, number), data[length:]


@contextmanager
def runtime_api(
    *events: bytes,
    reply: Callable[[Posted], bytes] | None = None,
    ends: bool = True,
    asking: Sequence[int] = (),
) -> Iterator[RuntimeApi]:
    api = RuntimeApi(list(events), reply, ends, asking)
    try:
        yield api
    finally:
        api.close()


def run_loop(api: RuntimeApi, function: Function | None = None) -> int:
    """Run a loop until the API has no event any more; the exit code."""
    connection = Connection(api.host, pause=lambda pause_s: None)
    try:
        with pytest.raises((SystemExit, ConnectionLostError)) as ended:
            loop.run(connection, function or make_function())
    finally:
        connection.close()
    return ended.value.code if isinstance(ended.value, SystemExit) else 1  # type: ignore[return-value]
