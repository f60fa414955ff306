"""How many bytes of bodies may be on their way at once, over all connections: without a bound, it would be as many
connections as there may be, each with the largest body.

What came is counted, and not what was announced: who promises much and sends nothing takes nobody's place.
"""

from __future__ import annotations

__all__ = ["ByteBudget"]


class ByteBudget:
    """`taken` of `limit_bytes` bytes."""

    __slots__ = ("_limit_bytes", "taken")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.taken = 0

    def take(self, n_bytes: int) -> bool:
        """Whether there was room for so many bytes more; then they are counted until they are given back."""
        if self.taken + n_bytes > self._limit_bytes:
            return False
        self.taken += n_bytes
        return True

    def give_back(self, n_bytes: int) -> None:
        self.taken -= n_bytes
