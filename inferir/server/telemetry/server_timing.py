"""The Server-Timing header: how long each stage of a request took, for browsers' developer tools and for people.

Source: W3C Server Timing; `dur` is in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferir.server.exchange import STAGES

__all__ = ["server_timing"]

_LINE = ("Server-Timing: " + ", ".join(f"{stage};dur=%.4g" for stage in STAGES) + "\r\n").encode()


def server_timing(stages_s: Sequence[float]) -> bytes:
    """The header line for the seconds in each of STAGES, with its CR LF."""
    return _LINE % tuple([seconds * 1e3 for seconds in stages_s])
