"""The Server-Timing header: how long each stage of a request took, for browsers' developer tools and for people.

Most requests need not wait for their turn: `queue` is left out where it took no time.

Source: W3C Server Timing; `dur` is in milliseconds.
"""

from __future__ import annotations

from math import floor

from inferir.server.request.exchange import QUEUE, STAGES, Exchange

__all__ = ["server_timing"]

#: Microseconds are as fine as the clock is worth. What each stage says for so many of them is made beforehand: to print
#: seven numbers would cost more than to count the request. `floor` takes less than half of what `int` does.
_PRINTED = 2000
_NAMES = [f"{', ' if at else 'Server-Timing: '}{stage};dur=" for at, stage in enumerate(STAGES)]
_A, _B, _C, _D, _E, _F, _G = ([f"{name}{us / 1e3:.3f}".encode() for us in range(_PRINTED)] for name in _NAMES)
_LAST = [text + b"\r\n" for text in _G]
_join = b"".join


def server_timing(exchange: Exchange) -> bytes:
    """The header line for the seconds in each of STAGES, with its CR LF; nothing where no model was asked."""
    if not exchange.rows:
        return b""
    a, b, c, d, e, f, g = exchange.stages
    try:
        return _join(
            (
                _A[floor(a * 1e6)],
                _B[floor(b * 1e6)],
                _C[floor(c * 1e6)] if c else b"",
                _D[floor(d * 1e6)],
                _E[floor(e * 1e6)],
                _F[floor(f * 1e6)],
                _LAST[floor(g * 1e6)],
            )
        )
    except IndexError:
        return _printed(exchange).encode()


def _printed(exchange: Exchange) -> str:
    stages = enumerate(zip(_NAMES, exchange.stages, strict=True))
    return "".join(f"{name}{s * 1e3:.3f}" for stage, (name, s) in stages if s or stage != QUEUE) + "\r\n"
