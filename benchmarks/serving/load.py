"""Requests over keep-alive connections, and how long they took.

closed     a connection sends its next request when it has its answer: what a server can do at most
open       requests are due at fixed times, whatever the server does; latency counts from when a request was due. A
           server that stops for a second gives a second's worth of late answers, not one (coordinated omission)

Written on bare protocols: a client library would need more of a core than the server that it measures.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

__all__ = ["Result", "closed_loop", "open_loop", "post"]


def post(path: str, body: bytes, content_type: str = "application/json", headers: str = "") -> bytes:
    """One request, as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Result:
    """Seconds of all answers with status 200, how many had another status, how many never came."""

    seconds: array[float] = field(default_factory=lambda: array("d"))
    statuses: dict[int, int] = field(default_factory=dict)
    lost: int = 0
    wall_s: float = 0.0
    samples: list[bytes] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers with status 200 in a second."""
        return len(self.seconds) / self.wall_s

    def quantile_ms(self, q: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1e3 if ordered else float("nan")

    def plain(self) -> dict[str, Any]:
        """JSON-able. `nines_ms`: the quantiles of no nine to four, 0 to 0.9999, a quarter of a nine apart."""
        return {
            "requests_per_s": round(self.rate, 1),
            **{
                f"p{name}_ms": round(self.quantile_ms(q), 3) for name, q in (("50", 0.5), ("99", 0.99), ("99.9", 0.999))
            },
            "max_ms": round(self.quantile_ms(1.0), 3),
            "nines_ms": [round(self.quantile_ms(1.0 - 10.0 ** (-k / 4)), 3) for k in range(17)],
            "answers": len(self.seconds),
            "other_statuses": self.statuses,
            "lost": self.lost,
        }


class _Client(asyncio.Protocol):
    """A connection with at most one request under way."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._buffer = b""
        self._due_s = 0.0
        self.busy = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._load.idle(self)

    def send(self, due_s: float) -> None:
        self.busy, self._due_s = True, due_s
        self.transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length: ") + 16
        stop = head.find(b"\r", at)
        length = int(head[at : stop if stop > 0 else len(head)])
        if len(self._buffer) < end + 4 + length:
            return
        body, self._buffer = self._buffer[end + 4 :], b""
        self.busy = False
        self._load.answered(int(head[9:12]), perf_counter() - self._due_s, body)
        self._load.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.gone(self, self.busy)


class _Load:
    """Requests that are due, connections that are idle, and what came of both."""

    def __init__(self, request: bytes, keep: int, reconnect: bool = False) -> None:
        self.request = request
        self._reconnect = reconnect
        self._address = ("", 0)
        self._connecting: set[asyncio.Task[Any]] = set()
        self.result = Result()
        self._keep = keep
        self._idle: deque[_Client] = deque()
        self._due: deque[float] = deque()
        self.clients: set[_Client] = set()
        self.endless = False
        self.ended = False

    def idle(self, client: _Client) -> None:
        self.clients.add(client)
        if self.ended:
            client.transport.close()
        elif self.endless:
            client.send(perf_counter())
        elif self._due:
            client.send(self._due.popleft())
        else:
            self._idle.append(client)

    def due(self, due_s: float) -> None:
        if self._idle:
            self._idle.popleft().send(due_s)
        else:
            self._due.append(due_s)

    def answered(self, status: int, seconds: float, body: bytes) -> None:
        if status == 200:
            self.result.seconds.append(seconds)
            if len(self.result.samples) < self._keep:
                self.result.samples.append(body)
        else:
            self.result.statuses[status] = self.result.statuses.get(status, 0) + 1

    def gone(self, client: _Client, busy: bool) -> None:
        self.clients.discard(client)
        if client in self._idle:
            self._idle.remove(client)
        if busy and not self.ended:
            self.result.lost += 1
        if self._reconnect and not self.ended:
            task = asyncio.ensure_future(self.connect(*self._address, 1))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def connect(self, host: str, port: int, connections: int) -> None:
        self._address = (host, port)
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            await loop.create_connection(lambda: _Client(self), host, port)

    async def finish(self, within_s: float) -> None:
        """Wait for what is under way; what does not come is lost."""
        end_s = perf_counter() + within_s
        while (self._due or any(client.busy for client in self.clients)) and perf_counter() < end_s:
            await asyncio.sleep(0.01)
        self.ended = True
        self.result.lost += len(self._due) + sum(client.busy for client in self.clients)
        for client in list(self.clients):
            client.transport.close()


async def closed_loop(port: int, request: bytes, *, connections: int, seconds: float, keep: int = 0) -> Result:
    """As many requests as the server answers."""
    load = _Load(request, keep)
    load.endless = True
    started_s = perf_counter()
    await load.connect("127.0.0.1", port, connections)
    await asyncio.sleep(seconds)
    load.endless = False
    load.result.wall_s = perf_counter() - started_s
    await load.finish(10.0)
    return load.result


async def open_loop(
    port: int,
    request: bytes,
    *,
    rate: float,
    connections: int,
    seconds: float,
    keep: int = 0,
    patience_s: float = 10.0,
    reconnect: bool = False,
) -> Result:
    """`rate` requests in a second, evenly spaced, over at most `connections` connections.

    keep         so many bodies of answers.
    patience_s   for answers that are late at the end.
    reconnect    where the server closes a connection, open another; what was under way on it is lost.
    """
    load = _Load(request, keep, reconnect)
    await load.connect("127.0.0.1", port, connections)
    started_s = perf_counter()
    total, sent = int(rate * seconds), 0
    while sent < total:
        now_s = perf_counter()
        while sent < total and started_s + sent / rate <= now_s:
            load.due(started_s + sent / rate)
            sent += 1
        await asyncio.sleep(min(0.001, max(0.0, started_s + sent / rate - perf_counter())))
    await load.finish(patience_s)
    load.result.wall_s = perf_counter() - started_s  # with the time in which the last of them were answered
    return load.result
