"""Until when somebody waits for an answer. Pure: headers come as a mapping, the time as a number.

    X-Request-Timeout-Ms               ours
    X-Envoy-Expected-Rq-Timeout-Ms     what Envoy will wait, where it stands in front

gRPC's own `grpc-timeout` is read by its library. The server's timeout is the longest that anybody is let wait; a client
can only ask for less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multidict import istr

from inferir.errors import InvalidInputError
from inferir.server.request.exchange import Exchange

__all__ = ["deadline_of", "tighten"]

#: A name that is ready to be looked for takes half of the time of a text.
_OURS, _ENVOYS = istr("X-Request-Timeout-Ms"), istr("X-Envoy-Expected-Rq-Timeout-Ms")


def deadline_of(headers: Mapping[str, Any], started_s: float, timeout_s: float) -> float:
    """The deadline of a request that was whole at `started_s`, on the same clock. Raises InvalidInputError (E006)."""
    if (text := headers.get(_OURS)) is not None:
        return started_s + min(_milliseconds(_OURS, text), timeout_s)
    if (text := headers.get(_ENVOYS)) is not None:
        return started_s + min(_milliseconds(_ENVOYS, text), timeout_s)
    return started_s + timeout_s


def _milliseconds(name: str, text: str) -> float:
    try:
        seconds = float(text) / 1e3
    except ValueError:
        seconds = -1.0
    if not seconds >= 0.0 or not text.isascii():
        raise InvalidInputError(f"{name}: expected a number of milliseconds, got {text[:40]!r}")
    return seconds


def tighten(exchange: Exchange, timeout_s: float) -> None:
    """A deadline that came in the body: `timeout_s` after the request came, if that is earlier than what holds."""
    exchange.deadline_s = min(exchange.deadline_s, exchange.started_s + timeout_s)
