"""Taking connections from a listening socket, many in each round of the event loop.

uvloop's own server takes one a round. With hundreds of busy connections a round takes a tenth of a second, so those
that come later would wait for seconds, or until the others stop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable

__all__ = ["Listener"]

_log = logging.getLogger("inferir.server")

#: Connections that wait to be accepted: the kernel takes the smaller of this and its own limit.
_BACKLOG = 4096

#: Connections taken in one round. Each takes about 0.1 ms, during which nobody else is answered.
_AT_ONCE = 128

#: What the system says when it has no room for another connection, and how long to wait until it is asked again.
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_S = 1.0

#: At the end, for connections that were taken and whose protocol is not there yet: above all handshakes of TLS.
_OPENING_S = 1.0


class Listener:
    """Makes a protocol by `factory` for each connection to `listener`, a bound socket that it closes at the end."""

    def __init__(
        self,
        listener: socket.socket,
        factory: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._factory = factory
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Listen."""
        self._listener.setblocking(False)
        self._listener.listen(_BACKLOG)
        self._resume()

    async def stop(self, timeout_s: float = _OPENING_S) -> None:
        """Take whoever is at the door, and close it. Connections stay; those that are taken just now have `timeout_s`,
        and no more than a second, until their protocol is there.
        """
        self._loop.remove_reader(self._listener)
        while self._take():
            pass
        if self._pause is not None:  # of before, or because there was no room just now
            self._pause.cancel()
        self._listener.close()
        if self._opening:
            await asyncio.wait(self._opening, timeout=min(timeout_s, _OPENING_S))

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._readable)

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._take():
                return

    def _take(self) -> bool:
        """Whether there was a connection to take."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionError:  # it went while it waited
            return True
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            _log.error("no connection can be taken: %s", error.strerror)
            self._loop.remove_reader(self._listener)
            self._pause = self._loop.call_later(_PAUSE_S, self._resume)
            return False
        connection.setblocking(False)
        task = self._loop.create_task(self._open(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return True

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, connection, ssl=self._context)
        except OSError:  # it is gone, or speaks no TLS (ssl.SSLError is one)
            connection.close()
