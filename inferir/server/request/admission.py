"""Admission: which requests are worked on, which wait, which are refused. Pure decisions: times are numbers.

    in work     at most `limit.limit` of them
    waiting     at most `max_queue`, in the order in which they came, as far as each can be done by its deadline
    refused     everything else, at once

A request may leave the queue before its turn: its deadline passed, or its client is gone.

Under lasting overload a queue that is bounded in number alone fills up until everybody in it waits for as long as
somebody is ready to wait: then all that is done is done too late. So it is bounded in time, too. By Little's law, who
comes now is done when all who are there, in work and waiting, and one more, are done: their number times the time
between two that are done. That time is measured only while there are more than can be worked on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Protocol

from inferir.server.errors import RateLimitError

__all__ = [
    "DEADLINE_INFEASIBLE",
    "EXPIRED",
    "QUEUE_FULL",
    "REASONS",
    "RECEIVING_LIMIT",
    "Admission",
    "FixedLimit",
    "Limit",
]

QUEUE_FULL = "queue_full"
CONCURRENCY_LIMIT = "concurrency_limit"
DEADLINE_INFEASIBLE = "deadline_infeasible"
EXPIRED = "expired"
RECEIVING_LIMIT = "receiving_limit"

#: Why a request was refused: the values of a metric's label.
REASONS = (QUEUE_FULL, CONCURRENCY_LIMIT, DEADLINE_INFEASIBLE, EXPIRED, RECEIVING_LIMIT, RateLimitError.reason)


#: The time between two is looked at after so many, or so many seconds: those of a batch are done at the same time.
_LOOK_AT, _LOOK_S = 128, 0.5

#: Half of all wait longer than the mean: so much more is expected.
_MARGIN = 1.25


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
        self._between_s = 0.0
        self._since_s = 0.0  # when the count began; 0.0 where nothing is in work
        self._count = 0
        self._pressed = False  # whether somebody had to wait, was refused or came too late since then

    @property
    def queue_depth(self) -> int:
        return len(self._waiting)

    def try_enter(self, left_s: float = inf) -> bool:
        """Take a place at once, if there is one, nobody waits for it, and it is not too late.

        left_s  seconds until nobody waits for the answer any more.
        """
        if not self.in_work or (self.in_work < self.limit.limit and not self._waiting and not self._too_late(left_s)):
            self.in_work += 1
            return True
        self._pressed = True
        return False

    def refuse(self, left_s: float = inf) -> str:
        """Why a request that did not get a place at once may not wait either; "" where it may."""
        if self._too_late(left_s):
            return DEADLINE_INFEASIBLE
        if len(self._waiting) < self.max_queue:
            return ""
        return QUEUE_FULL if self.max_queue else CONCURRENCY_LIMIT

    def _too_late(self, left_s: float) -> bool:
        return (self.in_work + len(self._waiting) + 1) * self._between_s * _MARGIN > left_s

    def wait(self, admitted: Callable[[], bool]) -> None:
        """Wait for a place, behind all that wait already."""
        self._waiting.append(admitted)

    def give_up(self, admitted: Callable[[], bool]) -> None:
        """Wait no longer."""
        if admitted in self._waiting:
            self._waiting.remove(admitted)

    def leave(self, seconds: float, now_s: float, *, done: bool = True) -> None:
        """A request goes after `seconds` in work; whoever waits longest takes its place.

        done  whether it was answered. One that was dropped took no time, and says nothing about the next.
        """
        self.in_work -= 1
        self.limit.observe(seconds, self.in_work)
        if done:
            self._look(seconds, now_s)
        else:
            self._pressed = True
        while self._waiting and self.in_work < self.limit.limit:
            self._pressed = True
            if self._waiting.popleft()():
                self.in_work += 1
        if not self.in_work:
            self._since_s = 0.0

    def _look(self, seconds: float, now_s: float) -> None:
        """One more is done, after `seconds` in work."""
        if not self._since_s:
            if not self.in_work and self._pressed:  # it was alone, and others were refused for its sake
                self._learn(seconds)
            self._since_s, self._count, self._pressed = now_s, 0, False
            return
        self._count += 1
        counted_s = now_s - self._since_s
        if self._count >= _LOOK_AT or counted_s >= _LOOK_S:
            if self._pressed:
                self._learn(counted_s / self._count)
            self._since_s, self._count, self._pressed = now_s, 0, False

    def _learn(self, between_s: float) -> None:
        self._between_s = (self._between_s + between_s) / 2 if self._between_s else between_s
