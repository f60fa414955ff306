"""OpenTelemetry's spans, as an exporter gets them."""

from __future__ import annotations

import asyncio
import gzip
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="needs OpenTelemetry: pip install inferir[otel]")

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from inferir.errors import BackendError
from inferir.server import telemetry as telemetry_module
from inferir.server.settings import Settings
from inferir.server.telemetry import create
from inferir.server.telemetry.tracing import Tracer
from tests.server.telemetry.test_headers_and_logs import TRACE_ID, TRACEPARENT
from tests.server.telemetry.test_metrics import exchange


def traced(*exchanges: Any, load: bool = True) -> tuple[dict[str, Any], bytes]:
    exporter = InMemorySpanExporter()
    tracer = Tracer(exporter)
    if load:
        tracer.model_loaded("churn", "1", {"read": 0.25, "compile": 0.5, "warm_up": 0.125}, 10)
    header = b""
    for each in exchanges:
        tracer.request_started(each)
        header = tracer.header_lines(each)
        tracer.request_finished(each)
    tracer.close()
    return {span.name: span for span in exporter.get_finished_spans()}, header


def seconds(span: Any) -> float:
    return float(span.end_time - span.start_time) / 1e9


def test_six_spans() -> None:
    spans, _ = traced(exchange(headers={"traceparent": TRACEPARENT, "tracestate": "a=b"}))
    assert set(spans) == {
        "model.register",
        "model.deploy",
        "model.inference",
        "model.preprocess",
        "model.predict",
        "model.postprocess",
    }
    assert seconds(spans["model.register"]) == pytest.approx(0.25, abs=1e-6)
    assert seconds(spans["model.deploy"]) == pytest.approx(0.625, abs=1e-6)
    # Stages take 1, 2, 3, ... ms: see `exchange`.
    assert seconds(spans["model.preprocess"]) == pytest.approx(0.010, abs=1e-6)
    assert seconds(spans["model.predict"]) == pytest.approx(0.005, abs=1e-6)
    assert seconds(spans["model.postprocess"]) == pytest.approx(0.013, abs=1e-6)


def test_the_trace_of_the_caller_goes_on_and_comes_back() -> None:
    spans, header = traced(exchange(headers={"traceparent": TRACEPARENT}))
    inference = spans["model.inference"]
    assert f"{inference.context.trace_id:032x}" == TRACE_ID
    assert f"{inference.parent.span_id:016x}" == "b7ad6b7169203331"
    assert header.decode() == f"traceparent: 00-{TRACE_ID}-{inference.context.span_id:016x}-01\r\n"
    for part in ("model.preprocess", "model.predict", "model.postprocess"):
        assert spans[part].parent.span_id == inference.context.span_id


def test_a_caller_without_a_trace_gets_one() -> None:
    spans, header = traced(exchange(headers={"traceparent": "rubbish"}))
    assert spans["model.inference"].parent is None
    assert header.startswith(b"traceparent: 00-")


def test_inference_is_linked_to_the_deployment_that_answered() -> None:
    spans, _ = traced(exchange())
    (link,) = spans["model.inference"].links
    assert link.context.span_id == spans["model.deploy"].context.span_id
    assert spans["model.inference"].attributes["inferir.model.name"] == "churn"
    assert spans["model.inference"].attributes["http.route"] == "/predict"


def test_errors() -> None:
    spans, _ = traced(exchange(503, rows=0, code="SERVICE_OVERLOADED", shed="queue_full"), load=False)
    inference = spans["model.inference"]
    assert set(spans) == {"model.inference"}
    assert inference.status.status_code == StatusCode.ERROR
    assert inference.attributes["error.type"] == "SERVICE_OVERLOADED"
    assert inference.attributes["inferir.shed"] == "queue_full"


def test_a_model_that_does_not_load() -> None:
    exporter = InMemorySpanExporter()
    tracer = Tracer(exporter)
    tracer.model_failed("churn", "E002")
    tracer.close()
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.attributes["error.type"]) == ("model.register", "E002")


def test_otlp_arrives() -> None:
    came: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        made = create(Settings(otlp_endpoint=f"http://127.0.0.1:{collector.server_port}", metrics=False))
        answered = exchange(headers={"traceparent": TRACEPARENT})
        (tell_started,) = made.started
        tell_started(answered)
        lines = made.finished(answered)
        assert lines.startswith(b"Server-Timing: ")
        assert b"traceparent: 00-" + TRACE_ID.encode() in lines
        asyncio.run(made.close())
        collector.shutdown()
        thread.join()
    ((path, body),) = came
    assert path == "/v1/traces"
    sent = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    assert b"model.inference" in sent
    assert bytes.fromhex(TRACE_ID) in sent


def test_without_opentelemetry_the_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(telemetry_module, "import_module", missing)
    with pytest.raises(BackendError, match=r"inferir\[otel\]"):
        create(Settings(otlp_endpoint="http://localhost:4318"))
