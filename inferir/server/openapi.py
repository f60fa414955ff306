"""OpenAPI of the HTTP API, made from the types that requests are checked against."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from inferir import __version__
from inferir.server import schemas
from inferir.server.handlers.admin import Alias, AliasBody
from inferir.server.protocols import invocations
from inferir.server.protocols.oip import messages
from inferir.server.protocols.oip.rest import HEADER_LENGTH
from inferir.server.request.routes import Route

__all__ = ["OPERATIONS", "TAGS", "Operation", "document"]

JSON = "application/json"
_BINARY = "application/octet-stream"


@dataclass(frozen=True)
class Operation:
    """What a route is for.

    request   type of the JSON body; None: there is none.
    answer    type of the JSON answer, or its content type where it is not JSON, None for an empty one.
    accepts, gives   content types beside JSON.
    failures  statuses of errors beyond those that every route has.
    """

    tag: str
    summary: str
    request: Any = None
    answer: Any = None
    accepts: Sequence[str] = ()
    gives: Sequence[str] = ()
    failures: Sequence[int] = ()
    optional_body: bool = False


#: Parts of the API, in the order in which they are shown.
TAGS = ("Predictions", "Models", "Open Inference Protocol", "SageMaker and MLflow", "About the server")
_PREDICT, _REPOSITORY, _OIP, _CONTAINER, _ABOUT = TAGS

_INFER_FAILURES = (400, 404, 408, 413, 415, 429, 503, 504)

#: Method and path -> what for. Of the Open Inference Protocol the versioned paths are not repeated: see `document`.
OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/predict"): Operation(
        _PREDICT, "One prediction", schemas.PredictRequest, schemas.PredictAnswer, failures=_INFER_FAILURES
    ),
    ("POST", "/predict/batch"): Operation(
        _PREDICT, "Many predictions", schemas.BatchRequest, schemas.BatchAnswer, failures=_INFER_FAILURES
    ),
    ("POST", "/feedback"): Operation(
        _PREDICT,
        "What turned out to be true of predictions",
        schemas.FeedbackRequest,
        schemas.FeedbackAnswer,
        failures=_INFER_FAILURES,
    ),
    ("POST", "/v2/models/{name}/infer"): Operation(
        _OIP,
        "Inference with tensors, in JSON or in binary",
        messages.InferBody,
        messages.InferResult,
        accepts=(_BINARY,),
        gives=(_BINARY,),
        failures=_INFER_FAILURES,
    ),
    ("GET", "/v2/models/{name}"): Operation(
        _OIP, "A model's inputs and outputs", answer=messages.ModelMetadata, failures=(404,)
    ),
    ("GET", "/v2/models/{name}/ready"): Operation(
        _OIP, "Whether a model answers", answer=messages.ModelReady, failures=(404,)
    ),
    ("GET", "/v2/models/{name}/config"): Operation(
        _OIP, "A model's configuration, as Triton's clients read it", answer=dict[str, Any], failures=(404,)
    ),
    ("GET", "/v2/models/{name}/stats"): Operation(
        _OIP, "What a model has done so far", answer=dict[str, Any], failures=(404,)
    ),
    ("GET", "/v2/models/stats"): Operation(_OIP, "What all models have done so far", answer=dict[str, Any]),
    ("GET", "/v2"): Operation(_OIP, "The server and its extensions", answer=messages.ServerMetadata),
    ("GET", "/v2/health/live"): Operation(_OIP, "Whether the process lives", answer=messages.HealthStatus),
    ("GET", "/v2/health/ready"): Operation(
        _OIP, "Whether every model answers", answer=messages.HealthStatus, failures=(503,)
    ),
    ("POST", "/v2/repository/index"): Operation(
        _REPOSITORY,
        "Models that there are, loaded or not",
        messages.RepositoryIndexBody,
        list[messages.RepositoryModel],
        failures=(400,),
        optional_body=True,
    ),
    ("POST", "/v2/repository/models/{name}/load"): Operation(
        _REPOSITORY,
        "Load a model's file, or load it again",
        messages.LoadBody,
        failures=(400, 404, 409, 503),
        optional_body=True,
    ),
    ("POST", "/v2/repository/models/{name}/unload"): Operation(
        _REPOSITORY, "Unload a model", messages.UnloadBody, failures=(400, 404, 409), optional_body=True
    ),
    ("GET", "/models"): Operation(_REPOSITORY, "Loaded models, their versions and columns", answer=schemas.Models),
    ("PUT", "/models/aliases/{alias}"): Operation(
        _REPOSITORY, "Point an alias to a loaded model", AliasBody, Alias, failures=(400, 404, 409)
    ),
    ("DELETE", "/models/aliases/{alias}"): Operation(_REPOSITORY, "Take an alias away", answer=Alias, failures=(404,)),
    ("POST", "/invocations"): Operation(
        _CONTAINER,
        "Predictions for rows in JSON, JSON lines or CSV",
        invocations.InvocationBody,
        schemas.Predictions,
        accepts=(invocations.CSV, invocations.JSON_LINES),
        gives=(invocations.CSV, invocations.JSON_LINES),
        failures=_INFER_FAILURES,
    ),
    ("GET", "/ping"): Operation(_CONTAINER, "Whether every model answers", failures=(503,)),
    ("GET", "/version"): Operation(_CONTAINER, "The server's version", answer="text/plain"),
    ("GET", "/health"): Operation(_ABOUT, "Whether the process lives", answer=schemas.Health),
    ("GET", "/ready"): Operation(_ABOUT, "Whether every model answers", answer=schemas.Ready, failures=(503,)),
    ("GET", "/metrics"): Operation(_ABOUT, "Metrics for Prometheus", answer="text/plain"),
    ("GET", "/openapi.json"): Operation(_ABOUT, "This description", answer=dict[str, Any]),
}

_SAYS = {
    400: "The request is not what was expected; the message says what was.",
    401: "No API key, or one that is not known.",
    403: "The key does not allow this.",
    404: "No such model, or nothing of that name.",
    408: "The body took too long to arrive.",
    409: "Not while things are as they are.",
    413: "The body or the batch is over its limit.",
    415: "A content type or encoding that is not read here.",
    429: "Asked too often. Retry-After says when to come back.",
    503: "Shed, or not ready. Retry-After says when to come back.",
    504: "The deadline passed.",
}
_TEXT = {"schema": {"type": "string"}}
_BYTES = {"schema": {"type": "string", "format": "binary"}}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI document of those routes that OPERATIONS describes; a versioned path is described as the other is."""
    kinds = [kind for operation in OPERATIONS.values() for kind in (operation.request, operation.answer)]
    types = [schemas.Error, schemas.Overload, *[kind for kind in kinds if kind and not isinstance(kind, str)]]
    made, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = {id(kind): schema for kind, schema in zip(types, made, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = OPERATIONS.get((route.method, route.path.replace("/versions/{version}", "")))
        if operation is not None:
            paths.setdefault(route.path, {})[route.method.lower()] = _described(route, operation, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Inferir",
            "version": __version__,
            "description": "Predictions of classical machine-learning models.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": tag} for tag in TAGS],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _described(route: Route, operation: Operation, schemas_of: Mapping[int, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _operation_id(route),
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(route, operation, schemas_of),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    if route.scope is not None:
        described["security"] = [{}, {"bearer": [route.scope]}, {"key": [route.scope]}]
    if route.admitted:
        parameters.append(_header("X-Request-Timeout-Ms", "Milliseconds after which nobody waits for the answer.", 1))
    if operation.request is not None:
        content: dict[str, Any] = {JSON: {"schema": schemas_of[id(operation.request)]}}
        content |= {kind: _BYTES if kind == _BINARY else _TEXT for kind in operation.accepts}
        described["requestBody"] = {"required": not operation.optional_body, "content": content}
        if _BINARY in operation.accepts:
            parameters.append(_header(HEADER_LENGTH, "Bytes of JSON before the tensors in binary.", 0))
    if parameters:
        described["parameters"] = parameters
    return described


def _header(name: str, about: str, low: int) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": about, "schema": {"type": "integer", "minimum": low}}


def _responses(route: Route, operation: Operation, schemas_of: Mapping[int, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if isinstance(operation.answer, str):
        content = {operation.answer: _TEXT}
    elif operation.answer is not None:
        content = {JSON: {"schema": schemas_of[id(operation.answer)]}}
        content |= {kind: _BYTES if kind == _BINARY else _TEXT for kind in operation.gives}
    responses: dict[str, Any] = {"200": {"description": operation.summary, **({"content": content} if content else {})}}
    # A deadline may be no number on any route; keys matter where there is a scope.
    failures = {*operation.failures, 400, *((401, 403) if route.scope else ())}
    error, overload = schemas_of[id(schemas.Error)], schemas_of[id(schemas.Overload)]
    for status in sorted(failures):
        schema = {"anyOf": [overload, error]} if status == 503 else error
        if status == 503 and operation.answer is messages.HealthStatus:
            schema = {"anyOf": [schemas_of[id(messages.HealthStatus)], error]}
        responses[str(status)] = {"description": _SAYS[status], "content": {JSON: {"schema": schema}}}
    return responses


def _operation_id(route: Route) -> str:
    words = route.path.replace("{", "").replace("}", "").strip("/").replace(".", "/").split("/")
    return "_".join([route.method.lower(), *[word for word in words if word]])
