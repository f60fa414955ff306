"""A concurrency limit that follows the latency: Gradient2, of Netflix's concurrency-limits. Pure: times are numbers.

    gradient = tolerance * long / short        how much slower than usual requests are; 0.5 to 1
    limit    = smoothing of  limit * gradient + sqrt(limit)

`short` is a mean over the latest requests, `long` one over many more, so that the usual latency may drift. While the
limit is not half used it says nothing about capacity, and stays. The square root is the queue that is allowed: it lets
the limit grow back when latency allows it.
"""

from __future__ import annotations

import math

__all__ = ["GradientLimit"]

_SHORT, _LONG = 10, 600
_TOLERANCE = 1.5
_SMOOTHING = 0.2


class GradientLimit:
    """Starts at `highest` and stays between `lowest` and it."""

    def __init__(self, highest: int, lowest: int = 1) -> None:
        self._highest, self._lowest = highest, lowest
        self._estimate = float(highest)
        self._short_s = 0.0
        self._long_s = 0.0
        self.limit = highest
        self.gradient = 1.0

    def observe(self, seconds: float, in_work: int) -> None:
        """A request took `seconds` while `in_work` others were in work."""
        if seconds <= 0.0:
            return
        self._short_s = _mean(self._short_s, seconds, _SHORT)
        self._long_s = _mean(self._long_s, seconds, _LONG)
        if self._long_s > 2.0 * self._short_s:  # it became much faster: what was usual is not any more
            self._long_s *= 0.95
        if in_work < self._estimate / 2:
            return
        self.gradient = max(0.5, min(1.0, _TOLERANCE * self._long_s / self._short_s))
        wanted = self._estimate * self.gradient + math.sqrt(self._estimate)
        smoothed = (1.0 - _SMOOTHING) * self._estimate + _SMOOTHING * wanted
        self._estimate = max(float(self._lowest), min(float(self._highest), smoothed))
        self.limit = int(self._estimate)


def _mean(mean: float, value: float, window: int) -> float:
    """An exponential mean over about `window` values; the first value is the mean."""
    return value if not mean else mean + (value - mean) * 2.0 / (window + 1)
