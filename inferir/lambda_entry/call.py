"""What is known about an event beside the event, whichever runtime brought it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Call"]

_NEVER = float("inf")


class Call:
    """A call of a function; texts are empty where they did not come.

    deadline_ms  when the caller stops waiting, in milliseconds since 1970; 0 where nobody said.
    cold_start   whether nothing was answered before.
    streams      whether an answer may be a stream.
    """

    __slots__ = ("arn", "cold_start", "deadline_ms", "request_id", "trace_id")

    streams = False

    def __init__(self, request_id: str, deadline_ms: float, arn: str = "", trace_id: str = "") -> None:
        self.request_id, self.deadline_ms, self.arn, self.trace_id = request_id, deadline_ms, arn, trace_id
        self.cold_start = False

    def remaining_ms(self, now_ms: float) -> float:
        """Time until the deadline, at least 0; infinite where there is none."""
        if not self.deadline_ms:
            return _NEVER
        return self.deadline_ms - now_ms if self.deadline_ms > now_ms else 0.0

    def log_keys(self) -> dict[str, Any]:
        """What log lines say of the event."""
        keys: dict[str, Any] = {"function_request_id": self.request_id, "cold_start": self.cold_start}
        if self.arn:
            keys["function_arn"] = self.arn
        root = self.trace_id.partition(";")[0].removeprefix("Root=")
        if root:
            keys["xray_trace_id"] = root
        return keys
