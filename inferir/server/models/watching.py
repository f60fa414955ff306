"""Which files changed, and which of the changes have settled. Pure: a look at the files comes as a mapping.

A file that is being written looks different every time. So a change counts when two looks in a row saw the same; a file
that is gone counts as gone when it was gone three times in a row, as some programs delete before they write.

Several files may have the same version of a model. The one that was loaded last answers for it; when that has gone, or
has become another version, the one that was loaded before it does again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    """Compares looks, and keeps what became of the files.

    done      file -> what it was like when it was loaded last, or tried.
    failed    those that did not load then.
    versions  file -> what was loaded of it, the last one last.
    holders   version -> the file that it is loaded of.
    """

    def __init__(self) -> None:
        self._done: dict[str, Stamp] = {}
        self._failed: set[str] = set()
        self._versions: dict[str, str] = {}
        self._holders: dict[str, str] = {}
        self._seen: dict[str, Stamp] = {}
        self._missing: dict[str, int] = {}

    def loaded(self, path: str, stamp: Stamp, version: str) -> str | None:
        """`path` was loaded as it was at `stamp`. Gives the other file whose version it took the place of."""
        self._drop(path)
        self._done[path] = stamp
        self._failed.discard(path)
        self._versions[path] = version
        other = self._holders.get(version)
        self._holders[version] = path
        return other

    def failed(self, path: str, stamp: Stamp) -> None:
        """`path` was tried as it was at `stamp`. What was loaded of it before still is."""
        self._done[path] = stamp
        self._failed.add(path)
        if path not in self._holders.values():
            self._drop(path)

    def forget(self, path: str) -> None:
        """Nothing of `path` is loaded any more. Until then every look says that it is gone."""
        self._drop(path)
        self._done.pop(path, None)
        self._failed.discard(path)
        self._missing.pop(path, None)

    def look(self, now: Mapping[str, Stamp], *, at_once: bool = False) -> Changes:
        """What has settled since the last look. `at_once`: somebody says that the files are as they should be; what
        failed counts as changed, too, as the reason may not have been in the file.
        """
        changed = [
            path
            for path, stamp in sorted(now.items())
            if (self._done.get(path) != stamp and (at_once or self._seen.get(path) == stamp))
            or (at_once and path in self._failed)
        ]
        self._seen = dict(now)
        self._missing = {path: self._missing.get(path, 0) + 1 for path in self._done if path not in now}
        gone = sorted(path for path, looks in self._missing.items() if looks >= _GONE_LOOKS or at_once)
        return Changes(changed, gone)

    def returning(self, gone: Collection[str]) -> list[str]:
        """Files to load again, unchanged: another had taken the place of their version, and is among `gone`, or has
        become something else. To be asked before those are let go, so that the version is always there.
        """
        last = {
            version: path
            for path, version in self._versions.items()
            if path in self._seen and self._holders.get(version) in (None, *gone)
        }
        return sorted(last.values())

    def _drop(self, path: str) -> None:
        version = self._versions.pop(path, None)
        if version is not None and self._holders.get(version) == path:
            del self._holders[version]
