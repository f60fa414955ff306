"""What triggers a function: recognised by its shape, read, answered in the shape that its sender reads.

    HTTP API, function URL   version "2.0", rawPath           statusCode, headers, body
    load balancer            requestContext.elb               the same, and headers in the style in which they came
    REST API                 httpMethod, requestContext       the same
    SQS, Kinesis, S3         Records with eventSource         records.py
    anything else            invoked directly: the event is the request, and errors are errors of the function

Over HTTP every error is a response: a caller gets status and JSON, and the function has not failed.

    POST any path        a prediction (inferir/payload.py)
    GET  .../health      and /ready, /ping, and whatever a load balancer's health check asks for: 200
    GET  .../models      what is served
    GET  .../metrics     Prometheus text

Paths are looked at from their end: a stage or a base path may stand before them. Bodies may be base64 and gzip.
"""

from __future__ import annotations

from time import time

from inferir import payload
from inferir.errors import InferirError, InvalidInputError
from inferir.lambda_entry import jsontext
from inferir.lambda_entry.errors import (
    NotAllowedError,
    NotFoundError,
    RequestError,
    TooLargeError,
    UnsupportedMediaError,
    status_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from inferir.lambda_entry.call import Call
    from inferir.lambda_entry.function import Function

__all__ = ["HttpApi", "LoadBalancer", "RestApi", "answer"]

#: A body that is larger when it is unpacked is refused: ten times what Lambda takes packed.
_MAX_BODY_BYTES = 60 * 1024 * 1024

#: Answers that are longer are packed for callers who can unpack them.
_LONG_BYTES = 1024

_JSON, _TEXT = "application/json", "text/plain; version=0.0.4; charset=utf-8"


def answer(event: Any, function: Function, call: Call) -> Any:
    """The answer to any event. Raises InferirError or RequestError for what was invoked directly."""
    if type(event) is dict:
        if "requestContext" in event or "rawPath" in event:
            for trigger in (HttpApi, LoadBalancer, RestApi):
                if trigger.matches(event):
                    return _answer_http(_request(trigger, event, function, call), function, call)
        records = event.get("Records")
        if records and type(records) is list and type(records[0]) is dict:
            from inferir.lambda_entry.records import answer_records

            return answer_records(records, function, call)
    return function.handler.reply(event, call.request_id, call.remaining_ms(time() * 1e3))


class HttpApi:
    """A request by an HTTP API, payload 2.0, or by a function URL."""

    #: Bytes that an answer may have; what JSON makes of its quotes comes on top.
    max_answer_bytes = 5_500_000
    packs = True

    def __init__(self, event: dict[str, Any]) -> None:
        self.event = event
        self.method, self.path = self._target()
        self.headers = self._headers()

    @staticmethod
    def matches(event: dict[str, Any]) -> bool:
        return event.get("version") == "2.0" and "rawPath" in event

    def _target(self) -> tuple[str, str]:
        http = _mapping(_mapping(self.event.get("requestContext")).get("http"))
        return str(http.get("method", "POST")), str(self.event["rawPath"])

    def _headers(self) -> dict[str, str]:
        """By lower-case name; of several values the last one, as it would be in one line."""
        found = {}
        for name, values in _mapping(self.event.get("multiValueHeaders")).items():
            if type(values) is list and values:
                found[str(name).lower()] = str(values[-1])
        for name, value in _mapping(self.event.get("headers")).items():
            found[str(name).lower()] = str(value)
        return found

    def body(self) -> bytes:
        """Raises InvalidInputError, UnsupportedMediaError, TooLargeError."""
        text = self.event.get("body")
        if text is None:
            return b""
        if not isinstance(text, str):
            raise InvalidInputError(f"body: expected a text, got {type(text).__name__}")
        data = _from_base64(text) if self.event.get("isBase64Encoded") else text.encode("utf-8", "surrogatepass")
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding == "gzip":
            return _unpacked(data)
        if encoding not in ("", "identity"):
            raise UnsupportedMediaError(f"Content-Encoding: expected gzip or identity, got {encoding!r}")
        return data

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """The response as Lambda returns it."""
        packed = self.packs and len(body) > _LONG_BYTES and "gzip" in self.headers.get("accept-encoding", "").lower()
        if packed:
            import zlib
            from binascii import b2a_base64

            packer = zlib.compressobj(6, zlib.DEFLATED, 31)
            text = b2a_base64(packer.compress(body) + packer.flush(), newline=False).decode("ascii")
            headers = {**headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        else:
            text = body.decode("utf-8")
        if len(text) > self.max_answer_bytes:
            raise TooLargeError(
                f"expected an answer of at most {self.max_answer_bytes} bytes, got {len(text)}; ask for fewer instances"
            )
        return {**self._status(status), **self._styled(headers), "body": text, "isBase64Encoded": packed}

    def _status(self, status: int) -> dict[str, Any]:
        return {"statusCode": status}

    def _styled(self, headers: dict[str, str]) -> dict[str, Any]:
        return {"headers": headers}


class LoadBalancer(HttpApi):
    """A request by an Application Load Balancer, which takes at most 1 MB back."""

    max_answer_bytes = 1_000_000

    @staticmethod
    def matches(event: dict[str, Any]) -> bool:
        context = event.get("requestContext")
        return type(context) is dict and "elb" in context

    def _target(self) -> tuple[str, str]:
        return str(self.event.get("httpMethod", "GET")), str(self.event.get("path", "/"))

    def _status(self, status: int) -> dict[str, Any]:
        words = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Payload Too Large"}
        return {"statusCode": status, "statusDescription": f"{status} {words.get(status, 'Error')}"}

    def _styled(self, headers: dict[str, str]) -> dict[str, Any]:
        if "multiValueHeaders" in self.event:  # a setting of the target group: the other style is dropped
            return {"multiValueHeaders": {name: [value] for name, value in headers.items()}}
        return {"headers": headers}


class RestApi(LoadBalancer):
    """A request by a REST API, or an HTTP API with payload 1.0. Never packed: whether a REST API unpacks base64 is a
    setting of the API.
    """

    max_answer_bytes = HttpApi.max_answer_bytes
    packs = False

    @staticmethod
    def matches(event: dict[str, Any]) -> bool:
        return "httpMethod" in event and type(event.get("requestContext")) is dict

    def _status(self, status: int) -> dict[str, Any]:
        return {"statusCode": status}

    def _styled(self, headers: dict[str, str]) -> dict[str, Any]:
        return {"headers": headers}


def _mapping(value: Any) -> dict[str, Any]:
    """The value where it is an object; what is null or anything else has no entries."""
    return value if type(value) is dict else {}


def _from_base64(text: str) -> bytes:
    from binascii import Error, a2b_base64

    try:
        return a2b_base64(text)
    except (Error, ValueError) as error:
        raise InvalidInputError(f"body: expected base64, got {text[:20]!r}: {error}") from None


def _unpacked(data: bytes) -> bytes:
    import zlib

    unpacker = zlib.decompressobj(31)
    try:
        body = unpacker.decompress(data, _MAX_BODY_BYTES)
    except zlib.error as error:
        raise InvalidInputError(f"body: expected gzip: {error}") from None
    if not unpacker.eof:
        if unpacker.unconsumed_tail:
            raise TooLargeError(f"body: expected at most {_MAX_BODY_BYTES} bytes")
        raise InvalidInputError("body: expected all of a gzip file, got its beginning")
    return body


def _request(trigger: type[HttpApi], event: dict[str, Any], function: Function, call: Call) -> HttpApi:
    if trigger is HttpApi and function.settings.stream and call.streams:
        from inferir.lambda_entry.streaming import StreamedApi

        return StreamedApi(event, function, call)
    return trigger(event)


def _answer_http(request: HttpApi, function: Function, call: Call) -> Any:
    headers = {"Content-Type": _JSON}
    try:
        if request.method in ("GET", "HEAD"):
            headers["Content-Type"], body = _get(request, function)
        elif request.method == "POST":
            document = _document(request)
            if hasattr(request, "reply_in_pieces"):
                return request.reply_in_pieces(headers, document)
            said = function.handler.reply(document, call.request_id, call.remaining_ms(time() * 1e3))
            body = jsontext.dumps(said).encode("ascii")
        else:
            headers["Allow"] = "GET, HEAD, POST"
            raise NotAllowedError(f"expected GET or POST, got {request.method}")
        return request.reply(200, headers, b"" if request.method == "HEAD" else body)
    except Exception as error:
        if not isinstance(error, (InferirError, RequestError)):
            function.log_unexpected(error)
        body = jsontext.dumps(payload.error_body(error, call.request_id)).encode("ascii")
        return request.reply(status_of(error), headers, body)


def _get(request: HttpApi, function: Function) -> tuple[str, bytes]:
    """Content type and body of what can be read."""
    handler = function.handler
    page = request.path.rstrip("/").rpartition("/")[2]
    if page in ("health", "ready", "ping") or request.headers.get("user-agent", "").startswith("ELB-HealthChecker/"):
        return _JSON, b'{"live": true, "ready": true}'
    if page == "metrics":
        from inferir.lambda_entry.metrics import prometheus

        return _TEXT, prometheus(handler.counters, handler.model.name, handler.model.version).encode("utf-8")
    if page == "models":
        model = handler.model
        columns = [
            {"name": name, "kind": kind, **({"categories": list(categories)} if categories else {})}
            for name, kind, categories in model.columns
        ]
        about = {"name": model.name, "version": model.version, "task": model.task, "columns": columns}
        about |= {"classes": model.classes, "answers": list(model.faces), "state": "READY"}
        return _JSON, jsontext.dumps({"models": [about]}).encode("ascii")
    raise NotFoundError(f"expected health, ready, models or metrics, got {request.path!r}")


def _document(request: HttpApi) -> Any:
    body = request.body()
    if not body:
        raise InvalidInputError("body: expected a JSON object, got nothing")
    try:
        return jsontext.loads(body)
    except ValueError as error:
        raise InvalidInputError(f"body: {error}") from None
