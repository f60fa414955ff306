"""The server of one process, put together: which part gets which, and in what order they start and stop.

Start: telemetry, models, batchers; the port is opened when every model is loaded, or at once if that is asked for.
Stop:  /ready fails; the port is closed; what is in work ends, and connections are closed as they fall idle; models go.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from aiohttp import web

from inferir.server import page, protocols, telemetry
from inferir.server.handlers.admin import AdminHandlers
from inferir.server.handlers.feedback import FeedbackHandler
from inferir.server.handlers.observe import ObserveHandlers
from inferir.server.handlers.predict import PredictHandler
from inferir.server.inference.batcher import Batcher
from inferir.server.inference.batching import pays
from inferir.server.inference.cache import AnswerCache
from inferir.server.inference.dataplane import DataPlane
from inferir.server.memory import memory_mib
from inferir.server.models.library import Library
from inferir.server.models.registry import ModelVersion, Registry
from inferir.server.monitoring.monitor import LOOK_EVERY_S, Monitor
from inferir.server.monitoring.remembering import RememberingPlane
from inferir.server.monitoring.truths import Remembered
from inferir.server.observer import Telemetry
from inferir.server.parts import Admin, Parts
from inferir.server.protocols.oip import grpc
from inferir.server.request.adaptive import GradientLimit
from inferir.server.request.admission import Admission, FixedLimit, Limit
from inferir.server.request.auth import Keys
from inferir.server.request.gate import Gate
from inferir.server.request.http_server import HttpServer
from inferir.server.request.listener import Listener
from inferir.server.request.rates import RateLimit
from inferir.server.request.routes import Route, Router
from inferir.server.settings import Settings, default_concurrency, default_receiving_bytes
from inferir.server.slices import ask_for_short_slices
from inferir.threads import cores

if TYPE_CHECKING:
    from inferir.server.protocols.oip.grpc.server import GrpcServer

__all__ = ["App", "api_routes"]

_log = logging.getLogger("inferir.server")

#: How long a thread may hold the interpreter while another waits for it: a load in a thread would otherwise delay
#: requests by 5 ms a time.
_SWITCH_INTERVAL_S = 0.0005

#: Objects made and not yet freed, after which the collector looks for cycles; Python's own 700 come with each request.
_GC_THRESHOLD = 20_000

#: After the port is closed, connections that are busy are looked at this often, until they were idle so many times.
_DRAIN_STEP_S, _IDLE_STEPS = 0.02, 5

#: At the end of the time to stop, for what is still in work to be cancelled. 0 would be for ever.
_CLOSING_S = 0.05


class App:
    """Everything that one process needs to answer.

    admin      changes of what is loaded; None: this process makes them by itself.
    snapshots  values of all processes for /metrics; None: of this one.
    gauges     what /metrics adds to them, of all processes as `snapshots` found them; None: of this one.
    recall     what any process predicted for a request id, and forgets; None: this one.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Keys,
        *,
        make_admin: Callable[[Library], Admin] | None = None,
        snapshots: Callable[[], Awaitable[list[dict[str, Any]]]] | None = None,
        gauges: Callable[[], dict[str, float]] | None = None,
        recall: Callable[[str], Awaitable[Remembered | None]] | None = None,
    ) -> None:
        self.settings = settings
        self.telemetry: Telemetry = telemetry.create(settings)
        self.registry = Registry(settings.default_model)
        self.executor = ThreadPoolExecutor(cores(), thread_name_prefix="inferir-predict")
        self.monitor = Monitor(settings, self.registry)
        self.plane = self._data_plane()
        self.library = Library(settings, self.registry, self.telemetry, self._batcher, self.monitor.watch)
        self.admission = Admission(_limit(settings), settings.max_queue)
        rate_limit = RateLimit(settings.rate_limit, settings.rate_burst) if settings.rate_limit else None
        self.parts = Parts(
            settings=settings,
            registry=self.registry,
            plane=self.plane,
            admin=make_admin(self.library) if make_admin else self.library,
            admission=self.admission,
            rate_limit=rate_limit,
            telemetry=self.telemetry,
            ready=lambda: self.loaded and bool(self.registry.known) and not self.admission.draining,
            snapshots=snapshots or self._own_snapshot,
            gauges=gauges or self.gauges,
            monitor=self.monitor,
            recall=recall or self._own_memory,
        )
        self.plane.known = self.parts.admin.sources
        self.router = Router(api_routes(self.parts))
        self.gate = Gate(
            self.router,
            keys,
            self.admission,
            self.telemetry,
            timeout_s=settings.timeout_s,
            rate_limit=rate_limit,
        )
        self._keys = keys
        self._grpc: GrpcServer | None = None
        self._runner: web.ServerRunner | None = None
        self._listeners: dict[int, list[Listener]] = {}
        self._looking: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> bool:
        """Whether everything that was to be loaded at the start is."""
        return self.plane.loaded

    @loaded.setter
    def loaded(self, loaded: bool) -> None:
        self.plane.loaded = loaded

    def gauges(self) -> dict[str, float]:
        """What only the server knows; the telemetry gives the names."""
        return {
            "in_flight": self.admission.in_work,
            "queue_depth": self.admission.queue_depth,
            "concurrency_limit": self.admission.limit.limit,
            "workers": 1,
        }

    def snapshot(self) -> dict[str, Any]:
        """Every value of this process for /metrics, JSON-able."""
        found = self.telemetry.snapshot()
        if self.settings.metrics:
            found["metrics"] |= self.monitor.lines()
        return found

    async def _own_snapshot(self) -> list[dict[str, Any]]:
        return [self.snapshot()]

    async def _own_memory(self, request_id: str) -> Remembered | None:
        return self.monitor.memory.take(request_id)

    def _data_plane(self) -> DataPlane:
        rows, memory = self.settings.max_batch_rows, self.monitor.memory
        if self.settings.remember and self.settings.metrics:
            return RememberingPlane(self.registry, self.executor, memory, max_batch_rows=rows)
        return DataPlane(self.registry, self.executor, max_batch_rows=rows)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                self.monitor.look()
            except Exception as error:  # a bug in what watches must not end what is watched, nor its watching
                _log.error("drift", exc_info=error)

    def _batcher(self, version: ModelVersion) -> Batcher | None:
        settings = self.settings
        if settings.batching == "off" or (settings.batching == "auto" and not pays(version.cost)):
            return None
        return Batcher(
            version,
            self.executor,
            self.telemetry,
            max_rows=settings.batch_rows,
            budget_s=settings.batch_budget_ms / 1e3,
        )

    # -- life

    async def listen(
        self, sockets: list[socket.socket], context: ssl.SSLContext | None = None, *, key: int = 0
    ) -> None:
        """Answer what comes to `sockets`, until `release` is called with `key`."""
        ask_for_short_slices()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        gc.freeze()  # what is there now stays: the collector need not look at it for every few hundred requests
        gc.set_threshold(_GC_THRESHOLD)
        if self._runner is None:
            server = HttpServer(
                self.gate,
                max_body_bytes=self.settings.max_body_bytes,
                body_timeout_s=self.settings.body_timeout_s,
                keepalive_s=self.settings.keepalive_s,
                max_connections=self.settings.max_connections,
                max_receiving_bytes=_receiving_bytes(self.settings),
            )
            self._runner = web.ServerRunner(server, shutdown_timeout=_CLOSING_S)
            await self._runner.setup()
            self._looking = asyncio.ensure_future(self._look())
            self._grpc = await grpc.start(self.parts, self._keys)
        assert self._runner.server is not None
        for each in sockets:
            listener = Listener(each, self._runner.server, context)
            listener.start()
            self._listeners.setdefault(key, []).append(listener)

    async def release(self, key: int, end_s: float = math.inf) -> None:
        """Take no more connections at the sockets of `key`. Those that were taken stay. Until `end_s` at most."""
        for listener in self._listeners.pop(key, []):
            await listener.stop(max(end_s - asyncio.get_running_loop().time(), 0.0))

    async def stop(self) -> None:
        """Stop as the head of this file says. Whoever is connected gets the answer to what was sent, if that takes no
        longer than `shutdown_s`: all that is waited for here ends by then.
        """
        self.admission.draining = True
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self.settings.shutdown_s
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        if self._runner is not None:
            for key in list(self._listeners):
                await self.release(key, end_s)
            waited_for = [self._drain(end_s)]
            if self._grpc is not None:
                waited_for.append(self._grpc.stop(max(end_s - loop.time(), 0.0)))
            await asyncio.gather(*waited_for)
            await self._close_connections(end_s)
        self.library.close()
        self.executor.shutdown(wait=False, cancel_futures=True)
        await self.telemetry.close()

    async def _close_connections(self, end_s: float) -> None:
        """aiohttp waits twice: for the answer in work, and for the task. Tasks of idle connections are ended first."""
        assert self._runner is not None
        server = self._runner.server
        assert server is not None
        server.pre_shutdown()
        await server.shutdown(max((end_s - asyncio.get_running_loop().time()) / 2, _CLOSING_S))
        await self._runner.cleanup()

    async def _drain(self, end_s: float) -> None:
        """Wait until no request is in work, and for one step more: it may have come in just before the port closed."""
        assert self._runner is not None
        server = self._runner.server
        assert isinstance(server, HttpServer)
        loop = asyncio.get_running_loop()
        idle_steps = 0
        while loop.time() < end_s and idle_steps < _IDLE_STEPS:
            await asyncio.sleep(_DRAIN_STEP_S)
            idle_steps = 0 if server.busy() else idle_steps + 1


def api_routes(parts: Parts) -> list[Route]:
    """The whole HTTP API: our own routes on this screen, those of protocols and pages where they are made."""
    settings = parts.settings
    cache = AnswerCache(settings.cache_answers) if settings.cache_answers else None
    predict = PredictHandler(parts.plane, settings.max_batch_rows, cache)
    observe, admin = ObserveHandlers(parts), AdminHandlers(parts)
    api = [
        Route("GET", "/health", observe.health, None),
        Route("GET", "/ready", observe.ready, None),
        Route("POST", "/predict", predict, "infer", admitted=True),
        Route("POST", "/predict/batch", predict, "infer", admitted=True),
        Route("GET", "/models", observe.models, "read"),
        Route("PUT", "/models/aliases/{alias}", admin.put_alias, "admin"),
        Route("DELETE", "/models/aliases/{alias}", admin.delete_alias, "admin"),
        Route("GET", "/metrics", observe.metrics, "read"),
        *protocols.routes(parts),
    ]
    if settings.metrics:
        feedback = FeedbackHandler(parts.plane, parts.monitor, parts.recall, remembers=settings.remember > 0)
        api.append(Route("POST", "/feedback", feedback, "infer", admitted=True))
    return [*api, *page.routes(parts, api)]


def _limit(settings: Settings) -> Limit:
    highest = settings.max_concurrency or default_concurrency(memory_mib())
    return GradientLimit(highest) if settings.adaptive else FixedLimit(highest)


def _receiving_bytes(settings: Settings) -> int:
    return settings.max_receiving_bytes or default_receiving_bytes(memory_mib(), settings.workers)
