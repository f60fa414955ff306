"""How long to wait before a dead worker is replaced. Pure: the clock is a number."""

from __future__ import annotations

__all__ = ["Restarts"]

_FIRST_S, _LONGEST_S = 0.05, 10.0

#: A worker that lived this long did not die of how it starts.
_SETTLED_S = 10.0


class Restarts:
    """At once after a long life, ever later after short ones: what dies as it starts must not take the machine."""

    def __init__(self) -> None:
        self._short_lives = 0

    def delay_s(self, lived_s: float) -> float:
        """The wait after a life of `lived_s`."""
        self._short_lives = 0 if lived_s >= _SETTLED_S else self._short_lives + 1
        return min(_LONGEST_S, _FIRST_S * 2.0 ** min(self._short_lives, 30)) if self._short_lives > 1 else _FIRST_S
