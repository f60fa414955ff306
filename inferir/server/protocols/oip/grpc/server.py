"""The service: every call becomes an exchange and goes through the gate, as a request over HTTP does.

So keys, deadlines, the queue, metrics and traces are the same. `grpc-timeout` is the deadline, metadata are headers,
errors are the HTTP ones under gRPC's names.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

import grpc
import grpc.aio
from multidict import CIMultiDict

from inferir import __version__
from inferir.errors import InvalidInputError, UnknownModelError
from inferir.server.errors import NotReadyError
from inferir.server.parts import Parts
from inferir.server.protocols.oip.bound import Question
from inferir.server.protocols.oip.grpc.messages import METHODS, PACKAGE, SERVICE, message
from inferir.server.protocols.oip.grpc.tensors import decode, fill
from inferir.server.protocols.oip.handlers import EXTENSIONS, OipHandlers, metadata_of
from inferir.server.protocols.oip.repository import index, statistics
from inferir.server.request.auth import Keys
from inferir.server.request.exchange import DESERIALIZE, Exchange
from inferir.server.request.gate import Gate
from inferir.server.request.replies import Reply
from inferir.server.request.routes import Route, Router

__all__ = ["GrpcServer"]

#: Status over HTTP -> over gRPC.
_STATUS: Mapping[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    405: grpc.StatusCode.UNIMPLEMENTED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

#: Calls that change what is loaded, and those that only look; the others ask models.
_SCOPES: Mapping[str, Any] = {
    "ServerLive": None,
    "ServerReady": None,
    "RepositoryIndex": "read",
    "ModelStatistics": "read",
    "RepositoryModelLoad": "admin",
    "RepositoryModelUnload": "admin",
}


class GrpcServer:
    """The service on a port of its own. `admitted` calls share the places of requests over HTTP."""

    def __init__(self, parts: Parts, keys: Keys, oip: OipHandlers | None = None) -> None:
        self._parts = parts
        self._oip = oip or OipHandlers(parts)
        self._requests = {name: message(f"{name}Request") for name in METHODS}
        self._responses = {name: message(f"{name}Response") for name in METHODS}
        router = Router(self._routes())
        self._gate = Gate(
            router,
            keys,
            parts.admission,
            parts.telemetry,
            timeout_s=parts.settings.timeout_s,
            rate_limit=parts.rate_limit,
        )
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen on host:port; returns the port. Raises RuntimeError where that cannot be had."""
        limit = self._parts.settings.max_body_bytes
        self._server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", limit), ("grpc.max_send_message_length", -1)]
        )
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(self._call(f"/{PACKAGE}.{SERVICE}/{name}")) for name in METHODS
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"{PACKAGE}.{SERVICE}", handlers),))
        if credentials is None:
            port: int = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        await self._server.start()
        return port

    async def stop(self, grace_s: float) -> None:
        """No new calls; those in work have `grace_s` to end."""
        if self._server is not None:
            await self._server.stop(grace_s)

    def _routes(self) -> list[Route]:
        handlers: dict[str, Callable[[Exchange], Reply | Awaitable[Reply]]] = {
            "ServerLive": lambda exchange: self._reply("ServerLive", live=True),
            "ServerReady": lambda exchange: self._reply("ServerReady", ready=self._parts.ready()),
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda exchange: self._reply(
                "ServerMetadata", name="inferir", version=__version__, extensions=EXTENSIONS
            ),
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
            "ModelStatistics": self._statistics,
        }
        return [
            Route(
                "POST",
                f"/{PACKAGE}.{SERVICE}/{name}",
                handler,
                _SCOPES.get(name, "infer"),
                admitted=name == "ModelInfer",
                plain_errors=True,
            )
            for name, handler in handlers.items()
        ]

    def _call(self, path: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def call(body: bytes, context: Any) -> bytes:
            headers: CIMultiDict[str] = CIMultiDict(
                (key, value) for key, value in context.invocation_metadata() or () if isinstance(value, str)
            )
            left_s = context.time_remaining()
            if left_s is not None:
                headers["X-Request-Timeout-Ms"] = f"{max(left_s, 0.0) * 1e3:.3f}"
            exchange = self._gate.begin("POST", path, headers)
            exchange.body = body
            reply = self._gate.answer(exchange)
            if not isinstance(reply, Reply):
                reply = await reply
            context.set_trailing_metadata((("x-request-id", exchange.request_id),))
            if reply.status != 200:
                said = json.loads(reply.body)
                await context.abort(_STATUS.get(reply.status, grpc.StatusCode.INTERNAL), said["message"])
            return reply.body

        return call

    # -- calls

    def _decoded(self, exchange: Exchange, name: str) -> Any:
        request = self._requests[name]()
        try:
            request.ParseFromString(exchange.body)
        except Exception as error:  # protobuf's own DecodeError, whose class differs between its versions
            raise InvalidInputError(f"expected a {name}Request: {error}") from None
        return request

    def _reply(self, name: str, /, **fields: Any) -> Reply:
        return _protobuf(self._responses[name](**fields))

    def _model_ready(self, exchange: Exchange) -> Reply:
        request = self._decoded(exchange, "ModelReady")
        try:
            self._oip.resolve(exchange, request.name, request.version)
        except (UnknownModelError, NotReadyError):
            return self._reply("ModelReady", ready=False)
        return self._reply("ModelReady", ready=True)

    def _model_metadata(self, exchange: Exchange) -> Reply:
        request = self._decoded(exchange, "ModelMetadata")
        version = self._oip.resolve(exchange, request.name, request.version)
        metadata = metadata_of(version, self._oip.signature(version), self._parts)
        response = self._responses["ModelMetadata"](
            name=metadata.name, versions=metadata.versions, platform=metadata.platform
        )
        for tensors, listed in ((response.inputs, metadata.inputs), (response.outputs, metadata.outputs)):
            for tensor in listed:
                tensors.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        return _protobuf(response)

    def _infer(self, exchange: Exchange) -> Reply | Awaitable[Reply]:
        started_s = monotonic()
        message = self._decoded(exchange, "ModelInfer")
        version = self._oip.resolve(exchange, message.model_name, message.model_version)
        request, signature = decode(message), self._oip.signature(version)
        question, rows = Question(request, signature), signature.rows(request.inputs)
        exchange.stages[DESERIALIZE] = monotonic() - started_s

        def encoded(version: Any, outputs: Any) -> Reply:
            response = self._responses["ModelInfer"](
                model_name=version.name, model_version=version.version, id=request.id or ""
            )
            fill(response, question.wanted, outputs)
            return _protobuf(response)

        return self._oip.ask(exchange, version, question, rows, encoded)

    def _index(self, exchange: Exchange) -> Reply:
        response = self._responses["RepositoryIndex"]()
        for model in index(self._parts, self._decoded(exchange, "RepositoryIndex").ready):
            response.models.add(name=model.name, version=model.version, state=model.state, reason=model.reason)
        return _protobuf(response)

    async def _load(self, exchange: Exchange) -> Reply:
        request = self._decoded(exchange, "RepositoryModelLoad")
        if request.parameters:
            raise InvalidInputError("expected no parameters: models are loaded from the server's own files")
        await self._parts.admin.reload(request.model_name)
        return self._reply("RepositoryModelLoad")

    async def _unload(self, exchange: Exchange) -> Reply:
        await self._parts.admin.unload(self._decoded(exchange, "RepositoryModelUnload").model_name)
        return self._reply("RepositoryModelUnload")

    async def _statistics(self, exchange: Exchange) -> Reply:
        request = self._decoded(exchange, "ModelStatistics")
        name = self._parts.registry.find(request.name, request.version).name if request.name else ""
        response = self._responses["ModelStatistics"]()
        for each in statistics(await self._parts.snapshots(), name, request.version):
            added = response.model_stats.add(
                name=each["name"],
                version=each["version"],
                last_inference=each["last_inference"],
                inference_count=each["inference_count"],
                execution_count=each["execution_count"],
            )
            _set_durations(added.inference_stats, each["inference_stats"])
            for size in each["batch_stats"]:
                _set_durations(added.batch_stats.add(batch_size=size.pop("batch_size")), size)
        return _protobuf(response)


def _set_durations(target: Any, durations: Mapping[str, Mapping[str, int]]) -> None:
    for part, duration in durations.items():
        getattr(target, part).count = duration["count"]
        getattr(target, part).ns = duration["ns"]


def _protobuf(response: Any) -> Reply:
    return Reply(response.SerializeToString(), content_type="application/grpc")
