"""Scores against SciPy and simulation, samples and windows against what was offered."""

from __future__ import annotations

import math
import random
import sys
import threading
from collections import Counter, deque
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import chi2

from inferir.formats.spec import ColumnSpec
from inferir.rows.baseline import ColumnBins, read, record
from inferir.server.monitoring.drift import (
    ALERT,
    COLUMN_LIMIT,
    FALSE_ALARM,
    SLICES,
    WARN,
    Drift,
    Sampler,
    Window,
    least_rows,
    psi,
    score,
)

NUMBER = ColumnSpec("x")
CATEGORY = ColumnSpec("c", "category", tuple(map(str, range(30))))
COUNTS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=25)


def bins(values: npt.NDArray[Any], column: ColumnSpec = NUMBER) -> ColumnBins:
    return read(record([column], values.reshape(-1, 1)), [column])[0]


class TestScore:
    @given(COUNTS)
    def test_is_the_sum_of_both_relative_entropies(self, pairs: list[tuple[int, int]]) -> None:
        """Jeffreys' divergence, as SciPy computes it, of the smoothed shares of bins that are not empty in both."""
        reference, counts = np.array([pair for pair in pairs if any(pair)] or [(1, 1)]).T + 0.5
        q, p = reference / reference.sum(), counts / counts.sum()
        expected = rel_entr(p, q).sum() + rel_entr(q, p).sum()
        found = psi(*zip(*pairs, strict=True))
        assert found == pytest.approx(expected if any(map(any, pairs)) else 0.0, rel=1e-9, abs=1e-12)
        assert found >= 0

    @given(COUNTS)
    def test_knows_no_order_of_bins_and_no_side(self, pairs: list[tuple[int, int]]) -> None:
        ours, theirs = zip(*pairs, strict=True)
        assert psi(ours, theirs) == pytest.approx(psi(theirs, ours), rel=1e-9, abs=1e-12)
        assert psi(ours[::-1], theirs[::-1]) == pytest.approx(psi(ours, theirs), rel=1e-9, abs=1e-12)

    @pytest.mark.parametrize("bins", [2, 3, 11, 12, 23])
    @pytest.mark.parametrize("reference", [500, 1000, 50_000])
    def test_least_rows_by_the_quantile_of_scipy(self, bins: int, reference: int) -> None:
        both = chi2.ppf(1 - FALSE_ALARM, bins - 1) / WARN
        assert least_rows(bins, reference) == pytest.approx(1 / (1 / both - 1 / reference), rel=0.05)

    def test_a_reference_that_is_too_small_has_no_score(self) -> None:
        assert least_rows(11, 200) == math.inf
        assert score([1, *[20] * 10, *[10_000] * 10]) is None

    def test_is_shown_from_enough_rows_on(self) -> None:
        reference = [100] * 10
        enough = math.ceil(least_rows(10, 1000) / 10)
        assert score([1, *reference, *[enough - 1] * 10]) is None
        assert score([1, *reference, *[enough] * 10]) == pytest.approx(0.0, abs=1e-3)

    @given(st.integers(1, 9))
    def test_of_several_processes_it_is_that_of_all_rows(self, processes: int) -> None:
        """Each is far off, and together they are not: a mean of scores would say so of none."""
        reference = [100] * 10
        lines = [[1, *reference, *[1000 * (k % processes == worker) for k in range(10)]] for worker in range(processes)]
        total = [sum(each) for each in zip(*lines, strict=True)]
        assert score(total) == pytest.approx(psi(reference, [1000] * 10))

    @pytest.mark.parametrize("line", [[], [1], [0, 0, 0], [1, 0, 0], [1, 1, 2, 3]])
    def test_of_nothing_there_is_none(self, line: list[float]) -> None:
        assert score(line or [0]) is None


def _skewed(rng: np.random.Generator, n: int) -> npt.NDArray[Any]:
    weights = 1 / np.arange(1, 31)
    return rng.choice(30, n, p=weights / weights.sum()).astype(np.float64)


def _with_missing(rng: np.random.Generator, n: int) -> npt.NDArray[Any]:
    return np.where(rng.random(n) < 0.05, np.nan, rng.lognormal(size=n))


KINDS = {
    "normal": (NUMBER, lambda rng, n: rng.normal(size=n)),
    "with missing": (NUMBER, _with_missing),
    "counts": (NUMBER, lambda rng, n: rng.poisson(3, n).astype(np.float64)),
    "flag": (NUMBER, lambda rng, n: (rng.random(n) < 0.03).astype(np.float64)),
    "skewed categories": (CATEGORY, _skewed),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("reference_rows", [500, 2000])
def test_false_alarms_of_rows_that_did_not_drift(name: str, reference_rows: int) -> None:
    """By simulation, when a score is first shown; of 400 columns, each with a reference of its own."""
    column, draw = KINDS[name]
    rng = np.random.default_rng(7)
    scores = []
    for _ in range(400):
        made = bins(draw(rng, reference_rows), column)
        n = math.ceil(least_rows(int((made.reference > 0).sum()), reference_rows))
        scores.append(psi(made.reference.tolist(), made.count(draw(rng, n)).tolist()))
    # 1 %, but for many rare categories in a small reference; and twice of either for chance.
    allowed = 0.04 if name == "skewed categories" and reference_rows < 1000 else FALSE_ALARM
    assert np.mean(np.array(scores) > WARN) <= 2 * allowed
    assert np.mean(np.array(scores) > ALERT) <= 0.005


def test_false_alarms_while_the_window_fills() -> None:
    """Looked at again and again, from the first score on: of 300 columns, hardly more than at first."""
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(300):
        made, rows = bins(rng.normal(size=1000)), rng.normal(size=4000)
        counts, scores, done = np.zeros(len(made.reference), np.int64), [0.0], 0
        for end in range(math.ceil(least_rows(10, 1000)), len(rows), 50):
            counts, done = counts + made.count(rows[done:end]), end
            scores.append(psi(made.reference.tolist(), counts.tolist()))
        assert max(scores) < ALERT
        alarms += max(scores) > WARN
    assert alarms <= 2 * FALSE_ALARM * 300


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("normal", lambda rng, n: rng.normal(0.6, 1, size=n)),
        ("normal", lambda rng, n: rng.normal(0, 2, size=n)),
        ("normal", lambda rng, n: np.full(n, 0.1)),
        ("normal", lambda rng, n: np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))),
        ("flag", lambda rng, n: (rng.random(n) < 0.3).astype(np.float64)),
        ("flag", lambda rng, n: np.where(rng.random(n) < 0.2, 2.0, 0.0)),
        ("skewed categories", lambda rng, n: np.where(rng.random(n) < 0.1, -1.0, _skewed(rng, n))),
    ],
)
def test_what_did_drift_is_found(name: str, changed: Any) -> None:
    column, draw = KINDS[name]
    rng = np.random.default_rng(3)
    made = bins(draw(rng, 2000), column)
    assert psi(made.reference.tolist(), made.count(changed(rng, 1000)).tolist()) > ALERT


class TestSampler:
    def sampler(self, rate: int = 100) -> Sampler:
        return Sampler(rate, random.Random(0).random)

    def test_all_of_few(self) -> None:
        sampler = self.sampler()
        rows = np.arange(40.0).reshape(20, 2)
        sampler.offer(rows)
        for row in rows:
            sampler.take(row.tobytes())
        taken = sampler.look()
        np.testing.assert_array_equal(taken[0], rows)
        assert taken[1:] == [row.tobytes() for row in rows]
        assert sampler.look() == []

    @pytest.mark.parametrize("size", [1, 7, 5000])
    def test_of_many_as_many_as_are_wanted_each_as_likely(self, size: int) -> None:
        sampler, taken = self.sampler(), Counter[int]()
        for second in range(60):
            for start in range(0, 20_000, size):
                sampler.offer(np.arange(start, start + size).reshape(-1, 1))
            found = [int(row[0]) for rows in sampler.look() for row in rows]
            assert len(found) <= 100
            if second >= 10:
                assert len(found) >= 25
                taken.update(value * 10 // 20_000 for value in found)
        tenths = np.array([taken[k] for k in range(10)])
        expected = tenths.sum() / 10
        assert ((tenths - expected) ** 2 / expected).sum() < 40, "each part of a second alike"

    @pytest.mark.parametrize("period", [2, 3, 10])
    def test_what_comes_in_turns_is_taken_alike(self, period: int) -> None:
        """Every second row from one client and the others from another: a fixed step would see only one of them."""
        sampler, taken = self.sampler(), Counter[int]()
        for _ in range(60):
            for k in range(5000):
                sampler.offer(np.array([[k % period]]))
            taken.update(int(row[0]) for rows in sampler.look() for row in rows)
        shares = np.array([taken[k] for k in range(period)]) / taken.total()
        np.testing.assert_allclose(shares, 1 / period, rtol=0.25)

    def test_single_rows_cost_one_step(self) -> None:
        sampler = self.sampler(rate=10)
        for _ in range(30):
            for k in range(1000):
                if sampler.skip:
                    sampler.skip -= 1
                else:
                    sampler.take(bytes([k % 256]))
            assert len(sampler.look()) <= 10

    def test_one_large_batch_is_seen_from_begin_to_end(self) -> None:
        sampler = self.sampler()
        sampler.offer(np.arange(100_000).reshape(-1, 1))
        (found,) = sampler.look()
        assert len(found) <= 100
        assert found.min() < 10_000
        assert found.max() > 80_000

    def test_memory_is_bounded_when_nobody_looks(self) -> None:
        sampler = self.sampler()
        for _ in range(1000):
            sampler.offer(np.zeros((500, 4)))
        assert sum(len(rows) for rows in sampler._taken) <= 100

    def test_rows_are_copied(self) -> None:
        sampler, rows = self.sampler(), np.zeros((5, 1))
        sampler.offer(rows)
        rows[:] = 1
        assert not sampler.look()[0].any()

    def test_from_several_threads(self) -> None:
        sampler = self.sampler()
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            threads = [
                threading.Thread(target=lambda: [sampler.offer(np.zeros((3, 2))) for _ in range(3000)])
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            looks = [sampler.look() for _ in range(50)]
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval_s)
        looks.append(sampler.look())
        assert all(rows.shape[1] == 2 for look in looks for rows in look)
        assert sum(len(rows) for look in looks for rows in look) > 0


class TestWindow:
    @given(st.lists(st.tuples(st.floats(0, 700), st.integers(0, 9)), max_size=60))
    def test_holds_the_last_slices(self, events: list[tuple[float, int]]) -> None:
        window, now_s = Window(2, 60.0), 0.0
        seen: deque[tuple[float, int]] = deque()
        for step_s, count in events:
            now_s += step_s / 20
            window.add(np.array([count, 1]), now_s)
            seen.append((now_s, count))
            total = window.total(now_s)
            exactly = [c for at, c in seen if at // 5.0 > now_s // 5.0 - SLICES]
            assert total.tolist() == [sum(exactly), len(exactly)]
            within = [c for at, c in seen if at > now_s - 55.0]
            assert total[1] >= len(within)

    def test_is_empty_after_its_time(self) -> None:
        window = Window(1, 60.0)
        window.add(np.array([5]), 100.0)
        assert window.total(100.0 + 54.0).tolist() == [5]
        assert window.total(100.0 + 60.0).tolist() == [0]
        assert Window(3, 60.0).total(0.0).tolist() == [0, 0, 0]

    def test_memory_is_bounded(self) -> None:
        window = Window(7, 60.0)
        before = window._counts.nbytes
        for k in range(10_000):
            window.add(np.ones(7, np.int64), float(k))
        assert window._counts.nbytes == before
        assert len(window._begun) == SLICES


class TestDrift:
    def drift(self, columns: list[ColumnBins], dtype: str = "float64") -> Drift:
        return Drift(columns, dtype, rate=10_000, window_s=60.0, draw=random.Random(0).random)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_rows_and_bytes_come_to_the_same(self, dtype: str) -> None:
        rng = np.random.default_rng(0)
        columns = [bins(rng.normal(size=1000)), bins(_skewed(rng, 1000), CATEGORY)]
        rows = np.stack([rng.normal(size=600), _skewed(rng, 600)], axis=1).astype(dtype)
        whole, single = self.drift(columns, dtype), self.drift(columns, dtype)
        whole.sampler.offer(rows)
        for row in rows:
            single.sampler.take(memoryview(np.ascontiguousarray(row)).cast("B"))
        for each in (whole, single):
            each.look(10.0)
            assert each.rows(10.0) == 600
        assert whole.lines(10.0) == single.lines(10.0)
        line = whole.lines(10.0)["x"]
        reference, counts = columns[0].reference, columns[0].count(rows[:, 0].astype(np.float64))
        assert line == [1, *reference.tolist(), *counts.tolist()]
        assert score(line) == psi(reference.tolist(), counts.tolist())

    def test_columns_with_a_score_are_bounded(self) -> None:
        columns = [ColumnBins(f"c{k}", np.array([0.0]), None, np.array([1, 1, 0])) for k in range(COLUMN_LIMIT + 50)]
        drift = self.drift(columns)
        drift.sampler.offer(np.zeros((10, len(columns))))
        drift.look(1.0)
        assert len(drift.lines(1.0)) == COLUMN_LIMIT
        assert drift.rows(1.0) == 10

    def test_a_window_moves_on(self) -> None:
        drift = self.drift([bins(np.random.default_rng(0).normal(size=1000))])
        drift.sampler.offer(np.full((1000, 1), 9.0))
        drift.look(0.0)
        assert (score(drift.lines(0.0)["x"]) or 0) > ALERT
        drift.sampler.offer(np.random.default_rng(1).normal(size=(1000, 1)))
        drift.look(70.0)
        assert drift.rows(70.0) == 1000
        assert (score(drift.lines(70.0)["x"]) or 0) < WARN
        assert score(drift.lines(200.0)["x"]) is None
