"""The memory that we may have: that of the control groups that we are in, or that of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["memory_limits", "memory_mib"]


def memory_mib() -> int:
    """Memory of the container or service, or else of the machine."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *memory_limits()]) // 2**20


def memory_limits(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Limits in bytes of the control groups that this process is in, and of those around them.

    A line of `own` is NUMBER:CONTROLLERS:PATH; version 2 has no controllers. In a container the path may be that of the
    machine, which is not there: the limit is at the root then. Source: cgroups(7).
    """
    try:
        lines = own.read_text("ascii", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(root):
                break
            try:
                yield int((folder / name).read_text("ascii"))
            except (OSError, ValueError):  # not there, or no limit: "max"
                continue
