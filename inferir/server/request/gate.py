"""The way of one request, from the moment it was read to the bytes of its answer:

    1. its route                         404, 405
    2. who asks                          401, 403
       now its body is received, if it has not come yet; who is refused is not waited for
    3. until when                        400 for a deadline that is none; 429 where its client asks too often
    4. its turn                          503 where there is none in time
    5. its handler                       whatever that raises
    6. the answer, for observers and for the client

Most requests take all six steps in one call, without a task: `answer` returns a Reply where that is so, and something
to await where it is not. Every error becomes an answer here, and nowhere else.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Mapping
from time import monotonic
from typing import Any

from aiohttp.hdrs import CONTENT_ENCODING
from multidict import istr

from inferir.server.errors import DeadlineError, OverloadError, RateLimitError, RequestError
from inferir.server.observer import Telemetry
from inferir.server.request.admission import EXPIRED, Admission
from inferir.server.request.auth import Keys
from inferir.server.request.deadlines import deadline_of
from inferir.server.request.exchange import QUEUE, Exchange
from inferir.server.request.rates import RateLimit
from inferir.server.request.refusals import check_encoding
from inferir.server.request.replies import OVERLOADED, Reply, error_reply
from inferir.server.request.routes import UNMATCHED, Router

__all__ = ["Gate"]

_log = logging.getLogger("inferir.server")

#: A request id of a client that is longer is cut: it goes into logs.
_LONGEST_REQUEST_ID = 128

#: A name that is ready to be looked for takes half of the time of a text.
_REQUEST_ID = istr("X-Request-Id")


class Gate:
    """Lets requests through to the handlers, one exchange each.

    rate_limit  how often each key may ask for predictions; all together where there are none. None: any number.
    admission   says, too, whether the server is about to stop: then connections are closed after their answer.
    telemetry   is told of every request, and has header lines for its answer.
    """

    def __init__(
        self,
        router: Router,
        keys: Keys,
        admission: Admission,
        telemetry: Telemetry,
        *,
        timeout_s: float,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self._router = router
        self._keys = keys
        self.admission = admission
        self.telemetry = telemetry
        self._tell_started = telemetry.started
        self._timeout_s = timeout_s
        self._rate_limit = rate_limit
        self._ids = map("{}{:08x}".format, itertools.repeat(os.urandom(4).hex()), itertools.count())

    def begin(self, method: str, path: str, headers: Mapping[str, Any], request: Any = None) -> Exchange:
        """The exchange of a request whose head is there: its route, and who asks. Where either is refused, it gets its
        error when it is answered.
        """
        exchange = None
        try:
            route, match = self._router.find(method, path)
            exchange = Exchange(route, headers, request)
            exchange.match = match
            exchange.principal = self._keys.authorize(headers, route.scope)
            if (encoding := headers.get(CONTENT_ENCODING)) is not None:
                check_encoding(encoding)
        except RequestError as error:
            exchange = exchange or Exchange(UNMATCHED, headers, request)
            exchange.problem = error
        exchange.method, exchange.path = method, path
        asked_id = headers.get(_REQUEST_ID)
        exchange.request_id = next(self._ids) if asked_id is None else _visible(asked_id)
        return exchange

    def answer(self, exchange: Exchange) -> Reply | Awaitable[Reply]:
        """The answer, now or later; an error is one too. `exchange.body` is whole."""
        for tell in self._tell_started:
            tell(exchange)
        route = exchange.route
        try:
            if exchange.problem is not None:
                raise exchange.problem
            exchange.deadline_s = deadline_of(exchange.headers, exchange.started_s, self._timeout_s)
            if route.admitted:
                if self._rate_limit is not None:
                    assert exchange.principal is not None
                    self._rate_limit.check(exchange.principal.name, exchange.started_s)
                left_s = exchange.deadline_s - exchange.started_s
                if not self.admission.try_enter(left_s):
                    if reason := self.admission.refuse(left_s):
                        return self._refused(exchange, reason)
                    return self._later(exchange, self._in_turn(exchange, self._enqueue()))
                exchange.admitted_s = monotonic()
            reply = route.handler(exchange)
        except Exception as error:
            return self._finish(exchange, self._failed(exchange, error))
        if isinstance(reply, Reply):
            return self._finish(exchange, reply)
        return self._later(exchange, reply)

    async def _later(self, exchange: Exchange, pending: Awaitable[Reply]) -> Reply:
        try:
            reply = await pending
        except asyncio.CancelledError:
            self._leave(exchange)
            raise
        except Exception as error:
            reply = self._failed(exchange, error)
        return self._finish(exchange, reply)

    def _refused(self, exchange: Exchange, reason: str) -> Reply:
        """Under overload this is what most requests get, at the cost of those that are answered: no task, no error."""
        exchange.shed, exchange.code = reason, OverloadError.code
        return self._finish(exchange, OVERLOADED)

    def _enqueue(self) -> _Turn:
        """A place in the queue, taken at once."""
        turn = _Turn(asyncio.get_running_loop().create_future(), monotonic())
        self.admission.wait(turn.enter)
        return turn

    async def _in_turn(self, exchange: Exchange, turn: _Turn) -> Reply:
        """Wait for a turn, at most until the deadline; then on as in `answer`."""
        await self._wait(exchange, turn)
        reply = exchange.route.handler(exchange)
        return reply if isinstance(reply, Reply) else await reply

    async def _wait(self, exchange: Exchange, turn: _Turn) -> None:
        admission, admitted = self.admission, turn.admitted
        loop = asyncio.get_running_loop()
        expiry = loop.call_at(loop.time() + exchange.deadline_s - monotonic(), _expire, admitted)
        try:
            if not await admitted:
                admission.give_up(turn.enter)
                raise DeadlineError(EXPIRED, "the deadline passed while the request waited for its turn")
        except asyncio.CancelledError:
            if admitted.cancelled():
                admission.give_up(turn.enter)
            elif admitted.result():  # the turn came, and nobody is there to take it
                admission.leave(0.0, monotonic(), done=False)
            else:
                admission.give_up(turn.enter)
            raise
        finally:
            expiry.cancel()
            exchange.stages[QUEUE] += monotonic() - turn.since_s
        exchange.admitted_s = monotonic()

    def _failed(self, exchange: Exchange, error: Exception) -> Reply:
        if isinstance(error, (DeadlineError, OverloadError, RateLimitError)):
            exchange.shed = error.reason
        if isinstance(error, OverloadError):
            exchange.code = error.code
            return OVERLOADED
        reply = error_reply(error, exchange)
        if reply.status == 500:
            _log.error("request %s: %s", exchange.request_id, exchange.route.path, exc_info=error)
        return reply

    def _finish(self, exchange: Exchange, reply: Reply) -> Reply:
        exchange.status = reply.status
        exchange.ended_s = exchange.ended_s or monotonic()  # a handler may have looked at the clock just now
        # What was raised refers, by its traceback, to the exchange and to what was read of the body.
        exchange.problem = None
        self._leave(exchange)
        exchange.lines = self.telemetry.finished(exchange)
        return reply

    def _leave(self, exchange: Exchange) -> None:
        if exchange.admitted_s:
            now_s = exchange.ended_s or monotonic()
            seconds, exchange.admitted_s = now_s - exchange.admitted_s, 0.0
            self.admission.leave(seconds, now_s, done=exchange.status < 500)


class _Turn:
    """A place in the queue: whether its turn came, or False where the deadline came first; and since when."""

    __slots__ = ("admitted", "since_s")

    def __init__(self, admitted: asyncio.Future[bool], since_s: float) -> None:
        self.admitted = admitted
        self.since_s = since_s

    def enter(self) -> bool:
        """Its turn comes. Whether somebody is there to take it."""
        if self.admitted.done():
            return False
        self.admitted.set_result(True)
        return True


def _expire(admitted: asyncio.Future[bool]) -> None:
    if not admitted.done():
        admitted.set_result(False)


def _visible(request_id: str) -> str:
    """A client's id as it may stand in headers and logs: visible ASCII."""
    kept = "".join(letter for letter in request_id[:_LONGEST_REQUEST_ID] if "!" <= letter <= "~")
    return kept or "-"
