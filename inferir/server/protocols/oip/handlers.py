"""Routes under /v2: health, metadata, inference. They translate, the data plane decides."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

from inferir import __version__
from inferir.server.inference.dataplane import Answers
from inferir.server.models.registry import ModelVersion
from inferir.server.parts import Parts
from inferir.server.protocols.oip import rest
from inferir.server.protocols.oip.bound import Question, Questions
from inferir.server.protocols.oip.messages import HealthStatus, ModelMetadata, ModelReady, ServerMetadata
from inferir.server.protocols.oip.signature import Signature
from inferir.server.request.deadlines import tighten
from inferir.server.request.exchange import DESERIALIZE, POSTPROCESS, PREPROCESS, SERIALIZE, Exchange
from inferir.server.request.replies import JSON, Reply, json_reply
from inferir.server.request.routes import Route

__all__ = ["EXTENSIONS", "PLATFORM", "OipHandlers", "metadata_of"]

#: What is there beyond the protocol itself, by the names that Triton gave them.
EXTENSIONS = ["binary_tensor_data", "classification", "model_repository", "schedule_policy", "statistics"]

PLATFORM = "inferir_apr"

#: Under which a version keeps what is made of it here.
_NAME = "oip"

_HEADER_LENGTH = rest.HEADER_LENGTH.encode()

#: Compressing fewer bytes costs more than sending them.
_COMPRESS_FROM_BYTES = 1024

#: Accept-Encoding -> zlib's wbits. Only a header that is just this word, and so was written for this request: browsers
#: and aiohttp say to everybody what they could read, and tritonclient.http.aio then does not read it.
_COMPRESSIONS: Mapping[str, int] = {"gzip": 31, "deflate": 15}


class OipHandlers:
    """Handlers of the protocol for one server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        models = "/v2/models/{name}"
        versioned = models + "/versions/{version}"
        routes = [
            Route("GET", "/v2/health/live", self.health, None, plain_errors=True),
            Route("GET", "/v2/health/ready", self.health_ready, None, plain_errors=True),
            Route("GET", "/v2", self.server, "infer", plain_errors=True),
            Route("GET", "/v2/", self.server, "infer", plain_errors=True),
        ]
        for path in (models, versioned):
            routes += [
                Route("GET", path, self.model, "infer", plain_errors=True),
                Route("GET", f"{path}/ready", self.model_ready, "infer", plain_errors=True),
                Route("GET", f"{path}/config", self.config, "infer", plain_errors=True),
                Route("POST", f"{path}/infer", self.infer, "infer", admitted=True, plain_errors=True),
            ]
        return routes

    def signature(self, version: ModelVersion) -> Signature:
        """Of a loaded version; made once."""
        return self._asked(version).signature

    def _asked(self, version: ModelVersion) -> Questions:
        questions: Questions | None = version.kept.get(_NAME)
        if questions is None:
            questions = version.kept[_NAME] = Questions(Signature(version.model))
        return questions

    # -- health and metadata

    def health(self, exchange: Exchange) -> Reply:
        return json_reply(HealthStatus(live=True, ready=self._parts.ready()))

    def health_ready(self, exchange: Exchange) -> Reply:
        ready = self._parts.ready()
        return json_reply(HealthStatus(live=True, ready=ready), 200 if ready else 503)

    def server(self, exchange: Exchange) -> Reply:
        return json_reply(ServerMetadata("inferir", __version__, EXTENSIONS))

    def model(self, exchange: Exchange) -> Reply:
        version = self.find(exchange)
        return json_reply(metadata_of(version, self.signature(version), self._parts))

    def model_ready(self, exchange: Exchange) -> Reply:
        version = self.find(exchange)
        return json_reply(ModelReady(version.name, True))

    def config(self, exchange: Exchange) -> Reply:
        """Triton's model configuration, as far as clients read it: how large batches may be, and which tensors."""
        version = self.find(exchange)
        signature = self.signature(version)

        def tensors(listed: list[Any]) -> list[dict[str, Any]]:
            # Without the dimension of the batch, which max_batch_size stands for.
            return [
                {
                    "name": tensor.name,
                    "data_type": "TYPE_STRING" if tensor.datatype == "BYTES" else f"TYPE_{tensor.datatype}",
                    "dims": [str(dimension) for dimension in tensor.shape[1:]] or ["1"],
                }
                for tensor in listed
            ]

        return json_reply(
            {
                "name": version.name,
                "platform": PLATFORM,
                "backend": "inferir",
                "max_batch_size": self._parts.settings.max_batch_rows,
                "input": tensors(signature.inputs),
                "output": tensors(signature.outputs),
            }
        )

    def find(self, exchange: Exchange) -> ModelVersion:
        """The version that the path names. Raises UnknownModelError (E011), NotReadyError."""
        return self.resolve(exchange, exchange.match["name"], exchange.match.get("version", ""))

    def resolve(self, exchange: Exchange, name: str, number: str) -> ModelVersion:
        """The version `number` of a model, or with "" the one that answers for it. Raises as `find`."""
        return self._parts.plane.resolve(exchange, f"{name}@{number}" if number else name)

    # -- inference

    def infer(self, exchange: Exchange) -> Reply | Awaitable[Reply]:
        version = self.find(exchange)
        started_s = monotonic()
        headers = exchange.headers
        bound, tail = self._asked(version).read(exchange.body, headers.get(rest.HEADER_LENGTH))
        rows = bound.rows(tail)
        exchange.stages[DESERIALIZE] = monotonic() - started_s

        def encoded(version: ModelVersion, outputs: Any) -> Reply:
            body, header_length = bound.encoded(version.name, version.version, outputs)
            return _http_reply(headers.get("Accept-Encoding", ""), body, header_length)

        return self.ask(exchange, version, bound, rows, encoded)

    def ask(
        self,
        exchange: Exchange,
        version: ModelVersion,
        question: Question,
        rows: Any,
        encoded: Callable[[ModelVersion, Any], Reply],
    ) -> Reply | Awaitable[Reply]:
        """Ask a model about `rows`, as `Signature.rows` has them; `encoded` writes the outputs down, in the form that
        the caller speaks.
        """
        started_s = monotonic()
        if question.timeout_s is not None:
            tighten(exchange, question.timeout_s)
        matrix = version.model.encode(rows)
        exchange.stages[PREPROCESS] = monotonic() - started_s
        answers = self._parts.plane.predict(exchange, version, matrix, question.faces)

        def finish(answers: Answers) -> Reply:
            answered_s = monotonic()
            outputs = question.outputs(answers.faces)
            listed_s = monotonic()
            reply = encoded(answers.version, outputs)
            exchange.stages[POSTPROCESS] = listed_s - answered_s
            exchange.stages[SERIALIZE] = monotonic() - listed_s
            return reply

        return finish(answers) if isinstance(answers, Answers) else _later(answers, finish)


async def _later(answers: Awaitable[Answers], finish: Callable[[Answers], Reply]) -> Reply:
    return finish(await answers)


def _http_reply(accept_encoding: str, body: bytes, header_length: int | None) -> Reply:
    lines = b"" if header_length is None else b"%b: %d\r\n" % (_HEADER_LENGTH, header_length)
    if accept_encoding in _COMPRESSIONS and len(body) >= _COMPRESS_FROM_BYTES:
        compressor = zlib.compressobj(1, wbits=_COMPRESSIONS[accept_encoding])
        body = compressor.compress(body) + compressor.flush()
        lines += b"Content-Encoding: %b\r\n" % accept_encoding.encode()
    return Reply(body, content_type=JSON if header_length is None else "application/octet-stream", lines=lines)


def metadata_of(version: ModelVersion, signature: Signature, parts: Parts) -> ModelMetadata:
    """A model's metadata; all its loaded versions, the one that answers for the name first."""
    versions = parts.registry.table.models.get(version.name, {})
    ordered = sorted(versions.values(), key=lambda other: not parts.registry.is_default(other))
    return ModelMetadata(
        version.name,
        [other.version for other in ordered],
        PLATFORM,
        signature.inputs,
        signature.outputs,
        {"task": version.model.task, "outputs": ", ".join(signature.faces)},
    )
