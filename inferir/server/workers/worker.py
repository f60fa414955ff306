"""A worker: the server of one process, whose changes are decided by the supervisor.

It ends when it is told to, when it gets SIGTERM, or when the supervisor is gone; each time as a single server does:
what is in work is answered first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from typing import Any

from inferir.server.app import App
from inferir.server.models.library import Library
from inferir.server.models.registry import ModelVersion
from inferir.server.models.snapshots import Snapshot
from inferir.server.monitoring.truths import Remembered
from inferir.server.request.auth import Keys
from inferir.server.settings import Settings
from inferir.server.starting import configure_logging, run_loop, tls_context
from inferir.server.workers.link import Link, LostError

__all__ = ["main"]

_log = logging.getLogger("inferir.server")


def main(settings: Settings, keys: Keys, slot: int, sockets: list[socket.socket], control: socket.socket) -> None:
    """Run until told to stop. `sockets` are those of all workers; `slot` is whose is ours."""
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all its processes; the supervisor tells us
        signal.signal(number, signal.SIG_IGN)
    configure_logging(settings)
    run_loop(_Worker(settings, keys, slot, sockets).run(control))


class _Worker:
    def __init__(self, settings: Settings, keys: Keys, slot: int, sockets: list[socket.socket]) -> None:
        self._settings = settings
        self._slot = slot
        self._sockets = sockets
        for each in sockets:
            # One that comes from another process takes itself to be blocking. It is not, but its copy would be made so,
            # and with it what every process has of it: another worker that listens there would be stuck in accept.
            each.setblocking(False)
        self._link = Link(
            {
                "prepare": self._prepare,
                "commit": self._commit,
                "discard": self._discard,
                "failed": self._failed,
                "unload": self._unload,
                "forgotten": self._forgotten,
                "alias": self._alias,
                "restore": self._restore,
                "least_used": self._least_used,
                "snapshot": self._snapshot,
                "recall": self._recall,
                "listen": self._listen,
                "release": self._release,
                "stop": self._stop,
            }
        )
        self._stopping = asyncio.Event()
        self._prepared: dict[int, ModelVersion] = {}
        self._gauges: dict[str, float] = {}
        self._app = App(
            settings,
            keys,
            make_admin=self._make_admin,
            snapshots=self._snapshots,
            gauges=self._totals,
            recall=self._recall_anywhere,
        )

    def _make_admin(self, library: Library) -> _Admin:
        return _Admin(self._link, library)

    async def run(self, control: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        await self._link.connect(control)
        link = asyncio.ensure_future(self._link.run())
        link.add_done_callback(lambda _: self._stopping.set())
        try:
            await self._stopping.wait()
        finally:
            await self._app.stop()
            link.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await link

    # -- what the supervisor calls

    async def _prepare(self, token: int, path: str, source: str, n_bytes: int) -> dict[str, Any]:
        snapshot = Snapshot(source, -1, n_bytes, path)
        version = self._prepared[token] = await self._app.library.prepare(snapshot)
        return {"name": version.name, "version": version.version, "digest": version.digest}

    def _commit(self, token: int) -> None:
        self._app.library.commit(self._prepared.pop(token))

    def _discard(self, token: int) -> None:
        self._prepared.pop(token, None)

    def _failed(self, source: str, code: str, message: str) -> None:
        self._app.library.fail(source, code, message)

    def _unload(self, name: str, version: str, reason: str) -> None:
        self._app.library.remove(name, version, reason)

    def _forgotten(self, source: str) -> None:
        self._app.registry.failures.pop(source, None)

    async def _alias(self, alias: str, reference: str) -> None:
        await self._app.library.alias(alias, reference)

    def _restore(self, **notes: Any) -> None:
        self._app.registry.restore(**notes)

    def _least_used(self) -> list[tuple[str, str]]:
        return [(version.name, version.version) for version in self._app.registry.by_use()]

    def _snapshot(self) -> dict[str, Any]:
        return {"telemetry": self._app.snapshot(), "gauges": self._app.gauges()}

    def _recall(self, request_id: str) -> Remembered | None:
        return self._app.monitor.memory.take(request_id)

    async def _listen(self, slot: int) -> None:
        """Answer at a socket: our own once everything is loaded, another's while it has no worker."""
        self._app.loaded = True
        await self._app.listen([self._sockets[slot].dup()], tls_context(self._settings), key=slot)

    async def _release(self, slot: int) -> None:
        await self._app.release(slot)

    def _stop(self) -> None:
        self._app.admission.draining = True
        self._stopping.set()

    # -- what it asks of the supervisor

    async def _snapshots(self) -> list[dict[str, Any]]:
        """Of all workers; of this one where the supervisor is gone."""
        try:
            found = await self._link.call("snapshots")
        except LostError:
            found = [self._snapshot()]
        totals: dict[str, float] = {}
        for each in found:
            for name, value in each["gauges"].items():
                totals[name] = totals.get(name, 0.0) + value
        self._gauges = totals
        return [each["telemetry"] for each in found]

    async def _recall_anywhere(self, request_id: str) -> Remembered | None:
        """Of this worker, or of the one that answered the request."""
        found = self._recall(request_id)
        if found is None:
            with contextlib.suppress(LostError):
                told = await self._link.call("recall", request_id=request_id)
                found = None if told is None else Remembered(*told)
        return found

    def _totals(self) -> dict[str, float]:
        """Gauges of all workers, as `_snapshots` found them last."""
        return self._gauges or self._app.gauges()


class _Admin:
    """Changes are asked of the supervisor, which has all workers make them."""

    def __init__(self, link: Link, library: Library) -> None:
        self._link, self._library = link, library

    async def load(self, source: str) -> ModelVersion:
        told = await self._link.call("load", source=source)
        return self._library.registry.find(told["name"], told["version"])

    async def reload(self, name: str) -> ModelVersion:
        told = await self._link.call("reload", name=name)
        return self._library.registry.find(told["name"], told["version"])

    async def unload(self, name: str, version: str = "") -> None:
        await self._link.call("unload", name=name, version=version)

    async def alias(self, alias: str, reference: str) -> None:
        await self._link.call("alias", alias=alias, reference=reference)

    def sources(self) -> dict[str, str]:
        return self._library.sources()
