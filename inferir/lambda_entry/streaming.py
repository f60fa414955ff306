"""Answers that are sent while they are made: the first rows leave while the last are computed, up to 200 MB in all.

For function URLs with InvokeMode RESPONSE_STREAM, and in our own loop alone: AWS's Python runtime does not stream. The
body is the document that `payload.reply` makes, a slice of its predictions at a time. What goes wrong before the first
byte is an error response; later, it is told in trailers.
"""

from __future__ import annotations

from inferir import payload
from inferir.errors import InferirError
from inferir.lambda_entry import jsontext, protocol
from inferir.lambda_entry.errors import RequestError, stack_of, status_of, wire_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from inferir.lambda_entry.function import Call, Function

__all__ = ["Stream"]


class Stream:
    """Pieces of a body; afterwards `end()` is what follows them. An error of the request is a response of its own."""

    content_type = "application/vnd.awslambda.http-integration-response"

    def __init__(self, function: Function, document: Any, call: Call) -> None:
        self._function, self._document, self._call = function, document, call
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        self._function.begin(self._call)
        pieces = self._function.handler.stream(self._document, self._call.request_id, self._call.remaining_ms())
        try:
            first = next(pieces)
        except Exception as error:
            if not isinstance(error, (InferirError, RequestError)):
                self._function.log_unexpected(error)
            body = jsontext.dumps(payload.error_body(error, self._call.request_id))
            yield _prelude(status_of(error)) + body.encode("ascii")
            return
        yield _prelude(200) + first
        try:
            yield from pieces
        except Exception as error:
            self._function.log_unexpected(error)
            self._error = error

    def end(self) -> bytes:
        """The last chunk, with what went wrong in trailers."""
        if self._error is None:
            return protocol.last_chunk()
        error = self._error
        document = protocol.error_document(str(error), type(error).__name__, stack_of(error), self._call.request_id)
        return protocol.last_chunk(wire_type(error), document)


def _prelude(status: int) -> bytes:
    """What an HTTP front end makes status and headers of; without a length, which nobody knows yet."""
    head = {"statusCode": status, "headers": {"Content-Type": "application/json"}}
    return jsontext.dumps(head).encode("ascii") + protocol.PRELUDE_END
