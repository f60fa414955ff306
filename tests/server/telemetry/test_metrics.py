"""Counting, adding up over workers, and the text that Prometheus reads."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from inferir.server.request.exchange import STAGES, Exchange
from inferir.server.request.replies import Reply
from inferir.server.request.routes import Route
from inferir.server.settings import Settings
from inferir.server.telemetry import ServerTelemetry, create
from inferir.server.telemetry.exposition import add_up, remains
from inferir.server.telemetry.families import FAMILIES, GAUGES, MODEL_LIMIT
from inferir.server.telemetry.metrics import FOLD_AT, Histogram, Metrics

PREDICT = Route("POST", "/predict", lambda exchange: Reply(b""), "infer", admitted=True)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def exchange(status: int = 200, model: str = "churn", version: str = "1", rows: int = 1, **more: Any) -> Exchange:
    made = Exchange(PREDICT, {})
    made.status, made.model, made.version, made.rows = status, model, version, rows
    made.ended_s = made.started_s + 0.05
    made.stages = [0.001 * (k + 1) for k in range(len(STAGES))]
    for name, value in more.items():
        setattr(made, name, value)
    return made


def telemetry() -> ServerTelemetry:
    made = create(Settings())
    made.model_loaded("churn", "1", {"read": 0.1, "compile": 0.2, "warm_up": 0.3}, 1000)
    return made


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


class TestHistogram:
    @given(st.lists(st.floats(0, 10, allow_subnormal=False), max_size=2 * FOLD_AT + 3))
    def test_counts_as_numpy_does(self, values: list[float]) -> None:
        bounds = [0.1, 0.5, 1.0, 5.0]
        histogram = Histogram(bounds)
        for value in values:
            histogram.observe(value)
        *counts, total = histogram.values()
        expected = [sum(low < value <= high for value in values)
                    for low, high in zip([-1, *bounds], [*bounds, np.inf], strict=True)]  # fmt: skip
        assert counts == expected
        assert total == pytest.approx(sum(values))

    def test_several_values_at_once(self) -> None:
        histogram = Histogram([1.0, 2.0], width=2)
        histogram.observe(0.5, 1.5)
        histogram.observe(0.5, 2.5)
        assert histogram.values(0) == [2, 0, 0, 1.0]
        assert histogram.values(1) == [0, 1, 1, 4.0]

    def test_memory_is_bounded(self) -> None:
        histogram = Histogram([1.0])
        for _ in range(10 * FOLD_AT):
            histogram.observe(0.5)
        assert len(histogram.pending) < FOLD_AT


class TestText:
    def text(self, accept: str = "", workers: int = 1) -> tuple[bytes, str]:
        snapshots = []
        for _ in range(workers):
            made = telemetry()
            made.batch_run("churn", "1", 3, 2, 0.25)
            for answered in (
                exchange(rows=2, batch_rows=3),
                exchange(rows=1, batch_rows=3),
                exchange(rows=20),
                exchange(400, code="E003"),
                exchange(503, code="SERVICE_OVERLOADED", shed="queue_full"),
            ):
                made.finished(answered)
            made.model_failed("churn", "E001")
            made.model_unloaded("gone", "1", "evicted")
            # As a supervisor gets it: through a pipe.
            snapshots.append(json.loads(json.dumps(made.snapshot())))
        return made.render(snapshots, {"in_flight": 3, "queue_depth": 1, "workers": workers}, accept)

    @pytest.mark.parametrize("workers", [1, 3])
    def test_values(self, workers: int) -> None:
        text, content_type = self.text(workers=workers)
        assert content_type.startswith("text/plain")
        found = samples(text)
        model = (("model", "churn"), ("version", "1"))
        assert found["model_predictions_total", model] == 23 * workers
        assert found["model_inference_duration_seconds_count", model] == 3 * workers
        assert found["model_inference_duration_seconds_sum", model] == pytest.approx(0.15 * workers)
        stage = (*model[:1], ("stage", "queue"), *model[1:])
        assert found["inferir_stage_duration_seconds_sum", stage] == pytest.approx(0.009 * workers)
        assert found["inferir_stage_duration_seconds_count", stage] == 3 * workers
        assert found["inferir_requests_shed_total", (("reason", "queue_full"),)] == workers
        assert found["inferir_request_errors_total", (("code", "E003"), *model)] == workers
        assert found["inferir_kernel_seconds_total", model] == pytest.approx((0.25 + 0.005) * workers)
        assert found["inferir_batch_rows_sum", model] == 23 * workers
        assert found["inferir_batch_rows_count", model] == found["inferir_batch_requests_count", model] == 2 * workers
        for rows, requests in (("4", 2), ("64", 1)):  # stages of 1, 2, ... 7 ms: the first, the second and the fourth
            into = (*model[:1], ("rows", rows), ("stage", "compute_input"), *model[1:])
            assert found["inferir_batch_stage_seconds_total", into] == pytest.approx(0.007 * requests * workers)
        assert abs(found["inferir_last_inference_timestamp_seconds", model] - time.time()) < 60
        assert found["inferir_model_loads_total", (("model", "churn"), ("result", "ok"))] == workers
        assert found["inferir_model_loads_total", (("model", "churn"), ("result", "E001"))] == workers
        assert found["inferir_requests_in_flight", ()] == 3
        assert found["inferir_model_bytes", model] == 1000, "a file is mapped once for all workers"
        http = (("http_request_method", "POST"), ("http_response_status_code", "503"), ("http_route", "/predict"))
        assert found["http_server_request_duration_seconds_count", http] == workers
        assert any(name == "inferir_build_info" for name, _ in found)
        assert found["process_cpu_seconds_total", ()] > 0
        assert found["process_resident_memory_bytes", ()] > 1e6

    def test_what_was_counted_stays_when_a_process_is_gone(self) -> None:
        gone, alive = telemetry(), telemetry()
        for made in (gone, alive):
            made.finished(exchange(rows=2))
        kept = json.loads(json.dumps(remains([gone.snapshot(), remains([gone.snapshot()])])))
        found = samples(alive.render([alive.snapshot(), kept], {}, "")[0])
        model = (("model", "churn"), ("version", "1"))
        assert found["model_predictions_total", model] == 6
        assert found["model_inference_duration_seconds_count", model] == 3
        assert found["inferir_model_bytes", model] == 1000
        assert "process_resident_memory_bytes" not in kept["process"]
        assert found["process_cpu_seconds_total", ()] > kept["process"]["process_cpu_seconds_total"] > 0

    def test_buckets_are_cumulative_and_end_with_all(self) -> None:
        for family in parse(self.text()[0].decode()):
            if family.type != "histogram":
                continue
            lines: dict[Any, list[tuple[float, float]]] = {}
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    labels = dict(sample.labels)
                    bound = float(labels.pop("le"))
                    lines.setdefault(tuple(sorted(labels.items())), []).append((bound, sample.value))
            for line in lines.values():
                assert line == sorted(line)
                assert [value for _, value in line] == sorted(value for _, value in line)
                assert line[-1][0] == np.inf

    def test_openmetrics(self) -> None:
        text, content_type = self.text(OPENMETRICS)
        assert content_type.startswith("application/openmetrics-text")
        assert text.endswith(b"# EOF\n")
        names = {family.name for family in parse_openmetrics(text.decode())}
        assert {"model_predictions", "inferir_build", "model_inference_duration_seconds"} <= names

    def test_promtool(self) -> None:
        promtool = shutil.which("promtool")
        if promtool is None:
            pytest.skip("needs promtool: apt-get install prometheus")
        checked = subprocess.run([promtool, "check", "metrics"], input=self.text()[0], capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr.decode()
        assert not checked.stderr, checked.stderr.decode()

    def test_nothing_was_counted_yet(self) -> None:
        made = create(Settings())
        text, _ = made.render([made.snapshot()], {}, "")
        assert samples(text)["process_cpu_seconds_total", ()] > 0

    def test_metrics_can_be_off(self) -> None:
        made = create(Settings(metrics=False))
        for _ in range(3):
            assert made.finished(exchange()).startswith(b"Server-Timing: ")
        assert made.snapshot()["metrics"] == {}


class TestLabels:
    def test_a_model_that_nobody_loaded_is_no_label(self) -> None:
        made = ServerTelemetry(Metrics())
        for k in range(100):
            made.finished(exchange(404, model=f"guess{k}", version="", rows=0, code="E011"))
            made.model_failed(f"rubbish{k}", "E001")
        lines = made.snapshot()["metrics"]
        assert lines["inferir_request_errors"] == [(["other", "other", "E011"], [100.0])]
        assert len(lines["inferir_model_loads"]) == 1

    def test_versions_are_bounded(self) -> None:
        made = ServerTelemetry(Metrics())
        for k in range(MODEL_LIMIT + 50):
            made.model_loaded("churn", str(k), {}, 1)
            made.finished(exchange(version=str(k)))
        lines = made.snapshot()["metrics"]["model_predictions"]
        assert len(lines) == MODEL_LIMIT + 1
        assert {tuple(labels): values for labels, values in lines}["other", "other"] == [50.0]

    def test_every_family_is_documented_and_well_named(self) -> None:
        for family in [*FAMILIES.values(), *GAUGES.values()]:
            assert family.about.endswith(".")
            assert family.kind in ("counter", "gauge", "histogram")
            assert bool(family.bounds) == (family.kind == "histogram")
            assert not family.name.endswith("_total")


def test_scores_are_made_of_sums() -> None:
    """Each worker saw half of the bins: the mean of their scores would be far off."""
    reference = [100.0] * 10
    lines = [[1.0, *reference, *[80.0 * (k % 2 == worker) for k in range(10)]] for worker in (0, 1)]
    labels = ["a", "1", "x"]
    snapshots = [{"metrics": {"model_drift_score": [(labels, line)]}, "process": {}} for line in lines]
    found = samples(create(Settings()).render(snapshots, {}, "")[0])
    assert found["model_drift_score", (("feature", "x"), ("model", "a"), ("version", "1"))] == pytest.approx(
        0, abs=1e-9
    )
    kept = remains(snapshots)
    assert kept["metrics"] == {}, "a window of a worker that is gone would never end"


def test_a_score_that_is_none_yet_is_no_sample() -> None:
    snapshot = {
        "metrics": {"model_drift_score": [(["a", "1", "x"], [1.0, 500.0, 0.0, 3.0, 0.0])], "model_accuracy": []},
        "process": {},
    }
    text = create(Settings()).render([snapshot], {}, "")[0]
    assert b"model_drift_score{" not in text
    assert not [name for name, _ in samples(text) if name.startswith("model_")]


def test_workers_with_two_versions_of_one_name_for_a_moment() -> None:
    """Their bins are not the same: the numbers of one of them count, never a mixture."""
    old, new = [1.0, 500.0, 500.0, 9.0, 9.0], [1.0, 300.0, 300.0, 400.0, 0.0, 1.0, 2.0]
    snapshots = [{"metrics": {"model_drift_score": [(["a", "1", "x"], line)]}} for line in (old, new)]
    assert add_up(snapshots)["model_drift_score"]["a", "1", "x"] in (old, new)


def test_counters_of_one_worker_alone_are_kept() -> None:
    one = {"metrics": {"model_predictions": [(["a", "1"], [2.0])]}}
    two = {"metrics": {"model_predictions": [(["a", "1"], [3.0]), (["b", "1"], [1.0])]}}
    assert add_up([one, two])["model_predictions"] == {("a", "1"): [5.0], ("b", "1"): [1.0]}
