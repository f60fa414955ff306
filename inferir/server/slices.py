"""The event loop's thread asks Linux for short time slices, so that it runs as soon as something arrives.

A thread that wakes up waits until the one that has its core was there for a slice, 1.4 to 3 ms, or until the next tick,
up to 4 ms: a model that is being loaded, or any other process. Since Linux 6.12 a thread may ask for slices of another
length (`sched_runtime` of sched_setattr(2) for ordinary threads), and one with shorter slices need not wait. It gets no
more of the core than before. Older kernels ignore what is asked for.

Python has no name for the call, and the C library only since glibc 2.41. Threads that are started later inherit it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from typing import Any

__all__ = ["SLICE_NS", "ask_for_short_slices", "slice_ns"]

#: The shortest that there is.
SLICE_NS = 100_000

#: Numbers of sched_setattr and sched_getattr.
_SET = {"x86_64": 314, "aarch64": 274}
_GET = {"x86_64": 315, "aarch64": 275}


class SchedAttr(ctypes.Structure):
    """`struct sched_attr` of its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("sched_policy", ctypes.c_uint32),
        ("sched_flags", ctypes.c_uint64),
        ("sched_nice", ctypes.c_int32),
        ("sched_priority", ctypes.c_uint32),
        ("sched_runtime", ctypes.c_uint64),
        ("sched_deadline", ctypes.c_uint64),
        ("sched_period", ctypes.c_uint64),
    )


def slice_ns() -> int | None:
    """Of the calling thread; None where the system does not say."""
    attributes = _get()
    return attributes.sched_runtime if attributes else None


def ask_for_short_slices() -> bool:
    """Whether the system took it, for the calling thread. Its priority stays, and so does one with another policy."""
    attributes = _get()
    if attributes is None or attributes.sched_policy != os.SCHED_OTHER:
        return False
    attributes.sched_runtime = SLICE_NS
    return _call(_SET, ctypes.byref(attributes), ctypes.c_uint(0))


def _get() -> SchedAttr | None:
    attributes = SchedAttr(size=ctypes.sizeof(SchedAttr))
    found = _call(_GET, ctypes.byref(attributes), ctypes.c_uint(attributes.size), ctypes.c_uint(0))
    return attributes if found else None


def _call(numbers: dict[str, int], *arguments: Any) -> bool:
    """Of this thread. A container may forbid it."""
    number = numbers.get(platform.machine()) if sys.platform == "linux" else None
    return number is not None and ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.c_int(0), *arguments) == 0
