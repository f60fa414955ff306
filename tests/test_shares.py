"""Shares: every row once, threads that are done together, few parts."""

from __future__ import annotations

import heapq
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.kernels.signatures import BLOCK_ROWS
from inferir.shares import LONGEST_PART_S, SHORTEST_PART_S, Shares


class Simulated:
    """Threads that come late, by their number, and take `actual_s` for a row that was estimated to take `row_s`."""

    def __init__(self, first: int, n: int, row_s: float, late_s: list[float], actual_s: float) -> None:
        self.now, self.asking = 0.0, 0
        self.parts: list[tuple[int, int]] = []
        self.done_at = dict.fromkeys(range(len(late_s)), 0.0)
        shares = Shares(first, n, row_s, len(late_s), lambda: self.now, lambda: self.asking)
        waiting = [(late, number) for number, late in enumerate(late_s)]
        heapq.heapify(waiting)
        while waiting:
            self.now, self.asking = heapq.heappop(waiting)
            part = next(shares, None)
            if part is not None:
                self.parts.append(part)
                self.done_at[self.asking] = self.now + (part[1] - part[0]) * actual_s
                heapq.heappush(waiting, (self.done_at[self.asking], self.asking))

    @property
    def took_s(self) -> float:
        return max(self.done_at.values())


@given(
    first=st.sampled_from([0, 1, 2048]),
    n=st.integers(0, 200_000),
    row_s=st.floats(1e-9, 1e-3),
    late_s=st.lists(st.floats(0, 1e-2), min_size=1, max_size=9),
    off=st.floats(0.2, 5.0),
)
def test_every_row_is_in_one_part(first: int, n: int, row_s: float, late_s: list[float], off: float) -> None:
    parts = Simulated(first, n, row_s, late_s, row_s * off).parts
    begins = [begin for begin, _ in parts]
    assert [*begins, n] == [first, *(end for _, end in parts)] if n > first else not parts
    sizes = np.diff([*begins, n]) if parts else np.zeros(0)
    assert (sizes[:-1] % BLOCK_ROWS == 0).all()
    assert (sizes <= max(LONGEST_PART_S, SHORTEST_PART_S) / row_s + BLOCK_ROWS).all()


@pytest.mark.parametrize("n_threads", [2, 3, 8])
@pytest.mark.parametrize("late_s", [0.0, 30e-6, 80e-6, 400e-6, 1.0])
@pytest.mark.parametrize(("n", "row_s"), [(10_000, 80e-9), (10_000, 130e-9), (10_000, 3e-6), (100_000, 1e-6)])
def test_all_are_done_at_the_same_time_though_helpers_come_late(
    n: int, row_s: float, late_s: float, n_threads: int
) -> None:
    simulated = Simulated(0, n, row_s, [0.0, *[late_s] * (n_threads - 1)], row_s)
    at_best_s = min(n * row_s, (n * row_s + late_s * (n_threads - 1)) / n_threads)
    block_s = BLOCK_ROWS * row_s
    assert simulated.took_s <= at_best_s + SHORTEST_PART_S + 2 * block_s
    if late_s < 1e-4:
        assert len(simulated.parts) <= n_threads * (4 + n * row_s / n_threads / LONGEST_PART_S)


@pytest.mark.parametrize("off", [0.7, 1.4])
def test_an_estimate_that_is_wrong_costs_little(off: float) -> None:
    row_s = 1e-6
    simulated = Simulated(0, 100_000, row_s, [0.0, 5e-5], row_s * off)
    assert simulated.took_s <= 0.51 * 100_000 * row_s * off


def test_threads_ask_at_the_same_time() -> None:
    shares, taken, together = Shares(0, 1_000_000, 1e-7, 4), list[tuple[int, int]](), threading.Barrier(4)

    def take() -> None:
        together.wait()
        taken.extend(shares)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken.sort()
    assert [begin for begin, _ in taken] == [0, *(end for _, end in taken[:-1])]
    assert taken[-1][1] == 1_000_000
