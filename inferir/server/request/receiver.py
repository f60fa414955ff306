"""What stands between a socket and a connection that had much to say: it decides where bytes are received.

The head of a request comes into a place that all connections share, and is handed on as bytes. Once the length of a
body is known, the rest of it is received where it stays: on its other way, from the event loop to aiohttp's parser and
on to the handler, every byte would be copied three times more, and push out of the CPU's caches what the answer needs.
Where all requests are small a receiver only costs, 3 us each: such connections have none.

Between `get_buffer` and `buffer_updated` nobody else runs: so do the event loops of uvloop and asyncio that wait until
a socket is ready. One place to share would not do for those that have the system write while others run (Windows).
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import numpy as np

from inferir.server.request.exchange import Exchange

__all__ = ["LARGEST_BYTES", "Incoming", "Receiver"]

#: A body that is larger is received by aiohttp, piece by piece: nothing of that size is set aside for a promise.
LARGEST_BYTES = 2**22

#: Where requests are received. Of a large body, so much is copied once more; of many bytes that nobody has a place for,
#: such as those of chunks, more are taken at a time.
_FEW, _MANY = (memoryview(bytearray(n_bytes)) for n_bytes in (2**13, 2**18))

#: Room behind a body: when what was asked for comes whole, the event loop asks whether there is more.
_ROOM_BYTES = 64

#: Numbers in binary come last in a body. It ends at a multiple of this, so that they can be read where they lie.
_ALIGNED_BYTES = 8


class Incoming:
    """A request whose head was read, and whose body is on its way into its place.

    message, payload  as aiohttp's parser gave them. Without a payload the parser has not read this request, but one
                      with the same head, and the head comes before the body: so many bytes.
    length            of the body.
    exchange          what the gate began when the head was there; None where it let such a head through before.
    taken             bytes that are counted as being received.
    """

    __slots__ = ("_begin", "_end", "_filled", "_memory", "_parsed", "exchange", "message", "payload", "taken")

    def __init__(
        self, message: Any, payload: Any, length: int, head_bytes: int = 0, exchange: Exchange | None = None
    ) -> None:
        self.message, self.payload, self.exchange = message, payload, exchange
        self.taken = 0
        self._filled = self._parsed = -(head_bytes + length) % _ALIGNED_BYTES
        self._begin = self._filled + head_bytes
        self._end = self._begin + length
        self._memory = np.empty(self._end + _ROOM_BYTES, np.uint8).data

    def put(self, parsed: bytes) -> None:
        """The beginning of the body, which the parser has read."""
        end = self._filled + len(parsed)
        self._memory[self._filled : end] = parsed
        self._filled = self._parsed = end

    @property
    def rest(self) -> memoryview:
        """Where the rest comes."""
        return self._memory[self._filled :]

    def add(self, n_bytes: int) -> bool:
        """So many bytes came. Whether the body is whole."""
        self._filled += n_bytes
        return self._filled >= self._end

    @property
    def n_bytes(self) -> int:
        """Bytes of the body that came."""
        return self._filled - self._begin

    @property
    def head(self) -> bytes:
        """What is where the head comes."""
        return bytes(self._memory[self._parsed : self._begin])

    @property
    def body(self) -> memoryview:
        """The body, once it is whole."""
        return self._memory[self._begin : self._end]

    @property
    def following(self) -> bytes:
        """What came behind the body."""
        return bytes(self._memory[self._end : self._filled]) if self._filled > self._end else b""

    @property
    def unparsed(self) -> bytes:
        """All that the parser has not read."""
        return bytes(self._memory[self._parsed : self._filled])


class Receiving(Protocol):
    """What a receiver asks of its connection, beside what every protocol of a transport has.

    incoming  the request whose body is being received.
    """

    incoming: Incoming | None

    def expected(self) -> Incoming | None:
        """A place for the request that is likely to come next."""

    def came(self, incoming: Incoming, n_bytes: int) -> bool:
        """So many bytes lie where a request was expected. Whether it is that."""

    def body_received(self, n_bytes: int) -> None:
        """So many bytes more lie where `incoming` has them."""

    def data_received(self, data: bytes) -> None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...
    def eof_received(self) -> bool | None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class Receiver(asyncio.BufferedProtocol):
    """The protocol of a transport, in the place of its connection, to which it hands everything on."""

    def __init__(self, connection: Receiving) -> None:
        self.connection = connection
        self._hand_on = connection.data_received
        #: Where what comes next is received; None: that is to be asked for.
        self._place: memoryview | None = _FEW
        self._expected: Incoming | None = None
        self.connection_lost = connection.connection_lost  # type: ignore[method-assign]
        self.eof_received = connection.eof_received  # type: ignore[method-assign]
        self.pause_writing = connection.pause_writing  # type: ignore[method-assign]
        self.resume_writing = connection.resume_writing  # type: ignore[method-assign]

    def take_over(self, transport: asyncio.Transport) -> None:
        """Receive what comes next."""
        transport.set_protocol(self)
        transport.pause_reading()  # uvloop looks at what its protocol is when it begins to read
        transport.resume_reading()

    def ask(self) -> None:
        """The connection receives a body, or knows what comes: it says where to."""
        self._place = None

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._place or self._asked()

    def _asked(self) -> memoryview:
        connection = self.connection
        if connection.incoming is not None:
            return connection.incoming.rest
        self._expected = expected = connection.expected()
        if expected is not None:
            return expected.rest
        self._place = _FEW
        return _FEW

    def buffer_updated(self, nbytes: int) -> None:
        place = self._place
        if place is None:
            self._updated(nbytes)
            return
        if nbytes == len(place):
            self._place = _MANY
        elif place is _MANY:
            self._place = _FEW
        self._hand_on(bytes(place[:nbytes]))

    def _updated(self, nbytes: int) -> None:
        connection = self.connection
        if connection.incoming is not None:
            connection.body_received(nbytes)
            return
        expected, self._expected = self._expected, None
        assert expected is not None
        if not connection.came(expected, nbytes):
            self._place = _FEW
            connection.data_received(expected.unparsed)
