"""Errors as HTTP has them. Domain errors (inferir/errors.py) know no HTTP: the table here gives them a status.

RequestError                 400  BAD_REQUEST           not HTTP, or not as HTTP wants it
├── NotFoundError            404  NOT_FOUND             no such path
├── NotRememberedError       404  NOT_REMEMBERED        a truth for a prediction that is not remembered
├── NotAllowedError          405  METHOD_NOT_ALLOWED    the path is there, the method is not
├── UnauthenticatedError     401  UNAUTHENTICATED       no key, or one that is not known
├── ForbiddenError           403  FORBIDDEN             a known key without the scope that the route needs
├── BodyTimeoutError         408  BODY_TIMEOUT          the body took too long to arrive
├── ConflictError            409  CONFLICT              not while things are as they are
├── TooLargeError            413  TOO_LARGE             a body or a batch over its limit
├── UnsupportedMediaError    415  UNSUPPORTED_MEDIA     a content type or encoding that is not read
├── RateLimitError           429  RATE_LIMITED          more often than `rate_limit` lets one ask
├── NotReadyError            503  NOT_READY             not yet, or not any more
├── OverloadError            503  SERVICE_OVERLOADED    shed; the body is the one of the seed
└── DeadlineError            504  DEADLINE_EXCEEDED     nobody waits for the answer any more
"""

from __future__ import annotations

from collections.abc import Mapping

from inferir.errors import InferirError

__all__ = [
    "STATUS",
    "BodyTimeoutError",
    "ConflictError",
    "DeadlineError",
    "ForbiddenError",
    "NotAllowedError",
    "NotFoundError",
    "NotReadyError",
    "NotRememberedError",
    "OverloadError",
    "RateLimitError",
    "RequestError",
    "TooLargeError",
    "UnauthenticatedError",
    "UnsupportedMediaError",
    "status_of",
]

#: Code of a domain error -> status. E009 is a server without the package that it needs, E010 a file it cannot open.
STATUS: Mapping[str, int] = {
    "E001": 400,
    "E002": 400,
    "E003": 400,
    "E004": 400,
    "E005": 409,
    "E006": 400,
    "E007": 400,
    "E008": 400,
    "E009": 503,
    "E010": 400,
    "E011": 404,
}


class RequestError(Exception):
    """A request that gets no answer. `headers` go with the error."""

    status = 400
    code = "BAD_REQUEST"

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers: Mapping[str, str] = headers or {}


class NotFoundError(RequestError):
    status, code = 404, "NOT_FOUND"


class NotRememberedError(RequestError):
    status, code = 404, "NOT_REMEMBERED"


class NotAllowedError(RequestError):
    status, code = 405, "METHOD_NOT_ALLOWED"


class UnauthenticatedError(RequestError):
    status, code = 401, "UNAUTHENTICATED"


class ForbiddenError(RequestError):
    status, code = 403, "FORBIDDEN"


class BodyTimeoutError(RequestError):
    status, code = 408, "BODY_TIMEOUT"


class ConflictError(RequestError):
    status, code = 409, "CONFLICT"


class TooLargeError(RequestError):
    status, code = 413, "TOO_LARGE"


class UnsupportedMediaError(RequestError):
    status, code = 415, "UNSUPPORTED_MEDIA"


class RateLimitError(RequestError):
    """Refused for how often its client asks, not for how much the server has to do. `reason`: of admission.REASONS."""

    status, code, reason = 429, "RATE_LIMITED", "rate_limit"


class NotReadyError(RequestError):
    status, code = 503, "NOT_READY"


class OverloadError(RequestError):
    """Shed; the client is told when to come back, not why. To refuse must cost as little as can be: its reply is made
    once (`replies.OVERLOADED`), and it is raised only where bodies are received. `reason` is one of admission.REASONS.
    """

    status, code = 503, "SERVICE_OVERLOADED"

    def __init__(self, reason: str) -> None:
        super().__init__("expected a server with room for another body")
        self.reason = reason


class DeadlineError(RequestError):
    """Dropped before or instead of being run. `reason` is one of admission.REASONS, as for what is shed."""

    status, code = 504, "DEADLINE_EXCEEDED"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def status_of(error: Exception) -> tuple[int, str]:
    """Status and code of an error that was meant for the client; (500, "INTERNAL") for others."""
    if isinstance(error, RequestError):
        return error.status, error.code
    if isinstance(error, InferirError):
        return STATUS.get(error.code, 500), error.code
    return 500, "INTERNAL"
