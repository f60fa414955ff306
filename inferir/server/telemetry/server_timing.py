"""The Server-Timing header: how long each stage of a request took, for browsers' developer tools and for people.

Source: W3C Server Timing; `dur` is in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferir.server.request.exchange import STAGES

__all__ = ["server_timing"]

#: Microseconds are as fine as the clock is worth. What each stage says for so many of them is made beforehand: to print
#: seven numbers would cost as much as to count the request.
_PRINTED = 2000
_NAMES = [f"{', ' if at else 'Server-Timing: '}{stage};dur=" for at, stage in enumerate(STAGES)]
_A, _B, _C, _D, _E, _F, _G = ([f"{name}{us / 1e3:.3f}".encode() for us in range(_PRINTED)] for name in _NAMES)
_LINE = ("".join(f"{name}%.3f" for name in _NAMES) + "\r\n").encode()
_join = b"".join


def server_timing(stages_s: Sequence[float]) -> bytes:
    """The header line for the seconds in each of STAGES, with its CR LF."""
    a, b, c, d, e, f, g = stages_s
    try:
        return _join(
            (
                _A[int(a * 1e6)],
                _B[int(b * 1e6)],
                _C[int(c * 1e6)],
                _D[int(d * 1e6)],
                _E[int(e * 1e6)],
                _F[int(f * 1e6)],
                _G[int(g * 1e6)],
                b"\r\n",
            )
        )
    except IndexError:
        return _LINE % (a * 1e3, b * 1e3, c * 1e3, d * 1e3, e * 1e3, f * 1e3, g * 1e3)
