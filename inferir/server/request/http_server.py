"""The server that connections belong to: it makes and counts them, answers what takes the long way, and looks after
those that receive a body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import Any

from aiohttp import web
from aiohttp.helpers import ceil_timeout
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from inferir.server.errors import BodyTimeoutError, OverloadError, RequestError, TooLargeError
from inferir.server.request.admission import RECEIVING_LIMIT
from inferir.server.request.budget import ByteBudget
from inferir.server.request.connection import Connection
from inferir.server.request.gate import Gate
from inferir.server.request.refusals import refusal_of
from inferir.server.request.replies import Reply, ReplyResponse

__all__ = ["HttpServer"]

#: So long the pieces of a body are waited for on the short way, and up to twice as long.
_MOMENT_S = 0.05


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
        max_receiving_bytes: int,
    ) -> None:
        super().__init__(self._handle, access_log=None, keepalive_timeout=keepalive_s, handler_cancellation=True)
        self.gate = gate
        self.max_body_bytes = max_body_bytes
        self.body_timeout_s = body_timeout_s
        self.max_connections = max_connections
        self.receiving = ByteBudget(max(max_receiving_bytes, max_body_bytes))  # one body there is always room for
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
        return bool(self._alone) or any(isinstance(each, Connection) and each.busy for each in self._connections)

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

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
            exchange = self.gate.begin(request.method, request.raw_path, request.headers, request)
            if exchange.problem is None:
                try:
                    exchange.body = await self._read(request)
                except RequestError as error:
                    exchange.problem = error
                exchange.started_s = monotonic()  # how long a client takes to send is none of our time
            answer = self.gate.answer(exchange)
            reply = answer if isinstance(answer, Reply) else await answer
        close = self.gate.admission.draining or not request.content.is_eof()
        if request.content.exception() is not None:  # aiohttp reads on for a while, and must not find it again
            request.content.set_exception(None)  # type: ignore[arg-type]
        return ReplyResponse(reply, exchange, close=close)

    async def _read(self, request: web.BaseRequest) -> bytes:
        """The body. Raises TooLargeError, OverloadError, BodyTimeoutError, RequestError."""
        content, length = request.content, request.content_length
        if length is not None and length > self.max_body_bytes:
            raise self.too_large(length)
        expects = request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11
        if expects and request.transport is not None:
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
            raise refusal_of(error) from None
        finally:
            self.receiving.give_back(sum(map(len, parts)))
        return b"".join(parts)

    async def _collect(self, content: Any, parts: list[bytes]) -> None:
        n_bytes = 0
        while part := await content.readany():
            n_bytes += len(part)
            if n_bytes > self.max_body_bytes:
                raise self.too_large(n_bytes)
            if not self.receiving.take(len(part)):
                raise OverloadError(RECEIVING_LIMIT)
            parts.append(part)

    def too_large(self, n_bytes: int) -> TooLargeError:
        return TooLargeError(f"expected a body of at most {self.max_body_bytes} bytes, got {n_bytes} or more")
