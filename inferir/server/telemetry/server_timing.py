"""The Server-Timing header: how long each stage of a request took, for browsers' developer tools and for people.

Most requests need not wait for their turn: `queue` is left out where it took no time. Where there are compiled kernels,
their library writes the numbers into such a line (`records.py`).

Source: W3C Server Timing; `dur` is in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferir.server.request.exchange import QUEUE, STAGES

__all__ = ["header_line"]


def header_line(seconds: Sequence[float]) -> bytes:
    """The line for the seconds in each of STAGES, to a microsecond, with its CR LF."""
    entries = (
        f"{stage};dur={round(s * 1e6) / 1e3:.3f}"
        for at, (stage, s) in enumerate(zip(STAGES, seconds, strict=True))
        if s or at != QUEUE
    )
    return f"Server-Timing: {', '.join(entries)}\r\n".encode()
