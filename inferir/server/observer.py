"""What the server tells those who watch it: metrics, traces, logs. The server does not know who they are.

An observer is called on the event loop, for every request, and must not raise or block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from inferir.server.request.exchange import Exchange

__all__ = ["ModelsOnly", "NoStart", "Observer", "Observers", "Telemetry"]


class Observer(Protocol):
    """Events, in the order of a request's life; then those of models."""

    def request_started(self, exchange: Exchange) -> None:
        """The request is whole. Route, headers and times are known, nothing else."""

    def request_finished(self, exchange: Exchange) -> None:
        """The answer is made, and about to be written: every field of the exchange is known. A request that was shed
        ends here too, with `exchange.shed`.
        """

    def batch_run(self, model: str, version: str, rows: int, requests: int, seconds: float) -> None:
        """A model ran once for `requests` requests with `rows` rows together. Requests that had a call of their own say
        so themselves: their `batch_rows` is 0.
        """

    def model_loaded(self, model: str, version: str, stages: dict[str, float], n_bytes: int) -> None:
        """A version is ready; `stages` are the seconds of read, compile and warm_up."""

    def model_failed(self, model: str, code: str) -> None:
        """A version was not loaded; what was there before still answers."""

    def model_unloaded(self, model: str, version: str, reason: str) -> None:
        """A version is gone: replaced, unloaded, or evicted."""


class NoStart:
    """An observer to whom a request says nothing before it is answered: it is not called."""

    def request_started(self, exchange: Exchange) -> None:
        """Nothing is known yet."""


class ModelsOnly(NoStart):
    """An observer that hears of models, and of no request."""


class Telemetry(Observer, Protocol):
    """What `inferir.server.telemetry.create(settings)` returns: the observer that also gives headers and /metrics.

    started  whom `request_started` tells: most often nobody, which spares a call.
    """

    started: tuple[Callable[[Exchange], None], ...]

    def headers(self, exchange: Exchange) -> bytes:
        """Header lines of the answer, each with its CR LF: Server-Timing, traceparent."""

    def snapshot(self) -> dict[str, Any]:
        """Every value of this process, JSON-able: a supervisor adds up those of all workers."""

    def render(self, snapshots: Sequence[dict[str, Any]], gauges: dict[str, float], accept: str) -> tuple[bytes, str]:
        """The text of /metrics for the sum of `snapshots`, and its content type.

        gauges  name -> value of what only the server knows: in_flight, queue_depth, concurrency_limit, workers.
        """

    async def close(self) -> None:
        """Send what is not sent yet."""


class Observers:
    """Several observers as one."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self.observers = tuple(observers)
        self.started: tuple[Callable[[Exchange], None], ...] = tuple(
            each.request_started for each in self.observers if not isinstance(each, NoStart)
        )
        self._finished = [each.request_finished for each in self.observers if not isinstance(each, ModelsOnly)]
        if len(self._finished) == 1:  # every request passes here: one that listens is told without a loop
            self.request_finished = self._finished[0]  # type: ignore[method-assign]

    def request_started(self, exchange: Exchange) -> None:
        for tell in self.started:
            tell(exchange)

    def request_finished(self, exchange: Exchange) -> None:
        for tell in self._finished:
            tell(exchange)

    def batch_run(self, model: str, version: str, rows: int, requests: int, seconds: float) -> None:
        for observer in self.observers:
            observer.batch_run(model, version, rows, requests, seconds)

    def model_loaded(self, model: str, version: str, stages: dict[str, float], n_bytes: int) -> None:
        for observer in self.observers:
            observer.model_loaded(model, version, stages, n_bytes)

    def model_failed(self, model: str, code: str) -> None:
        for observer in self.observers:
            observer.model_failed(model, code)

    def model_unloaded(self, model: str, version: str, reason: str) -> None:
        for observer in self.observers:
            observer.model_unloaded(model, version, reason)
