"""Threads: every part once, by as many at a time as there may be, and the first of the errors."""

from __future__ import annotations

import gc
import os
import threading
import weakref

import pytest

from inferir.threads import Threads, cores
from tests.patience import PATIENCE_S


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


def test_an_error_is_raised_without_a_cycle_that_would_keep_rows() -> None:
    class Rows:
        pass

    rows = Rows()
    kept = weakref.ref(rows)

    def work(part: int, rows: Rows = rows) -> None:
        raise ValueError(part)

    gc.disable()
    try:
        with pytest.raises(ValueError, match="0"):
            Threads(1).share(work, 3)
        del work, rows
        assert kept() is None
    finally:
        gc.enable()


def test_an_interrupt_of_the_caller_waits_for_parts_that_have_begun() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), list[int]()

    def work(part: int) -> None:
        if threading.current_thread() is threading.main_thread():
            assert begun.wait(PATIENCE_S)
            go_on.set()
            raise KeyboardInterrupt
        begun.set()
        assert go_on.wait(PATIENCE_S)
        done.append(part)

    with pytest.raises(KeyboardInterrupt):
        Threads(2).share(work, 50)
    assert len(done) <= 1


def test_helpers_end_with_what_they_help() -> None:
    threads, helpers, together = Threads(3), list[threading.Thread](), threading.Barrier(3)

    def work(part: int) -> None:
        together.wait(PATIENCE_S)
        if threading.current_thread() is not threading.main_thread():
            helpers.append(threading.current_thread())

    threads.share(work, 3)
    assert len(helpers) == 2
    del threads
    for helper in helpers:
        helper.join(PATIENCE_S)
        assert not helper.is_alive()


def test_nothing_of_a_piece_of_work_is_kept() -> None:
    class Rows:
        pass

    rows, threads, together = Rows(), Threads(2), threading.Barrier(2)
    kept = weakref.ref(rows)

    def work(part: int, rows: Rows = rows) -> None:
        together.wait(PATIENCE_S)

    threads.share(work, 2)
    del rows, work
    threads.share(lambda part: [together.wait(PATIENCE_S)], 2)  # by the same helper, which has put the first away
    assert kept() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # that is what is tested
def test_a_forked_child_has_helpers_of_its_own() -> None:
    threads, done = Threads(2), list[int]()
    threads.share(done.append, 2)
    child = os.fork()
    if child == 0:
        together = threading.Barrier(2)
        try:
            threads.share(lambda part: [together.wait(PATIENCE_S)], 2)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class FakeProcessors:
    """Processors that nothing runs on: where the caller is, and what helpers were told."""

    def __init__(self, allowed: set[int], error: type[OSError] | None = None) -> None:
        self.at, self.of_process, self.error = 0, allowed, error
        self.asked = 0
        self.told: list[tuple[int, set[int]]] = []

    def here(self) -> int:
        self.asked += 1
        return self.at

    def allowed(self) -> set[int]:
        return self.of_process

    def allow(self, thread: int, processors: set[int]) -> None:
        if self.error is not None:
            raise self.error("not here")
        self.told.append((thread, processors))


def share_some(threads: Threads) -> set[int]:
    """Native numbers of all helpers, which work on a part each."""
    together, numbers, caller = threading.Barrier(threads.count), set[int](), threading.get_native_id()

    def work(part: int) -> None:
        together.wait(PATIENCE_S)
        numbers.add(threading.get_native_id())

    threads.share(work, threads.count)
    return numbers - {caller}


def test_helpers_are_kept_off_the_callers_processor() -> None:
    processors = FakeProcessors({0, 1, 5})
    threads = Threads(3, lambda: processors)
    helpers = share_some(threads)
    assert sorted(processors.told) == sorted((helper, {1, 5}) for helper in helpers)
    share_some(threads)
    assert len(processors.told) == 2  # what they have been told holds
    processors.at = 5
    share_some(threads)
    assert sorted(processors.told[2:]) == sorted((helper, {0, 1}) for helper in helpers)


def test_a_caller_outside_what_helpers_may_use_leaves_them_there() -> None:
    processors = FakeProcessors({0, 1})
    threads = Threads(2, lambda: processors)
    share_some(threads)
    processors.of_process = {0}
    share_some(threads)
    assert [allowed for _, allowed in processors.told] == [{1}]


def test_with_one_processor_nobody_is_told_anything() -> None:
    processors = FakeProcessors({0})
    share_some(Threads(2, lambda: processors))
    assert processors.told == []


@pytest.mark.parametrize("error", [PermissionError, OSError])
def test_where_it_is_not_permitted_work_is_shared_all_the_same(error: type[OSError]) -> None:
    processors = FakeProcessors({0, 1}, error)
    threads = Threads(3, lambda: processors)
    share_some(threads)
    share_some(threads)
    assert processors.asked == 1  # and nobody asks again


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2 if hasattr(os, "sched_getaffinity") else True, reason="one core")
def test_the_system_keeps_helpers_to_the_processors_of_the_caller() -> None:
    threads, mine = Threads(2), os.sched_getaffinity(0)
    (helper,) = share_some(threads)
    allowed = os.sched_getaffinity(helper)
    assert allowed <= mine
    assert len(allowed) == len(mine) - 1
    assert os.sched_getaffinity(0) == mine
