"""The text of /metrics: snapshots of all workers added up, written by prometheus_client.

Its own counters take a lock and search their labels at every request; its writers of the two formats are what every
scraper is tested with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import add
from typing import Any

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry
from prometheus_client.utils import floatToGoString

from inferir import __version__
from inferir.server.telemetry.families import FAMILIES, GAUGES, Family

__all__ = ["add_up", "process_values", "remains", "render"]

Lines = dict[tuple[str, ...], list[float]]

#: Of several processes: the time the first of them started, the sum of everything else.
_EARLIEST = "process_start_time_seconds"

_process = ProcessCollector(registry=None)


def process_values() -> dict[str, float]:
    """What the operating system says about this process: CPU seconds, bytes, open files, start."""
    return {sample.name: sample.value for metric in _process.collect() for sample in metric.samples}


def add_up(snapshots: Sequence[Mapping[str, Any]]) -> dict[str, Lines]:
    """Family -> labels -> numbers, over the `metrics` of all snapshots."""
    total: dict[str, Lines] = {}
    for snapshot in snapshots:
        for name, lines in snapshot["metrics"].items():
            family, join = total.setdefault(name, {}), max if FAMILIES[name].largest else add
            for labels, values in lines:
                held = family.get(tuple(labels))
                if held is None or len(held) != len(values):  # one worker has a new version, another not yet
                    family[tuple(labels)] = values
                else:
                    family[tuple(labels)] = list(map(join, held, values))
    return total


def remains(snapshots: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A snapshot of what stays when the processes of `snapshots` are gone: what was counted. Counters that go down are
    taken for those of a server that started anew.
    """
    return {
        "metrics": {
            name: [[list(labels), values] for labels, values in lines.items()]
            for name, lines in add_up(snapshots).items()
            if FAMILIES[name].kind != "gauge"
        },
        "process": {
            name: sum(snapshot["process"].get(name, 0.0) for snapshot in snapshots)
            for name in {name for snapshot in snapshots for name in snapshot["process"] if name.endswith("_total")}
        },
    }


def render(
    snapshots: Sequence[Mapping[str, Any]], gauges: Mapping[str, float], accept: str, build: Mapping[str, str]
) -> tuple[bytes, str]:
    """The text and its content type: OpenMetrics where `accept` asks for it, otherwise Prometheus' own format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(_metrics(snapshots, gauges, build)))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


class _Collected:
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def _metrics(
    snapshots: Sequence[Mapping[str, Any]], gauges: Mapping[str, float], build: Mapping[str, str]
) -> Iterator[Metric]:
    for name, lines in sorted(add_up(snapshots).items()):
        yield _metric(FAMILIES[name], lines)
    for key, family in GAUGES.items():
        if key in gauges:
            yield _metric(family, {(): [gauges[key]]})
    yield from _processes([snapshot.get("process", {}) for snapshot in snapshots])
    about = InfoMetricFamily("inferir_build", "The server, and what it runs on.")
    about.add_metric([], {"version": __version__, **build})
    yield about


def _metric(family: Family, lines: Lines) -> Metric:
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.about, labels=family.labels)
        names = [*map(floatToGoString, family.bounds), "+Inf"]
        for labels, values in sorted(lines.items()):
            buckets = list(zip(names, accumulate(values[:-1]), strict=True))
            histogram.add_metric(list(labels), buckets, values[-1])
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.about, labels=family.labels)
    for labels, values in sorted(lines.items()):
        value = values[0] if family.score is None else family.score(values)
        if value is not None:
            metric.add_metric(list(labels), value)
    return metric


def _processes(processes: Sequence[Mapping[str, float]]) -> Iterator[Metric]:
    names = sorted({name for process in processes for name in process})
    for name in names:
        values = [process[name] for process in processes if name in process]
        value = min(values) if name == _EARLIEST else sum(values)
        about = "Of all workers." if name != _EARLIEST else "Of the first worker, in seconds since the epoch."
        kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        yield kind(name.removesuffix("_total"), about, value=value)
