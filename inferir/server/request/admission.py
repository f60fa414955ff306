"""Admission: which requests are worked on, which wait, which are refused. Pure decisions: no clock, no sockets.

    in work     at most `limit.limit` of them
    waiting     at most `max_queue`, in the order in which they came
    refused     everything else, at once

A request may leave the queue before its turn: its deadline passed, or its client is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

__all__ = ["DEADLINE_INFEASIBLE", "DRAINING", "EXPIRED", "QUEUE_FULL", "REASONS", "Admission", "FixedLimit", "Limit"]

QUEUE_FULL = "queue_full"
CONCURRENCY_LIMIT = "concurrency_limit"
DEADLINE_INFEASIBLE = "deadline_infeasible"
EXPIRED = "expired"
DRAINING = "draining"

#: Why a request was refused: the values of a metric's label.
REASONS = (QUEUE_FULL, CONCURRENCY_LIMIT, DEADLINE_INFEASIBLE, EXPIRED, DRAINING)


class Limit(Protocol):
    """How many requests may be in work."""

    @property
    def limit(self) -> int: ...

    def observe(self, seconds: float, in_work: int) -> None:
        """A request took `seconds` in work while `in_work` others were."""


class FixedLimit:
    """The number that was set."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def observe(self, seconds: float, in_work: int) -> None:
        """Nothing to learn."""


class Admission:
    """Counts requests in work and keeps those that wait.

    A waiting request is a callable, called when its turn comes. It says whether somebody is still there to take it.
    """

    def __init__(self, limit: Limit, max_queue: int) -> None:
        self.limit = limit
        self.max_queue = max_queue
        self.in_work = 0
        self.draining = False
        self._waiting: deque[Callable[[], bool]] = deque()

    @property
    def queue_depth(self) -> int:
        return len(self._waiting)

    def try_enter(self) -> bool:
        """Take a place at once, if there is one and nobody waits for it."""
        if self.in_work < self.limit.limit and not self._waiting:
            self.in_work += 1
            return True
        return False

    def refuse(self) -> str:
        """Why a request that did not get a place at once may not wait either; "" where it may."""
        if len(self._waiting) < self.max_queue:
            return ""
        return QUEUE_FULL if self.max_queue else CONCURRENCY_LIMIT

    def wait(self, admitted: Callable[[], bool]) -> None:
        """Wait for a place, behind all that wait already."""
        self._waiting.append(admitted)

    def give_up(self, admitted: Callable[[], bool]) -> None:
        """Wait no longer."""
        if admitted in self._waiting:
            self._waiting.remove(admitted)

    def leave(self, seconds: float) -> None:
        """A request is done after `seconds` in work; whoever waits longest takes its place."""
        self.in_work -= 1
        self.limit.observe(seconds, self.in_work)
        while self._waiting and self.in_work < self.limit.limit:
            if self._waiting.popleft()():
                self.in_work += 1
