"""Which rows a thread takes next, so that all threads are done at the same time, however late some of them came.

While much is left a thread takes half of its share of it: those who come late find something, and estimates may be
wrong (Polychronopoulos and Kuck 1987, Guided self-scheduling). In the end it takes all of its share: by what the others
have left of the parts that they are at, it is known when everybody could be done. So few parts are taken, as each costs
10 us and the interpreter's lock, and nobody waits for a last part of another's.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator

from inferir.kernels.signatures import BLOCK_ROWS

__all__ = ["LONGEST_PART_S", "Shares"]

#: The longest part, and from where on what is left is shared out whole. Between 0.8 and 3 ms it makes no difference.
LONGEST_PART_S, WHOLE_SHARE_S = 5e-3, 1.5e-3

#: What would be left over is taken too where it takes less: to hand it on would gain nothing.
SHORTEST_PART_S = 8e-5


class Shares(Iterator[tuple[int, int]]):
    """Parts (begin, end) of the rows from `first` to `n`, for `n_threads` threads, which may ask at the same time.

    row_s   seconds that a row takes.
    clock, thread  the time in seconds, and who asks.
    """

    def __init__(
        self,
        first: int,
        n: int,
        row_s: float,
        n_threads: int,
        clock: Callable[[], float] = time.perf_counter,
        thread: Callable[[], int] = threading.get_ident,
    ) -> None:
        self._begin, self._n, self._row_s, self._n_threads = first, n, row_s, n_threads
        self._clock, self._thread, self._lock = clock, thread, threading.Lock()
        self._done_at: dict[int, float] = {}

    def __next__(self) -> tuple[int, int]:
        with self._lock:
            if self._begin >= self._n:
                raise StopIteration
            now, asking = self._clock(), self._thread()
            begin, left_s = self._begin, (self._n - self._begin) * self._row_s
            in_work_s = sum(max(0.0, at - now) for thread, at in self._done_at.items() if thread != asking)
            share_s = (left_s + in_work_s) / self._n_threads
            part_s = min(share_s if share_s < WHOLE_SHARE_S else share_s / 2, LONGEST_PART_S)
            rows = max(1, math.ceil(part_s / self._row_s / BLOCK_ROWS)) * BLOCK_ROWS
            is_last = left_s - rows * self._row_s < SHORTEST_PART_S
            self._begin = self._n if is_last else begin + rows
            self._done_at[asking] = now + (self._begin - begin) * self._row_s
            return begin, self._begin
