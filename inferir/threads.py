"""Work shared out over threads: who asks works too, and others help with what is left.

Parts are handed out one at a time, so a helper that wakes late leaves more to the others, and one that does not wake in
time costs nothing but asking it. Everything that is shared out releases the interpreter's lock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

__all__ = ["Threads", "cores"]


class Threads:
    """At most `count` threads at once for one piece of work, the caller's among them; made when first needed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0
        self._lock = threading.Lock()

    def share(self, work: Callable[[int], None], n_parts: int) -> None:
        """Calls work(0), ..., work(n_parts - 1), in this order but at the same time, and waits for all of them.

        Where parts raise, no more are begun, and the error of the first of them is raised.
        """
        parts, failed = iter(range(n_parts)), list[tuple[int, Exception]]()

        def take_part() -> None:
            for part in parts:
                if failed:
                    return
                try:
                    work(part)
                except Exception as error:  # raised below, by who asked
                    failed.append((part, error))

        helpers = min(self.count, n_parts) - 1
        asked = [self._helpers().submit(take_part) for _ in range(helpers)] if helpers > 0 else []
        take_part()
        for future in asked:
            if not future.cancel():
                future.result()
        if failed:
            raise min(failed, key=lambda found: found[0])[1]

    def _helpers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None or self._process != os.getpid():  # a forked child has the pool, not its threads
                self._pool = ThreadPoolExecutor(self.count - 1, thread_name_prefix="inferir")
                self._process = os.getpid()
            return self._pool


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
