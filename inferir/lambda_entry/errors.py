"""Errors of requests to a function, beside those of models (inferir/errors.py). Codes and status are the HTTP server's.

    RequestError              status  code
    ├── NotFoundError           404  NOT_FOUND           no such path
    ├── NotAllowedError         405  METHOD_NOT_ALLOWED  the path is there, the method is not
    ├── TooLargeError           413  TOO_LARGE           a body over its limit
    ├── UnsupportedMediaError   415  UNSUPPORTED_MEDIA   an encoding that is not read
    └── DeadlineError           504  DEADLINE_EXCEEDED   nobody would wait for the answer

`wire_type` is the one place where errors get the names that Lambda, CloudWatch and alarms see.
"""

from __future__ import annotations

from inferir import payload
from inferir.errors import InferirError

__all__ = [
    "DeadlineError",
    "LambdaContextUnmarshalError",
    "NotAllowedError",
    "NotFoundError",
    "RequestError",
    "TooLargeError",
    "UnmarshalError",
    "UnsupportedMediaError",
    "stack_of",
    "status_of",
    "wire_type",
]


class RequestError(Exception):
    """A request that gets no answer."""

    status, code = 400, "BAD_REQUEST"

    @property
    def message(self) -> str:
        return str(self)


class NotFoundError(RequestError):
    status, code = 404, "NOT_FOUND"


class NotAllowedError(RequestError):
    status, code = 405, "METHOD_NOT_ALLOWED"


class TooLargeError(RequestError):
    status, code = 413, "TOO_LARGE"


class UnsupportedMediaError(RequestError):
    status, code = 415, "UNSUPPORTED_MEDIA"


class DeadlineError(RequestError):
    status, code = 504, "DEADLINE_EXCEEDED"


class UnmarshalError(Exception):
    """An event that is no JSON: it never reaches the function."""


class LambdaContextUnmarshalError(Exception):
    """A client's context or identity, which come in headers, that is no JSON."""


def status_of(error: BaseException) -> int:
    """The HTTP status of an error."""
    if isinstance(error, RequestError):
        return error.status
    return payload.STATUS.get(error.code, 500) if isinstance(error, InferirError) else 500


def wire_type(error: BaseException) -> str:
    """The type by which Lambda calls an error: Function.DimensionMismatch for E003, stable as its code is."""
    if isinstance(error, UnmarshalError | LambdaContextUnmarshalError):
        return f"Runtime.{type(error).__name__}"
    if isinstance(error, InferirError):
        word = error.name
    elif isinstance(error, RequestError):
        word = error.code
    elif isinstance(error, MemoryError):
        word = "MEMORY_EXCEEDED"
    else:
        word = "UNHANDLED"
    return "Function." + word.title().replace("_", "")


def stack_of(error: BaseException) -> list[str]:
    """Where an error came from, a frame a line; without the `traceback` module, which reads the sources."""
    lines = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        lines.append(f'  File "{code.co_filename}", line {step.tb_lineno}, in {code.co_name}\n')
        step = step.tb_next
    return lines
