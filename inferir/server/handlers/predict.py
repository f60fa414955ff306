"""POST /predict and POST /predict/batch: JSON in, JSON out, by the rules of inferir/payload.py."""

from __future__ import annotations

from collections.abc import Awaitable
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from inferir import payload
from inferir.errors import InvalidInputError
from inferir.server.errors import UnsupportedMediaError
from inferir.server.inference.cache import AnswerCache
from inferir.server.inference.dataplane import Answers, DataPlane
from inferir.server.models.registry import ModelVersion, Table
from inferir.server.request.exchange import (
    DESERIALIZE,
    INFERENCE,
    POSTPROCESS,
    PREPROCESS,
    SERIALIZE,
    VALIDATE,
    Body,
    Exchange,
)
from inferir.server.request.replies import Reply

if TYPE_CHECKING:
    from inferir.model import Model

__all__ = ["PredictHandler", "check_json", "decode_json"]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class PredictHandler:
    """Answers both routes: the form of the request, `features` or `instances`, is the form of the answer."""

    def __init__(self, plane: DataPlane, max_rows: int, cache: AnswerCache | None = None) -> None:
        self._plane = plane
        self._max_rows = max_rows
        self._cache = cache

    def __call__(self, exchange: Exchange) -> Reply | Awaitable[Reply]:
        check_json(exchange)
        stages, plane = exchange.stages, self._plane
        document = decode_json(exchange.body)
        decoded_s = monotonic()
        stages[DESERIALIZE] = decoded_s - exchange.started_s
        request = payload.read(document, self._max_rows)
        version = plane.resolve(exchange, request.model_id)
        faces = version.asked[request.options.needs_probabilities]
        read_s = monotonic()
        stages[VALIDATE] = read_s - decoded_s
        table = plane.registry.table
        if self._cache is not None and (said := self._cache.get(table, bytes(exchange.body))) is not None:
            exchange.rows = len(said)
            return _reply(exchange, request, version, said, monotonic())
        encoded = payload.encode(request, version.columns)
        if len(request.instances) == 1:
            encoded_s = monotonic()
            numbers = plane.predict_row(exchange, version, encoded.cast("B"), faces, encoded_s)
            if numbers is not None:
                stages[PREPROCESS] = encoded_s - read_s
                answered_s = encoded_s + stages[INFERENCE]
                found = _from_numbers(version.model, faces[0], *numbers)
                return self._said(exchange, request, version, *found, table, answered_s)
        rows = np.frombuffer(encoded, version.dtype).reshape(-1, version.columns.width)
        stages[PREPROCESS] = monotonic() - read_s
        answers = plane.predict(exchange, version, rows, faces)
        if isinstance(answers, Answers):
            return self._answered(exchange, request, answers, table)
        return self._later(exchange, request, answers, table)

    async def _later(
        self, exchange: Exchange, request: payload.Request, pending: Awaitable[Answers], table: Table
    ) -> Reply:
        return self._answered(exchange, request, await pending, table)

    def _answered(self, exchange: Exchange, request: payload.Request, answers: Answers, table: Table) -> Reply:
        answered_s = monotonic()
        return self._said(exchange, request, answers.version, *_from_arrays(answers.faces), table, answered_s)

    def _said(
        self,
        exchange: Exchange,
        request: payload.Request,
        version: ModelVersion,
        predictions: list[Any],
        probabilities: list[Any] | None,
        table: Table,
        answered_s: float,
    ) -> Reply:
        said = payload.answers(predictions, probabilities, version.model.classes, request.options)
        if self._cache is not None:
            self._cache.put(table, bytes(exchange.body), said)
        return _reply(exchange, request, version, said, answered_s)


def _from_arrays(faces: dict[str, Any]) -> tuple[list[Any], list[Any] | None]:
    """Predictions and probabilities, a line for each row."""
    probabilities = faces.pop("probabilities", None)
    if isinstance(probabilities, list):  # one array per output
        probabilities = np.concatenate(probabilities, axis=1)
    (predictions,) = faces.values()
    return predictions.tolist(), None if probabilities is None else probabilities.tolist()


def _from_numbers(
    model: Model, face: str, numbers: list[Any], probabilities: list[Any] | None = None
) -> tuple[list[Any], list[Any] | None]:
    """The same of the numbers of one row, where labels are positions. Only `transformed` is a list for one column."""
    if face == "prediction" and model.classes:
        predictions = payload.labels(model.classes, [numbers])
    else:
        predictions = numbers if len(numbers) == 1 and face != "transformed" else [numbers]
    return predictions, None if probabilities is None else [probabilities]


def _reply(
    exchange: Exchange, request: payload.Request, version: ModelVersion, said: list[dict[str, Any]], answered_s: float
) -> Reply:
    said_s = monotonic()
    exchange.stages[POSTPROCESS] = said_s - answered_s
    document: dict[str, Any] = payload.reply(
        request,
        said,
        name=version.name,
        version=version.version,
        latency_ms=round((said_s - exchange.started_s) * 1e3, 3),
        request_id=exchange.request_id,
    )
    body = _encode(document)
    exchange.ended_s = ended_s = monotonic()
    exchange.stages[SERIALIZE] = ended_s - said_s
    return Reply(body)


#: What clients say of a body that they were told nothing about: of curl's -d and of bytes in many libraries.
_UNSAID = ("application/x-www-form-urlencoded", "application/octet-stream", "")


def check_json(exchange: Exchange) -> None:
    """A body is JSON unless it says otherwise. Raises UnsupportedMediaError (415)."""
    content_type = exchange.headers.get("Content-Type")
    if content_type is None or content_type == "application/json":
        return
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in ("application/json", "text/json", *_UNSAID):
        raise UnsupportedMediaError(f"expected Content-Type application/json, got {content_type[:100]!r}")


def decode_json(body: Body) -> Any:
    """The values in a JSON body. Raises InvalidInputError (E006)."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = f"{len(body)} bytes of something else: {error}" if body else "an empty body"
        raise InvalidInputError(f"expected JSON, got {what}") from None
    except RecursionError:
        raise InvalidInputError("expected JSON, got values nested too deep") from None
