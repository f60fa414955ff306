"""Looks at the files and folders of models, and loads what changed. What counts as a change: watching.py."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from inferir.errors import InferirError
from inferir.server.errors import RequestError
from inferir.server.models.registry import REFUSALS
from inferir.server.models.snapshots import readable, stamp_of
from inferir.server.models.watching import Stamp, Watch

__all__ = ["Watcher", "look_at", "model_files"]

_log = logging.getLogger("inferir.server")
_SUFFIX = ".apr"


class Loaded(Protocol):
    """What a file was loaded as."""

    @property
    def reference(self) -> str:
        """name@version."""


class Watcher:
    """Keeps what is loaded equal to what is in the files.

    paths   files, and folders whose .apr files are meant.
    load    loads a file, whatever was loaded of it before.
    forget  unloads what was loaded of a file that is gone from its folder. Files that were named stay loaded.
    """

    def __init__(
        self,
        paths: Sequence[str],
        load: Callable[[str], Awaitable[Loaded]],
        forget: Callable[[str], Awaitable[None]],
    ) -> None:
        self._paths = [os.path.abspath(path) for path in paths]
        self._load, self._forget = load, forget
        self._watch = Watch()
        self._looking = asyncio.Lock()
        self._said: dict[str, str] = {}

    async def first(self) -> None:
        """Load everything. Raises the error of a file that was named; one in a folder is logged and left out."""
        now = await self._look()
        for path in now:
            await self._take(path, now, named=path in self._paths)
        for path in self._paths:
            if not os.path.exists(path):
                await self._load(path)  # raises, and says what is wrong

    async def refresh(self, *, at_once: bool = False) -> None:
        """Load what has changed since the last time. `at_once`: SIGHUP, which also tries again what failed."""
        async with self._looking:
            now = await self._look()
            changes = self._watch.look(now, at_once=at_once)
            for path in changes.changed:
                await self._without_error(self._take(path, now), path)
            for path in self._watch.returning(changes.gone):
                await self._without_error(self._take(path, now), path)
            for path in changes.gone:
                await self._without_error(self._let_go(path), path)

    async def run(self, every_s: float) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(every_s)
            await self._without_error(self.refresh(), "watching")

    async def _take(self, path: str, now: Mapping[str, Stamp], *, named: bool = False) -> None:
        """Where it raises anything else, nobody was there to load it: nothing is noted, and it is tried again."""
        try:
            loaded = await self._load(path)
        except REFUSALS:  # already logged and noted by whoever loads
            self._watch.failed(path, now[path])
            if named:
                raise
        else:
            other = self._watch.loaded(path, now[path], loaded.reference)
            if other in now:  # and has not been renamed
                _log.warning("%s takes the place of %s: both are %s", path, other, loaded.reference)

    async def _let_go(self, path: str) -> None:
        if path in self._paths:
            _log.warning("%s: the file is gone; what is loaded of it stays", readable(path))
        else:
            await self._forget(path)
        self._watch.forget(path)  # not where it raised: an alias points to it, and it goes after the alias

    async def _without_error(self, doing: Awaitable[Any], what: str) -> None:
        """An error that every look meets again is logged once."""
        try:
            await doing
            self._said.pop(what, None)
        except (InferirError, RequestError, OSError) as error:
            if self._said.get(what) != str(error):
                _log.error("%s: %s", readable(what), error)
            self._said[what] = str(error)
        except Exception:  # a bug: looking goes on, as other files have nothing to do with it
            _log.exception("%s", readable(what))

    async def _look(self) -> dict[str, Stamp]:
        return await asyncio.get_running_loop().run_in_executor(None, look_at, self._paths)


def look_at(paths: Sequence[str]) -> dict[str, Stamp]:
    """The model files in `paths`, and a stamp of each. A folder that cannot be read has none."""
    found = {}
    for path in model_files(paths):
        try:
            found[path] = stamp_of(os.stat(path))
        except OSError:
            continue
    return found


def model_files(paths: Sequence[str]) -> list[str]:
    """The files named, and the .apr files in the folders named, each folder in the order of names."""
    files: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            try:
                names = sorted(os.listdir(path))
            except OSError as error:
                _log.error("%s: %s", readable(path), error.strerror)
                continue
            files += [os.path.join(path, name) for name in names if name.endswith(_SUFFIX) and name[0] != "."]
        else:
            files.append(path)
    return [os.path.abspath(file) for file in dict.fromkeys(files)]
