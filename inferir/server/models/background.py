"""Work that steps back for answers: reading a large file takes a core for tens of milliseconds, and where the kernel
gives it the core of the event loop, requests wait for slices of 3 ms.

A thread can lower its priority, but not raise it again, and threads that it starts inherit it. So such work has a
thread of its own, which ends with it.

Priority counts where a thread can be interrupted. A kernel that is built for servers does not interrupt a system call:
what takes long in one call is done in pieces.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

__all__ = ["PIECE_BYTES", "in_background", "unmap"]

T = TypeVar("T")

#: A thread of nice 10 gets a tenth of what one of nice 0 does, if both want the same core.
_NICE = 10

#: What one system call copies or gives back: 30 us of a core.
PIECE_BYTES = 2**17


def in_background(work: Callable[[], T]) -> T:
    """What `work` returns or raises, done by a thread of low priority. Blocks until then."""
    with ThreadPoolExecutor(1, "inferir-read", _step_back) as pool:
        return pool.submit(work).result()


def unmap(mapping: mmap.mmap) -> None:
    """Close a mapping, which may be large: 50 MB in one call keep a core for 6 ms. Raises BufferError where somebody
    still looks at it.
    """
    if hasattr(mapping, "madvise"):
        for start in range(0, len(mapping) - PIECE_BYTES, PIECE_BYTES):
            mapping.madvise(mmap.MADV_DONTNEED, start, PIECE_BYTES)  # read again from its file, if it is touched again
            time.sleep(0)
    mapping.close()


def _step_back() -> None:
    """Only Linux has priorities of threads; what may not be set stays as it is."""
    if sys.platform == "linux":
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)
