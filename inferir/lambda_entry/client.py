"""A blocking client of the Runtime API over one connection that is kept.

`_socket` is the C module under `socket`, whose Python part imports `selectors` and `enum`. There is no read timeout:
the next event may come in hours, and the process may be frozen while it waits. What a freeze does to a connection is
found out when it is used: then it is made anew.
"""

from __future__ import annotations

import _socket
from time import sleep

from inferir.lambda_entry.protocol import ProtocolError, Reply, chunk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Connection", "ConnectionLostError"]

#: Asked for at a time: enough for most events, and more while the rest of a large one is awaited.
_RECEIVE_BYTES, _LARGE_BYTES = 64 * 1024, 1024 * 1024

#: Pauses before another attempt to reach the Runtime API. After the last the process ends, and Lambda makes a new one.
_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6)


class ConnectionLostError(Exception):
    """The Runtime API cannot be reached, or does not speak HTTP."""


class Connection:
    """To the Runtime API at `host`, "127.0.0.1:9001"."""

    def __init__(self, host: str, pause: Callable[[float], None] = sleep) -> None:
        self.host = host
        name, _, port = host.rpartition(":")
        self._address = (name.strip("[]"), int(port))
        self._family = _socket.AF_INET6 if ":" in name else _socket.AF_INET
        self._socket: _socket.socket | None = None
        self._pause = pause

    def exchange(self, request: bytes) -> Reply:
        """Send a request and wait for its answer, as long as it takes.

        A connection that turns out to be dead is made anew, after a pause where that was tried already. What was sent
        may then be sent twice: `next` gives the same event again, and a second answer is refused without harm.

        Raises ConnectionLostError after the last attempt.
        """
        if self._socket is not None:
            try:
                return self._once(self._socket, request)
            except (OSError, ProtocolError):
                self.close()
        pauses = iter(_PAUSES_S)
        while True:
            try:
                return self._once(self._connect(), request)
            except (OSError, ProtocolError) as error:
                self.close()
                pause_s = next(pauses, None)
                if pause_s is None:
                    raise ConnectionLostError(f"expected the Runtime API at {self.host}, got {error}") from error
                self._pause(pause_s)

    def stream(self, head: bytes, pieces: Iterable[bytes], end: Callable[[], bytes]) -> Reply:
        """Send a request whose body is made while it is sent. `end` gives what follows the last piece. Not repeated:
        the pieces are gone. Raises ConnectionLostError.
        """
        self.close()
        try:
            connection = self._connect()
            connection.sendall(head)
            for piece in pieces:
                connection.sendall(chunk(piece))
            return self._once(connection, end())
        except (OSError, ProtocolError) as error:
            raise ConnectionLostError(f"expected the Runtime API at {self.host}, got {error}") from error
        finally:
            self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> _socket.socket:
        if self._socket is None:
            made = _socket.socket(self._family, _socket.SOCK_STREAM, 0)
            try:
                made.connect(self._address)
                made.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            except OSError:
                made.close()
                raise
            self._socket = made
        return self._socket

    def _once(self, connection: _socket.socket, request: bytes) -> Reply:
        connection.sendall(request)
        reply, size = Reply(), _RECEIVE_BYTES
        while not reply.feed(connection.recv(size)):
            size = max(_RECEIVE_BYTES, min(reply.wanted, _LARGE_BYTES))
        if not reply.reusable:
            self.close()
        return reply
