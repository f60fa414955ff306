"""How often somebody may ask. Pure: times are numbers.

The generic cell rate algorithm (ITU-T I.371), which remembers one time for each name: when all that was asked under it
would have been asked at the rate, one at a time. A request moves that on by the time between two; one that would move
it further ahead of now than a burst takes is refused, and moves nothing.
"""

from __future__ import annotations

import math

from inferir.server.errors import RateLimitError

__all__ = ["RateLimit"]


class RateLimit:
    """At most `per_s` requests a second under each name in the long run, and `burst` of them at once.

    burst  0: as many as in a second, at least one.
    """

    def __init__(self, per_s: float, burst: int = 0) -> None:
        self._per_s, self._burst = per_s, burst or math.ceil(per_s)
        self._between_s = 1.0 / per_s
        #: Names are those of keys: there are as many as in their file.
        self._paid_until_s: dict[str, float] = {}

    def check(self, name: str, now_s: float) -> None:
        """Count a request. Raises RateLimitError, which says when there may be one again."""
        until_s = max(self._paid_until_s.get(name, now_s), now_s) + self._between_s
        early_s = until_s - now_s - self._burst * self._between_s
        if early_s > 1e-9:  # what sums of floats are off by
            raise RateLimitError(
                f"expected at most {self._per_s:g} requests a second from {name}, {self._burst} at once, got one more",
                {"Retry-After": str(math.ceil(early_s))},
            )
        self._paid_until_s[name] = until_s
