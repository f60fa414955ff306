"""Which files changed, and which of the changes have settled. Pure: a look at the files comes as a mapping.

A file that is being written looks different every time. So a change counts when two looks in a row saw the same; a file
that is gone counts as gone when it was gone three times in a row, as some programs delete before they write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Changes", "Watch"]

#: What changes when a file does: device, inode, size, times.
Stamp: TypeAlias = tuple[int, ...]

_GONE_LOOKS = 3


@dataclass(frozen=True)
class Changes:
    """Files to load, new ones and others, and files that are gone; both in the order of their names."""

    changed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


class Watch:
    """Compares looks. `done` is what is loaded of a file, or was tried and failed."""

    def __init__(self, done: Mapping[str, Stamp] = {}) -> None:
        self._done = dict(done)
        self._seen: dict[str, Stamp] = {}
        self._missing: dict[str, int] = {}

    def note(self, path: str, stamp: Stamp) -> None:
        """`path` was loaded, or tried, as it was at `stamp`."""
        self._done[path] = stamp

    def forget(self, path: str) -> None:
        """Nothing of `path` is loaded any more. Until then every look says that it is gone."""
        self._done.pop(path, None)
        self._missing.pop(path, None)

    def look(self, now: Mapping[str, Stamp], *, at_once: bool = False) -> Changes:
        """What has settled since the last look. `at_once`: somebody says that the files are as they should be."""
        changed = [
            path
            for path, stamp in sorted(now.items())
            if self._done.get(path) != stamp and (at_once or self._seen.get(path) == stamp)
        ]
        self._seen = dict(now)
        self._missing = {path: self._missing.get(path, 0) + 1 for path in self._done if path not in now}
        gone = sorted(path for path, looks in self._missing.items() if looks >= _GONE_LOOKS or at_once)
        return Changes(changed, gone)
