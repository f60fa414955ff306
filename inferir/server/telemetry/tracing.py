"""Traces with OpenTelemetry (extra `otel`): six spans, made from times that were taken anyway.

    model.register     a version was read and checked
    model.deploy       it was compiled and warmed up
    model.inference    a request; child of the caller's span, linked to the deploy of the version that answered
      model.preprocess   from the first byte decoded to the rows as the kernels take them, waiting for its turn included
      model.predict      in the kernels
      model.postprocess  from numbers to the bytes of the answer

Only requests that need the scope `infer` have spans. Where they go and how many are kept is said by OpenTelemetry's own
environment variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, ...).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from inferir import __version__
from inferir.server.request.exchange import INFERENCE, QUEUE, STAGES

if TYPE_CHECKING:
    from inferir.server.request.exchange import Exchange

__all__ = ["Tracer"]

#: Span -> the last of its stages.
_PARTS = (("model.preprocess", INFERENCE - 1), ("model.predict", INFERENCE), ("model.postprocess", len(STAGES) - 1))

_NS = 1_000_000_000


class Tracer:
    """An observer that makes spans and gives them to `exporter`."""

    def __init__(self, exporter: SpanExporter) -> None:
        # The SDK puts OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES over these.
        resource = Resource.create({"service.name": "inferir", "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("inferir", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._deployed: dict[tuple[str, str], Link] = {}

    def request_started(self, exchange: Exchange) -> None:
        if exchange.route.scope == "infer":
            carrier = {name: value for name in self._propagator.fields if (value := exchange.headers.get(name))}
            exchange.trace = self._tracer.start_span(
                "model.inference",
                self._propagator.extract(carrier),
                SpanKind.SERVER,
                start_time=time.time_ns() - int(exchange.seconds * _NS),
                attributes={"http.request.method": exchange.route.method, "http.route": exchange.route.path},
            )

    def request_finished(self, exchange: Exchange) -> None:
        span = exchange.trace
        if span is None or not span.is_recording():
            return
        about = _model_attributes(exchange.model, exchange.version)
        span.set_attributes(
            {
                **about,
                "http.response.status_code": exchange.status,
                "inferir.request_id": exchange.request_id,
                "inferir.rows": exchange.rows,
                "inferir.queue_seconds": exchange.stages[QUEUE],
            }
        )
        link = self._deployed.get((exchange.model, exchange.version))
        if link is not None:
            span.add_link(link.context, link.attributes)
        if exchange.code:
            span.set_attribute("error.type", exchange.code)
        if exchange.shed:
            span.set_attribute("inferir.shed", exchange.shed)
        if exchange.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        if exchange.rows:
            self._parts(span, exchange.stages, about)
        span.end()

    def batch_run(self, model: str, version: str, rows: int, requests: int, seconds: float) -> None:
        """Part of model.predict."""

    def model_loaded(self, model: str, version: str, stages: dict[str, float], n_bytes: int) -> None:
        about: dict[str, str | int] = {**_model_attributes(model, version), "inferir.model.bytes": n_bytes}
        end = time.time_ns()
        read = stages.get("read", 0.0)
        middle = end - int((sum(stages.values()) - read) * _NS)
        self._tracer.start_span("model.register", start_time=middle - int(read * _NS), attributes=about).end(middle)
        deploy = self._tracer.start_span("model.deploy", start_time=middle, attributes=about)
        deploy.set_attributes({f"inferir.{stage}_seconds": seconds for stage, seconds in stages.items()})
        deploy.end(end)
        self._deployed[model, version] = Link(deploy.get_span_context(), {"inferir.link": "deployment"})

    def model_failed(self, model: str, code: str) -> None:
        span = self._tracer.start_span("model.register", attributes={"inferir.model.name": model, "error.type": code})
        span.set_status(Status(StatusCode.ERROR))
        span.end()

    def model_unloaded(self, model: str, version: str, reason: str) -> None:
        self._deployed.pop((model, version), None)

    def header_lines(self, exchange: Exchange) -> bytes:
        """`traceparent` of the answer, so that a caller without a trace of its own finds this one."""
        if exchange.trace is None:
            return b""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, trace.set_span_in_context(exchange.trace))
        return "".join(f"{name}: {value}\r\n" for name, value in carrier.items() if name == "traceparent").encode()

    def close(self) -> None:
        """Sends what is not sent yet."""
        self._provider.shutdown()

    def _parts(self, span: Any, stages_s: list[float], about: dict[str, str]) -> None:
        context = trace.set_span_in_context(span)
        start = span.start_time
        first = 0
        for name, last in _PARTS:
            end = start + int(sum(stages_s[first : last + 1]) * _NS)
            self._tracer.start_span(name, context, start_time=start, attributes=about).end(end)
            start, first = end, last + 1


def _model_attributes(model: str, version: str) -> dict[str, str]:
    return {"inferir.model.name": model, "inferir.model.version": version}
