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
from typing import Any

from aiohttp import web
from aiohttp.helpers import ceil_timeout
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from inferir.server.errors import BodyTimeoutError, RequestError, TooLargeError
from inferir.server.request.exchange import Exchange
from inferir.server.request.gate import Gate
from inferir.server.request.replies import Reply, ReplyResponse, encode_reply

__all__ = ["Connection", "HttpServer"]

#: So long the pieces of a body are waited for on the short way, and so large is the body at most: aiohttp stops reading
#: when there is more that nobody has taken.
_MOMENT_S, _LARGEST_IN_PIECES = 0.05, 2**17

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

    def finish_alone(self, pending: Awaitable[Reply]) -> None:
        """Let an answer come that nobody takes, for the sake of what it holds."""
        task = asyncio.ensure_future(pending)
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)

    def busy(self) -> bool:
        """Whether a request is in work, or was read and is not."""
        return bool(self._alone) or any(
            each._request_in_progress or each._messages or getattr(each, "waits_for_body", False)
            for each in self._connections
        )

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

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


class Connection(RequestHandler):
    """One connection.

    begun       a request that the short way has begun, and whose answer is awaited the long way.
    n_answered  how many requests have their answer, of as many as `_request_count` says that came.
    """

    __slots__ = ("_head_timer", "_http", "_moment", "_partial", "begun", "n_answered")

    def __init__(self, manager: HttpServer, **options: Any) -> None:
        super().__init__(manager, lingering_time=_LINGERING_S, **options)
        self._http = manager
        self._head_timer: asyncio.TimerHandle | None = None
        #: A request whose body is not whole, and who gives it to aiohttp when the moment is over.
        self._partial: tuple[Any, Any] | None = None
        self._moment: asyncio.TimerHandle | None = None
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

    @property
    def waits_for_body(self) -> bool:
        """Whether a request is waited for whose body is not whole."""
        return self._partial is not None

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        self._take_partial()
        if self.begun is not None:  # nobody waits for it any more, but it has a place among the requests in work
            self._http.finish_alone(self.begun[1])
            self.begun = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._partial is not None:
            self._receive_rest(data)
            return
        waiter, parser = self._waiter, self._parser
        waits = self._request_count == self.n_answered if waiter is None else not waiter.done()
        if not waits or self._messages or self._upgraded or parser is None:
            super().data_received(data)
            return
        if self._force_close or self._close:
            return
        messages, upgraded, tail = _parsed(parser, data)
        if not messages:
            if self._head_timer is None:
                self._head_timer = self._loop.call_later(self._http.body_timeout_s, self.force_close)
            return
        if self._head_timer is not None:
            self._stop_head_timer()
        self._request_count += len(messages)
        if len(messages) == 1 and (self._answered(*messages[0]) or self._comes_in_pieces(*messages[0])):
            return
        self._leave_to_task(messages, upgraded, tail)

    def _comes_in_pieces(self, message: Any, payload: Any) -> bool:
        """Whether it is worth a moment to wait for the rest of a request's body."""
        if self.begun is not None or type(message) is _ErrInfo or message.should_close or message.upgrade:
            return False
        length = message.headers.get("Content-Length", "")
        if (
            payload.is_eof()
            or payload.exception() is not None
            or self._reading_paused
            or not length.isdecimal()
            or len(length) > len(str(_LARGEST_IN_PIECES))
            or not payload.total_bytes < int(length) <= min(_LARGEST_IN_PIECES, self._http.max_body_bytes)
            or "Expect" in message.headers
        ):
            return False
        self._partial = message, payload
        self._moment = self._loop.call_later(_MOMENT_S, self._moment_over)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def _receive_rest(self, data: bytes) -> None:
        """More of a request of which there was a part."""
        if self._force_close or self._close or self._parser is None:
            return
        messages, upgraded, tail = _parsed(self._parser, data)
        self._request_count += len(messages)
        assert self._partial is not None
        message, payload = self._partial
        if not messages and not payload.is_eof() and not self._reading_paused:
            return
        self._take_partial()
        if messages or not self._answered(message, payload):
            self._leave_to_task([(message, payload), *messages], upgraded, tail)

    def _take_partial(self) -> tuple[Any, Any] | None:
        partial, self._partial = self._partial, None
        if self._moment is not None:
            self._moment.cancel()
            self._moment = None
        return partial

    def _moment_over(self) -> None:
        partial = self._take_partial()
        if partial is not None:
            self._leave_to_task([partial], False, b"")

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

    def _answered(self, message: Any, payload: Any) -> bool:
        """Whether the short way was taken to its end. If not, the message is still to be handled."""
        http = self._http
        if type(message) is _ErrInfo or message.should_close or message.upgrade or not payload.is_eof():
            return False
        gate, transport = http.gate, self.transport
        if (
            gate.admission.draining
            or self._paused
            or self._reading_paused
            or payload.exception() is not None
            or transport is None
        ):
            return False
        exchange = gate.begin(message.method, message.path, message.headers)
        exchange.body = body = (
            b"" if payload is EMPTY_PAYLOAD else b"".join(payload._buffer)
        )  # its own read wakes aiohttp
        if len(body) > http.max_body_bytes:
            exchange.problem = http.too_large(len(body))
        reply = gate.answer(exchange)
        if not isinstance(reply, Reply):
            self.begun = exchange, reply
            return False
        transport.write(encode_reply(reply, exchange, gate.telemetry.headers(exchange)))
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
