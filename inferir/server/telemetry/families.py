"""Every metric that the server has, with its unit and its labels, in one table.

    model_*     what the platform around a model asks for: model.inference.duration, model.predictions.total,
                model.accuracy and model.drift.score, spelled as Prometheus spells them
    http_*      OpenTelemetry's semantic conventions for HTTP servers, spelled alike
    inferir_*   what only this server has
    process_*   of the operating system, named as all Prometheus clients name them

Labels take values from sets that are bounded: routes, not paths; models that were loaded, not names that were asked
for; at most MODEL_LIMIT versions, those after them counted as `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from inferir.server.monitoring import drift

__all__ = ["BATCH_STAGES", "FAMILIES", "GAUGES", "MODEL_LIMIT", "OTHER", "Family"]

#: Pairs of model and version with numbers of their own, over the life of a process.
MODEL_LIMIT = 500
OTHER = "other"

Kind = Literal["counter", "gauge", "histogram", "info"]

#: Seconds, as OpenTelemetry's conventions have them, with three below 5 ms: tree models answer in less.
HTTP_S = (
    *(0.0005, 0.001, 0.0025),
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
LATENCY_S = (
    *(0.0001, 0.00015, 0.0002, 0.0003, 0.0004, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.004),
    *(0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0),
)
STAGE_S = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0, 10.0)
LOAD_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)
ROWS = tuple(float(1 << power) for power in range(0, 15, 2))
#: What `inferir_batch_stage_seconds` tells apart -> stages of a request. Triton's names.
BATCH_STAGES = {
    "compute_input": ("deserialize", "validate", "preprocess"),
    "compute_infer": ("inference",),
    "compute_output": ("postprocess", "serialize"),
}
REQUESTS = tuple(float(1 << power) for power in range(8))


@dataclass(frozen=True, slots=True)
class Family:
    """`name` without the suffix that a kind adds (`_total`, `_info`).

    bounds   of a histogram's buckets, ascending.
    largest  several processes say the same, or the latest: the largest of them counts, not their sum.
    score    makes the value of the numbers of a line, those of all processes added up; None where it has none yet.
             Without, a line is its value. So shares are those of all processes, and not a mean of theirs.
    """

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()
    bounds: Sequence[float] = ()
    largest: bool = False
    score: Callable[[Sequence[float]], float | None] | None = None


def _mean(line: Sequence[float]) -> float | None:
    """Of a line of how many there are, and their sum."""
    return line[1] / line[0] if line[0] else None


_MODEL = ("model", "version")

#: Name -> family: what this process counts.
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in [
        Family(
            "model_inference_duration_seconds",
            "histogram",
            "Requests that a model answered, from the last byte read to the answer made.",
            _MODEL,
            LATENCY_S,
        ),
        Family("model_predictions", "counter", "Rows that a model answered.", _MODEL),
        Family(
            "http_server_request_duration_seconds",
            "histogram",
            "Requests, from the last byte read to the answer made.",
            ("http_request_method", "http_route", "http_response_status_code"),
            HTTP_S,
        ),
        Family(
            "inferir_stage_duration_seconds",
            "histogram",
            "Time that a request spent in one stage.",
            (*_MODEL, "stage"),
            STAGE_S,
        ),
        Family("inferir_batch_rows", "histogram", "Rows in one call of a model's kernels.", _MODEL, ROWS),
        Family("inferir_batch_requests", "histogram", "Requests in one call of a model's kernels.", _MODEL, REQUESTS),
        Family(
            "inferir_batch_stage_seconds",
            "counter",
            "Time before, in and after a model's kernels, by the rows of the batch: up to so many.",
            (*_MODEL, "stage", "rows"),
        ),
        Family(
            "inferir_last_inference_timestamp_seconds",
            "gauge",
            "When a model answered last, in seconds since the epoch.",
            _MODEL,
            largest=True,
        ),
        Family("inferir_kernel_seconds", "counter", "Time in a model's kernels.", _MODEL),
        Family("inferir_request_errors", "counter", "Requests that were answered by an error.", (*_MODEL, "code")),
        Family("inferir_failed_seconds", "counter", "Time of requests that were answered by an error.", _MODEL),
        Family("inferir_requests_shed", "counter", "Requests refused or dropped, by the reason.", ("reason",)),
        Family("inferir_model_loads", "counter", "Versions loaded, or that could not be.", ("model", "result")),
        Family("inferir_model_load_seconds", "histogram", "Time to load a version.", ("stage",), LOAD_S),
        Family("inferir_model_unloads", "counter", "Versions that are gone.", ("model", "reason")),
        Family("inferir_model_bytes", "gauge", "Bytes of a loaded version's tensors.", _MODEL, largest=True),
        Family(
            "model_accuracy",
            "gauge",
            "Share of predictions that were right, of the last whose truth is known.",
            _MODEL,
            score=_mean,
        ),
        Family(
            "model_absolute_error",
            "gauge",
            "Mean difference between number and truth, of the last predictions whose truth is known.",
            _MODEL,
            score=_mean,
        ),
        Family("inferir_truths", "counter", "Predictions whose truth came.", _MODEL),
        Family(
            "model_drift_score",
            "gauge",
            "Population stability index of a column against the rows of training.",
            (*_MODEL, "feature"),
            score=drift.score,
        ),
        Family("inferir_drift_rows", "gauge", "Rows that drift scores are of.", _MODEL),
        Family("inferir_log_records_dropped", "counter", "Log records that were not written: the log was too slow."),
    ]
}

#: Name in the server -> family: what only the server knows, at the moment it is asked.
GAUGES: dict[str, Family] = {
    "in_flight": Family("inferir_requests_in_flight", "gauge", "Requests in work."),
    "queue_depth": Family("inferir_queue_requests", "gauge", "Requests that wait for their turn."),
    "concurrency_limit": Family("inferir_concurrency_limit", "gauge", "Requests that may be in work at once."),
    "workers": Family("inferir_workers", "gauge", "Processes that answer."),
}
