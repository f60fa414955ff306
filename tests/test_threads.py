"""Threads: every part once, by as many at a time as there may be, and the first of the errors."""

from __future__ import annotations

import os
import threading

import pytest

from inferir.threads import Threads, cores

PATIENCE_S = 60


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("n_parts", [0, 1, 2, 100])
def test_every_part_is_worked_on_once(count: int, n_parts: int) -> None:
    done: list[int] = []
    Threads(count).share(done.append, n_parts)
    assert sorted(done) == list(range(n_parts))


def test_one_thread_is_the_callers_own() -> None:
    done: list[str] = []
    Threads(1).share(lambda part: done.append(threading.current_thread().name), 3)
    assert done == [threading.current_thread().name] * 3


def test_as_many_work_at_a_time_as_there_may_be() -> None:
    together = threading.Barrier(3)
    Threads(3).share(lambda part: [together.wait(PATIENCE_S)], 3)  # passes when three wait at once


def test_the_first_of_the_errors_is_raised_and_later_parts_are_not_begun() -> None:
    begun: list[int] = []
    second_failed = threading.Event()

    def work(part: int) -> None:
        begun.append(part)
        if part == 0:
            assert second_failed.wait(PATIENCE_S)
            raise ValueError("part 0")
        second_failed.set()
        raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match="part 0"):
        Threads(2).share(work, 50)
    assert begun == [0, 1]


def test_threads_outlive_an_error() -> None:
    threads, done = Threads(2), list[int]()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            threads.share(lambda part: [1 / part], 4)
    threads.share(done.append, 4)
    assert sorted(done) == [0, 1, 2, 3]


def test_many_callers_share_the_helpers() -> None:
    threads, sums = Threads(3), [0] * 8

    def caller(number: int) -> None:
        def work(part: int) -> None:
            with lock:
                sums[number] += part

        lock = threading.Lock()
        for _ in range(50):
            threads.share(work, 10)

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(PATIENCE_S)
    assert sums == [50 * 45] * 8


def test_cores() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
