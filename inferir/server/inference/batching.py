"""Joining single requests into batches: whether it pays, and what goes into the next batch. Pure: time is a number.

Batches are counted in rows. Nobody waits for others while nothing runs; what comes while a batch runs gathers into the
next. So a request waits for at most the batch before its own, and an idle model answers as if there were no batching.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferir.server.models.registry import Cost

__all__ = ["JOINING_S", "pays", "take"]

#: What joining costs a request: a future, a task that waits for it, a row copied in and an answer copied out.
JOINING_S = 60e-6

#: So many requests are likely to come together when it matters.
_TYPICAL_REQUESTS = 8


def pays(cost: Cost) -> bool:
    """Whether one call for several requests saves each of them more than it costs to join them."""
    saved_s = cost.fixed_s * (_TYPICAL_REQUESTS - 1) / _TYPICAL_REQUESTS
    return saved_s > JOINING_S


def take(
    rows: Sequence[int], deadlines_s: Sequence[float], now_s: float, cost: Cost, max_rows: int, budget_s: float
) -> int:
    """How many requests, from the first, make the next batch: as many as fit, and all of them end in time.

    rows, deadlines_s  of the requests that wait, in order; none of the deadlines has passed.
    max_rows           most rows of a batch.
    budget_s           longest expected time of a batch. The first request is taken whatever it needs.
    """
    total, earliest_s = 0, float("inf")
    for count, (n, deadline_s) in enumerate(zip(rows, deadlines_s, strict=True)):
        total += n
        earliest_s = min(earliest_s, deadline_s)
        expected_s = cost.seconds(total)
        if count and (total > max_rows or expected_s > budget_s or now_s + expected_s > earliest_s):
            return count
    return len(rows)
