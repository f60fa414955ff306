"""What the rows of training look like: the shares of each column in a few fixed bins, kept in the file as `baseline`.

    {"rows": 569, "columns": [
        {"name": "age",    "edges": [23.5, 31.5, ...], "counts": [57, 57, ..., 56, 0]}   the last one: missing
        {"name": "colour", "codes": [0, 2], "counts": [300, 250, 12, 0, 7]}]}            others, unknown, missing

Rules

1. A number column is cut at its deciles, halfway between two values that came: so a value that is rounded to float32 on
   its way falls where it fell. A value that a tenth of the rows have has a bin of its own, also against what is below
   or above all that came.
2. A category column has a bin for each category that at least one row in a hundred had, at most CATEGORY_LIMIT of them;
   then one for other categories, one for values that are none, and one for what is missing.
3. Bins are decided here, once, from the reference alone. What comes later is counted into them, whatever it is: bins
   that follow the data hide what they are to show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import DimensionError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows.categories import UNKNOWN

__all__ = ["CATEGORY_LIMIT", "LEAST_ROWS", "MOST_ROWS", "ColumnBins", "Sample", "read", "record"]

#: Fewer rows cannot tell drift from chance: see server/monitoring/drift.py.
LEAST_ROWS = 500

#: More are not looked at, but a fair sample of so many: shares are known to half a percent by then.
MOST_ROWS = 50_000

BINS = 10
CATEGORY_LIMIT = 20
_LEAST_CATEGORY_SHARE = 0.01

#: A value and what is told apart from it, relative; more than float32 rounds, 6e-8.
_APART = 1e-6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ColumnBins:
    """The bins of one column.

    edges      of a number column, ascending: bin k is (edges[k-1], edges[k]]. None for a category column.
    codes      of the categories with a bin of their own; None for a number column.
    reference  how many rows of the reference fell into each bin, (bins,).
    """

    name: str
    edges: Floats | None
    codes: Floats | None
    reference: npt.NDArray[np.int64]

    def count(self, values: Floats) -> npt.NDArray[np.int64]:
        """How many of `values`, (n,), encoded as for a kernel, fall into each bin, (bins,)."""
        size = len(self.reference)
        missing = np.isnan(values)
        if self.edges is not None:
            places = np.searchsorted(self.edges, values)
        else:
            assert self.codes is not None
            places = np.searchsorted(self.codes, values)
            known = np.append(self.codes, np.nan)[places] == values
            places[~known] = np.where(values[~known] == UNKNOWN, size - 2, size - 3)
        places[missing] = size - 1
        return np.bincount(places, minlength=size)


def record(columns: Sequence[ColumnSpec], rows: npt.NDArray[Any]) -> dict[str, Any]:
    """The baseline of `rows`, (n, columns), encoded as the model takes them: plain values, as the file keeps them.

    Raises InvalidInputError (E006) for fewer rows than LEAST_ROWS.
    """
    if len(rows) < LEAST_ROWS:
        raise InvalidInputError(
            f"baseline: expected at least {LEAST_ROWS} rows, to tell drift from chance, got {len(rows)}"
        )
    made = [
        _record_numbers(column.name, values) if column.kind == "number" else _record_categories(column.name, values)
        for column, values in zip(columns, rows.T.astype(np.float64), strict=True)
    ]
    return {"rows": len(rows), "columns": made}


def _record_numbers(name: str, values: Floats) -> dict[str, Any]:
    present = values[~np.isnan(values)]
    edges = _edges(*np.unique(present, return_counts=True)) if len(present) else []
    bins = ColumnBins(name, np.array(edges, np.float64), None, np.zeros(len(edges) + 2, np.int64))
    return {"name": name, "edges": edges, "counts": bins.count(values).tolist()}


def _edges(distinct: Floats, counts: npt.NDArray[np.intp]) -> list[float]:
    """Rule 1, of the values that came and how often each did."""
    running, rows = np.cumsum(counts), int(counts.sum())
    cuts: set[int] = set()  # k: between distinct[k - 1] and distinct[k]; 0 and the last: outside of all
    for tenth in range(1, BINS):
        at = int(np.searchsorted(running, rows * tenth / BINS))
        cuts.add(at + 1)
        if counts[at] * BINS >= rows:
            cuts.add(at)
    last = len(distinct)
    if counts[-1] * BINS < rows:
        cuts.discard(last)
    return sorted({_between(distinct, k) for k in cuts})


def _between(distinct: Floats, k: int) -> float:
    if k == 0:
        return float(distinct[0] - _margin(distinct[0]))
    if k == len(distinct):
        return float(distinct[-1] + _margin(distinct[-1]))
    low, high = float(distinct[k - 1]), float(distinct[k])
    if math.isinf(high):
        return low if math.isinf(low) else float(np.finfo(np.float64).max)
    middle = low / 2 + high / 2
    return middle if low <= middle < high else low


def _margin(value: float) -> float:
    """What is told apart from a value that is the least or the greatest."""
    if math.isinf(value):
        return 0.0
    return max(abs(value) * _APART, float(np.finfo(np.float32).tiny))


def _record_categories(name: str, values: Floats) -> dict[str, Any]:
    known = values[~np.isnan(values) & (values != UNKNOWN)]
    distinct, counts = np.unique(known, return_counts=True)
    often = np.argsort(-counts, kind="stable")[:CATEGORY_LIMIT]
    codes = np.sort(distinct[often[counts[often] >= _LEAST_CATEGORY_SHARE * len(values)]])
    bins = ColumnBins(name, None, codes, np.zeros(len(codes) + 3, np.int64))
    return {"name": name, "codes": codes.tolist(), "counts": bins.count(values).tolist()}


def read(baseline: Mapping[str, Any], columns: Sequence[ColumnSpec]) -> list[ColumnBins]:
    """The bins in a file's `baseline`, one for each column. `baseline` may be anything: a file is not believed.

    Raises InvalidInputError (E006), DimensionError (E003).
    """
    listed = baseline.get("columns")
    if not isinstance(listed, (list, tuple)):
        raise InvalidInputError(f"baseline.columns: expected a list, got {type(listed).__name__}")
    if len(listed) != len(columns):
        raise DimensionError(f"baseline.columns: expected {len(columns)} of them, got {len(listed)}")
    return [_read_column(each, column) for each, column in zip(listed, columns, strict=True)]


def _read_column(each: Any, column: ColumnSpec) -> ColumnBins:
    where = f"baseline, column {column.name!r}"
    if not isinstance(each, Mapping) or each.get("name") != column.name:
        raise InvalidInputError(f"{where}: expected a map with this name, got {str(each)[:100]}")
    key, more = ("edges", 2) if column.kind == "number" else ("codes", 3)
    cuts, counts = each.get(key), each.get("counts")
    if not isinstance(cuts, (list, tuple)) or not isinstance(counts, (list, tuple)):
        raise InvalidInputError(f"{where}: expected lists {key} and counts, got {sorted(map(str, each))[:5]}")
    if not all(type(value) in (int, float) and value == value for value in cuts) or list(cuts) != sorted(set(cuts)):
        raise InvalidInputError(f"{where}: expected {key} that ascend, got {str(cuts)[:100]}")
    if len(cuts) > 2 * (BINS + CATEGORY_LIMIT) or len(counts) != len(cuts) + more:
        raise InvalidInputError(f"{where}: expected {more} counts more than {key}, got {len(cuts)} and {len(counts)}")
    if not all(type(value) is int and 0 <= value < 2**53 for value in counts):
        raise InvalidInputError(f"{where}: expected counts of rows, got {str(counts)[:100]}")
    values = np.array(cuts, np.float64)
    edges, codes = (values, None) if key == "edges" else (None, values)
    return ColumnBins(column.name, edges, codes, np.array(counts, np.int64))


class Sample:
    """At most `size` rows of those that were added, each as likely as any other; the same of the same rows.

    Each row draws a number, and those with the smallest are kept.
    """

    def __init__(self, size: int = MOST_ROWS) -> None:
        self._size = size
        self._generator = np.random.default_rng(0)
        self._draws = np.empty(0)
        self._rows: npt.NDArray[Any] | None = None

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Add rows, (n, columns)."""
        draws = np.concatenate([self._draws, self._generator.random(len(rows))])
        joined = rows.copy() if self._rows is None else np.concatenate([self._rows, rows])
        if len(joined) > self._size:
            kept = np.sort(np.argpartition(draws, self._size)[: self._size])
            draws, joined = draws[kept], joined[kept]
        self._draws, self._rows = draws, joined

    def rows(self, width: int) -> npt.NDArray[Any]:
        """Those that were kept, (n, width), in the order in which they came."""
        return np.empty((0, width)) if self._rows is None else self._rows
