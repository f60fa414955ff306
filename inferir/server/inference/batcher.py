"""The requests that wait for one version, and the running of their batches. What goes into a batch: batching.py.

The first request of an idle version runs at the end of the event loop's round in which it came, together with all that
came in the same round. While a batch runs in a thread, others gather. A batch that fails is run again one by one, so
that each request gets its own answer and its own error.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np

from inferir.errors import InferirError
from inferir.server.errors import DeadlineError
from inferir.server.inference.batching import take
from inferir.server.inference.dataplane import INLINE_LIMIT_S
from inferir.server.models.registry import Cost, ModelVersion
from inferir.server.observer import Observer
from inferir.server.request.admission import EXPIRED
from inferir.server.request.exchange import INFERENCE, QUEUE, Exchange

__all__ = ["Batcher"]


@dataclass(eq=False)
class _Waiting:
    exchange: Exchange
    rows: Any
    faces: tuple[str, ...]
    answer: asyncio.Future[dict[str, Any]]
    since_s: float


class Batcher:
    """Joins requests for `version`.

    max_request_rows  a request with more is a batch by itself, and does not come here.
    budget_s          what the kernel may take for a batch, so that nobody waits longer for the sake of others.
    """

    def __init__(
        self, version: ModelVersion, executor: Executor, observer: Observer, *, max_rows: int, budget_s: float
    ) -> None:
        self.max_request_rows = max(1, max_rows // 4)
        # Not the version itself, which refers to its batcher: a cycle would keep the memory of a version that is gone.
        self._model, self._cost, self._cost_together = version.model, version.cost, version.cost_together
        self._name, self._number = version.name, version.version
        self._executor = executor
        self._observer = observer
        self._max_rows = max_rows
        self._budget_s = budget_s
        self._waiting: list[_Waiting] = []
        self._running = False

    def submit(self, exchange: Exchange, rows: Any, faces: tuple[str, ...]) -> asyncio.Future[dict[str, Any]]:
        """The faces of `rows`, when their batch has run."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(exchange, rows, faces, loop.create_future(), monotonic())
        self._waiting.append(waiting)
        if not self._running:
            self._running = True
            loop.call_soon(self._next)
        return waiting.answer

    def _next(self) -> None:
        batch = self._take()
        if not batch:
            self._running = False
            return
        loop = asyncio.get_running_loop()
        rows = sum(len(each.rows) for each in batch)
        if self._cost_of(batch[0]).seconds(rows) <= INLINE_LIMIT_S:
            self._done(batch, *self._run(batch))
            loop.call_soon(self._next)
            return
        running = loop.run_in_executor(self._executor, self._run, batch)
        running.add_done_callback(lambda future: self._ran(batch, future))

    def _ran(self, batch: list[_Waiting], future: asyncio.Future[Any]) -> None:
        try:
            self._done(batch, *future.result())
        except BaseException as error:  # the executor is shut down
            for each in batch:
                if not each.answer.done():
                    each.answer.set_exception(error)
        self._next()

    def _take(self) -> list[_Waiting]:
        """The next batch: requests that ask for the same, from the first that waits. Drops whom nobody waits for."""
        now_s, waiting = monotonic(), []
        for each in self._waiting:
            if each.answer.done():  # cancelled
                continue
            if each.exchange.deadline_s <= now_s:
                each.answer.set_exception(DeadlineError(EXPIRED, "the deadline passed while the request waited"))
                continue
            waiting.append(each)
        # float32 rows joined with float64 ones would be answered as these: some models round otherwise.
        same = [each for each in waiting if each.faces == waiting[0].faces and each.rows.dtype == waiting[0].rows.dtype]
        count = take(
            [len(each.rows) for each in same],
            [each.exchange.deadline_s for each in same],
            now_s,
            self._cost_of(same[0]) if same else self._cost,
            self._max_rows,
            self._budget_s,
        )
        batch = same[:count]
        self._waiting = [each for each in waiting if each not in batch]
        return batch

    def _cost_of(self, waiting: _Waiting) -> Cost:
        return self._cost if len(waiting.faces) == 1 else self._cost_together

    def _run(self, batch: list[_Waiting]) -> tuple[list[Any], float, float]:
        """Answers or errors, one for each request; when it began, and how long it took. In a thread, or not."""
        started_s = monotonic()
        model, faces = self._model, batch[0].faces
        try:
            joined = batch[0].rows if len(batch) == 1 else np.concatenate([each.rows for each in batch])
            answers: list[Any] = _split(model.answers(joined, faces, encoded=True), [len(each.rows) for each in batch])
        except InferirError:
            answers = [_alone(model, each) for each in batch]
        except Exception as error:  # a bug: whoever waits has to know
            answers = [error] * len(batch)
        return answers, started_s, monotonic() - started_s

    def _done(self, batch: list[_Waiting], answers: list[Any], started_s: float, seconds: float) -> None:
        rows = sum(len(each.rows) for each in batch)
        self._observer.batch_run(self._name, self._number, rows, len(batch), seconds)
        for each, answer in zip(batch, answers, strict=True):
            each.exchange.stages[QUEUE] += started_s - each.since_s
            each.exchange.stages[INFERENCE] = seconds
            each.exchange.batch_rows = rows
            if each.answer.done():
                continue
            if isinstance(answer, Exception):
                each.answer.set_exception(answer)
            else:
                each.answer.set_result(answer)


def _alone(model: Any, waiting: _Waiting) -> Any:
    try:
        return model.answers(waiting.rows, waiting.faces, encoded=True)
    except InferirError as error:
        return error


def _split(answers: dict[str, Any], counts: list[int]) -> list[dict[str, Any]]:
    """The answers of a batch, cut into those of its requests. A face of several outputs is a list of arrays."""
    ends = np.cumsum(counts).tolist()
    parts = zip([0, *ends], ends)  # noqa: B905 - the last end begins nothing
    return [
        {
            face: [one[start:end] for one in answer] if isinstance(answer, list) else answer[start:end]
            for face, answer in answers.items()
        }
        for start, end in parts
    ]
