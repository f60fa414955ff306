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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "MAX_RESPONSE_BYTES",
    "PRELUDE_END",
    "Invocation",
    "ProtocolError",
    "Reply",
    "ReplyReader",
    "chunk",
    "error_document",
    "get",
    "invocation",
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


def post(host: str, what: str, body: bytes, headers: str = "", content_type: str = "application/json") -> bytes:
    """A request that delivers `body`. `headers` are whole lines."""
    head = (
        f"POST {_PATH}{what} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: inferir\r\n"
        f"Content-Type: {content_type}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


def post_error(host: str, what: str, error_type: str, document: dict[str, Any], headers: str = "") -> bytes:
    """A request that delivers an error. `what` is "invocation/ID/error", "init/error" or "restore/error"."""
    headers += f"Lambda-Runtime-Function-Error-Type: {error_type}\r\n"
    cause = xray_cause(document)
    if cause:
        headers += f"Lambda-Runtime-Function-XRay-Error-Cause: {cause}\r\n"
    return post(host, what, jsontext.dumps(document).encode("ascii"), headers)


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


class Invocation:
    """An event and what came with it; texts are empty where they did not come."""

    __slots__ = (
        "arn", "body", "client_context", "content_type", "deadline_ms", "identity", "invocation_id", "request_id",
        "tenant_id", "trace_id",
    )  # fmt: skip

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        said = headers.get
        try:
            self.request_id = headers["lambda-runtime-aws-request-id"]
        except KeyError:
            raise ProtocolError("expected the header Lambda-Runtime-Aws-Request-Id") from None
        deadline = said("lambda-runtime-deadline-ms", "")
        #: When the caller stops waiting, in milliseconds since 1970; 0 where nobody said.
        self.deadline_ms = int(deadline) if deadline.isdecimal() else 0
        self.arn = said("lambda-runtime-invoked-function-arn", "")
        self.trace_id = said("lambda-runtime-trace-id", "")
        self.client_context = said("lambda-runtime-client-context", "")
        self.identity = said("lambda-runtime-cognito-identity", "")
        self.tenant_id = said("lambda-runtime-aws-tenant-id", "")
        self.invocation_id = said("lambda-runtime-invocation-id", "")
        self.content_type = said("content-type", "")
        self.body = body

    @property
    def echo(self) -> str:
        """The header line that an answer has to carry, if any."""
        return f"Lambda-Runtime-Invocation-Id: {self.invocation_id}\r\n" if self.invocation_id else ""

    def remaining_ms(self, now_ms: float) -> float:
        """Time until the deadline, at least 0; infinite where there is none."""
        return max(0.0, self.deadline_ms - now_ms) if self.deadline_ms else float("inf")


def invocation(reply: Reply) -> Invocation:
    """The event in the answer to `invocation/next`. Raises ProtocolError for any other."""
    if reply.status != 200:
        raise ProtocolError(f"expected the next event, got status {reply.status}: {reply.body[:200]!r}")
    return Invocation(reply.headers, reply.body)


class Reply:
    """An HTTP response. `reusable`: the connection may carry another request."""

    __slots__ = ("_head", "body", "reusable", "status")

    def __init__(self, status: int, head: bytes, body: bytes, reusable: bool) -> None:
        self.status, self._head, self.body, self.reusable = status, head, body, reusable

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name. Read when asked for: of most responses the status is enough."""
        text = self._head.decode("latin-1")
        if "\r\n " in text or "\r\n\t" in text:  # a value that goes on in the next line: obsolete, and still allowed
            text = text.replace("\r\n ", " ").replace("\r\n\t", " ")
        fields = [line.partition(":") for line in text.split("\r\n")[1:]]
        return {name.lower(): value.strip() for name, _, value in fields}


def _field(head: bytes, name: bytes) -> bytes:
    """The value of a header in a head of lower-case bytes; nothing where it is not there."""
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else None].strip()


class ReplyReader:
    """One HTTP response out of the bytes of a connection, however they are cut.

    reader.feed(data)   the Reply, or None while there is more to come; raises ProtocolError
    reader.feed(b"")    the connection was closed
    reader.wanted       bytes that are still missing, where that is known
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._status = -1
        self._head = b""
        self._length: int | None = None
        self._chunks: bytearray | None = None
        self._closing = False

    @property
    def started(self) -> bool:
        """Whether anything came."""
        return bool(self._buffer)

    @property
    def wanted(self) -> int:
        return max(0, self._at + self._length - len(self._buffer)) if self._length is not None else 0

    def feed(self, data: bytes) -> Reply | None:
        self._buffer += data
        while self._status < 200:  # 1xx is said before the response
            end = self._buffer.find(b"\r\n\r\n", self._at)
            if end < 0:
                if not data or len(self._buffer) > _MAX_HEAD_BYTES:
                    raise ProtocolError(f"expected the head of an HTTP response, got {bytes(self._buffer[:100])!r}")
                return None
            self._read_head(bytes(self._buffer[self._at : end]))
            self._at = end + 4
        if self._chunks is not None:
            done = self._read_chunks()
        elif self._length is not None:
            done = len(self._buffer) - self._at >= self._length
        else:
            done = not data
        if done:
            return self._reply()
        if not data:
            raise ProtocolError("expected the rest of an HTTP response, got the end of the connection")
        return None

    def _read_head(self, head: bytes) -> None:
        words = head[:64].split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise ProtocolError(f"expected an HTTP/1 response, got {head[:100]!r}")
        self._status, self._head = int(words[1]), head
        if self._status < 200:
            return
        lower = head.lower()
        self._closing = words[0] == b"HTTP/1.0" or b"close" in _field(lower, b"connection")
        length = _field(lower, b"content-length")
        if self._status in (204, 304):
            self._length = 0
        elif b"chunked" in _field(lower, b"transfer-encoding"):
            self._chunks = bytearray()
        elif length:
            if not length.isdigit():
                raise ProtocolError(f"expected a Content-Length in digits, got {length!r}")
            self._length = int(length)

    def _read_chunks(self) -> bool:
        """Move whole chunks out of the buffer; whether the last one was there."""
        assert self._chunks is not None
        while True:
            end = self._buffer.find(b"\r\n", self._at)
            if end < 0:
                return False
            size_text = bytes(self._buffer[self._at : end]).split(b";", 1)[0].strip()
            try:
                size = int(size_text, 16)
            except ValueError:
                raise ProtocolError(f"expected the size of a chunk, got {size_text[:40]!r}") from None
            start = end + 2
            if size == 0:  # then trailers, and an empty line
                return self._buffer.startswith(b"\r\n", start) or self._buffer.find(b"\r\n\r\n", start) >= 0
            if len(self._buffer) < start + size + 2:
                return False
            self._chunks += self._buffer[start : start + size]
            self._at = start + size + 2

    def _reply(self) -> Reply:
        if self._chunks is not None:
            body = bytes(self._chunks)
        else:
            stop = len(self._buffer) if self._length is None else self._at + self._length
            body = bytes(memoryview(self._buffer)[self._at : stop])
        reusable = not self._closing and (self._length is not None or self._chunks is not None)
        return Reply(self._status, self._head, body, reusable)
