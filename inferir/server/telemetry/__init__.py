"""What the server tells about itself: metrics, traces, logs, and headers of answers.

families.py        every metric, in one table
metrics.py         counts
exposition.py      /metrics
server_timing.py   Server-Timing
trace_context.py   traceparent, read
tracing.py         OpenTelemetry (extra `otel`)
logs.py            JSON, a line each
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

from inferir.errors import BackendError
from inferir.server.observer import Observer, Observers
from inferir.server.settings import Settings
from inferir.server.telemetry.exposition import process_values, render
from inferir.server.telemetry.logs import ChangeLog, JsonLog
from inferir.server.telemetry.metrics import Metrics
from inferir.server.telemetry.server_timing import server_timing

if TYPE_CHECKING:
    from inferir.server.request.exchange import Exchange
    from inferir.server.telemetry.tracing import Tracer

__all__ = ["ServerTelemetry", "create"]


class ServerTelemetry(Observers):
    """All that watch, as one observer; see `observer.Telemetry`.

    build  what /metrics says about the server beside its version.
    """

    def __init__(
        self,
        metrics: Metrics | None = None,
        tracer: Tracer | None = None,
        log: JsonLog | None = None,
        build: Mapping[str, str] | None = None,
    ) -> None:
        parts: list[Observer | None] = [metrics, tracer, log]
        super().__init__(part for part in parts if part is not None)
        self._metrics, self._tracer, self._log = metrics, tracer, log
        if tracer is None:  # every request passes here, too
            self.headers = server_timing  # type: ignore[method-assign]
        self._build = build or {}

    def headers(self, exchange: Exchange) -> bytes:
        """Header lines of the answer, each with its CR LF: Server-Timing, traceparent."""
        timing = server_timing(exchange)
        return timing if self._tracer is None else timing + self._tracer.header_lines(exchange)

    def snapshot(self) -> dict[str, Any]:
        """Every value of this process, JSON-able."""
        return {"metrics": self._metrics.snapshot() if self._metrics else {}, "process": process_values()}

    def render(self, snapshots: Sequence[dict[str, Any]], gauges: dict[str, float], accept: str) -> tuple[bytes, str]:
        """The text of /metrics for the sum of `snapshots`, and its content type."""
        return render(snapshots, gauges, accept, self._build)

    async def close(self) -> None:
        """Sends and writes what is left."""
        loop = asyncio.get_running_loop()
        for part in (self._tracer, self._log):
            if part is not None:
                await loop.run_in_executor(None, part.close)


def create(settings: Settings, stream: IO[bytes] | None = None) -> ServerTelemetry:
    """What the settings ask for. `stream` takes the log; None: standard error.

    Raises BackendError (E009) where traces are asked for and OpenTelemetry is not installed.
    """
    metrics = Metrics() if settings.metrics else None
    log = None
    if settings.log_format == "json":
        log = (JsonLog if settings.log_requests else ChangeLog)(
            stream or sys.stderr.buffer,
            settings.log_requests,
            lambda count: metrics.add("inferir_log_records_dropped", amount=count) if metrics else None,
        )
    tracer = _tracer(settings.otlp_endpoint) if settings.otlp_endpoint else None
    python = ".".join(map(str, sys.version_info[:3]))
    return ServerTelemetry(metrics, tracer, log, {"python": python, "backend": settings.backend})


def _tracer(endpoint: str) -> Tracer:
    try:
        exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter
        tracing = import_module("inferir.server.telemetry.tracing")
    except ImportError as error:
        raise BackendError(f"expected OpenTelemetry for otlp_endpoint, got: {error}; install inferir[otel]") from error
    address = endpoint.rstrip("/")
    path = "/v1/traces"
    tracer: Tracer = tracing.Tracer(exporter(address if address.endswith(path) else address + path))
    return tracer
