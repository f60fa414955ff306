"""Connections: taken many at a time, and all that wait when the port is closed."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

from inferir.server.request.listener import Listener
from tests.patience import PATIENCE_S


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


def bound() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    return made


async def answered(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x")
    try:
        return await asyncio.wait_for(reader.read(1), PATIENCE_S)
    finally:
        writer.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Any:
    return asyncio.run if request.param == "asyncio" else pytest.importorskip("uvloop").run


def test_many_at_once(run: Any) -> None:
    async def main() -> None:
        listener = Listener(bound(), Echo)
        listener.start()
        port = listener._listener.getsockname()[1]
        assert await asyncio.gather(*[answered(port) for _ in range(300)]) == [b"x"] * 300
        await listener.stop()
        with pytest.raises(ConnectionRefusedError):
            await answered(port)

    run(main())


def test_who_waits_at_the_door_is_let_in(run: Any) -> None:
    """The kernel has made the connections, and taken what was sent: to close the port now would reset them."""

    async def main() -> None:
        listener = Listener(bound(), Echo)
        listener.start()
        address = listener._listener.getsockname()
        # The loop does not run meanwhile; some kernels let no more than 128 wait.
        waiting = [socket.create_connection(address) for _ in range(100)]
        for each in waiting:
            each.sendall(b"y")
        await listener.stop()
        for each in waiting:
            each.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=each)
            assert await asyncio.wait_for(reader.read(1), PATIENCE_S) == b"y"
            writer.close()

    run(main())


def test_no_room_for_another(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files: it is said, tried again later, and until then does not keep the loop busy."""

    class Full:
        """A socket that cannot be accepted from twice."""

        def __init__(self, real: socket.socket) -> None:
            self._real, self.asked = real, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def accept(self) -> Any:
            self.asked += 1
            if self.asked <= 2:
                raise OSError(errno.EMFILE, "Too many open files")
            return self._real.accept()

    monkeypatch.setattr("inferir.server.request.listener._PAUSE_S", 0.1)

    async def main() -> None:
        full = Full(bound())
        listener = Listener(full, Echo)  # type: ignore[arg-type]
        listener.start()
        assert await answered(full.getsockname()[1]) == b"x"
        assert full.asked <= 5
        await listener.stop()

    run(main())
