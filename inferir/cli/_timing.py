"""How long a call takes: repeated for a while, after one call that does not count."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Timing", "measure"]

_LEAST_CALLS = 5


@dataclass(frozen=True)
class Timing:
    """Seconds per call."""

    median_s: float
    fastest_s: float
    calls: int


def measure(call: Callable[[Any], Any], rows: Any, seconds: float) -> Timing:
    """Time `call(rows)` for about `seconds`. The first call compiles and fills caches, and is left out."""
    call(rows)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST_CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        call(rows)
        times.append(time.perf_counter() - start)
        if times[0] > seconds:  # so slow that one call tells
            break
    return Timing(statistics.median(times), min(times), len(times))
