"""Routes of the containers of SageMaker and MLflow: GET /ping, POST /invocations, GET /version.

SageMaker names a model of several by a header, MLflow has one; without a name the default model answers.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from inferir import __version__
from inferir.rows import Columns
from inferir.server.errors import NotReadyError
from inferir.server.inference.dataplane import Answers
from inferir.server.models.registry import ModelVersion
from inferir.server.parts import Parts
from inferir.server.protocols import invocations
from inferir.server.request.exchange import DESERIALIZE, POSTPROCESS, PREPROCESS, SERIALIZE, Exchange
from inferir.server.request.replies import Reply
from inferir.server.request.routes import Route

__all__ = ["ContainerHandlers"]

#: Of SageMaker's endpoints with several models; its value is a file's name there.
TARGET_MODEL = "X-Amzn-SageMaker-Target-Model"


class ContainerHandlers:
    """Handlers of the containers' routes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._columns: WeakKeyDictionary[ModelVersion, Columns] = WeakKeyDictionary()

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/ping", self.ping, None),
            Route("GET", "/version", self.version, None),
            Route("POST", "/invocations", self.invoke, "infer", admitted=True),
        ]

    def ping(self, exchange: Exchange) -> Reply:
        if not self._parts.ready():
            raise NotReadyError("expected every model to be loaded, got some that are not")
        return Reply(b"")

    def version(self, exchange: Exchange) -> Reply:
        """MLflow's route for the version of what serves."""
        return Reply(__version__.encode(), content_type="text/plain")

    def invoke(self, exchange: Exchange) -> Reply | Awaitable[Reply]:
        accept = invocations.media_type(exchange.headers.get("Accept"), "Accept")
        name = exchange.headers.get(TARGET_MODEL)
        version = self._parts.plane.resolve(exchange, name.removesuffix(".apr") if name else None)
        started_s = monotonic()
        request = invocations.decode(
            bytes(exchange.body), exchange.headers.get("Content-Type"), self._columns_of(version)
        )
        faces = version.model.faces
        face = request.face or ("prediction" if "prediction" in faces else faces[0])
        decoded_s = monotonic()
        rows = version.model.encode(request.rows)
        exchange.stages[DESERIALIZE] = decoded_s - started_s
        exchange.stages[PREPROCESS] = monotonic() - decoded_s
        answers = self._parts.plane.predict(exchange, version, rows, (face,))
        if isinstance(answers, Answers):
            return _reply(exchange, answers, face, accept)
        return _later(exchange, answers, face, accept)

    def _columns_of(self, version: ModelVersion) -> Columns:
        columns = self._columns.get(version)
        if columns is None:
            model = version.model
            columns = self._columns[version] = Columns(model.columns, model.named_columns)
        return columns


async def _later(exchange: Exchange, pending: Awaitable[Answers], face: str, accept: str) -> Reply:
    return _reply(exchange, await pending, face, accept)


def _reply(exchange: Exchange, answers: Answers, face: str, accept: str) -> Reply:
    started_s = monotonic()
    values: Any = answers.faces[face]
    predictions = (np.concatenate(values, axis=1) if isinstance(values, list) else values).tolist()
    listed_s = monotonic()
    body = invocations.encode(predictions, accept)
    exchange.stages[POSTPROCESS] = listed_s - started_s
    exchange.stages[SERIALIZE] = monotonic() - listed_s
    return Reply(body, content_type=accept)
