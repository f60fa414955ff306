"""Log lines as JSON objects, with the keys that users of AWS Lambda Powertools know.

    {"level": "ERROR", "location": "loop:answer", "message": "...", "timestamp": "2026-11-21T06:15:21.123Z",
     "service": "churn", "cold_start": true, "function_name": "...", "function_memory_size": "128",
     "function_arn": "...", "function_request_id": "...", "xray_trace_id": "1-...", "exception_name": "...",
     "exception": "..."}

One write per line, to standard output, or to the descriptor that Lambda gives its runtimes, in its frames: so a line
is never cut by another's, whichever process wrote it.
"""

from __future__ import annotations

import os
from time import gmtime, time

from inferir.lambda_entry import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from inferir.lambda_entry.call import Call

__all__ = ["LEVELS", "Logger"]

LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "FATAL": 50, "CRITICAL": 50}

#: Frames of _LAMBDA_TELEMETRY_LOG_FD: type, length, microseconds since 1970; big endian. The type of JSON is that of
#: text plus a bit, and the level is in the bits above.
_FRAME_TYPE = 0xA55A0002
_FRAME_LEVELS = {"TRACE": 0x4, "DEBUG": 0x8, "INFO": 0xC, "WARN": 0x10, "WARNING": 0x10, "ERROR": 0x14, "FATAL": 0x18}


class Logger:
    """Lines of one function, from `level` on. `about` are keys of every line; `call` has those of the event."""

    def __init__(self, environ: Mapping[str, str], descriptor: int = 1) -> None:
        level = environ.get("AWS_LAMBDA_LOG_LEVEL") or environ.get("POWERTOOLS_LOG_LEVEL") or "INFO"
        self._least = LEVELS.get(level.upper(), LEVELS["INFO"])
        framed = environ.get("_LAMBDA_TELEMETRY_LOG_FD", "")
        self._framed = framed.isdecimal()
        self._descriptor = int(framed) if self._framed else descriptor
        self.about = {
            "service": environ.get("POWERTOOLS_SERVICE_NAME", "service_undefined"),
            "function_name": environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            "function_memory_size": environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", ""),
        }
        self.call: Call | None = None

    def wants(self, level: str) -> bool:
        return LEVELS[level] >= self._least

    def write(self, level: str, location: str, message: str, **more: Any) -> None:
        """One line, unless its level is below the function's."""
        if not self.wants(level):
            return
        now = time()
        line = {"level": level, "location": location, "message": message, "timestamp": _timestamp(now)}
        about = self.about if self.call is None else {**self.about, **self.call.log_keys()}
        self.write_text(jsontext.dumps({**line, **about, **more}), level, now)

    def write_text(self, line: str, level: str = "INFO", now: float | None = None) -> None:
        """A line as it is: metrics, whatever the level."""
        data = line.encode("utf-8") + b"\n"
        if self._framed:
            kind = _FRAME_TYPE | _FRAME_LEVELS.get(level, 0)
            microseconds = int((time() if now is None else now) * 1e6)
            data = kind.to_bytes(4, "big") + len(data).to_bytes(4, "big") + microseconds.to_bytes(8, "big") + data
        try:
            os.write(self._descriptor, data)
        except OSError:  # nobody reads the log any more; the answer is worth more than the line
            self._least = 1000


def _timestamp(now: float) -> str:
    t = gmtime(now)
    return f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}.{int(now * 1000) % 1000:03d}Z"
