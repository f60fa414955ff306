"""What a request leaves behind: a record, of which metrics and lines of the log are made, many at once.

Between two requests little of ours stays in the CPU's caches, so what is done for each of them costs by what it
touches. One call of compiled code (`Library.bind_record`) writes the numbers of a request to the next record, and its
stages into the header line of its answer. All else is done for as many requests as have gathered.

    kind      what many requests have in common: one object for all of them, and its number in their records
    record    what each has for itself

Numbers of kinds begin anew when records were read, so that what is no longer served is forgotten. Everything is called
on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from multidict import istr

from inferir.errors import BackendError
from inferir.kernels.aot import native
from inferir.kernels.aot.builtin import TEXT_NBYTES, RecordForm
from inferir.server.request.auth import ANYBODY
from inferir.server.request.exchange import QUEUE, STAGES
from inferir.server.telemetry.server_timing import header_line
from inferir.server.telemetry.trace_context import TRACEPARENT

if TYPE_CHECKING:
    from inferir.server.request.exchange import Exchange
    from inferir.server.request.routes import Route

__all__ = ["BATCH_ROWS", "CAPACITY", "ENDED_S", "KIND", "ROWS", "STAGES_S", "STARTED_S", "Kind", "Reader", "Records"]

#: So many that NumPy's fixed cost is small against theirs, so few that reading them takes less than a millisecond.
CAPACITY = 2048

#: Columns of a record's numbers; those of the stages come first.
STAGES_S = slice(0, len(STAGES))
STARTED_S, ENDED_S, ROWS, BATCH_ROWS, KIND = range(len(STAGES), len(STAGES) + 5)
_N_NUMBERS = KIND + 1

#: Of each request, where lines of the log are made of them.
_TEXTS = ("request_id", "traceparent")

#: A name that is ready to be looked for takes half of the time of a text.
_TRACEPARENT = istr(TRACEPARENT)


class Kind(NamedTuple):
    """What requests of one kind have in common; see Exchange. `key` is the name of whose key it was."""

    route: Route
    status: int
    model: str
    version: str
    code: str
    shed: str
    key: str


class Reader(Protocol):
    """Who makes something of records."""

    def read(self, kinds: Sequence[Kind], numbers: npt.NDArray[np.float64], texts: npt.NDArray[Any]) -> None:
        """Records in the order in which requests ended.

        kinds    those there are, by their numbers.
        numbers  (n, columns), float64: seconds of STAGES, monotonic seconds of the beginning and the end, rows, those
                 of the batch, the kind's number. Not to be kept: the next requests are written there.
        texts    (n, 2), bytes: request id and traceparent. (n, 0) where nobody wants them. Not to be kept either.
        """


class Records:
    """Those of requests since `flush`.

    readers  get them once there are CAPACITY, and by `flush`.
    texts    whether a record has its request's id and trace.
    begun    is called when the first comes after `flush`.
    """

    def __init__(
        self, readers: Sequence[Reader], *, texts: bool = False, begun: Callable[[], None] | None = None
    ) -> None:
        self._readers, self._with_texts, self._begun = readers, texts, begun
        capacity = CAPACITY if readers else 0
        form = [("numbers", "f8", _N_NUMBERS), ("texts", f"S{TEXT_NBYTES}", len(_TEXTS) if texts else 0)]
        self._memory = np.zeros(capacity + 1, form)  # the last is for what nobody reads
        self._count = np.zeros(1, np.int64)
        self._at_once, self._waited = self._printer(capacity, waited=False), self._printer(capacity, waited=True)
        self._forget()

    def _forget(self) -> None:
        self._kinds: list[Kind] = []
        self._numbers: dict[Kind, int] = {}
        self._kind = -1
        self._before: tuple[object, ...] = ()

    def leave(self, exchange: Exchange) -> bytes:
        """Append a request that has its answer. The header line for that; none where no model was asked."""
        rows, stages = exchange.rows, exchange.stages
        answered_by = exchange.route, exchange.status, exchange.model, exchange.version, exchange.principal
        if answered_by != self._before:  # most are as the one before, down to the objects: no text is compared
            self._before = answered_by if exchange.status < 400 else ()  # why one was refused is not in it
            self._find_kind(exchange)
        note = self._waited if stages[QUEUE] else self._at_once
        if self._with_texts:
            traceparent = exchange.headers.get(_TRACEPARENT, "")
            line = note(
                stages,
                exchange.started_s,
                exchange.ended_s,
                rows,
                exchange.batch_rows,
                self._kind,
                exchange.request_id,
                traceparent if traceparent.isascii() else "",  # what is not may be no Unicode either
            )
        else:
            line = note(stages, exchange.started_s, exchange.ended_s, rows, exchange.batch_rows, self._kind)
        return line if line and rows else self._rarely(exchange)

    def flush(self) -> None:
        """Have all records read."""
        records, kinds = self._memory[: self._count[0]], self._kinds
        self._count[0] = 0
        self._forget()
        if len(records):
            for reader in self._readers:
                reader.read(kinds, records["numbers"], records["texts"])

    def _find_kind(self, exchange: Exchange) -> None:
        key = "" if exchange.principal in (None, ANYBODY) else exchange.principal.name
        kind = Kind(
            exchange.route, exchange.status, exchange.model, exchange.version, exchange.code, exchange.shed, key
        )
        number = self._numbers.get(kind)
        if number is None:
            if self._begun is not None and not self._kinds:
                self._begun()
            number = self._numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
        self._kind = number

    def _rarely(self, exchange: Exchange) -> bytes:
        if self._count[0] == CAPACITY:
            self.flush()
        return header_line(exchange.stages) if exchange.rows else b""

    def _printer(self, capacity: int, *, waited: bool) -> Callable[..., bytes]:
        """`Library.bind_record` for requests that waited for their turn, or did not: they have other lines."""
        line = header_line([1e-9 * waited] * len(STAGES))
        names = (f" {stage};dur=".encode() for stage in STAGES)
        places = [line.index(name) + len(name) if name in line else None for name in names]
        n_texts = self._memory["texts"].shape[1]
        where = self._count.ctypes.data, self._memory.ctypes.data, capacity
        form = RecordForm(line, places, _N_NUMBERS - len(STAGES), n_texts, *where)
        try:
            return native().bind_record(form) or self._note
        except BackendError:
            return self._note

    def _note(self, stages: list[float], *more: Any) -> bytes:
        """What `bind_record` does, where there are no compiled kernels."""
        count, n_numbers = int(self._count[0]), _N_NUMBERS - len(STAGES)
        record, capacity = self._memory[count], len(self._memory) - 1
        record["numbers"] = (*stages, *more[:n_numbers])
        record["texts"] = [text.encode() for text in more[n_numbers:]]
        self._count[0] = min(count + 1, capacity)
        return b"" if count + 1 == capacity else header_line(stages)
