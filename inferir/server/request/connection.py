"""A connection: aiohttp's, with a short way for requests that are whole when they arrive and answered at once.

aiohttp reads a request in one task, runs its handler in another, and wakes both up in turn; for a model that answers in
ten microseconds that is more than half of the cost. Where a request is whole and its answer is there at once, the bytes
of the answer are written before `data_received` returns. A body of a batch comes in a few pieces, one right after the
other: they are waited for, a moment long, and received into their place (receiver.py). Everything else goes aiohttp's
way: very large, slow and chunked bodies, pipelined requests, upgrades, answers that have to be waited for. Both ways
meet in `Gate.answer`.

The short way is taken only while nothing else is going on in the connection:

    nothing is queued, and aiohttp's task waits for a request,      so the order of answers is that of requests
    or has only to come back to wait, its answer being written
    one request, whole, and the connection stays open after it      so nothing is left to do once it is answered

Coming back takes that task a round of the loop. With a thousand connections a round is so long that the client has its
answer, and sends what is next, before the task is back: it would go the long way for ever.

A body that is received into its place does not pass aiohttp's parser. Nothing is taken for a request that the parser
did not make one of:

    it reads a head, says that a body of so many bytes follows, and is replaced by a new one when these have come
    of a new one it is known what it makes of a head that the one before it, as new, made a request of: byte by byte the
    same, with the same number of bytes to follow. It need not read that again
    where the body is slow, or cannot be answered at once, the parser gets all that it has not read, and aiohttp goes on

Who is refused by what the head says is answered before the body has come, the long way. A head that is known is one
that the gate let through.

It reads private fields of aiohttp's RequestHandler, and so is tied to the versions that setup.cfg allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web
from aiohttp.helpers import set_exception
from aiohttp.http import HttpRequestParser, HttpVersion10
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from inferir.server.errors import BodyTimeoutError
from inferir.server.request.exchange import Body, Exchange
from inferir.server.request.receiver import LARGEST_BYTES, Incoming, Receiver
from inferir.server.request.refusals import refusal_of
from inferir.server.request.replies import Reply, ReplyResponse, encode_reply

if TYPE_CHECKING:
    from inferir.server.request.http_server import HttpServer

__all__ = ["Connection"]

#: Who sends so many bytes at once will do so again, and gets a receiver.
_MUCH = 2**14

#: Bytes of a head that is remembered: each connection keeps one.
_LONGEST_KNOWN = 2**13

#: After an answer that came before the whole body: so long the rest is read, so that the client gets to the answer.
_LINGERING_S = 1.0


class _Known(NamedTuple):
    """All bytes of a request before its body; what aiohttp's parser makes of them; how long the body is."""

    head: bytes
    message: Any
    length: int


class Connection(RequestHandler):
    """One connection.

    incoming    a request whose body is being received; the parser has read no more than its beginning.
    begun       a request that the short way has begun, and whose answer is awaited the long way.
    n_answered  how many requests have their answer, of as many as `_request_count` says that came.
    ended       whether the last answer said that the connection ends with it: what comes behind it is not looked at.
    """

    __slots__ = ("_fresh", "_head_timer", "_http", "_known", "_receiver", "begun", "ended", "incoming", "n_answered")

    def __init__(self, manager: HttpServer, **options: Any) -> None:
        super().__init__(manager, lingering_time=_LINGERING_S, **options)
        self._http = manager
        self._head_timer: asyncio.TimerHandle | None = None
        self._receiver: Receiver | None = None
        self.incoming: Incoming | None = None
        #: Whether the parser has read nothing yet, and so is at the beginning of a request.
        self._fresh = True
        #: A head that it made a request of, from its first byte to its last.
        self._known: _Known | None = None
        self.begun: tuple[Exchange, Awaitable[Reply]] | None = None
        self.n_answered = 0
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self._http.connections) >= self._http.max_connections:
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
            return
        super().connection_made(transport)
        # uvloop gathers what is written until its round ends, unless that is more than the limit. At once, the client
        # has its answer while others are answered, and its bytes are still in the cache.
        transport.set_write_buffer_limits(high=0)  # type: ignore[attr-defined]

    def connection_lost(self, exc: BaseException | None) -> None:
        self._receiver = None  # which refers to this
        self._stop_head_timer()
        self._take_incoming()
        if self.begun is not None:  # nobody waits for it any more, but it has a place among the requests in work
            self._http.finish_alone(self.begun[1])
            self.begun = None
        super().connection_lost(exc)

    @property
    def busy(self) -> bool:
        """Whether a request is in work, waits to be, or is coming in."""
        return self._request_in_progress or bool(self._messages) or self.incoming is not None

    def data_received(self, data: bytes) -> None:
        if self.incoming is not None:  # aiohttp asks its parser for what that kept back, which is nothing
            return
        fresh, self._fresh = self._fresh, False
        waiter, parser = self._waiter, self._parser
        waits = self._request_count == self.n_answered if waiter is None else not waiter.done()
        if not waits or self._messages or self._upgraded or self.ended or parser is None:
            super().data_received(data)
            if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
                self._spoil_body(self._messages[-1][0].exc)
            return
        if self._force_close or self._close:
            return
        if len(data) >= _MUCH and self._receiver is None:
            self._take_receiver()
        messages, upgraded, tail = _parsed(parser, data)
        if not messages:
            if self._head_timer is None:
                self._head_timer = self._loop.call_later(self._http.body_timeout_s, self._head_is_late)
            return
        if self._head_timer is not None:
            self._stop_head_timer()
        self._request_count += len(messages)
        if len(messages) == 1:
            message, payload = messages[0]
            if type(message) is not _ErrInfo and payload.exception() is None and self._may_answer(message):
                if not payload.is_eof():
                    if self._receives(message, payload, data, fresh):
                        return
                # Its own read wakes aiohttp.
                elif self._said(message, b"" if payload is EMPTY_PAYLOAD else b"".join(payload._buffer)):
                    return
        self._leave_to_task(messages, upgraded, tail)

    def _spoil_body(self, error: BaseException) -> None:
        """What came is no HTTP. Where that was in a body, aiohttp would have its reader wait for the rest."""
        request = self._current_request
        if len(self._messages) == 1 and request is not None and not request.content.is_eof():
            set_exception(request.content, web.RequestPayloadError(), error)

    # -- a body whose pieces come one right after the other

    def _receives(self, message: Any, payload: Any, data: bytes, fresh: bool) -> bool:
        """Whether the rest of a request's body is to be received into its place.

        data   what the parser read last.
        fresh  whether it had read nothing before.
        """
        length = message.headers.get("Content-Length", "")
        if (
            self.begun is not None
            or message.chunked
            or message.compression is not None
            or not length.isdecimal()
            or len(length) > len(str(LARGEST_BYTES))
            or not payload.total_bytes < int(length) <= min(LARGEST_BYTES, self._http.max_body_bytes)
            or "Expect" in message.headers
        ):
            return False
        exchange = self._http.gate.begin(message.method, message.path, message.headers)
        if exchange.problem is not None:  # aiohttp's task answers, and reads what comes meanwhile
            return False
        head_bytes = len(data) - payload.total_bytes
        if fresh and head_bytes <= _LONGEST_KNOWN:
            self._known = _Known(data[:head_bytes], message, int(length))
        incoming = Incoming(message, payload, int(length), exchange=exchange)
        incoming.put(b"".join(payload._buffer))
        self._receive(incoming)
        return True

    def _take_receiver(self) -> None:
        if self.transport is not None:
            self._receiver = Receiver(self)
            self._receiver.take_over(self.transport)

    def expected(self) -> Incoming | None:
        """A place for a request with the very head that the one before had: clients send the same again and again, and
        what a parser that has read nothing makes of it is known.
        """
        known = self._known
        if known is None or not self._fresh:
            return None
        return Incoming(known.message, None, known.length, len(known.head))

    def came(self, incoming: Incoming, n_bytes: int) -> bool:
        """So many bytes lie where a request was expected. Whether it is that, and its body is here or received."""
        whole, known = incoming.add(n_bytes), self._known
        if (
            known is None
            or n_bytes < len(known.head)
            or incoming.head != known.head
            or self._request_count != self.n_answered
            or self._messages
            or self._upgraded
            or self.ended
            or self._force_close
            or self._close
            or not self._may_answer(known.message)
        ):
            return False
        self._request_count += 1
        if whole:
            self._body_is_whole(incoming)
        else:
            self._receive(incoming)
        return True

    def _receive(self, incoming: Incoming) -> None:
        if self._receiver is None:
            self._take_receiver()
        assert self._receiver is not None
        self._receiver.ask()
        self.incoming = incoming
        self._http.wait_for(self)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self._count(incoming, incoming.n_bytes)

    def _count(self, incoming: Incoming, n_bytes: int) -> None:
        """So many bytes more are being received. Too many: aiohttp's task finds so too, and refuses."""
        if self._http.receiving.take(n_bytes):
            incoming.taken += n_bytes
        else:
            self._give_to_parser(incoming)

    def body_received(self, n_bytes: int) -> None:
        """So many bytes more lie where `incoming` has them."""
        incoming = self.incoming
        assert incoming is not None
        if incoming.add(n_bytes):
            self._take_incoming()
            if not (self._force_close or self._close or self._parser is None):
                self._body_is_whole(incoming)
        else:
            self._count(incoming, n_bytes)

    def _body_is_whole(self, incoming: Incoming) -> None:
        if not self._may_answer(incoming.message):
            self._give_to_parser(incoming)
            return
        if not self._fresh:
            self._parser, self._fresh = self._new_parser(), True  # the other waits for what it need not see any more
        if not self._said(incoming.message, incoming.body, incoming.exchange):
            self._leave_to_task([(incoming.message, EMPTY_PAYLOAD)], False, b"")
        if following := incoming.following:
            self.data_received(following)

    def moment_over(self) -> None:
        """The rest of a body takes its time: aiohttp's task waits for it."""
        incoming = self._take_incoming()
        if incoming is not None and self._parser is not None:
            self._give_to_parser(incoming)

    def _give_to_parser(self, incoming: Incoming) -> None:
        """What the parser did not see: then all is as if it had read the body from the beginning."""
        self._take_incoming()
        self._fresh = False
        messages, upgraded, tail = _parsed(self._parser, incoming.unparsed)
        if incoming.payload is not None:
            messages = [(incoming.message, incoming.payload), *messages]
        self._request_count += len(messages) - 1
        self._leave_to_task(messages, upgraded, tail)

    def _take_incoming(self) -> Incoming | None:
        incoming, self.incoming = self.incoming, None
        if incoming is not None:
            self._http.wait_no_longer(self)
            self._http.receiving.give_back(incoming.taken)
        return incoming

    def _new_parser(self) -> Any:
        """As aiohttp makes it: at the beginning of a request."""
        return HttpRequestParser(
            self,
            self._loop,
            self._read_bufsize,
            max_line_size=self.max_line_size,
            max_field_size=self.max_field_size,
            max_headers=self.max_headers,
            payload_exception=web.RequestPayloadError,
            max_msg_queue_size=self._max_msg_queue_size,
        )

    def _leave_to_task(self, messages: list[tuple[Any, Any]], upgraded: bool, tail: bytes) -> None:
        """As at the end of aiohttp's own `data_received`: its task handles them."""
        waiter = self._waiter
        self._messages.extend(messages)
        self._upgraded = upgraded
        if upgraded:
            self._message_tail = tail
        if not self._buffer_paused and len(self._messages) >= self._max_msg_queue_size:
            self._pause_reading_for_buffer()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _may_answer(self, message: Any) -> bool:
        """Whether an answer may be written at once, and nothing is to be done behind it."""
        return not (
            message.should_close
            or message.upgrade
            or self._http.gate.admission.draining
            or self._paused
            or self._reading_paused
            or self.transport is None
        )

    def _said(self, message: Any, body: Body, exchange: Exchange | None = None) -> bool:
        """Whether the answer is written. If not, it is begun."""
        http = self._http
        gate = http.gate
        if exchange is None:
            exchange = gate.begin(message.method, message.path, message.headers)
        else:
            exchange.started_s = monotonic()
        exchange.body = body
        if len(body) > http.max_body_bytes:
            exchange.problem = http.too_large(len(body))
        reply = gate.answer(exchange)
        if not isinstance(reply, Reply):
            self.begun = exchange, reply
            return False
        assert self.transport is not None
        http_11 = message.version is not HttpVersion10
        self.transport.write(encode_reply(reply, exchange, True, http_11))
        assert self._parser is not None
        self._parser.message_consumed()
        self.n_answered += 1
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def _head_is_late(self) -> None:
        late = BodyTimeoutError(f"expected a request's head within {self._http.body_timeout_s:g} s, got a part of it")
        reply, exchange = self._error("", late)
        if self.transport is not None:
            self.transport.write(encode_reply(reply, exchange, False))
        self.force_close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def log_exception(self, *args: Any, exc_info: Any = None, **options: Any) -> None:
        """A body that is not what its head says is the client's mistake, also where it comes after the answer."""
        if not isinstance(exc_info, web.RequestPayloadError):
            super().log_exception(*args, exc_info=exc_info, **options)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP, or a bug outside of the gate."""
        bug = exc if isinstance(exc, Exception) else RuntimeError(message)
        reply, exchange = self._error(request.method, refusal_of(bug) if status == 400 else bug)
        return ReplyResponse(reply, exchange, close=True)

    def _error(self, method: str, problem: Exception) -> tuple[Reply, Exchange]:
        """The answer to what did not become a request."""
        gate = self._http.gate
        exchange = gate.begin(method, "", {})
        exchange.problem = problem
        reply = gate.answer(exchange)
        assert isinstance(reply, Reply)
        return reply, exchange


def _parsed(parser: Any, data: bytes) -> tuple[list[tuple[Any, Any]], bool, bytes]:
    """Requests in `data`, each with its body, as far as it came; whether they want another protocol, and its beginning.
    What is not HTTP becomes a request, too, that aiohttp answers."""
    try:
        found: tuple[list[tuple[Any, Any]], bool, bytes] = parser.feed_data(data)
        return found
    except HttpProcessingError as error:
        return [(_ErrInfo(400, error, error.message), EMPTY_PAYLOAD)], False, b""
