"""The Lambda Runtime API, 2018-06-01, as bytes: no sockets, no clock, no environment.

    GET  /runtime/invocation/next            the next event; may take hours
    POST /runtime/invocation/ID/response     its answer, whole or streamed
    POST /runtime/invocation/ID/error        or what went wrong with it
    POST /runtime/init/error                 what went wrong before the first event
    GET  /runtime/restore/next               SnapStart: returns after the snapshot was restored
    POST /runtime/restore/error              a hook after the restore failed

Rules, from docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and from what AWS's emulator does:

    An event gets one answer: a second one, also an error after a response, is refused with 403.
    `Lambda-Runtime-Invocation-Id` is sent back where it came; 410 means that the answer is too late.
    413 is a response over the limit: the caller has been told, and the next event can be fetched.
    Error types have the form Runtime.Word or Function.Word, and anything else is lost on the way.
    A streamed response is chunked; what fails in the middle is told in trailers, base64-encoded.
"""

from __future__ import annotations

from inferir.lambda_entry import jsontext
from inferir.lambda_entry.call import Call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "MAX_RESPONSE_BYTES",
    "PRELUDE_END",
    "Invocation",
    "ProtocolError",
    "Reply",
    "chunk",
    "error_document",
    "get",
    "last_chunk",
    "post",
    "post_error",
    "post_streamed",
    "xray_cause",
]

_PATH = "/2018-06-01/runtime/"

#: What Lambda takes back from a function that does not stream: 6 MiB and 100 bytes.
MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100

#: X-Ray keeps no longer cause.
_MAX_CAUSE_BYTES = 64 * 1024

#: Between the JSON that a streamed HTTP answer begins with and its body.
PRELUDE_END = bytes(8)

#: A head that is longer is not one of Lambda's, whose headers hold 1 MB at most.
_MAX_HEAD_BYTES = 2 * 1024 * 1024


class ProtocolError(Exception):
    """Bytes that are no answer of the Runtime API."""


# -- what is sent


def get(host: str, what: str) -> bytes:
    """A request for `what`: "invocation/next" or "restore/next"."""
    return f"GET {_PATH}{what} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: inferir\r\n\r\n".encode("ascii")


def post(host: str, what: str, text: str, headers: str = "") -> bytes:
    """A request that delivers a JSON text, which is ASCII. `headers` are whole lines."""
    return (
        f"POST {_PATH}{what} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: inferir\r\n"
        f"Content-Type: application/json\r\n{headers}Content-Length: {len(text)}\r\n\r\n{text}"
    ).encode("latin-1")


def post_error(host: str, what: str, error_type: str, document: dict[str, Any], headers: str = "") -> bytes:
    """A request that delivers an error. `what` is "invocation/ID/error", "init/error" or "restore/error"."""
    headers += f"Lambda-Runtime-Function-Error-Type: {error_type}\r\n"
    cause = xray_cause(document)
    if cause:
        headers += f"Lambda-Runtime-Function-XRay-Error-Cause: {cause}\r\n"
    return post(host, what, jsontext.dumps(document), headers)


def post_streamed(host: str, what: str, headers: str, content_type: str) -> bytes:
    """The head of a response whose body follows in chunks. The connection is of no use afterwards."""
    return (
        f"POST {_PATH}{what} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: inferir\r\nConnection: close\r\n"
        f"Content-Type: {content_type}\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n{headers}"
        "Transfer-Encoding: chunked\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
    ).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One piece of a streamed body; nothing for no data, because an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(error_type: str = "", document: dict[str, Any] | None = None) -> bytes:
    """The end of a streamed body, with what went wrong in its trailers."""
    if document is None:
        return b"0\r\n\r\n"
    from binascii import b2a_base64

    body = b2a_base64(jsontext.dumps(document).encode("ascii"), newline=False)
    return (
        b"0\r\nLambda-Runtime-Function-Error-Type: " + error_type.encode("ascii")
        + b"\r\nLambda-Runtime-Function-Error-Body: " + body + b"\r\n\r\n"
    )  # fmt: skip


def error_document(message: str, kind: str, stack: list[str], request_id: str = "") -> dict[str, Any]:
    """The body of an error, as AWS's own Python runtime writes it."""
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": stack}


def xray_cause(document: dict[str, Any]) -> str:
    """What X-Ray shows of an error, as JSON in one line; "" where it would be longer than X-Ray keeps."""
    stack = [{"label": line.strip(), "path": "", "line": 0} for line in document["stackTrace"]]
    exceptions = [{"message": document["errorMessage"], "type": document["errorType"], "stack": stack}]
    cause = jsontext.dumps({"working_directory": "", "exceptions": exceptions, "paths": []})
    return cause if len(cause) <= _MAX_CAUSE_BYTES else ""


# -- what comes


class Invocation(Call):
    """An event and what came with it."""

    __slots__ = ("body", "echo", "headers")

    streams = True

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        said = headers.get
        request_id, deadline = said("lambda-runtime-aws-request-id"), said("lambda-runtime-deadline-ms", "")
        if request_id is None:
            raise ProtocolError("expected the header Lambda-Runtime-Aws-Request-Id")
        deadline_ms = int(deadline) if deadline.isdecimal() else 0
        arn, trace_id = said("lambda-runtime-invoked-function-arn", ""), said("lambda-runtime-trace-id", "")
        Call.__init__(self, request_id, deadline_ms, arn, trace_id)
        self.headers, self.body = headers, body
        invocation_id = said("lambda-runtime-invocation-id")
        #: The header line that an answer has to carry, if any.
        self.echo = f"Lambda-Runtime-Invocation-Id: {invocation_id}\r\n" if invocation_id else ""

    def path(self, what: str) -> str:
        """Where an answer goes: "response" or "error"."""
        return f"invocation/{self.request_id}/{what}"

    @property
    def client_context(self) -> str:
        return self.headers.get("lambda-runtime-client-context", "")

    @property
    def identity(self) -> str:
        return self.headers.get("lambda-runtime-cognito-identity", "")

    @property
    def tenant_id(self) -> str:
        return self.headers.get("lambda-runtime-aws-tenant-id", "")

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


class Reply:
    """One HTTP response, read out of the bytes of a connection, however they are cut.

    reply.feed(data)   whether all of it is there; raises ProtocolError
    reply.feed(b"")    the connection was closed
    reply.wanted       bytes that are still missing, where that is known

    status    0 as long as its head is not there.
    headers   by lower-case name.
    reusable  whether the connection may carry another request.
    """

    __slots__ = ("_buffer", "_chunks", "_length", "body", "headers", "reusable", "status")

    headers: dict[str, str]

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.reusable = False
        #: What came and was not read yet.
        self._buffer: bytes | bytearray = b""
        #: The body has a length, or chunks, or goes on until the connection is closed.
        self._length: int | None = None
        self._chunks: bytearray | None = None

    @property
    def wanted(self) -> int:
        return max(0, self._length - len(self._buffer)) if self._length is not None else 0

    def feed(self, data: bytes) -> bool:
        self._buffer += data
        while not self.status:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                if not data or len(head) > _MAX_HEAD_BYTES:
                    raise ProtocolError(f"expected the head of an HTTP response, got {bytes(head[:100])!r}")
                return False
            self._read_head(head.decode("latin-1"))
            self._buffer = rest
        if self._length is not None:
            if len(self._buffer) >= self._length:
                self.body = bytes(self._buffer[: self._length])
                return True
        elif self._chunks is not None:
            if self._read_chunks():
                self.body = bytes(self._chunks)
                return True
        elif not data:
            self.body = bytes(self._buffer)
            return True
        if not data:
            raise ProtocolError("expected the rest of an HTTP response, got the end of the connection")
        if type(self._buffer) is bytes:  # the body is long enough to come in pieces
            self._buffer = bytearray(self._buffer)
        return False

    def _read_head(self, head: str) -> None:
        """Status and headers; nothing is kept of what is said before the response (1xx)."""
        if "\r\n " in head or "\t" in head:  # a value that goes on in the next line: obsolete, and still allowed
            head = head.replace("\r\n ", " ").replace("\r\n\t", " ")
        lines = head.split("\r\n")
        first = lines.pop(0)
        status = first[9:12]
        if not first.startswith("HTTP/1.") or not status.isdecimal():
            raise ProtocolError(f"expected an HTTP/1 response, got {head[:100]!r}")
        if status < "200":
            return
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length, reusable = headers.get("content-length"), first[7] != "0"
        if "connection" in headers and "close" in headers["connection"].lower():
            reusable = False
        if status in ("204", "304"):
            self._length = 0
        elif "transfer-encoding" in headers and "chunked" in headers["transfer-encoding"].lower():
            self._chunks = bytearray()
        elif length is not None:
            if not length.isdecimal():
                raise ProtocolError(f"expected a Content-Length in digits, got {length!r}")
            self._length = int(length)
        else:
            reusable = False
        self.status, self.headers, self.reusable = int(status), headers, reusable

    def _read_chunks(self) -> bool:
        """Move whole chunks out of the buffer; whether the last one was there."""
        assert self._chunks is not None
        buffer, at, done = self._buffer, 0, False
        while True:
            end = buffer.find(b"\r\n", at)
            if end < 0:
                break
            size_text = bytes(buffer[at:end]).split(b";", 1)[0].strip()
            try:
                size = int(size_text, 16)
            except ValueError:
                raise ProtocolError(f"expected the size of a chunk, got {size_text[:40]!r}") from None
            start = end + 2
            if size == 0:  # then trailers, and an empty line
                done = buffer.startswith(b"\r\n", start) or buffer.find(b"\r\n\r\n", start) >= 0
                break
            if len(buffer) < start + size + 2:
                break
            self._chunks += buffer[start : start + size]
            at = start + size + 2
        self._buffer = buffer[at:]
        return done
