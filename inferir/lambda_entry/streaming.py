"""Answers that are sent while they are made: the first rows leave while the last are computed, up to 200 MB in all.

For function URLs with InvokeMode RESPONSE_STREAM, and in our own loop alone: AWS's Python runtime does not stream. The
body is the document that `payload.reply` makes, a slice of its predictions at a time. What goes wrong before the first
byte is an error response; later, it is told in trailers.
"""

from __future__ import annotations

from time import time

from inferir.lambda_entry import jsontext, protocol
from inferir.lambda_entry.errors import stack_of, wire_type
from inferir.lambda_entry.events import HttpApi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from inferir.lambda_entry.call import Call
    from inferir.lambda_entry.function import Function

__all__ = ["Stream", "StreamedApi"]


class StreamedApi(HttpApi):
    """A request by a function URL that streams. All answers have a prelude then, also those that are whole."""

    def __init__(self, event: dict[str, Any], function: Function, call: Call) -> None:
        super().__init__(event)
        self._function, self._call = function, call

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> Any:
        return Stream(self._function, self._call, _prelude(status, headers) + body, iter(()))

    def reply_in_pieces(self, headers: dict[str, str], document: Any) -> Stream:
        """Raises what `LambdaHandler.stream` does before its first piece."""
        function, call = self._function, self._call
        pieces = function.handler.stream(document, call.request_id, call.remaining_ms(time() * 1e3))
        return Stream(function, call, _prelude(200, headers) + next(pieces), pieces)


class Stream:
    """Pieces of a body; afterwards `end()` is what follows them."""

    content_type = "application/vnd.awslambda.http-integration-response"

    def __init__(self, function: Function, call: Call, first: bytes, rest: Iterator[bytes]) -> None:
        self._function, self._call, self._first, self._rest = function, call, first, rest
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield self._first
            yield from self._rest
        except Exception as error:
            self._function.log_unexpected(error)
            self._error = error
        finally:
            self._function.end()

    def end(self) -> bytes:
        """The last chunk, with what went wrong in trailers."""
        error = self._error
        if error is None:
            return protocol.last_chunk()
        document = protocol.error_document(str(error), type(error).__name__, stack_of(error), self._call.request_id)
        return protocol.last_chunk(wire_type(error), document)


def _prelude(status: int, headers: dict[str, str]) -> bytes:
    """What an HTTP front end makes status and headers of; without a length, which nobody knows yet."""
    return jsontext.dumps({"statusCode": status, "headers": headers}).encode("ascii") + protocol.PRELUDE_END
