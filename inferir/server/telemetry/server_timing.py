"""The Server-Timing header: how long each stage of a request took, for browsers' developer tools and for people.

Source: W3C Server Timing; `dur` is in milliseconds.
"""

from __future__ import annotations

from math import floor

from inferir.server.request.exchange import STAGES, Exchange

__all__ = ["server_timing"]

#: Microseconds are as fine as the clock is worth. What each stage says for so many of them is made beforehand: to print
#: seven numbers would cost more than to count the request. `floor` takes less than half of what `int` does.
_PRINTED = 2000
_NAMES = [f"{', ' if at else 'Server-Timing: '}{stage};dur=" for at, stage in enumerate(STAGES)]
_A, _B, _C, _D, _E, _F, _G = ([f"{name}{us / 1e3:.3f}".encode() for us in range(_PRINTED)] for name in _NAMES)
_LINE = ("".join(f"{name}%.3f" for name in _NAMES) + "\r\n").encode()
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
                _C[floor(c * 1e6)],
                _D[floor(d * 1e6)],
                _E[floor(e * 1e6)],
                _F[floor(f * 1e6)],
                _G[floor(g * 1e6)],
                b"\r\n",
            )
        )
    except IndexError:
        return _LINE % (a * 1e3, b * 1e3, c * 1e3, d * 1e3, e * 1e3, f * 1e3, g * 1e3)
