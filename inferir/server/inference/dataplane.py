"""DataPlane: a reference and rows in, answers out. It knows models, batches and deadlines, and no HTTP.

Every face of the server comes through here: /predict, the Open Inference Protocol, gRPC, /invocations. A small batch of
a fast model is answered on the spot, without a task or a thread; others go through the version's batcher, or to a
thread where they would hold up the event loop. A single row of plain values has a way without NumPy, whose arrays would
cost more than the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from time import monotonic
from typing import Any, NamedTuple, TypeAlias

from inferir.errors import InvalidInputError, UnknownModelError
from inferir.server.errors import DeadlineError, NotReadyError, TooLargeError
from inferir.server.models.registry import ModelVersion, Registry
from inferir.server.request.admission import DEADLINE_INFEASIBLE, EXPIRED
from inferir.server.request.exchange import INFERENCE, QUEUE, Exchange

__all__ = ["INLINE_LIMIT_S", "Answers", "DataPlane"]

#: What is expected to take longer than this runs in a thread: every other request waits for what runs on the loop.
INLINE_LIMIT_S = 0.001

Matrix: TypeAlias = Any


class Answers(NamedTuple):
    """What a version said. `faces` maps each face asked for to its array, one row per row."""

    version: ModelVersion
    faces: dict[str, Any]


class DataPlane:
    """Answers requests with the models of a registry.

    known   name -> file of every model that could be loaded, whether it is or not.
    loaded  whether everything that was to be loaded at the start is.
    """

    def __init__(self, registry: Registry, executor: Executor, *, max_batch_rows: int = 100_000) -> None:
        self.registry = registry
        self._executor = executor
        self._max_batch_rows = max_batch_rows
        self.known: Callable[[], Mapping[str, str]] = dict
        self.loaded = False

    def resolve(self, exchange: Exchange, reference: str | None) -> ModelVersion:
        """The version that is to answer, noted in the exchange.

        Raises UnknownModelError (E011), or NotReadyError for a model that is known and not loaded.
        """
        try:
            version = self.registry.resolve(reference)
        except UnknownModelError:
            if not self.loaded:
                raise NotReadyError("models are still being loaded") from None
            meant = self.registry.table.default if reference is None else reference
            if meant in self.known():
                raise NotReadyError(f"model {meant!r} is not loaded") from None
            raise
        exchange.model, exchange.version = version.name, version.version
        return version

    def predict(
        self, exchange: Exchange, version: ModelVersion, rows: Matrix, faces: Sequence[str]
    ) -> Answers | Awaitable[Answers]:
        """Ask `version` for `faces` of `rows`: answers at once where they are cheap, or something to await.

        rows   as `Model.encode` or `PlainColumns` make them: (n, columns) of float32 or float64, codes for categories.
        faces  of version.model.faces: "prediction", "probabilities", "raw", "transformed".

        Raises TooLargeError, DeadlineError, DimensionError (E003), InvalidInputError (E006), TaskError (E008).
        """
        n = len(rows)
        if n > self._max_batch_rows:
            raise TooLargeError(f"expected at most {self._max_batch_rows} rows, got {n}")
        if not n:
            raise InvalidInputError("expected at least one row, got none")
        exchange.rows = n
        expected_s = version.cost_of(faces).seconds(n)
        check_deadline(exchange, expected_s)
        if version.batcher is not None and n <= version.batcher.max_request_rows:
            return self._batched(exchange, version, rows, faces)
        if expected_s <= INLINE_LIMIT_S:
            return self._run(exchange, version, rows, faces)
        return self._in_thread(exchange, version, rows, faces, expected_s)

    def predict_row(
        self, exchange: Exchange, version: ModelVersion, row: memoryview, faces: tuple[str, ...], now_s: float
    ) -> list[list[Any]] | None:
        """As `predict`, for the bytes of one row: the numbers of each face, as `Model.plain` has them. None where it is
        not to be answered on the spot, or not in this way: then `predict` is to be asked. `now_s` is the monotonic
        time.
        """
        ways, expected_s = version.plain, version.cost_of(faces).one_s
        if not ways or version.batcher is not None or expected_s > INLINE_LIMIT_S:
            return None
        exchange.rows = 1
        if now_s + expected_s > exchange.deadline_s:
            check_deadline(exchange, expected_s)
        answers = ways[faces](row)
        exchange.stages[INFERENCE] = monotonic() - now_s
        return answers

    def _run(self, exchange: Exchange, version: ModelVersion, rows: Matrix, faces: Sequence[str]) -> Answers:
        started_s = monotonic()
        answers = version.model.answers(rows, faces, encoded=True)
        exchange.stages[INFERENCE] = monotonic() - started_s
        if version.drift is not None:
            version.drift.sampler.offer(rows)
        return Answers(version, answers)

    async def _in_thread(
        self, exchange: Exchange, version: ModelVersion, rows: Matrix, faces: Sequence[str], expected_s: float
    ) -> Answers:
        queued_s = monotonic()

        def work() -> Answers:
            exchange.stages[QUEUE] += monotonic() - queued_s
            check_deadline(exchange, expected_s)
            return self._run(exchange, version, rows, faces)

        version.acquire()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            version.release()

    async def _batched(self, exchange: Exchange, version: ModelVersion, rows: Matrix, faces: Sequence[str]) -> Answers:
        version.acquire()
        try:
            answers = Answers(version, await version.batcher.submit(exchange, rows, tuple(faces)))
            if version.drift is not None:
                version.drift.sampler.offer(rows)
            return answers
        finally:
            version.release()


def check_deadline(exchange: Exchange, expected_s: float) -> None:
    """Raises DeadlineError where nobody will wait for an answer that takes `expected_s` from now."""
    left_s = exchange.deadline_s - monotonic()
    if left_s <= 0:
        raise DeadlineError(EXPIRED, "the deadline passed before the request was run")
    if left_s < expected_s:
        raise DeadlineError(
            DEADLINE_INFEASIBLE,
            f"expected {expected_s * 1e3:.3g} ms of work to fit before the deadline, got {left_s * 1e3:.3g} ms left",
        )
