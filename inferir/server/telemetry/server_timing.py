"""The Server-Timing header: how long each stage of a request took, for browsers' developer tools and for people.

Source: W3C Server Timing; `dur` is in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferir.server.request.exchange import STAGES

__all__ = ["server_timing"]

#: Microseconds are as fine as the clock is worth; %g would cost twice as much.
_LINE = ("Server-Timing: " + ", ".join(f"{stage};dur=%.3f" for stage in STAGES) + "\r\n").encode()


def server_timing(stages_s: Sequence[float]) -> bytes:
    """The header line for the seconds in each of STAGES, with its CR LF."""
    a, b, c, d, e, f, g = stages_s
    return _LINE % (a * 1e3, b * 1e3, c * 1e3, d * 1e3, e * 1e3, f * 1e3, g * 1e3)
