"""Calls between supervisor and worker: JSON, a line each, both ways over one socket.

    {"id": 7, "do": "prepare", "with": {...}}     a call
    {"id": 7, "gave": ...}                        its result
    {"id": 7, "code": "E001", "message": "..."}   its error, raised again by the class that has the code

Only these two processes hold the socket, so what comes is believed.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from inferir import errors as domain_errors
from inferir.errors import InferirError
from inferir.server import errors as request_errors
from inferir.server.errors import RequestError

__all__ = ["Link", "LostError"]

_log = logging.getLogger("inferir.server")

#: A line is at most this long: descriptions of many models, metrics of many series.
_LIMIT_BYTES = 2**26

_ERRORS: Mapping[str, type[Exception]] = {
    kind.code: kind
    for module, base in ((domain_errors, InferirError), (request_errors, RequestError))
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, base)
}


class LostError(Exception):
    """The other process is gone."""


class Link:
    """One end. `handlers` answer the other end's calls by name: functions or coroutines with keyword arguments."""

    def __init__(self, handlers: Mapping[str, Callable[..., Any]]) -> None:
        self._handlers = handlers
        self._ids = itertools.count()
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self, connection: socket.socket) -> None:
        """Take the socket. From then on there may be calls; they are answered while `run` runs."""
        self._reader, self._writer = await asyncio.open_connection(sock=connection, limit=_LIMIT_BYTES)

    async def run(self) -> None:
        """Answer and be answered until the other end is gone."""
        assert self._reader is not None
        assert self._writer is not None
        try:
            while line := await self._reader.readline():
                message = msgspec.json.decode(line)
                if "do" in message:
                    task = asyncio.ensure_future(self._answer(message))
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)
                else:
                    self._resolve(message)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writer.close()
            self._writer = None
            for call in self._calls.values():
                if not call.done():
                    call.set_exception(LostError("the other process is gone"))
            self._calls.clear()

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """What the other end gives for a call. Raises its error, or LostError."""
        if self._writer is None:
            raise LostError("the other process is gone")
        number = next(self._ids)
        answer = self._calls[number] = asyncio.get_running_loop().create_future()
        self._send({"id": number, "do": name, "with": arguments})
        try:
            return await answer
        finally:
            self._calls.pop(number, None)

    async def _answer(self, message: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": message["id"]}
        try:
            gave = self._handlers[message["do"]](**message["with"])
            answer["gave"] = await gave if inspect.isawaitable(gave) else gave
        except (InferirError, RequestError) as error:
            answer |= {"code": error.code, "message": error.message}
        except Exception as error:
            _log.error("%s", message["do"], exc_info=error)
            answer |= {"code": "INTERNAL", "message": f"{type(error).__name__}: {error}"}
        if self._writer is not None:
            self._send(answer)

    def _resolve(self, message: dict[str, Any]) -> None:
        call = self._calls.get(message["id"])
        if call is None or call.done():
            return
        if "code" in message:
            call.set_exception(_error(message["code"], message["message"]))
        else:
            call.set_result(message.get("gave"))

    def _send(self, message: dict[str, Any]) -> None:
        assert self._writer is not None
        self._writer.write(msgspec.json.encode(message) + b"\n")


def _error(code: str, message: str) -> Exception:
    kind = _ERRORS.get(code)
    return RuntimeError(message) if kind is None else kind(message)
