"""A transport and a gate of the tests' own: what would be a socket is two lists, and answers say what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from types import SimpleNamespace
from typing import Any

from inferir.server.request.exchange import Exchange
from inferir.server.request.replies import Reply
from inferir.server.request.routes import UNMATCHED

__all__ = ["EchoGate", "Transport"]


#: As uvloop.
_AT_ONCE = 2**18


class Transport(asyncio.Transport):
    """Keeps what is written, and hands what is received to its protocol, as much at a time as that has room for."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol: Any = protocol
        self.written: list[bytes] = []
        self.closed = False

    def receive(self, data: bytes) -> None:
        while data and not self.closed:
            if isinstance(self._protocol, asyncio.Protocol):
                part, data = data[:_AT_ONCE], data[_AT_ONCE:]
                self._protocol.data_received(part)
                continue
            place = self._protocol.get_buffer(-1)
            n_bytes = min(len(place), len(data))
            place[:n_bytes] = data[:n_bytes]
            self._protocol.buffer_updated(n_bytes)
            data = data[n_bytes:]

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def pause_reading(self) -> None:
        """The test stops by itself."""

    def resume_reading(self) -> None:
        """As above."""

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


class EchoGate:
    """Answers at once, or for paths that begin with /later in a few rounds of the loop."""

    telemetry = SimpleNamespace()

    def __init__(self) -> None:
        self.admission = SimpleNamespace(draining=False)

    def begin(self, method: str, path: str, headers: Mapping[str, Any], request: Any = None) -> Exchange:
        exchange = Exchange(UNMATCHED, headers, request)
        exchange.method, exchange.path, exchange.request_id = method, path, "1"
        return exchange

    def answer(self, exchange: Exchange) -> Reply | Awaitable[Reply]:
        reply = Reply(self.said(exchange).encode())
        return self._later(reply) if exchange.path.startswith("/later") else reply

    def said(self, exchange: Exchange) -> str:
        return f"<{exchange.path} {bytes(exchange.body).decode()}>"

    async def _later(self, reply: Reply) -> Reply:
        for _ in range(3):
            await asyncio.sleep(0)
        return reply
