"""What the server tells about itself: metrics, traces, logs, and headers of answers.

families.py        every metric, in one table
records.py         what each request leaves behind
server_timing.py   Server-Timing
metrics.py         counts
exposition.py      /metrics
trace_context.py   traceparent, read
tracing.py         OpenTelemetry (extra `otel`)
logs.py            JSON, a line each; request_lines.py: those of requests
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

from inferir.errors import BackendError
from inferir.server.observer import Observer, Observers
from inferir.server.settings import Settings
from inferir.server.telemetry.exposition import process_values, render
from inferir.server.telemetry.logs import FLUSH_S, JsonLog
from inferir.server.telemetry.metrics import Metrics
from inferir.server.telemetry.records import Reader, Records

if TYPE_CHECKING:
    from inferir.server.request.exchange import Exchange
    from inferir.server.telemetry.tracing import Tracer

__all__ = ["ServerTelemetry", "create"]


class ServerTelemetry(Observers):
    """All that watch, as one observer; see `observer.Telemetry`.

    log_requests  whether requests are for the log, too.
    build         what /metrics says about the server beside its version.
    """

    def __init__(
        self,
        metrics: Metrics | None = None,
        tracer: Tracer | None = None,
        log: JsonLog | None = None,
        *,
        log_requests: bool = False,
        build: Mapping[str, str] | None = None,
    ) -> None:
        parts: list[Observer | None] = [metrics, tracer, log]
        super().__init__(part for part in parts if part is not None)
        self._metrics, self._tracer, self._log = metrics, tracer, log
        readers: list[Reader | None] = [metrics, log if log_requests else None]
        begun = self._flush_soon if log_requests else None
        self._records = Records([each for each in readers if each is not None], texts=log_requests, begun=begun)
        self.started: tuple[Callable[[Exchange], None], ...] = ()
        if tracer is None:  # every request passes here
            self.finished = self._records.leave  # type: ignore[method-assign]
        else:
            self.started = (tracer.request_started,)
        self._build = build or {}

    def finished(self, exchange: Exchange) -> bytes:
        """Header lines of the answer, each with its CR LF: Server-Timing, traceparent."""
        timing = self._records.leave(exchange)
        assert self._tracer is not None
        self._tracer.request_finished(exchange)
        return timing + self._tracer.header_lines(exchange)

    def snapshot(self) -> dict[str, Any]:
        """Every value of this process, JSON-able."""
        self._records.flush()
        return {"metrics": self._metrics.snapshot() if self._metrics else {}, "process": process_values()}

    def render(self, snapshots: Sequence[dict[str, Any]], gauges: dict[str, float], accept: str) -> tuple[bytes, str]:
        """The text of /metrics for the sum of `snapshots`, and its content type."""
        return render(snapshots, gauges, accept, self._build)

    async def close(self) -> None:
        """Sends and writes what is left."""
        self._records.flush()
        loop = asyncio.get_running_loop()
        for part in (self._tracer, self._log):
            if part is not None:
                await loop.run_in_executor(None, part.close)

    def _flush_soon(self) -> None:
        """So that a line does not wait for many others."""
        with suppress(RuntimeError):  # without a loop, `close` does it
            asyncio.get_running_loop().call_later(FLUSH_S, self._records.flush)


def create(settings: Settings, stream: IO[bytes] | None = None) -> ServerTelemetry:
    """What the settings ask for. `stream` takes the log; None: standard error.

    Raises BackendError (E009) where traces are asked for and OpenTelemetry is not installed.
    """
    metrics = Metrics() if settings.metrics else None
    log = None
    if settings.log_format == "json":
        log = JsonLog(
            stream or sys.stderr.buffer,
            lambda count: metrics.add("inferir_log_records_dropped", amount=count) if metrics else None,
        )
    tracer = _tracer(settings.otlp_endpoint) if settings.otlp_endpoint else None
    python = ".".join(map(str, sys.version_info[:3]))
    build = {"python": python, "backend": settings.backend}
    return ServerTelemetry(metrics, tracer, log, log_requests=settings.log_requests, build=build)


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
