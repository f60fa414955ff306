"""Who is worked on, who waits, who is refused."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.server.request.admission import DEADLINE_INFEASIBLE, QUEUE_FULL, Admission, FixedLimit


def admit(admitted: list[str], name: str, there: bool = True) -> object:
    def enter() -> bool:
        admitted.append(name)
        return there

    return enter


def test_places_then_the_queue_then_no_more() -> None:
    admission = Admission(FixedLimit(2), max_queue=1)
    assert [admission.try_enter() for _ in range(3)] == [True, True, False]
    assert admission.refuse() == ""
    admission.wait(lambda: True)
    assert admission.refuse() == QUEUE_FULL
    assert Admission(FixedLimit(1), max_queue=0).refuse() == "concurrency_limit"


def test_whoever_waits_longest_is_next() -> None:
    admission, admitted = Admission(FixedLimit(1), max_queue=9), list[str]()
    assert admission.try_enter()
    for name in "abc":
        admission.wait(admit(admitted, name))  # type: ignore[arg-type]
    admission.leave(0.1, 0.0)
    admission.leave(0.1, 0.0)
    assert (admitted, admission.in_work, admission.queue_depth) == (["a", "b"], 1, 1)
    assert not admission.try_enter()  # nobody overtakes


def test_a_place_that_nobody_takes_goes_on() -> None:
    admission, admitted = Admission(FixedLimit(1), max_queue=9), list[str]()
    assert admission.try_enter()
    admission.wait(admit(admitted, "gone", there=False))  # type: ignore[arg-type]
    admission.wait(admit(admitted, "there"))  # type: ignore[arg-type]
    admission.leave(0.1, 0.0)
    assert (admitted, admission.in_work) == (["gone", "there"], 1)


@given(st.lists(st.sampled_from(["come", "leave", "give up"]), max_size=60), st.integers(1, 4), st.integers(0, 4))
def test_counts_hold_whatever_happens(events: list[str], limit: int, max_queue: int) -> None:
    admission = Admission(FixedLimit(limit), max_queue)
    in_work, waiting = 0, []

    def turn() -> bool:
        nonlocal in_work
        in_work += 1
        waiting.pop(0)
        return True

    for event in events:
        if event == "come":
            if admission.try_enter():
                in_work += 1
            elif not admission.refuse():
                enter = partial(turn)  # each one another object
                waiting.append(enter)
                admission.wait(enter)
        elif event == "leave" and in_work:
            in_work -= 1
            admission.leave(0.1, 0.0)
        elif event == "give up" and waiting:
            admission.give_up(waiting.pop())
        assert admission.in_work == in_work <= limit
        assert admission.queue_depth == len(waiting) <= max_queue
        assert not (waiting and in_work < limit)


def test_a_limit_that_moves() -> None:
    class Moving:
        limit = 1

        def observe(self, seconds: float, in_work: int) -> None:
            self.limit = 3

    admission = Admission(Moving(), max_queue=9)
    assert admission.try_enter()
    admitted: list[str] = []
    for name in "abcd":
        admission.wait(admit(admitted, name))  # type: ignore[arg-type]
    admission.leave(0.1, 0.0)
    assert (admitted, admission.in_work) == (["a", "b", "c"], 3)


@pytest.mark.parametrize("limit", [1, 3])
def test_every_turn_is_counted_once(limit: int) -> None:
    admission = Admission(FixedLimit(limit), max_queue=100)
    turns = 0

    def enter() -> bool:
        nonlocal turns
        turns += 1
        return True

    for _ in range(50):
        if admission.try_enter():
            turns += 1
        else:
            admission.wait(enter)
    for _ in range(50):
        admission.leave(0.1, 0.0)
    assert (turns, admission.in_work, admission.queue_depth) == (50, 0, 0)


def in_time(
    admission: Admission,
    service_s: Callable[[float], float],
    *,
    threads: int,
    per_s: float,
    patience_s: float,
    end_s: float,
) -> list[float]:
    """When requests were answered that were answered in time, while `per_s` came in a second: a server in model.

    Those in work are run in their order by `threads`; one that cannot be done in time is dropped. `service_s`
    says how long one takes that begins at a time.
    """
    events: list[tuple[float, int, str, float]] = []
    number = itertools.count()
    runnable: deque[float] = deque()
    free, answered = threads, list[float]()

    def at(when_s: float, what: str, came_s: float) -> None:
        heapq.heappush(events, (when_s, next(number), what, came_s))

    def enter(came_s: float) -> bool:
        runnable.append(came_s)
        return True

    for k in range(int(end_s * per_s)):
        at(k / per_s, "come", k / per_s)
    while events:
        now_s, _, what, came_s = heapq.heappop(events)
        if what == "done":
            free += 1
            admission.leave(now_s - came_s, now_s)
            if now_s <= came_s + patience_s:
                answered.append(now_s)
        elif admission.try_enter(patience_s):
            runnable.append(came_s)
        elif not admission.refuse(patience_s):
            admission.wait(partial(enter, came_s))
        while free and runnable:
            came_s = runnable.popleft()
            if came_s + patience_s < now_s + service_s(now_s):
                admission.leave(now_s - came_s, now_s, done=False)
            else:
                free -= 1
                at(now_s + service_s(now_s), "done", came_s)
    return answered


@pytest.mark.parametrize("threads", [1, 2, 64])
@pytest.mark.parametrize("times", [1.5, 10, 50])
@pytest.mark.parametrize("patience_s", [0.3, 1.0, 30.0])
def test_goodput_stays_flat(threads: int, times: float, patience_s: float) -> None:
    """More than can be done, for 10 s: nearly as much is done in time as if no more than that had come."""
    capacity_per_s = threads / 0.1
    admission = Admission(FixedLimit(64), max_queue=256)
    load = {"per_s": times * capacity_per_s, "patience_s": patience_s, "end_s": 10.0}
    answered = in_time(admission, lambda now_s: 0.1, threads=threads, **load)
    assert sum(when_s <= 10.0 for when_s in answered) >= 0.95 * capacity_per_s * 10.0


@pytest.mark.parametrize("threads", [1, 64])
def test_what_was_slow_may_be_fast_again(threads: int) -> None:
    """What was learnt while a request took a second must not keep out those that take a tenth of it."""
    admission = Admission(FixedLimit(64), max_queue=256)
    load = {"per_s": threads * 50.0, "patience_s": 1.5, "end_s": 30.0}
    answered = in_time(admission, lambda now_s: 1.0 if now_s < 10.0 else 0.1, threads=threads, **load)
    assert sum(20.0 < when_s <= 30.0 for when_s in answered) >= 0.95 * threads / 0.1 * 10.0


def test_one_alone_is_never_too_late() -> None:
    """Nothing is in work: there is nobody to wait for, whatever was learnt."""
    admission = Admission(FixedLimit(1), max_queue=9)
    assert in_time(admission, lambda now_s: 5.0, threads=1, per_s=1.0, patience_s=100.0, end_s=20.0)
    assert admission.try_enter(0.01)
    assert admission.refuse(0.01) == DEADLINE_INFEASIBLE
    assert admission.refuse(100.0) == ""
