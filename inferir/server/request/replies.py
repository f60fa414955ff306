"""Answers as bytes. A reply is encoded once, head and body, and written in one piece.

aiohttp's own Response keeps headers in a multidict, runs signals and encodes line by line: a third of the cost of a
small request. `Reply` is what handlers return; `ReplyResponse` hands it to aiohttp, which still reads requests, keeps
connections and closes them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from inferir import __version__
from inferir.server.errors import OverloadError, status_of
from inferir.server.request.exchange import Exchange

__all__ = [
    "HIGH_WATER_BYTES",
    "JSON",
    "OVERLOADED",
    "RETRY_AFTER_MS",
    "Reply",
    "ReplyResponse",
    "error_reply",
    "json_reply",
]

#: Exactly this: clients of other servers compare it with ==, so no charset.
JSON = "application/json"

#: What a client that was shed is told to wait.
RETRY_AFTER_MS = 100

#: Above this many bytes that wait for the client to read them, the next answer waits too.
HIGH_WATER_BYTES = 2**18

_encode = msgspec.json.Encoder().encode
_SERVER = f"Server: inferir/{__version__}\r\n".encode()
_CLOSE, _KEEP = b"Connection: close\r\n", b"Connection: keep-alive\r\n"
#: Whether the connection stays open, and whether HTTP/1.1 is spoken, where that need not be said -> header line.
_CONNECTION = {(True, True): b"", (True, False): _KEEP, (False, True): _CLOSE, (False, False): _CLOSE}
_STATUS_LINES = {int(s): f"HTTP/1.1 {int(s)} {s.phrase}\r\n".encode() for s in HTTPStatus}


class Reply:
    """An answer: status, body, content type, and header lines (each ending in CR LF) beyond those every answer has.

    headers  become such lines, whatever is in them; `lines` are taken as they are, and have nothing of a client's.
    """

    __slots__ = ("body", "content_type", "lines", "status")

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        content_type: str = JSON,
        headers: Mapping[str, str] | None = None,
        *,
        lines: bytes = b"",
    ) -> None:
        self.body = body
        self.status = status
        self.content_type = content_type
        self.lines = lines + header_lines(headers) if headers else lines


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """`value` as JSON; a float that is not finite becomes null."""
    return Reply(_encode(value), status, JSON, headers)


def error_reply(error: Exception, exchange: Exchange) -> Reply:
    """The one form that errors have: for people `error` and `message`, for programs `code` and `request_id`.

    An error that was not meant for the client says only that it happened.
    """
    status, code = status_of(error)
    exchange.code = code
    message = getattr(error, "message", "") if status != 500 else "internal error"
    body = {"error": message, "code": code, "message": message, "request_id": exchange.request_id}
    return json_reply(body, status, getattr(error, "headers", None))


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Header lines of an answer. A line break in a value would let a client write headers of its own."""
    return "".join(f"{name}: {_one_line(value)}\r\n" for name, value in headers.items()).encode("latin-1", "replace")


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")


#: What requests get that are shed, all of them the same: made once.
OVERLOADED = Reply(
    b'{"error":"service_overloaded","message":"Server at capacity, please retry","retry_after_ms":%d}' % RETRY_AFTER_MS,
    OverloadError.status,
    headers={"Retry-After": str(-(-RETRY_AFTER_MS // 1000))},
)


class _EveryAnswer:
    """The header lines that all answers have, Date and Server, made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._lines = b""

    def lines(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._lines = time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime(second)).encode() + _SERVER
        return self._lines


_every_answer = _EveryAnswer()


def encode_reply(reply: Reply, exchange: Exchange, keep_alive: bool = True, http_11: bool = True) -> bytes:
    """Head and body."""
    head = b"%bContent-Type: %b\r\nContent-Length: %d\r\nX-Request-Id: %b\r\n%b%b%b%b\r\n" % (
        _STATUS_LINES[reply.status],
        reply.content_type.encode(),
        len(reply.body),
        exchange.request_id.encode(),
        _every_answer.lines(),
        _CONNECTION[keep_alive, http_11],
        reply.lines,
        exchange.lines,
    )
    return head if exchange.method == "HEAD" else head + reply.body


class ReplyResponse(web.StreamResponse):
    """A reply as aiohttp wants it: an object that writes itself. `close`: the connection ends with it."""

    def __init__(self, reply: Reply, exchange: Exchange, *, close: bool = False) -> None:
        super().__init__(status=reply.status)
        self._parts: tuple[Reply, Exchange] | None = (reply, exchange)
        self._close = close

    async def prepare(self, request: web.BaseRequest) -> None:
        if self._parts is None:
            return
        # aiohttp keeps the last response of a connection for a while after it was closed: what it held goes now.
        parts, self._parts = self._parts, None
        self._eof_sent = True
        self._keep_alive = bool(request.keep_alive) and not self._close
        http_11 = request.version >= (1, 1)
        transport = request.transport
        if transport is None:
            return
        transport.write(encode_reply(*parts, self._keep_alive, http_11))
        if transport.get_write_buffer_size() > HIGH_WATER_BYTES:
            await request.protocol._drain_helper()
        request.protocol.n_answered += 1  # type: ignore[attr-defined]
        request.protocol.ended = not self._keep_alive  # type: ignore[attr-defined]

    async def write_eof(self, data: bytes = b"") -> None:
        """All was written by `prepare`."""
