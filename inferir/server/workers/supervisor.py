"""The supervisor: starts workers, replaces the dead, keeps their sockets. It answers no request and runs no model."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import multiprocessing
import signal
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

from inferir.kernels import select
from inferir.server.models.watcher import Watcher
from inferir.server.request.auth import Keys
from inferir.server.settings import Settings
from inferir.server.starting import open_socket, point_aliases, url_of
from inferir.server.telemetry.exposition import remains
from inferir.server.workers.fleet import Fleet, raise_first
from inferir.server.workers.link import Link, LostError
from inferir.server.workers.restarts import Restarts
from inferir.server.workers.worker import main as worker_main

__all__ = ["Supervisor"]

_log = logging.getLogger("inferir.server")

#: Every worker is asked what it has counted so often, and has this long to say so. What it counted after the last time
#: is lost when it dies.
_LOOK_EVERY_S, _LOOK_WITHIN_S = 2.0, 10.0

#: One that is only starting has longer: on a busy machine its imports take more than that, and so would the next one's.
_START_WITHIN_S = 120.0

#: After its time to stop, a worker has this long until it is killed.
_KILL_AFTER_S = 5.0


class Supervisor:
    """Workers in slots: each slot has a socket that stays, and a process that may be replaced."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        # Named once, for all workers that there will be: one that starts later must not find another to be the best.
        self._settings = settings = dataclasses.replace(settings, backend=select(settings.backend).name)
        self._keys = keys
        self._fleet = Fleet(settings.memory_limit_bytes, settings.default_model)
        self._slots = [_Slot(number) for number in range(settings.workers)]
        self._sockets: list[socket.socket] = []
        self._gone: dict[str, Any] = remains([])
        self._watcher = Watcher(settings.models, self._fleet.load, self._fleet.forget)
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, started: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT. Raises InferirError where a model that was named does not load."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._keep(self._watcher.refresh(at_once=True)))
        self._open_sockets()
        try:
            starts = await asyncio.gather(*map(self._start, self._slots), return_exceptions=True)
            raise_first(starts)  # not before the others are there: `_stop` ends those that are
            await self._watcher.first()
            await point_aliases(self._settings, self._fleet.alias)
            if self._settings.default_model:
                self._fleet.check(self._settings.default_model)
            for slot in self._slots:
                await self._open(slot)
            started(url_of(self._settings, self._sockets[0]))
            for slot in self._slots:
                self._keep(self._replace(slot))
                self._keep(self._look_after(slot))
            if self._settings.watch_s:
                self._keep(self._watcher.run(self._settings.watch_s))
            await self._stopping.wait()
            _log.info("stopping")
        finally:
            await self._stop()

    def _open_sockets(self) -> None:
        first = open_socket(self._settings, share=True)
        self._sockets.append(first)
        settings = dataclasses.replace(self._settings, port=first.getsockname()[1])
        self._sockets += [open_socket(settings, share=True) for _ in self._slots[1:]]

    def _keep(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- workers

    async def _start(self, slot: _Slot) -> None:
        """A process in a slot, with everything loaded, not listening yet. Raises LostError if it dies before."""
        slot.started_s = monotonic()
        ours, theirs = socket.socketpair()
        threads = self._settings.threads or max(1, (multiprocessing.cpu_count() // len(self._slots)))
        settings = dataclasses.replace(self._settings, threads=threads)
        process = multiprocessing.get_context("spawn").Process(
            target=worker_main,
            args=(settings, self._keys, slot.number, self._sockets, theirs),
            name=f"inferir-worker-{slot.number}",
        )
        link = Link(
            {
                "load": self._fleet.load,
                "reload": self._fleet.reload,
                "unload": self._fleet.unload,
                "alias": self._fleet.alias,
                "snapshots": self._snapshots,
                "recall": self._recall,
            }
        )
        await link.connect(ours)
        running = asyncio.ensure_future(link.run())

        def begin() -> None:
            with theirs:
                process.start()

        try:
            await asyncio.get_running_loop().run_in_executor(None, begin)
        except BaseException:
            running.cancel()  # and with it our end: a process that starts all the same ends at once
            raise
        slot.process, slot.link, slot.running = process, link, running
        await self._fleet.join(link)

    async def _open(self, slot: _Slot) -> None:
        """Let a worker that has everything answer at its socket. Raises LostError."""
        await slot.link.call("listen", slot=slot.number)
        slot.answers = True

    async def _replace(self, slot: _Slot) -> None:
        """As long as the server runs: when the process of a slot is gone, another takes its place."""
        while True:
            await slot.running
            slot.answers = False
            self._fleet.leave(slot.link)
            if slot.told is not None:
                self._gone, slot.told = remains([self._gone, slot.told["telemetry"]]), None
            await asyncio.get_running_loop().run_in_executor(None, slot.process.join)
            if self._stopping.is_set():
                return
            _log.error("worker %d is gone (exit code %s); starting another", slot.number, slot.process.exitcode)
            deputy = await self._deputise(slot)
            while True:
                await asyncio.sleep(slot.restarts.delay_s(monotonic() - slot.started_s))
                try:
                    await self._start(slot)
                    await self._open(slot)
                    break
                except Exception as error:  # whatever kept it from starting, the slot must not stay empty
                    _log.error("worker %d did not start: %s: %s", slot.number, type(error).__name__, error)
                    await self._abandon(slot)
            if deputy is not None:
                with contextlib.suppress(LostError):
                    await deputy.call("release", slot=slot.number)

    async def _abandon(self, slot: _Slot) -> None:
        """End a process that did not come to answer."""
        self._fleet.leave(slot.link)
        slot.process.kill()
        await asyncio.get_running_loop().run_in_executor(None, slot.process.join)
        slot.running.cancel()

    async def _look_after(self, slot: _Slot) -> None:
        """A worker that lives and does not answer is worse than a dead one: it is made one, and so replaced."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            within_s = _LOOK_WITHIN_S if slot.answers else _START_WITHIN_S
            try:
                slot.told = await asyncio.wait_for(slot.link.call("snapshot"), within_s)
            except LostError:
                continue
            except asyncio.TimeoutError:
                _log.error("worker %d does not answer; it is killed", slot.number)
                slot.process.kill()

    async def _deputise(self, slot: _Slot) -> Link | None:
        """Another worker that answers at the slot's socket as long as nobody else does. One that is only starting has
        no models yet, and would say that there are none.
        """
        for other in self._slots:
            if other is not slot and other.answers:
                with contextlib.suppress(LostError):
                    await other.link.call("listen", slot=slot.number)
                    return other.link
        return None

    async def _snapshots(self) -> list[Any]:
        """Of every worker, and what was counted by those that are gone."""

        async def ask(slot: _Slot) -> None:
            with contextlib.suppress(LostError):
                slot.told = await slot.link.call("snapshot")

        await asyncio.gather(*map(ask, self._slots))
        return [*(slot.told for slot in self._slots if slot.told), {"telemetry": self._gone, "gauges": {}}]

    async def _recall(self, request_id: str) -> Any:
        """What the worker says that remembers a request; None where none does."""
        for slot in self._slots:
            if slot.answers:
                with contextlib.suppress(LostError):
                    if found := await slot.link.call("recall", request_id=request_id):
                        return found
        return None

    # -- the end

    async def _stop(self) -> None:
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        slots = [slot for slot in self._slots if slot.process is not None]
        for slot in slots:
            with contextlib.suppress(LostError):
                await slot.link.call("stop")
        for each in self._sockets:
            each.close()
        await asyncio.gather(*[self._end(slot) for slot in slots])

    async def _end(self, slot: _Slot) -> None:
        join = slot.process.join
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, join, self._settings.shutdown_s + _KILL_AFTER_S)
        if slot.process.exitcode is None:
            _log.error("worker %d did not stop; it is killed", slot.number)
            slot.process.kill()
            await loop.run_in_executor(None, join)
        slot.running.cancel()


class _Slot:
    """A place for a worker. `process`, `link` and `running` are those of the latest one that was started: all three, or
    none while `process` is None. `told` is its last snapshot; `answers` whether it has come so far.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.restarts = Restarts()
        self.started_s = 0.0
        self.told: dict[str, Any] | None = None
        self.answers = False
        self.process: Any = None
        self.link: Link
        self.running: asyncio.Future[None]
