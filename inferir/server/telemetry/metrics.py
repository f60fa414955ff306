"""Counting: what an observer is told becomes numbers.

A request leaves one tuple behind. What is done next for a request is done for SORT_AT of them at once, when all that it
needs is in the CPU's caches, which between two requests it is not, and takes a third of the time: each becomes a record
of plain numbers among those of its like. These are sorted into buckets with NumPy when FOLD_AT have gathered. Whoever
asks has both done first.

Everything is called on the event loop.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from time import monotonic, time
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from inferir.server.observer import NoStart
from inferir.server.request.exchange import INFERENCE, STAGES
from inferir.server.telemetry.families import BATCH_STAGES, FAMILIES, MODEL_LIMIT, OTHER, Family

if TYPE_CHECKING:
    from inferir.server.request.exchange import Exchange
    from inferir.server.request.routes import Route

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
        values = np.array(self.pending).reshape(-1, len(self._sums))
        del self.pending[:]
        self.add(values)

    def add(self, values: Floats) -> None:
        """Add observations, (n, width)."""
        self._sums += values.sum(axis=0)
        width, n_buckets = self._counts.shape
        until = np.zeros((width, n_buckets + 1), np.int64)  # so many are in the buckets before
        until[:, -1] = len(values)
        for row, in_order in zip(until, np.sort(values.T, axis=1), strict=True):  # half of a search for each value
            row[1:-1] = in_order.searchsorted(self._bounds, side="right")
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


#: Requests whose tuples are kept: few enough that what they hold fits into a cache.
SORT_AT = 64

#: Of a request: when it began and ended, seconds of each stage; its rows, those of its batch, 0 where it had its own.
_RECORD = struct.Struct(f"{2 + len(STAGES)}d2q")
_STARTED, _ENDED, _STAGES, _ROWS, _BATCH_ROWS = 0, 1, slice(2, 2 + len(STAGES)), 2 + len(STAGES), 3 + len(STAGES)

_FOLD_AT_NBYTES = FOLD_AT * _RECORD.size
_pack = _RECORD.pack


class _Alike:
    """Requests of one route, with one status, answered by one version; `model` is None where none did."""

    __slots__ = ("_http", "_model", "records")

    def __init__(self, http: Histogram, model: _ModelSeries | None) -> None:
        self._http, self._model = http, model
        self.records = bytearray()

    def fold(self) -> None:
        """Sort the records into buckets."""
        records = np.frombuffer(bytes(self.records)).reshape(-1, _RECORD.size // 8)
        self.records.clear()
        seconds = records[:, _ENDED] - records[:, _STARTED]
        self._http.add(seconds[:, None])
        if self._model is not None:
            self._model.add(seconds, records)


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

    def add(self, seconds: Floats, records: Floats) -> None:
        """Add requests: how long they took, and _RECORD."""
        stages, counts = np.ascontiguousarray(records[:, _STAGES]), records.view(np.int64)
        rows, batch_rows = counts[:, _ROWS], counts[:, _BATCH_ROWS]
        self.rows += float(rows.sum())
        self.last_s = max(self.last_s, float(records[:, _ENDED].max()))
        self.duration.add(seconds[:, None])
        self.stages.add(stages)
        own = rows
        if batch_rows.any():
            own, stages_of_own = rows[batch_rows == 0], stages[batch_rows == 0]
        else:
            stages_of_own = stages
        if len(own):
            self.batch_rows.add(own[:, None].astype(np.float64))
            self.batch_requests.add_same(1.0, len(own))
            self.kernel_s += float(stages_of_own[:, INFERENCE].sum())
        buckets = self.batch_rows.buckets(np.where(batch_rows == 0, rows, batch_rows))
        for k, per_request in enumerate((stages @ _STAGE_COLUMNS).T):
            self._stage_s[:, k] += np.bincount(buckets, per_request, minlength=len(_BATCH_LABELS))

    def batch_stage_lines(self) -> Iterator[tuple[list[str], list[float]]]:
        """Labels `stage` and `rows`, and seconds; of batches that there were."""
        for rows, per_stage in zip(_BATCH_LABELS, self._stage_s.tolist(), strict=True):
            if any(per_stage):
                for stage, seconds in zip(BATCH_STAGES, per_stage, strict=True):
                    yield [stage, rows], [seconds]


#: (stages, those of a batch): 1 where one is part of the other.
_STAGE_COLUMNS = np.array([[float(stage in stages) for stages in BATCH_STAGES.values()] for stage in STAGES])
#: A batch of more rows than the last bound has is in "+Inf".
_BATCH_LABELS = [*(str(int(bound)) for bound in FAMILIES["inferir_batch_rows"].bounds), "+Inf"]


class Metrics(NoStart):
    """An observer that counts. `snapshot` gives plain values, which another process can add to its own.

    What every request passes through is written out: a call costs as much as what it would do.
    """

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], _ModelSeries] = {}
        self._http: dict[tuple[str, str, int], Histogram] = {}
        self._alike: dict[tuple[Route, int, str, str, bool], _Alike] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], Histogram] = {}
        self._numbers: dict[tuple[str, tuple[str, ...]], float] = {}
        self._known: set[tuple[str, str]] = set()
        self._finished: list[tuple[Route, int, str, str, int, int, float, float, list[float]]] = []
        self._leave = self._finished.append

    # -- events

    def request_finished(self, exchange: Exchange) -> None:
        self._leave(
            (
                exchange.route,
                exchange.status,
                exchange.model,
                exchange.version,
                exchange.rows,
                exchange.batch_rows,
                exchange.started_s,
                exchange.ended_s,
                exchange.stages,
            )
        )
        if len(self._finished) >= SORT_AT:
            self._sort()
        if exchange.status < 400:
            return
        if exchange.shed:
            self.add("inferir_requests_shed", (exchange.shed,))
        elif exchange.code:
            version = self._labels(exchange.model, exchange.version)
            self.add("inferir_request_errors", (*version, exchange.code))
            self.add("inferir_failed_seconds", version, exchange.ended_s - exchange.started_s)

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
        self._sort()
        for alike in self._alike.values():
            if alike.records:
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

    def _sort(self) -> None:
        """A record of each request that is finished, to those of its like."""
        a_route: Route | None = None
        a_status, a_model, a_version, unasked = 0, "", "", False
        records = bytearray()
        for route, status, model, version, rows, batch_rows, started_s, ended_s, stages in self._finished:
            if (  # not as the one before, down to the objects, as most are
                route is not a_route
                or status is not a_status
                or model is not a_model
                or version is not a_version
                or (not rows) is not unasked
            ):
                key = a_route, a_status, a_model, a_version, unasked = route, status, model, version, not rows
                alike = self._alike.get(key) or self._new_alike(*key)
                if len(alike.records) >= _FOLD_AT_NBYTES:
                    alike.fold()
                records = alike.records
            a, b, c, d, e, f, g = stages
            records += _pack(started_s, ended_s, a, b, c, d, e, f, g, rows, batch_rows)
        self._finished.clear()

    def _new_alike(self, route: Route, status: int, model: str, version: str, nothing_asked: bool) -> _Alike:
        key = (route, status, *self._labels(model, version), nothing_asked)
        if key not in self._alike:
            bounds = FAMILIES["http_server_request_duration_seconds"].bounds
            http = self._http.setdefault((route.method, route.path, status), Histogram(bounds))
            answered = status < 400 and not nothing_asked
            self._alike[key] = _Alike(http, self._series(model, version) if answered else None)
        return self._alike[key]

    def _histogram(self, name: str, labels: tuple[str, ...]) -> Histogram:
        histogram = self._histograms.get((name, labels))
        if histogram is None:
            family: Family = FAMILIES[name]
            histogram = self._histograms[name, labels] = Histogram(family.bounds)
        return histogram
