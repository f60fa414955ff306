"""Work shared out over threads: who asks works too, and helpers help with what is left.

Parts are handed out one at a time, so a helper that wakes late leaves more to the others, and one that does not wake in
time costs nothing but asking it. Everything that is shared out releases the interpreter's lock.

A helper is kept off the processor of whoever asks: Linux likes to wake a thread where its waker runs, and there it
would wait for up to some milliseconds, until the scheduler sees that another processor is idle.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Processors", "Threads", "cores"]

Part = TypeVar("Part")


class Processors(Protocol):
    """What the system says of processors, and is told. Each may raise OSError."""

    def here(self) -> int:
        """The one that this thread runs on."""

    def allowed(self) -> set[int]:
        """Those that this thread may run on."""

    def allow(self, thread: int, processors: set[int]) -> None:
        """Have a thread, by its native number, run on some of them only."""


class _Linux:
    def __init__(self) -> None:
        import ctypes  # takes longer to load than all of this file, and few models share out work

        self.here: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu

    def allowed(self) -> set[int]:
        return os.sched_getaffinity(0)

    def allow(self, thread: int, processors: set[int]) -> None:
        os.sched_setaffinity(thread, processors)


def _processors() -> Processors | None:
    """None where the system or the C library has no such calls."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        return _Linux()
    except (ImportError, OSError, AttributeError):
        return None


class _Job(Generic[Part]):
    """Parts of one piece of work, and how many helpers are at them."""

    def __init__(self, work: Callable[[Part], None], parts: Iterator[Part]) -> None:
        self.failed: list[tuple[Part, BaseException]] = []
        self._work, self._parts = work, parts
        self._lock, self._left = threading.Lock(), threading.Lock()
        self._left.acquire()
        self._n_helpers, self._over, self._waits = 0, False, False

    def take_parts(self) -> None:
        for part in self._parts:
            if self.failed or self._over:
                return
            try:
                self._work(part)
            except BaseException as error:  # raised by `share`, in the thread that asked
                self.failed.append((part, error))

    def help(self) -> None:
        """What a helper does, whenever it wakes."""
        with self._lock:
            if self._over:
                return
            self._n_helpers += 1
        self.take_parts()
        with self._lock:
            self._n_helpers -= 1
            is_last = self._waits and self._n_helpers == 0
        if is_last:
            self._left.release()

    def end(self) -> None:
        """Waits for the helpers that have begun; others will not."""
        with self._lock:
            self._over, self._waits = True, self._n_helpers > 0
        if self._waits:
            self._left.acquire()


class _Helpers:
    """Threads that take what is asked for from a queue, until they find None there."""

    def __init__(self, count: int, processors: Processors | None) -> None:
        self.process, self._processors = os.getpid(), processors
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._numbers: list[int] = []
        self._allowed: set[int] | None = None  # of all helpers, once it was said
        for _ in range(count):
            thread = threading.Thread(target=_help, args=(self._queue,), name="inferir", daemon=True)
            thread.start()
            assert thread.native_id is not None  # it has started
            self._numbers.append(thread.native_id)
        weakref.finalize(self, _dismiss, self._queue, count)

    def ask(self, help_once: Callable[[], None], count: int) -> None:
        """Has `count` of them, if they have nothing else to do, call something."""
        self._keep_off_here()
        for _ in range(count):
            self._queue.put(help_once)

    def _keep_off_here(self) -> None:
        if self._processors is None:
            return
        try:
            here = self._processors.here()
            if self._allowed is not None and here not in self._allowed:
                return
            allowed = self._processors.allowed() - {here}
            if not allowed:
                return
            for number in self._numbers:
                self._processors.allow(number, allowed)
            self._allowed = allowed
        except OSError:  # not permitted here: helpers run wherever the system puts them
            self._processors = None


def _help(queue: SimpleQueue[Callable[[], None] | None]) -> None:
    """Refers to no `_Helpers`, which ends with the last that refer to it."""
    while (help_once := queue.get()) is not None:
        help_once()
        del help_once  # and all rows with it


def _dismiss(queue: SimpleQueue[Callable[[], None] | None], count: int) -> None:
    for _ in range(count):
        queue.put(None)


class Threads:
    """At most `count` threads at once for one piece of work, the caller's among them; made when first needed.

    processors  how to keep helpers off the caller's processor; by default as the system lets us.
    """

    def __init__(self, count: int, processors: Callable[[], Processors | None] = _processors) -> None:
        self.count = count
        self._find_processors = processors
        self._helpers: _Helpers | None = None
        self._lock = threading.Lock()

    def share(self, work: Callable[[int], None], n_parts: int) -> None:
        """Calls work(0), ..., work(n_parts - 1), as `share_out`."""
        self.share_out(work, iter(range(n_parts)), n_parts)

    def share_out(self, work: Callable[[Part], None], parts: Iterator[Part], most: int) -> None:
        """Calls work(part) for all parts, in this order but at the same time, and waits for all of them.

        At most `most` threads take part, and the next of `parts` may be asked for by all of them at once. Where parts
        raise, no more are begun, and the error of the least of them is raised.
        """
        job, n_helpers = _Job(work, parts), min(self.count, most) - 1
        if n_helpers > 0:
            self._made_helpers().ask(job.help, n_helpers)
        try:
            job.take_parts()
        finally:  # an interrupt may come between two parts
            job.end()
        if job.failed:
            _raise_first(job.failed)

    def _made_helpers(self) -> _Helpers:
        with self._lock:
            if self._helpers is None or self._helpers.process != os.getpid():  # a forked child has none of the threads
                self._helpers = _Helpers(self.count - 1, self._find_processors())
            return self._helpers


def _raise_first(failed: list[tuple[Any, BaseException]]) -> None:
    error = min(failed, key=lambda found: found[0])[1]
    failed.clear()  # whose frames refer to it
    try:
        raise error
    finally:
        del error


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
