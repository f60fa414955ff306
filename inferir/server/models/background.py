"""Work that steps back for answers: reading a large file takes a core for tens of milliseconds, and where the kernel
gives it the core of the event loop, requests wait for slices of 3 ms.

A thread can lower its priority, but not raise it again, and threads that it starts inherit it. So such work has a
thread of its own, which ends with it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

__all__ = ["in_background"]

T = TypeVar("T")

#: A thread of nice 10 gets a tenth of what one of nice 0 does, if both want the same core.
_NICE = 10


def in_background(work: Callable[[], T]) -> T:
    """What `work` returns or raises, done by a thread of low priority. Blocks until then."""
    with ThreadPoolExecutor(1, "inferir-read", _step_back) as pool:
        return pool.submit(work).result()


def _step_back() -> None:
    """Only Linux has priorities of threads; what may not be set stays as it is."""
    if sys.platform == "linux":
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)
