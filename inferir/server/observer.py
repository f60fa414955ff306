"""What the server tells those who watch it: metrics, traces, logs. The server does not know who they are.

An observer is called on the event loop and must not raise or block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from inferir.server.request.exchange import Exchange

__all__ = ["Observer", "Observers", "Telemetry"]


class Observer(Protocol):
    """Events of models."""

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


class Telemetry(Observer, Protocol):
    """What `inferir.server.telemetry.create(settings)` returns: it hears of requests, too, and gives /metrics.

    started  is told of a request once it is whole: route, headers and times are known, nothing else. Most often nobody
             is, which spares a call.
    """

    started: tuple[Callable[[Exchange], None], ...]

    def finished(self, exchange: Exchange) -> bytes:
        """The answer is made, and about to be written: every field of the exchange is known. A request that was shed
        ends here too, with `exchange.shed`.

        Returns header lines of the answer, each with its CR LF: Server-Timing, traceparent.
        """

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
