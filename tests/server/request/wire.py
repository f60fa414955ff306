"""A transport of the tests' own: what would be a socket is two lists."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Transport"]


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
