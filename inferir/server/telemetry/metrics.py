"""Counting: what an observer is told, and what requests left behind (`records.py`), become numbers.

Records are kept for each kind until there are FOLD_AT: then they are sorted into buckets with NumPy. Whoever asks has
that done first. Everything is called on the event loop.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import monotonic, time
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from inferir.server.request.exchange import INFERENCE, STAGES
from inferir.server.telemetry.families import BATCH_STAGES, FAMILIES, MODEL_LIMIT, OTHER, Family
from inferir.server.telemetry.records import BATCH_ROWS, ENDED_S, KIND, ROWS, STAGES_S, STARTED_S, Kind

__all__ = ["Histogram", "Metrics"]

#: So many that NumPy's fixed cost is small against theirs, so few that folding takes less than a millisecond.
FOLD_AT = 2048

Floats: TypeAlias = npt.NDArray[np.float64]


class Histogram:
    """One line of a family of histograms, or several with the same bounds: `width` values at every observation.

    pending  observations that are not sorted yet, `width` numbers each. Whoever appends to it calls `fold` at FOLD_AT.
    """

    __slots__ = ("_bounds", "_counts", "_sums", "pending")

    def __init__(self, bounds: Any, width: int = 1) -> None:
        self._bounds = np.asarray(bounds, np.float64)
        self._counts = np.zeros((width, len(self._bounds) + 1), np.int64)
        self._sums = np.zeros(width, np.float64)
        self.pending = array("d")

    def observe(self, *values: float) -> None:
        """Add `width` numbers."""
        self.pending.extend(values)
        if len(self.pending) >= FOLD_AT * len(self._sums):
            self.fold()

    def fold(self) -> None:
        """Sort what is pending into buckets."""
        values = np.array(self.pending).reshape(-1, len(self._sums)).T
        del self.pending[:]
        self.add(np.sort(values, axis=1), values.sum(axis=1))

    def add(self, in_order: Floats, sums: Floats) -> None:
        """Add observations, (width, n), each row in ascending order: that is half of a search for each value; and what
        each row adds up to.
        """
        self._sums += sums
        width, n_buckets = self._counts.shape
        until = np.zeros((width, n_buckets + 1), np.int64)  # so many are in the buckets before
        until[:, -1] = in_order.shape[1]
        for row, values in zip(until, in_order, strict=True):
            row[1:-1] = values.searchsorted(self._bounds, side="right")
        self._counts += until[:, 1:] - until[:, :-1]

    def add_same(self, value: float, count: int) -> None:
        """Add `count` observations of one value, where the width is 1."""
        self._sums += value * count
        self._counts[0, int(self.buckets(np.float64(value)))] += count

    def buckets(self, values: Floats) -> npt.NDArray[np.intp]:
        """Which bucket each value is in. Buckets include their bound, as Prometheus' `le` says."""
        return np.searchsorted(self._bounds, values, side="left")

    def values(self, position: int = 0) -> list[float]:
        """How many fell into each bucket (not cumulated), then their sum."""
        if self.pending:
            self.fold()
        return [*self._counts[position].tolist(), float(self._sums[position])]


class _Alike:
    """Records of one route, status and version that are not sorted yet.

    series  gives what counts them for the version; None where none answered.
    """

    __slots__ = ("_http", "_parts", "_series", "count")

    def __init__(self, http: Histogram, series: Callable[[], _ModelSeries] | None) -> None:
        self._http, self._series = http, series
        self._parts: list[Floats] = []
        self.count = 0

    def add(self, records: Floats) -> None:
        if self.count + len(records) >= FOLD_AT:
            self._sort(np.concatenate([*self._parts, records]) if self._parts else records)
        else:
            self._parts.append(records.copy())
            self.count += len(records)

    def fold(self) -> None:
        """Sort the records that wait into buckets."""
        self._sort(np.concatenate(self._parts))

    def _sort(self, records: Floats) -> None:
        self._parts.clear()
        self.count = 0
        in_order, sums = _sorted(records)
        self._http.add(in_order[:1], sums[:1])
        if self._series is None:
            return
        answered = records[:, ROWS] > 0
        if not answered.all():
            if not answered.any():
                return
            records = records[answered]
            in_order, sums = _sorted(records)
        self._series().add(records, in_order, sums)


def _sorted(records: Floats) -> tuple[Floats, Floats]:
    """How long requests took, and each of their stages: (1 + stages, n), rows in ascending order; their sums."""
    # One copy, sorted where it is: what is read and written here is no longer in the cache for the next request.
    in_order = np.empty((1 + len(STAGES), len(records)))
    np.subtract(records[:, ENDED_S], records[:, STARTED_S], out=in_order[0])
    in_order[1:] = records[:, STAGES_S].T
    in_order.sort(axis=1)
    return in_order, in_order.sum(axis=1)


class _ModelSeries:
    """What is counted for each request and each batch of one version."""

    __slots__ = ("_stage_s", "batch_requests", "batch_rows", "duration", "kernel_s", "last_s", "rows", "stages")

    def __init__(self) -> None:
        self.duration = Histogram(FAMILIES["model_inference_duration_seconds"].bounds)
        self.stages = Histogram(FAMILIES["inferir_stage_duration_seconds"].bounds, len(STAGES))
        self.batch_rows = Histogram(FAMILIES["inferir_batch_rows"].bounds)
        self.batch_requests = Histogram(FAMILIES["inferir_batch_requests"].bounds)
        self.rows = 0.0
        self.kernel_s = 0.0
        self.last_s = 0.0
        self._stage_s = np.zeros((len(_BATCH_LABELS), len(BATCH_STAGES)))

    def add(self, records: Floats, in_order: Floats, sums: Floats) -> None:
        """Add requests: their records, and what `_sorted` makes of them."""
        self.last_s = max(self.last_s, float(records[:, ENDED_S].max()))
        self.duration.add(in_order[:1], sums[:1])
        self.stages.add(in_order[1:], sums[1:])
        rows, batch_rows = records[:, ROWS], records[:, BATCH_ROWS]
        first = rows[0]
        if not batch_rows.any() and (rows == first).all():  # most: single rows, each by itself
            n = len(records)
            self.rows += float(first) * n
            self.batch_rows.add_same(float(first), n)
            self.batch_requests.add_same(1.0, n)
            self.kernel_s += float(sums[1 + INFERENCE])
            self._stage_s[self.batch_rows.buckets(first)] += _STAGE_ROWS @ sums[1:]
            return
        self.rows += float(rows.sum())
        alone = batch_rows == 0
        if alone.any():
            sizes = np.sort(rows[None, alone], axis=1)
            self.batch_rows.add(sizes, sizes.sum(axis=1))
            self.batch_requests.add_same(1.0, int(alone.sum()))
            self.kernel_s += float(records[alone, INFERENCE].sum())
        buckets = self.batch_rows.buckets(np.where(alone, rows, batch_rows))
        for k, per_request in enumerate(_STAGE_ROWS @ records[:, STAGES_S].T):
            self._stage_s[:, k] += np.bincount(buckets, per_request, minlength=len(_BATCH_LABELS))

    def batch_stage_lines(self) -> Iterator[tuple[list[str], list[float]]]:
        """Labels `stage` and `rows`, and seconds; of batches that there were."""
        for rows, per_stage in zip(_BATCH_LABELS, self._stage_s.tolist(), strict=True):
            if any(per_stage):
                for stage, seconds in zip(BATCH_STAGES, per_stage, strict=True):
                    yield [stage, rows], [seconds]


#: (those of a batch, stages): 1 where one has the other as a part.
_STAGE_ROWS = np.array([[float(stage in stages) for stage in STAGES] for stages in BATCH_STAGES.values()])
#: A batch of more rows than the last bound has is in "+Inf".
_BATCH_LABELS = [*(str(int(bound)) for bound in FAMILIES["inferir_batch_rows"].bounds), "+Inf"]


class Metrics:
    """An observer that counts. `snapshot` gives plain values, which another process can add to its own."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], _ModelSeries] = {}
        self._http: dict[tuple[str, str, int], Histogram] = {}
        self._alike: dict[tuple[str, str, int, str, str], _Alike] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], Histogram] = {}
        self._numbers: dict[tuple[str, tuple[str, ...]], float] = {}
        self._known: set[tuple[str, str]] = set()

    # -- what is counted

    def read(self, kinds: Sequence[Kind], numbers: Floats, texts: Any) -> None:
        """Count requests; see `records.Reader`."""
        parts = [numbers]
        if len(kinds) > 1:
            order = np.argsort(numbers[:, KIND], kind="stable")
            ends = np.searchsorted(numbers[order, KIND], np.arange(1, len(kinds)))
            parts = np.split(numbers[order], ends)
        for kind, records in zip(kinds, parts, strict=True):
            self._count(kind, records)

    def _count(self, kind: Kind, records: Floats) -> None:
        labels = self._labels(kind.model, kind.version)
        self._alike_of(kind, labels).add(records)
        if kind.shed:
            self.add("inferir_requests_shed", (kind.shed,), len(records))
        elif kind.code:
            self.add("inferir_request_errors", (*labels, kind.code), len(records))
            seconds = float((records[:, ENDED_S] - records[:, STARTED_S]).sum())
            self.add("inferir_failed_seconds", labels, seconds)

    def batch_run(self, model: str, version: str, rows: int, requests: int, seconds: float) -> None:
        series = self._models.get((model, version)) or self._series(model, version)
        series.kernel_s += seconds
        series.batch_requests.observe(requests)
        series.batch_rows.observe(rows)

    def model_loaded(self, model: str, version: str, stages: dict[str, float], n_bytes: int) -> None:
        if len(self._known) < MODEL_LIMIT:
            self._known.add((model, version))
        labels = self._labels(model, version)
        self.add("inferir_model_loads", (labels[0], "ok"))
        for stage, seconds in stages.items():
            self._histogram("inferir_model_load_seconds", (stage,)).observe(seconds)
        self._numbers["inferir_model_bytes", labels] = n_bytes

    def model_failed(self, model: str, code: str) -> None:
        # The name is that of a file or of a request; only one that was loaded before is a label.
        known = any(model == name for name, _ in self._known)
        self.add("inferir_model_loads", (model if known else OTHER, code))

    def model_unloaded(self, model: str, version: str, reason: str) -> None:
        labels = self._labels(model, version)
        self.add("inferir_model_unloads", (labels[0], reason))
        self._numbers.pop(("inferir_model_bytes", labels), None)

    def add(self, family: str, labels: tuple[str, ...] = (), amount: float = 1) -> None:
        """Adds to a counter of FAMILIES."""
        self._numbers[family, labels] = self._numbers.get((family, labels), 0) + amount

    # -- what came of them

    def snapshot(self) -> dict[str, list[tuple[list[str], list[float]]]]:
        """Family -> lines: values of the labels, and a number or a histogram's (see Histogram.values)."""
        for alike in self._alike.values():
            if alike.count:
                alike.fold()
        lines: dict[str, list[tuple[list[str], list[float]]]] = {name: [] for name in FAMILIES}
        for (name, key), number in list(self._numbers.items()):
            lines[name].append((list(key), [float(number)]))
        for (name, key), histogram in list(self._histograms.items()):
            lines[name].append((list(key), histogram.values()))
        for (method, path, status), histogram in list(self._http.items()):
            lines["http_server_request_duration_seconds"].append(([method, path, str(status)], histogram.values()))
        self._model_lines(lines)
        return {name: values for name, values in lines.items() if values}

    def _model_lines(self, lines: dict[str, list[tuple[list[str], list[float]]]]) -> None:
        since_1970_s = time() - monotonic()
        for (model, version), series in self._models.items():
            labels = [model, version]
            values = {
                "model_inference_duration_seconds": series.duration.values(),
                "model_predictions": [series.rows],
                "inferir_batch_rows": series.batch_rows.values(),
                "inferir_batch_requests": series.batch_requests.values(),
                "inferir_kernel_seconds": [series.kernel_s],
            }
            if series.last_s:
                values["inferir_last_inference_timestamp_seconds"] = [since_1970_s + series.last_s]
            for name, numbers in values.items():
                lines[name].append((labels, numbers))
            for position, stage in enumerate(STAGES):
                lines["inferir_stage_duration_seconds"].append(([*labels, stage], series.stages.values(position)))
            lines["inferir_batch_stage_seconds"] += [
                ([*labels, *more], numbers) for more, numbers in series.batch_stage_lines()
            ]

    # -- lines, made when they are first needed

    def _labels(self, model: str, version: str) -> tuple[str, str]:
        pair = (model, version)
        return pair if pair in self._known else ("", "") if not model else (OTHER, OTHER)

    def _series(self, model: str, version: str) -> _ModelSeries:
        return self._models.setdefault(self._labels(model, version), _ModelSeries())

    def _alike_of(self, kind: Kind, labels: tuple[str, str]) -> _Alike:
        key = (kind.route.method, kind.route.path, kind.status, *labels)
        alike = self._alike.get(key)
        if alike is None:
            bounds = FAMILIES["http_server_request_duration_seconds"].bounds
            http = self._http.setdefault(key[:3], Histogram(bounds))
            series = partial(self._series, kind.model, kind.version) if kind.status < 400 else None
            alike = self._alike[key] = _Alike(http, series)
        return alike

    def _histogram(self, name: str, labels: tuple[str, ...]) -> Histogram:
        histogram = self._histograms.get((name, labels))
        if histogram is None:
            family: Family = FAMILIES[name]
            histogram = self._histograms[name, labels] = Histogram(family.bounds)
        return histogram
