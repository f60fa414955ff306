"""The data plane of a server that remembers predictions. Another class: one that does not remember pays nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from concurrent.futures import Executor
from typing import Any

from inferir import payload
from inferir.server.inference.dataplane import Answers, DataPlane, Matrix
from inferir.server.models.registry import ModelVersion, Registry
from inferir.server.monitoring.truths import Memory, Remembered
from inferir.server.request.exchange import Exchange

__all__ = ["RememberingPlane"]


class RememberingPlane(DataPlane):
    """Puts what was predicted into `memory`, by the id of the request."""

    def __init__(self, registry: Registry, executor: Executor, memory: Memory, *, max_batch_rows: int) -> None:
        super().__init__(registry, executor, max_batch_rows=max_batch_rows)
        self._memory = memory

    def predict(
        self, exchange: Exchange, version: ModelVersion, rows: Matrix, faces: Sequence[str]
    ) -> Answers | Awaitable[Answers]:
        answers = super().predict(exchange, version, rows, faces)
        return self._answered(exchange, answers) if isinstance(answers, Answers) else self._later(exchange, answers)

    def predict_row(
        self, exchange: Exchange, version: ModelVersion, row: memoryview, faces: tuple[str, ...], now_s: float
    ) -> list[list[Any]] | None:
        answers = super().predict_row(exchange, version, row, faces, now_s)
        if answers is not None and "prediction" in faces:
            numbers, classes = answers[faces.index("prediction")], version.model.classes
            one = payload.labels(classes, [numbers]) if classes else numbers if len(numbers) == 1 else [numbers]
            self._remember(exchange, version, one)
        return answers

    async def _later(self, exchange: Exchange, pending: Awaitable[Answers]) -> Answers:
        return self._answered(exchange, await pending)

    def _answered(self, exchange: Exchange, answers: Answers) -> Answers:
        predictions = answers.faces.get("prediction")
        if predictions is not None:
            self._remember(exchange, answers.version, predictions.tolist())
        return answers

    def _remember(self, exchange: Exchange, version: ModelVersion, predictions: list[Any]) -> None:
        kept = Remembered(version.name, version.version, version.digest, predictions)
        self._memory.put(exchange.request_id, kept)
