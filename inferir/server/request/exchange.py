"""One request on its way through the server: what the parts of it write down for each other, and for observers.

Times are floats of one monotonic clock: a jump of the wall clock changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from inferir.server.request.auth import Principal
    from inferir.server.request.routes import Route

__all__ = [
    "DESERIALIZE",
    "INFERENCE",
    "NO_MATCH",
    "POSTPROCESS",
    "PREPROCESS",
    "QUEUE",
    "SERIALIZE",
    "STAGES",
    "VALIDATE",
    "Body",
    "Exchange",
]

#: Stages of a request in the order in which they happen; `Exchange.stages` has their seconds at these positions.
STAGES = ("deserialize", "validate", "queue", "preprocess", "inference", "postprocess", "serialize")
DESERIALIZE, VALIDATE, QUEUE, PREPROCESS, INFERENCE, POSTPROCESS, SERIALIZE = range(len(STAGES))


#: The body of a request: bytes, or the place into which a large one was received, as bytes.
Body: TypeAlias = bytes | memoryview

#: Of a path without {parameters}.
NO_MATCH: Mapping[str, str] = MappingProxyType({})


class Exchange:
    """A request and what became of it.

    route         the route that answers, never the path that was asked for: it is a metric's label
    method, path  as they were asked for, the path with its query
    headers       of the request; `.get(name)` ignores case
    body          of the request, whole; empty until it was read
    match         values of the path's {parameters}
    request       aiohttp's request; None on the short way, which only routes that do not need it take
    started_s     monotonic time at which the request had been read from the socket, whole; until then, its head
    deadline_s    monotonic time after which nobody waits for the answer
    request_id    the client's X-Request-Id, or one of ours
    status, code  of the answer; code is "" where there was no error
    model, version, rows   what answered, and how many rows; "" and 0 until it is known
    batch_rows    rows of the batch in which it was answered together with others; 0 where it had a call of its own
    stages        seconds in each of STAGES
    shed          why the request was refused, one of admission.REASONS; "" if it was not
    principal     who asks, once that is known
    trace         for whoever traces; nothing here looks at it
    ended_s       monotonic time at which its answer was made
    admitted_s    when its turn came; 0.0 while it has no place among the requests in work
    lines         header lines that observers add to the answer, each with its CR LF
    problem       what is wrong with it already, before it gets to a handler
    """

    # Slots, all filled at once: CPython finds them where they are, and looks a default of the class up by its name.
    __slots__ = (
        "admitted_s", "batch_rows", "body", "code", "deadline_s", "ended_s", "headers", "lines", "match", "method",
        "model", "path", "principal", "problem", "request", "request_id", "route", "rows", "shed", "stages",
        "started_s", "status", "trace", "version",
    )  # fmt: skip

    def __init__(self, route: Route, headers: Any, request: Any = None) -> None:
        self.route = route
        self.headers = headers
        self.request = request
        self.method = route.method
        self.path = route.path
        self.body: Body = b""
        self.match: Mapping[str, str] = NO_MATCH
        self.started_s = monotonic()
        self.deadline_s = 0.0
        self.request_id = ""
        self.status = 0
        self.code = ""
        self.model = ""
        self.version = ""
        self.rows = 0
        self.batch_rows = 0
        self.stages = [0.0] * len(STAGES)
        self.shed = ""
        self.principal: Principal | None = None
        self.trace: Any = None
        self.ended_s = 0.0
        self.admitted_s = 0.0
        self.lines = b""
        self.problem: Exception | None = None

    @property
    def seconds(self) -> float:
        """From the request read to the answer made, or until now."""
        return (self.ended_s or monotonic()) - self.started_s
