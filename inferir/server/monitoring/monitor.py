"""Monitor: drift and truths of the versions that are loaded, and what /metrics says of them.

What is known of a version is kept in the version: it comes with it, is never mixed with that of another, and goes with
it. A version without a baseline is not touched: nothing is added to its requests.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from inferir.server.models.registry import ModelVersion, Registry
from inferir.server.monitoring.drift import Drift, Sampler
from inferir.server.monitoring.truths import Memory, Truths
from inferir.server.settings import Settings
from inferir.server.telemetry.families import MODEL_LIMIT

__all__ = ["LOOK_EVERY_S", "Monitor"]

#: `drift_rows_per_s` is counted over this time, and what was sampled is put into bins then.
LOOK_EVERY_S = 1.0

#: One way of asking for a row, as `Model.plain` gives it.
Way = Callable[[Any], list[Any]]

Line = tuple[list[str], list[float]]


class Monitor:
    """`clock` and `draw` are parameters for tests alone.

    memory  of predictions, until their truth comes.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        *,
        clock: Callable[[], float] = monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._clock = clock
        self._draw = draw
        self._known: set[tuple[str, str]] = set()
        self.memory = Memory(settings.remember)

    def watch(self, version: ModelVersion) -> None:
        """Look at the rows of a version that is about to answer, if it has a baseline."""
        if version.baseline is None:
            return
        settings = self._settings
        rate = max(1, round(settings.drift_rows_per_s * LOOK_EVERY_S))
        version.drift = Drift(
            version.baseline, version.dtype, rate=rate, window_s=settings.drift_window_s, draw=self._draw
        )
        version.plain = {faces: _sampled(way, version.drift.sampler) for faces, way in version.plain.items()}

    def look(self) -> None:
        """Count what was sampled. To be called every LOOK_EVERY_S."""
        now_s = self._clock()
        for version in self._registry:
            if version.drift is not None:
                version.drift.look(now_s)

    def truths(self, version: ModelVersion) -> Truths:
        """Those of a version. Raises TaskError (E008) where there is no truth."""
        if version.truths is None:
            model = version.model
            flat = [label for each in model.classes for label in (each if isinstance(each, tuple) else (each,))]
            # The workers that there are share the window, as they share the requests.
            size = -(-self._settings.truth_window // self._settings.workers)
            outputs = model.answer_type("prediction")[1] if "prediction" in model.faces else 1
            version.truths = Truths(model.task, outputs, flat, size)
        return version.truths

    def lines(self) -> dict[str, list[Line]]:
        """Family -> lines, as `Metrics.snapshot` gives them."""
        lines: dict[str, list[Line]] = {}
        for version in self._registry:
            for family, labels, values in self._lines(version):
                lines.setdefault(family, []).append((labels, values))
        return lines

    def _lines(self, version: ModelVersion) -> Iterator[tuple[str, list[str], list[float]]]:
        labels = [version.name, version.version]
        if (version.drift is None and version.truths is None) or not self._is_label(version):
            return
        if version.drift is not None:
            now_s = self._clock()
            yield "inferir_drift_rows", labels, [version.drift.rows(now_s)]
            for feature, line in version.drift.lines(now_s).items():
                yield "model_drift_score", [*labels, feature], line
        if version.truths is not None:
            yield version.truths.metric, labels, version.truths.line()
            yield "inferir_truths", labels, [version.truths.total]

    def _is_label(self, version: ModelVersion) -> bool:
        """Versions that come after MODEL_LIMIT others have no numbers of their own."""
        if len(self._known) < MODEL_LIMIT:
            self._known.add((version.name, version.version))
        return (version.name, version.version) in self._known


def _sampled(way: Way, sampler: Sampler) -> Way:
    """A way of asking that offers its row to `sampler`."""

    def ask(row: Any) -> list[Any]:
        answer = way(row)
        if sampler.skip:
            sampler.skip -= 1
        else:
            sampler.take(row)
        return answer

    return ask
