"""What a function counts: as Prometheus text, and as CloudWatch's embedded metric format (EMF), one line of a log."""

from __future__ import annotations

from time import time

from inferir.lambda_entry import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Counters", "emf", "prometheus"]

#: Attribute of Counters -> name and help in Prometheus' text.
_PROMETHEUS = {
    "requests": ("inferir_lambda_requests_total", "Requests, answered or not."),
    "failures": ("inferir_lambda_failures_total", "Requests that got no answer."),
    "batches": ("inferir_lambda_batch_requests_total", "Requests with instances."),
    "instances": ("inferir_lambda_instances_total", "Rows answered."),
    "failed_instances": ("inferir_lambda_failed_instances_total", "Rows of batches that could not be answered."),
    "cold_starts": ("inferir_lambda_cold_starts_total", "First requests of a process."),
    "latency_ms": ("inferir_lambda_latency_milliseconds_total", "Time between request and answer, added up."),
}


class Counters:
    """Numbers that only grow, of one process."""

    __slots__ = tuple(_PROMETHEUS)

    def __init__(self) -> None:
        self.requests = self.failures = self.batches = 0
        self.instances = self.failed_instances = self.cold_starts = 0
        self.latency_ms = 0.0

    def copy(self) -> Counters:
        """The numbers as they are now."""
        copied = Counters()
        for name in self.__slots__:
            setattr(copied, name, getattr(self, name))
        return copied


def prometheus(counters: Counters, name: str, version: str) -> str:
    """Prometheus' text, version 0.0.4."""
    labels = f'{{model="{_escaped(name)}",version="{_escaped(version)}"}}'
    lines = []
    for attribute, (metric, text) in _PROMETHEUS.items():
        lines += [
            f"# HELP {metric} {text}",
            f"# TYPE {metric} counter",
            f"{metric}{labels} {getattr(counters, attribute)}",
        ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def emf(namespace: str, dimensions: Mapping[str, str], values: Mapping[str, tuple[float, str]], **about: str) -> str:
    """One line that CloudWatch reads as metrics.

    values  metric -> value and unit, such as (0.25, "Milliseconds"), at most 100.
    about   more to find the line by, which is no metric.
    """
    metrics = [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()]
    head = {
        "Timestamp": int(time() * 1000),
        "CloudWatchMetrics": [{"Namespace": namespace, "Dimensions": [list(dimensions)], "Metrics": metrics}],
    }
    return jsontext.dumps({"_aws": head, **dimensions, **{name: value for name, (value, _) in values.items()}, **about})
