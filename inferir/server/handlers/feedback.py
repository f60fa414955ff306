"""POST /feedback: what turned out to be true of a prediction.

    {"request_id": "6ed5dec400000000", "truth": 1}                      of a request that is remembered
    {"model_id": "churn@1.2.0", "prediction": 0, "truth": 1}            of any prediction
    {"model_id": "churn", "prediction": [0, 1], "truth": [1, 1]}        of several rows

All of a request is counted, or nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import UNSET

from inferir.errors import InvalidInputError
from inferir.rows.plain import short_repr
from inferir.server.errors import NotRememberedError, TooLargeError
from inferir.server.handlers.predict import check_json
from inferir.server.inference.dataplane import DataPlane
from inferir.server.models.registry import ModelVersion
from inferir.server.monitoring.monitor import Monitor
from inferir.server.monitoring.truths import Remembered, rows_of
from inferir.server.request.exchange import Exchange
from inferir.server.request.replies import Reply, json_reply
from inferir.server.schemas import FeedbackAnswer, FeedbackRequest

__all__ = ["TRUTH_LIMIT", "FeedbackHandler", "Recall"]

#: Truths in one request: they are checked on the event loop, a microsecond each.
TRUTH_LIMIT = 10_000

#: What was predicted for a request id, by this process or another; then it is forgotten.
Recall = Callable[[str], Awaitable[Remembered | None]]

_decode = msgspec.json.Decoder(FeedbackRequest).decode
_FORMS = '{"request_id": ..., "truth": ...} or {"model_id": ..., "prediction": ..., "truth": ...}'


class FeedbackHandler:
    """Counts truths. `remembers` says whether this server keeps predictions at all."""

    def __init__(self, plane: DataPlane, monitor: Monitor, recall: Recall, *, remembers: bool) -> None:
        self._plane = plane
        self._monitor = monitor
        self._recall = recall
        self._remembers = remembers

    async def __call__(self, exchange: Exchange) -> Reply:
        check_json(exchange)
        try:
            body = _decode(exchange.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInputError(f"expected {_FORMS}, got: {error}") from None
        if (body.request_id is None) == (body.prediction is UNSET):
            came = "both" if body.request_id is not None else "neither"
            raise InvalidInputError(f"expected either request_id or prediction, got {came}: {_FORMS}")
        if body.request_id is None:
            version = self._plane.resolve(exchange, body.model_id)
            return self._count(version, body.prediction, body.truth)
        if body.model_id is not None:
            raise InvalidInputError("expected no model_id with request_id, which knows its model, got both")
        return await self._recalled(exchange, body.request_id, body.truth)

    async def _recalled(self, exchange: Exchange, request_id: str, truth: Any) -> Reply:
        if not self._remembers:
            raise NotRememberedError("expected prediction and truth: this server remembers no predictions (--remember)")
        found = await self._recall(request_id)
        if found is None:
            raise NotRememberedError(f"no prediction is remembered for request_id {short_repr(request_id)}")
        version = self._plane.registry.table.models.get(found.model, {}).get(found.version)
        if version is None or version.digest != found.digest:
            raise NotRememberedError(
                f"{found.model}@{found.version}, which answered {short_repr(request_id)}, is not loaded any more"
            )
        exchange.model, exchange.version = version.name, version.version
        try:
            # As /predict wrote them: one row of several outputs is a list, and so are several rows.
            return self._count(version, found.predictions, truth)
        except Exception:
            self._monitor.memory.put(request_id, found)
            raise

    def _count(self, version: ModelVersion, prediction: Any, truth: Any) -> Reply:
        truths = self._monitor.truths(version)
        predicted, true = rows_of(prediction, truths.outputs, "prediction"), rows_of(truth, truths.outputs, "truth")
        if len(true) > TRUTH_LIMIT:
            raise TooLargeError(f"expected at most {TRUTH_LIMIT} truths in a request, got {len(true)}")
        truths.add(truths.check(predicted, true))
        return json_reply(FeedbackAnswer(version.name, version.version, len(true)))
