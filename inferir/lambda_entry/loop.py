"""The loop: next event, answer, post. All that ends it is the Runtime API, or a signal."""

from __future__ import annotations

import os
from time import sleep

from inferir.lambda_entry import jsontext, protocol
from inferir.lambda_entry.client import ConnectionLostError
from inferir.lambda_entry.errors import LambdaContextUnmarshalError, UnmarshalError, stack_of, wire_type
from inferir.lambda_entry.protocol import MAX_RESPONSE_BYTES, Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from inferir.lambda_entry.client import Connection
    from inferir.lambda_entry.function import Function
    from inferir.lambda_entry.protocol import Reply

__all__ = ["run"]

#: Answers to `next` in a row that are no event, before a new process is better than another try.
_MOST_REFUSALS = 5


def run(connection: Connection, function: Function) -> NoReturn:
    """Answer events until there are none. Raises SystemExit, ConnectionLostError."""
    next_event = protocol.get(connection.host, "invocation/next")
    refusals, trace_id = 0, None
    while True:
        reply = connection.exchange(next_event)
        if reply.status == 200:
            refusals = 0
            event = Invocation(reply.headers, reply.body)
            if event.trace_id != trace_id:
                trace_id = _set_trace(event.trace_id)
            answer(connection, function, event)
            continue
        refusals += 1
        function.logger.write("ERROR", "loop:run", f"expected the next event, got status {reply.status}")
        if reply.status in (403, 500) or refusals == _MOST_REFUSALS:
            raise SystemExit(1)
        sleep(0.1 * refusals)


#: What may come with an event and is JSON, as AWS's runtimes hold it to. No model asks for it.
_CONTEXTS = ("lambda-runtime-client-context", "lambda-runtime-cognito-identity")


def answer(connection: Connection, function: Function, event: Invocation) -> None:
    """Answer one event: with a response, or with an error if there is none. Never with both."""
    host = connection.host
    try:
        body = _response(function, event)
    except Exception as error:
        document = protocol.error_document(str(error), type(error).__name__, stack_of(error), event.request_id)
        request = protocol.post_error(host, event.path("error"), wire_type(error), document, event.echo)
    else:
        if not isinstance(body, str):
            head = protocol.post_streamed(host, event.path("response"), event.echo, body.content_type)
            try:
                _check(connection.stream(head, body, body.end), function)
            except ConnectionLostError as error:  # whoever was to read it has gone; whether Lambda has, `next` will say
                function.logger.write("WARN", "loop:answer", str(error))
            return
        request = protocol.post(host, event.path("response"), body, event.echo)
        if len(body) > MAX_RESPONSE_BYTES:
            request = _too_large(host, event, len(body))
    _check(connection.exchange(request), function)


def _response(function: Function, event: Invocation) -> Any:
    """The body of the answer: a text, or a stream of bytes."""
    try:
        value = jsontext.loads(event.body)
    except ValueError as error:
        raise UnmarshalError(str(error)) from None
    for name in _CONTEXTS:
        if text := event.headers.get(name):
            try:
                jsontext.loads(text)
            except ValueError as error:
                raise LambdaContextUnmarshalError(f"header {name}: {error}") from None
    value = function.respond(value, event)
    return value if hasattr(value, "content_type") else jsontext.dumps(value)


def _too_large(host: str, event: Invocation, length: int) -> bytes:
    text = f"expected a response of at most {MAX_RESPONSE_BYTES} bytes, got {length}"
    document = protocol.error_document(text, "Function.ResponseSizeTooLarge", [], event.request_id)
    return protocol.post_error(host, event.path("error"), "Function.ResponseSizeTooLarge", document, event.echo)


def _check(reply: Reply, function: Function) -> None:
    """What the Runtime API said about an answer. A second answer would not help, so only 500 has consequences."""
    if reply.status == 500:
        raise SystemExit(1)
    if reply.status >= 300:
        late = " (too late)" if reply.status == 410 else ""
        said = reply.body[:200].decode("utf-8", "replace")
        function.logger.write("WARN", "loop:answer", f"the answer was refused with status {reply.status}{late}: {said}")


def _set_trace(trace_id: str) -> str:
    """Libraries that call other services look for the trace in the environment."""
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    return trace_id
