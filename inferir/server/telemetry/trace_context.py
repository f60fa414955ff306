"""W3C Trace Context: the header that says which trace a request belongs to. https://www.w3.org/TR/trace-context/

traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
             version, trace id, id of the caller's span, flags
"""

from __future__ import annotations

import re

__all__ = ["TRACEPARENT", "trace_id_of"]

TRACEPARENT = "traceparent"

# Later versions may append fields behind another dash; ff is no version, and ids of zeros are none.
_VALUE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)")


def trace_id_of(traceparent: str | None) -> str:
    """The trace id in the header's value, "" where there is none or it is malformed."""
    found = _VALUE.match(traceparent) if traceparent else None
    if found is None or (traceparent and traceparent.startswith("00") and found.end() != len(traceparent)):
        return ""
    return found.group(1)
