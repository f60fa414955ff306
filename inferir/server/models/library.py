"""The models of one process: files become versions, and versions change places in the registry.

A change has two steps, so that several workers can make it together:

    prepare    read, check, compile, warm up: slow, off the event loop, may fail; nothing has changed
    commit     one assignment in the registry: quick, cannot fail; or discard, and nothing has changed

What a commit took the place of is drained: requests that resolved it before hold it until they have their answers,
and its memory goes after the last of them. To give back a large model takes milliseconds: that is done by the thread
that loads, and without the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from inferir.errors import MemoryLimitError
from inferir.server.models import snapshots
from inferir.server.models.background import in_background, unmap
from inferir.server.models.loading import load_version
from inferir.server.models.registry import REFUSALS, ModelVersion, Registry
from inferir.server.models.snapshots import Snapshot
from inferir.server.observer import Observer
from inferir.server.settings import Settings

__all__ = ["Library"]

_log = logging.getLogger("inferir.server")

#: After a version was taken out, requests that resolved it and do not count as using it have long been answered.
_LINGER_S = 0.1


class Library:
    """Loads, replaces, unloads.

    make_batcher  gives a version its batcher, or None where it is faster without.
    watch         is told of a version that is about to answer.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        observer: Observer,
        make_batcher: Callable[[ModelVersion], Any] = lambda version: None,
        watch: Callable[[ModelVersion], None] = lambda version: None,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self._observer = observer
        self._make_batcher = make_batcher
        self._watch = watch
        # One at a time: two loads at once would each see the memory that the other is about to take.
        self._executor: Executor = ThreadPoolExecutor(1, thread_name_prefix="inferir-load")
        self._by_source: dict[str, ModelVersion] = {}
        self._lock = asyncio.Lock()

    # -- two steps

    async def prepare(self, snapshot: Snapshot) -> ModelVersion:
        """A version that is ready to answer, and not there yet. Raises FormatError, ConflictError, ..."""
        limit = self.settings.memory_limit_bytes
        if limit and snapshot.n_bytes > limit:
            raise MemoryLimitError(f"{snapshot.source}: expected at most {limit} bytes, got {snapshot.n_bytes}")
        loop = asyncio.get_running_loop()
        version = await loop.run_in_executor(self._executor, load_version, snapshot, self.settings)
        self.registry.check_name(version.name)  # now, while it can still be refused: `commit` cannot fail
        return version

    def commit(self, version: ModelVersion) -> None:
        """Let a prepared version answer."""
        version.batcher = self._make_batcher(version)
        self._watch(version)
        gone = self.registry.add(version, replaces=self._by_source.get(version.source))
        for old in gone:
            self._forget(old)
        self._by_source[version.source] = version
        for old in gone:  # told first: it may have the same name and version, and what is told last holds
            self._retire(old, "replaced")
        self._observer.model_loaded(version.name, version.version, dict(version.stages), version.n_bytes)

    def fail(self, source: str, code: str, message: str) -> None:
        """Note that a file did not load."""
        source = snapshots.readable(source)
        failure = self.registry.fail(source, code, message)
        self._observer.model_failed(failure.name or "unknown", code)
        still = f"; {failure.name}@{failure.version} answers as before" if failure.version else ""
        _log.error("%s: not loaded: [%s] %s%s", source, code, message, still)

    # -- Admin

    async def load(self, source: str) -> ModelVersion:
        """Both steps, for a server of one process."""
        async with self._lock:
            loop = asyncio.get_running_loop()
            try:
                limit = self.settings.memory_limit_bytes
                snapshot = await loop.run_in_executor(self._executor, snapshots.take, source, limit)
                try:
                    version = await self.prepare(snapshot)
                finally:
                    snapshot.close()
            except REFUSALS as error:
                self.fail(source, error.code, error.message)
                raise
            self.commit(version)
            self._evict(version)
            return version

    async def reload(self, name: str) -> ModelVersion:
        """Load a model's file again. Raises UnknownModelError for a name that was never loaded."""
        return await self.load(self.registry.source_of(name))

    async def unload(self, name: str, version: str = "") -> None:
        self.remove(name, version, "unloaded")

    def remove(self, name: str, version: str, reason: str) -> None:
        """Take versions out. Raises UnknownModelError, ConflictError."""
        for old in self.registry.remove(name, version, reason):
            self._forget(old)
            self._retire(old, reason)

    async def forget(self, source: str) -> None:
        """The file is gone from its folder: so is its version."""
        old = self._by_source.get(source)
        if old is not None:
            await self.unload(old.name, old.version)
        self.registry.failures.pop(snapshots.readable(source), None)

    async def alias(self, alias: str, reference: str) -> None:
        self.registry.alias(alias, reference)

    def sources(self) -> dict[str, str]:
        return dict(self.registry.known)

    # -- what goes

    def _evict(self, keep: ModelVersion) -> None:
        """Unload what was used longest ago, until the rest fits the limit."""
        limit = self.settings.memory_limit_bytes
        while limit and self.registry.n_bytes > limit:
            old = next((version for version in self.registry.by_use() if version is not keep), None)
            if old is None:
                _log.warning("models take %d bytes, over the limit of %d: all are in use", self.registry.n_bytes, limit)
                return
            self.remove(old.name, old.version, "evicted")

    def _forget(self, old: ModelVersion) -> None:
        if self._by_source.get(old.source) is old:
            del self._by_source[old.source]

    def _retire(self, old: ModelVersion, reason: str) -> None:
        """Tell that it is gone, and let it go. The caller's own reference has to end with the caller."""
        _log.info("%s: %s", old.reference, reason)
        self._observer.model_unloaded(old.name, old.version, reason)
        held = [old]
        asyncio.get_running_loop().call_later(_LINGER_S, self._let_go, held)

    def _let_go(self, held: list[ModelVersion]) -> None:
        if held[0].in_use:
            asyncio.get_running_loop().call_later(_LINGER_S, self._let_go, held)
        else:
            with contextlib.suppress(RuntimeError):  # the server stops
                self._executor.submit(_free, held)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def _free(held: list[ModelVersion]) -> None:
    """Let the last reference go. A mapping that is closed is given back without the interpreter's lock,
    one that is only forgotten is not.
    """
    mapping = held[0].mapping
    held.clear()
    if mapping is not None:
        with contextlib.suppress(BufferError):  # somebody still looks at it, and it goes with them
            in_background(lambda: unmap(mapping))
