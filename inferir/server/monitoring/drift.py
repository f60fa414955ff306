"""How far the rows that come are from those of training: which rows are looked at, for how long, and the score.

The score of a column is the population stability index of its bins (rows/baseline.py),

    PSI = sum over bins of (p - q) ln(p / q),

of the shares p in the window and q in the reference, each of (count + 1/2) / (rows + bins / 2), so that an empty bin is
no infinity. Bins that are empty in both say nothing and are left out.

Without drift PSI is not 0: (1/n + 1/m)^-1 PSI, of n rows in the window and m in the reference, is distributed nearly as
chi-squared with one degree less than there are bins (Yurdakul 2018, "Statistical properties of population stability
index"). So a score is shown from as many rows on as make it exceed WARN in FALSE_ALARM of all windows that did not
drift: 302 rows for 11 bins and 1,000 rows of reference. More rows make it rarer, and to exceed ALERT is far rarer.

Nothing here does input or output: the clock and chance are parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from inferir.rows.baseline import ColumnBins

__all__ = ["ALERT", "COLUMN_LIMIT", "ROLL_BACK", "WARN", "Drift", "Sampler", "Window", "least_rows", "psi", "score"]

#: Scores at which to look, to act, and to go back to the version before.
WARN, ALERT, ROLL_BACK = 0.1, 0.2, 0.3

#: How often a column that did not drift exceeds WARN when its score is first shown; and that quantile of a standard
#: normal distribution.
FALSE_ALARM, _NORMAL_QUANTILE = 0.01, 2.326

#: Columns of a version with a score; those after them have none: each is a time series in Prometheus.
COLUMN_LIMIT = 200

#: A window moves by this part of itself.
SLICES = 12

_SMOOTHING = 0.5

Counts: TypeAlias = npt.NDArray[np.int64]
Matrix: TypeAlias = Any


def psi(reference: Sequence[float], counts: Sequence[float]) -> float:
    """The population stability index of counts against those of the reference, bin by bin."""
    # A line of NumPy costs more than a dozen of logarithms.
    told = [(theirs, ours) for theirs, ours in zip(reference, counts, strict=True) if theirs or ours]
    smoothed = _SMOOTHING * len(told)
    rows = sum([ours for _, ours in told]) + smoothed
    reference_rows = sum([theirs for theirs, _ in told]) + smoothed
    total = 0.0
    for theirs, ours in told:
        p, q = (ours + _SMOOTHING) / rows, (theirs + _SMOOTHING) / reference_rows
        total += (p - q) * math.log(p / q)
    return total


def least_rows(bins: int, reference_rows: float) -> float:
    """Rows in the window from which on a score is shown; infinite where the reference has too few for any.

    The chi-squared quantile is Wilson and Hilferty's (1931): its error is under 1 % from two degrees of freedom on.
    """
    degrees = max(bins - 1, 1)
    spread = 2 / (9 * degrees)
    quantile = degrees * (1 - spread + _NORMAL_QUANTILE * math.sqrt(spread)) ** 3
    both = quantile / WARN
    return both * reference_rows / (reference_rows - both) if reference_rows > both else math.inf


def score(line: Sequence[float]) -> float | None:
    """The score of a column from what a process, or the sum of several, says of it; None where rows are too few.

    line  1, the reference's counts, the window's counts. Of several processes the sum, number by number: the first of
          the sum says how often the reference is in it.
    """
    processes, bins = line[0], (len(line) - 1) // 2
    if not processes or len(line) != 1 + 2 * bins:
        return None
    reference, counts = [each / processes for each in line[1 : bins + 1]], line[bins + 1 :]
    bins = sum([bool(theirs or ours) for theirs, ours in zip(reference, counts, strict=True)])
    return psi(reference, counts) if sum(counts) >= least_rows(bins, sum(reference)) else None


class Sampler:
    """Keeps some of the rows that are offered, at most `rate` between one look and the next, each as likely as another.

    Called for every prediction, from several threads: it counts down, and does more only for a row that it takes. Two
    threads that count at once may lose a step, which changes nothing about which rows come.

    draw   a number in [0, 1), each as likely.
    """

    __slots__ = ("_draw", "_rate", "_room", "_seen", "_step", "_taken", "skip")

    def __init__(self, rate: int, draw: Callable[[], float]) -> None:
        self._rate = rate
        self._draw = draw
        self._step = 1
        self._seen = 0
        self._room = rate
        self._taken: list[bytes | Matrix] = []
        #: Rows that go by before the next is taken.
        self.skip = 0

    def take(self, row: Matrix) -> None:
        """Take one row, as bytes: its turn has come, `skip` is 0."""
        if self._room > 0:
            self._room -= 1
            self._taken.append(bytes(row))
        self.skip = self._gap(self._step)

    def offer(self, rows: Matrix) -> None:
        """Rows went by, (n, columns)."""
        n, at = len(rows), self.skip
        if n <= at:
            self.skip = at - n
            return
        step = max(self._step, -(-n // self._rate))  # a large batch is looked at from its begin to its end
        places = []
        while at < n:
            places.append(at)
            at += 1 + self._gap(step)
        self.skip = at - n
        places = places[: max(self._room, 0)]
        if places:
            self._room -= len(places)
            self._taken.append(rows[places])

    def _gap(self, step: int) -> int:
        """From one row to the next, `step` in the mean, never the same: what comes may be regular itself."""
        gap = int(self._draw() * (2 * step - 1))
        self._seen += gap + 1
        return gap

    def look(self) -> list[bytes | Matrix]:
        """What was taken since the last time. From here on, as many rows are skipped as leave half of the room."""
        taken, self._taken = self._taken, []
        self._step = 2 * self._step if self._room <= 0 else max(1, -(-2 * self._seen // self._rate))
        self._room, self._seen = self._rate, 0
        self.skip = min(self.skip, 2 * self._step)
        return taken


class Window:
    """Counts of the last `seconds`, to a slice: memory is that of SLICES times `width` numbers, whatever comes."""

    def __init__(self, width: int, seconds: float) -> None:
        self._slice_s = seconds / SLICES
        self._counts = np.zeros((SLICES, width), np.int64)
        self._begun = [-SLICES] * SLICES  # number of the slice that each line holds

    def add(self, counts: Counts, now_s: float) -> None:
        """Count rows that came just before `now_s`."""
        number = int(now_s // self._slice_s)
        line = number % SLICES
        if self._begun[line] != number:
            self._begun[line] = number
            self._counts[line] = 0
        self._counts[line] += counts

    def total(self, now_s: float) -> Counts:
        """What is in the window at `now_s`, (width,)."""
        oldest = int(now_s // self._slice_s) - SLICES
        lines = [line for line, number in enumerate(self._begun) if number > oldest]
        total: Counts = self._counts[lines].sum(axis=0)
        return total


class Drift:
    """The rows of one version against its baseline."""

    def __init__(
        self, columns: Sequence[ColumnBins], dtype: Any, *, rate: int, window_s: float, draw: Callable[[], float]
    ) -> None:
        self._columns = tuple(columns[:COLUMN_LIMIT])
        self._width = len(columns)
        self._dtype = np.dtype(dtype)
        self._window = Window(1 + sum(len(each.reference) for each in self._columns), window_s)
        self.sampler = Sampler(rate, draw)

    def look(self, now_s: float) -> None:
        """Count the rows that were sampled since the last time."""
        for taken in self._matrices():
            rows = taken.astype(np.float64)
            parts = [each.count(rows[:, k]) for k, each in enumerate(self._columns)]
            self._window.add(np.concatenate([[len(rows)], *parts]), now_s)

    def _matrices(self) -> list[Matrix]:
        taken = self.sampler.look()
        single = b"".join([each for each in taken if type(each) is bytes])
        several = [each for each in taken if type(each) is not bytes]
        matrices = [np.frombuffer(single, self._dtype).reshape(-1, self._width)] if single else []
        return matrices + ([np.concatenate(several)] if several else [])

    def rows(self, now_s: float) -> int:
        """How many rows are in the window."""
        return int(self._window.total(now_s)[0])

    def lines(self, now_s: float) -> dict[str, list[float]]:
        """Column -> what `score` takes."""
        total, at = self._window.total(now_s).tolist(), 1
        lines: dict[str, list[float]] = {}
        for each in self._columns:
            size = len(each.reference)
            lines[each.name] = [1, *each.reference.tolist(), *total[at : at + size]]
            at += size
        return lines
