"""A connection: aiohttp's, with a short way for requests that are whole when they arrive and answered at once.

aiohttp reads a request in one task, runs its handler in another, and wakes both up in turn; for a model that answers in
ten microseconds that is more than half of the cost. Where a request is whole and its answer is there at once, the bytes
of the answer are written before `data_received` returns. A body of a batch comes in a few pieces, one right after the
other: they are waited for, a moment long. Everything else goes aiohttp's way: large, slow and chunked bodies, pipelined
requests, upgrades, answers that have to be waited for. Both ways meet in `Gate.answer`.

The short way is taken only while nothing else is going on in the connection:

    nothing is queued, and aiohttp's task waits for a request,      so the order of answers is that of requests
    or has only to come back to wait, its answer being written
    one request, whole, and the connection stays open after it      so nothing is left to do once it is answered

Coming back takes that task a round of the loop. With a thousand connections a round is so long that the client has its
answer, and sends what is next, before the task is back: it would go the long way for ever.

It reads private fields of aiohttp's RequestHandler, and so is tied to the versions that setup.cfg allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.helpers import ceil_timeout
from aiohttp.http import HttpRequestParser, HttpVersion10
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from inferir.server.errors import BodyTimeoutError, RequestError, TooLargeError
from inferir.server.request.exchange import Body, Exchange
from inferir.server.request.gate import Gate
from inferir.server.request.receiver import LARGEST_BYTES, Incoming, Receiver
from inferir.server.request.replies import Reply, ReplyResponse, encode_reply

__all__ = ["Connection", "HttpServer"]

#: So long the pieces of a body are waited for on the short way, and up to twice as long.
_MOMENT_S = 0.05

#: After an answer that came before the whole body: so long the rest is read, so that the client gets to the answer.
_LINGERING_S = 1.0


class HttpServer(web.Server):
    """Makes connections, counts them, and answers what takes the long way."""

    def __init__(
        self,
        gate: Gate,
        *,
        max_body_bytes: int,
        body_timeout_s: float,
        keepalive_s: float,
        max_connections: int,
    ) -> None:
        super().__init__(self._handle, access_log=None, keepalive_timeout=keepalive_s, handler_cancellation=True)
        self.gate = gate
        self.max_body_bytes = max_body_bytes
        self.body_timeout_s = body_timeout_s
        self.max_connections = max_connections
        self._alone: set[asyncio.Future[Reply]] = set()
        #: Those that receive a body, and whether that was seen by `_look`.
        self._waited_for: dict[Connection, bool] = {}
        self._moment: asyncio.TimerHandle | None = None

    def finish_alone(self, pending: Awaitable[Reply]) -> None:
        """Let an answer come that nobody takes, for the sake of what it holds."""
        task = asyncio.ensure_future(pending)
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)

    def busy(self) -> bool:
        """Whether a request is in work, or was read and is not."""
        return bool(self._alone) or any(
            each._request_in_progress or each._messages or getattr(each, "incoming", None) is not None
            for each in self._connections
        )

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    def receiver(self) -> Receiver:
        """A connection, and what receives for it."""
        return Receiver(Connection(self, loop=self._loop, **self._kwargs))

    def wait_for(self, connection: Connection) -> None:
        """A moment, for the rest of a body. One timer looks after all of them: one each would cost more than the rest
        of the waiting.
        """
        self._waited_for[connection] = False
        if self._moment is None:
            self._moment = self._loop.call_later(_MOMENT_S, self._look)

    def wait_no_longer(self, connection: Connection) -> None:
        del self._waited_for[connection]

    def _look(self) -> None:
        """Those who were there when it looked before have had their moment."""
        self._moment = None
        for connection, seen in list(self._waited_for.items()):
            if seen:
                connection.moment_over()
            else:
                self._waited_for[connection] = True
        if self._waited_for:
            self._moment = self._loop.call_later(_MOMENT_S, self._look)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        begun, connection.begun = connection.begun, None
        if begun is not None:
            exchange, pending = begun
            exchange.request = request
            reply = await pending
        else:
            exchange = self.gate.begin(request.method, request.path_qs, request.headers, request)
            if exchange.problem is None:
                try:
                    exchange.body = await self._read(request)
                except RequestError as error:
                    exchange.problem = error
            answer = self.gate.answer(exchange)
            reply = answer if isinstance(answer, Reply) else await answer
        close = self.gate.admission.draining or not request.content.is_eof()
        return ReplyResponse(reply, exchange, self.gate.telemetry.headers(exchange), close=close)

    async def _read(self, request: web.BaseRequest) -> bytes:
        """The body. Raises TooLargeError, BodyTimeoutError, RequestError."""
        content, length = request.content, request.content_length
        if length is not None and length > self.max_body_bytes:
            raise self.too_large(length)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts: list[bytes] = []
        try:
            async with ceil_timeout(self.body_timeout_s):  # wait_for would keep `parts` in a cycle after an error
                await self._collect(content, parts)
        except asyncio.TimeoutError:
            n_bytes = sum(map(len, parts))
            raise BodyTimeoutError(
                f"expected the body within {self.body_timeout_s:g} s, got {n_bytes} bytes of it"
            ) from None
        except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
            raise RequestError(f"expected a body as its headers announce it, got: {error}") from None
        return b"".join(parts)

    async def _collect(self, content: Any, parts: list[bytes]) -> None:
        n_bytes = 0
        while part := await content.readany():
            parts.append(part)
            n_bytes += len(part)
            if n_bytes > self.max_body_bytes:
                raise self.too_large(n_bytes)

    def too_large(self, n_bytes: int) -> TooLargeError:
        return TooLargeError(f"expected a body of at most {self.max_body_bytes} bytes, got {n_bytes} or more")


class _Head(NamedTuple):
    """All bytes of a request before its body; what aiohttp's parser makes of them; how long the body is."""

    bytes: bytes
    message: Any
    length: int


class Connection(RequestHandler):
    """One connection.

    begun       a request that the short way has begun, and whose answer is awaited the long way.
    n_answered  how many requests have their answer, of as many as `_request_count` says that came.
    """

    __slots__ = ("_fresh", "_head_timer", "_http", "_known", "begun", "incoming", "n_answered")

    def __init__(self, manager: HttpServer, **options: Any) -> None:
        super().__init__(manager, lingering_time=_LINGERING_S, **options)
        self._http = manager
        self._head_timer: asyncio.TimerHandle | None = None
        self.incoming: Incoming | None = None
        #: Whether the parser has read nothing yet, and so is at the beginning of a request.
        self._fresh = True
        #: A head that it made a request of, from its first byte to its last.
        self._known: _Head | None = None
        self.begun: tuple[Exchange, Awaitable[Reply]] | None = None
        self.n_answered = 0

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
        self._stop_head_timer()
        self._take_incoming()
        if self.begun is not None:  # nobody waits for it any more, but it has a place among the requests in work
            self._http.finish_alone(self.begun[1])
            self.begun = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.incoming is not None:  # aiohttp asks its parser for what that kept back, which is nothing
            return
        waiter, parser = self._waiter, self._parser
        waits = self._request_count == self.n_answered if waiter is None else not waiter.done()
        if not waits or self._messages or self._upgraded or parser is None:
            self._fresh = False
            super().data_received(data)
            return
        if self._force_close or self._close or self._receives_as_before(data):
            return
        fresh, self._fresh = self._fresh, False
        messages, upgraded, tail = _parsed(parser, data)
        if not messages:
            if self._head_timer is None:
                self._head_timer = self._loop.call_later(self._http.body_timeout_s, self.force_close)
            return
        if self._head_timer is not None:
            self._stop_head_timer()
        self._request_count += len(messages)
        if len(messages) == 1 and (self._answered(*messages[0]) or self._receives(*messages[0], data, fresh)):
            return
        self._leave_to_task(messages, upgraded, tail)

    # -- a body whose pieces come one right after the other

    def _receives(self, message: Any, payload: Any, data: bytes, fresh: bool) -> bool:
        """Whether the rest of a request's body is to be received into its place.

        data   what the parser read last.
        fresh  whether it had read nothing before.
        """
        if self.begun is not None or type(message) is _ErrInfo or payload.is_eof() or not self._may_answer(message):
            return False
        length = message.headers.get("Content-Length", "")
        if (
            message.chunked
            or message.compression is not None
            or payload.exception() is not None
            or not length.isdecimal()
            or len(length) > len(str(LARGEST_BYTES))
            or not payload.total_bytes < int(length) <= min(LARGEST_BYTES, self._http.max_body_bytes)
            or "Expect" in message.headers
        ):
            return False
        if fresh:
            self._known = _Head(data[: len(data) - payload.total_bytes], message, int(length))
        self._receive(Incoming(message, payload, int(length), b"".join(payload._buffer)))
        return True

    def _receives_as_before(self, data: bytes) -> bool:
        """The same for a request with the very head that the one before had: clients send the same again and again,
        and what a parser that has read nothing makes of it is known.
        """
        known = self._known
        if (
            known is None
            or not self._fresh
            or not 0 <= len(data) - len(known.bytes) < known.length
            or not data.startswith(known.bytes)
            or self.begun is not None
            or not self._may_answer(known.message)
        ):
            return False
        self._request_count += 1
        self._receive(Incoming(known.message, None, known.length, data[len(known.bytes) :], known.bytes))
        return True

    def _receive(self, incoming: Incoming) -> None:
        self.incoming = incoming
        self._http.wait_for(self)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout

    def body_received(self, n_bytes: int) -> None:
        """So many bytes more lie where `incoming` has them."""
        incoming = self.incoming
        assert incoming is not None
        if not incoming.add(n_bytes):
            return
        self._take_incoming()
        if self._force_close or self._close or self._parser is None:
            return
        if not self._may_answer(incoming.message):
            self._give_to_parser(incoming)
            return
        if not self._fresh:
            self._parser, self._fresh = self._new_parser(), True  # the other waits for what it need not see any more
        if not self._said(incoming.message, incoming.body):
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

    def _answered(self, message: Any, payload: Any) -> bool:
        """Whether the short way was taken to its end. If not, the message is still to be handled."""
        if type(message) is _ErrInfo or not payload.is_eof() or not self._may_answer(message):
            return False
        if payload is EMPTY_PAYLOAD:
            return self._said(message, b"")
        if payload.exception() is not None:
            return False
        return self._said(message, b"".join(payload._buffer))  # its own read wakes aiohttp

    def _said(self, message: Any, body: Body) -> bool:
        """Whether the answer is written. If not, it is begun."""
        http = self._http
        gate = http.gate
        exchange = gate.begin(message.method, message.path, message.headers)
        exchange.body = body
        if len(body) > http.max_body_bytes:
            exchange.problem = http.too_large(len(body))
        reply = gate.answer(exchange)
        if not isinstance(reply, Reply):
            self.begun = exchange, reply
            return False
        assert self.transport is not None
        http_11 = message.version is not HttpVersion10
        self.transport.write(encode_reply(reply, exchange, gate.telemetry.headers(exchange), True, http_11))
        assert self._parser is not None
        self._parser.message_consumed()
        self.n_answered += 1
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP, or a bug outside of the gate."""
        gate = self._http.gate
        exchange = gate.begin(request.method, "", {})
        bug = exc if isinstance(exc, Exception) else RuntimeError(message)
        exchange.problem = RequestError(message or "bad request") if status == 400 else bug
        reply = gate.answer(exchange)
        assert isinstance(reply, Reply)
        return ReplyResponse(reply, exchange, b"", close=True)


def _parsed(parser: Any, data: bytes) -> tuple[list[tuple[Any, Any]], bool, bytes]:
    """Requests in `data`, each with its body, as far as it came; whether they want another protocol, and its beginning.
    What is not HTTP becomes a request, too, that aiohttp answers."""
    try:
        found: tuple[list[tuple[Any, Any]], bool, bytes] = parser.feed_data(data)
        return found
    except HttpProcessingError as error:
        return [(_ErrInfo(400, error, error.message), EMPTY_PAYLOAD)], False, b""
