"""Changes that all workers make together, or none of them. The supervisor's side; answers no request itself.

    prepare   every worker reads the same copy of the file, checks and warms it up; one that cannot says why
    commit    only when all have: each then needs one assignment
    discard   when one has not: nothing has changed anywhere

A worker that dies on the way is left out: its successor is given what was decided. So there is one list of what is
loaded, here, and it changes when the change is decided.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from inferir.server.errors import NotReadyError
from inferir.server.models import snapshots
from inferir.server.models.registry import REFUSALS, ModelVersion, Registry
from inferir.server.models.snapshots import Snapshot
from inferir.server.workers.link import LostError

__all__ = ["Fleet", "Member", "Named", "raise_first"]

_log = logging.getLogger("inferir.server")


class Member(Protocol):
    """A worker, as far as changes go."""

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Raises InferirError, RequestError, LostError."""


@dataclass(frozen=True)
class Named:
    """What a file was loaded as."""

    name: str
    version: str

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass
class _Loaded:
    """What all workers have of a file."""

    snapshot: Snapshot
    version: ModelVersion


class Fleet:
    """What is loaded, and who has it.

    Which model answers for no name, for a name and for an alias depends on what came first and what went. So there is a
    registry here as well, without models: a worker that comes later is given its order.
    """

    def __init__(self, memory_limit_bytes: int, default_model: str = "") -> None:
        self._limit_bytes = memory_limit_bytes
        self._members: list[Member] = []
        self._loaded: dict[str, _Loaded] = {}
        self._registry = Registry(default_model)
        self._tokens = itertools.count()
        self._lock = asyncio.Lock()

    async def join(self, member: Member) -> None:
        """Give a new worker everything that is loaded, and what the others know beside it. From then on it is part of
        every change.
        """
        async with self._lock:
            table = self._registry.table
            for name, versions in table.models.items():  # the first of a name answers for it
                for version in sorted(versions.values(), key=lambda each: each.version != table.defaults[name]):
                    token = next(self._tokens)
                    await member.call("prepare", token=token, **_where(self._loaded[version.source].snapshot))
                    await member.call("commit", token=token)
            await member.call("restore", **self._registry.notes())
            self._members.append(member)

    def leave(self, member: Member) -> None:
        """A worker is gone."""
        if member in self._members:
            self._members.remove(member)

    # -- changes

    async def load(self, source: str) -> Named:
        """A file into all workers. Raises InferirError, ConflictError, NotReadyError; then nothing has changed."""
        async with self._lock:
            loop = asyncio.get_running_loop()
            snapshot = None
            try:
                snapshot = await loop.run_in_executor(None, snapshots.take, source, self._limit_bytes)
                return await self._swap(snapshot)
            except REFUSALS as error:
                failed = {"source": snapshots.readable(source), "code": error.code, "message": error.message}
                self._registry.fail(**failed)
                await self._all("failed", **failed)
                raise
            finally:
                if snapshot is not None and not any(each.snapshot is snapshot for each in self._loaded.values()):
                    snapshot.close()

    async def _swap(self, snapshot: Snapshot) -> Named:
        token = next(self._tokens)
        told = await self._all("prepare", token=token, **_where(snapshot))
        if not told:  # nobody can say whether it is a model: workers that start must not be given it
            raise NotReadyError(f"{snapshot.source}: expected a worker that reads it, got none: all are starting")
        problem = next((each for each in told if isinstance(each, BaseException)), None)
        if problem is None and len({(each["name"], each["version"], each["digest"]) for each in told}) > 1:
            problem = RuntimeError(f"{snapshot.source}: workers read different models: {told}")
        if problem is not None:
            await self._all("discard", token=token)
            raise problem
        raise_first(await self._all("commit", token=token))
        loaded = Named(told[0]["name"], told[0]["version"])
        self._put(snapshot, loaded)
        await self._evict(snapshot.source)
        return loaded

    def _put(self, snapshot: Snapshot, loaded: Named) -> None:
        """Note what is loaded; copies that nobody will ask for any more are closed."""
        nothing: Any = None
        new = ModelVersion(loaded.name, loaded.version, nothing, nothing, source=snapshot.source)
        old = self._loaded.get(snapshot.source)
        self._drop(self._registry.add(new, replaces=old.version if old else None))
        self._loaded[snapshot.source] = _Loaded(snapshot, new)

    def _drop(self, gone: list[ModelVersion]) -> None:
        for version in gone:
            self._loaded.pop(version.source).snapshot.close()

    async def reload(self, name: str) -> Named:
        return await self.load(self._registry.source_of(name))

    async def unload(self, name: str, version: str = "") -> None:
        async with self._lock:
            await self._unload(name, version, "unloaded")

    async def _unload(self, name: str, version: str, reason: str) -> None:
        raise_first(await self._all("unload", name=name, version=version, reason=reason))
        self._drop(self._registry.remove(name, version, reason))

    async def forget(self, source: str) -> None:
        """The file is gone from its folder."""
        async with self._lock:
            loaded = self._loaded.get(source)
            if loaded is not None:
                await self._unload(loaded.version.name, loaded.version.version, "unloaded")
            self._registry.failures.pop(snapshots.readable(source), None)
            raise_first(await self._all("forgotten", source=snapshots.readable(source)))

    async def alias(self, alias: str, reference: str) -> None:
        async with self._lock:
            raise_first(await self._all("alias", alias=alias, reference=reference))
            self._registry.alias(alias, reference)

    def check(self, reference: str) -> None:
        """Whether a name, `name@version` or alias is loaded. Raises UnknownModelError."""
        self._registry.resolve(reference)

    def sources(self) -> dict[str, str]:
        return dict(self._registry.known)

    async def _evict(self, keep: str) -> None:
        """Unload what was used longest ago by any worker, until the rest fits the limit."""
        while self._limit_bytes and sum(each.snapshot.n_bytes for each in self._loaded.values()) > self._limit_bytes:
            orders = [order for order in await self._all("least_used") if isinstance(order, list)]
            ranks: dict[tuple[str, str], int] = {}
            for order in orders:
                for rank, (name, version) in enumerate(order):
                    ranks[name, version] = max(rank, ranks.get((name, version), 0))
            kept = self._loaded[keep].version
            idle = [key for key in ranks if key != (kept.name, kept.version) and all(list(key) in o for o in orders)]
            if not idle:
                _log.warning("models take more than the limit of %d bytes: all are in use", self._limit_bytes)
                return
            name, version = min(idle, key=lambda key: ranks[key])
            await self._unload(name, version, "evicted")

    # -- all of them

    async def _all(self, name: str, /, **arguments: Any) -> list[Any]:
        """What each worker gave, or its error; those that are gone are left out."""
        calls: Iterable[Awaitable[Any]] = [member.call(name, **arguments) for member in self._members]
        results = await asyncio.gather(*calls, return_exceptions=True)
        return [result for result in results if not isinstance(result, LostError)]


def _where(snapshot: Snapshot) -> dict[str, Any]:
    return {"path": snapshot.path, "source": snapshot.source, "n_bytes": snapshot.n_bytes}


def raise_first(results: Iterable[Any]) -> None:
    """The first error among what a gather gave."""
    for result in results:
        if isinstance(result, BaseException):
            raise result
