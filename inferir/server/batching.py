"""Joining single requests into batches: when to run what has gathered. Pure: the clock is a parameter.

A batch is counted in rows. Nobody waits while nothing is running: the first request runs at once, and what comes while
it does gathers into the next batch. So a request waits for at most the batch before its own, and an idle model answers
as if there were no batching.

    pays            whether joining saves more than it costs, by what was measured at load
    take            how many of the requests that wait go into the next batch
"""

from __future__ import annotations

from collections.abc import Sequence

from inferir.server.registry import Cost

__all__ = ["JOINING_S", "pays", "take"]

#: What joining costs a request: a future, a wake-up, a row copied in and an answer copied out.
JOINING_S = 60e-6

#: Requests that are likely to wait for each other when it matters.
_TYPICAL_REQUESTS = 8


def pays(cost: Cost) -> bool:
    """Whether a call for several requests saves each of them more than it costs to join them."""
    saved_s = cost.fixed_s * (_TYPICAL_REQUESTS - 1) / _TYPICAL_REQUESTS
    return saved_s > JOINING_S


def take(rows: Sequence[int], deadlines_s: Sequence[float], now_s: float, cost: Cost, max_rows: int) -> int:
    """How many requests, from the first, make the next batch: as many as fit, and as end in time for all of them.

    rows, deadlines_s  of the requests that wait, in order; those whose deadline passed are not among them.
    """
    total, earliest_s = 0, float("inf")
    for count, (n, deadline_s) in enumerate(zip(rows, deadlines_s, strict=True)):
        total += n
        earliest_s = min(earliest_s, deadline_s)
        if count and (total > max_rows or now_s + cost.seconds(total) > earliest_s):
            return count
    return len(rows)
