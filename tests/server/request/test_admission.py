"""Who is worked on, who waits, who is refused."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.server.request.admission import QUEUE_FULL, Admission, FixedLimit


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
    admission.leave(0.1)
    admission.leave(0.1)
    assert (admitted, admission.in_work, admission.queue_depth) == (["a", "b"], 1, 1)
    assert not admission.try_enter()  # nobody overtakes


def test_a_place_that_nobody_takes_goes_on() -> None:
    admission, admitted = Admission(FixedLimit(1), max_queue=9), list[str]()
    assert admission.try_enter()
    admission.wait(admit(admitted, "gone", there=False))  # type: ignore[arg-type]
    admission.wait(admit(admitted, "there"))  # type: ignore[arg-type]
    admission.leave(0.1)
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
            admission.leave(0.1)
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
    admission.leave(0.1)
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
        admission.leave(0.1)
    assert (turns, admission.in_work, admission.queue_depth) == (50, 0, 0)
