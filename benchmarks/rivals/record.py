"""The file of figures: environments, and cells of one case, number of rows and of threads.

A cell holds all peers of one run, because only these can be compared; measured again, it is replaced.
"""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

__all__ = ["RECORD", "Record", "environment"]

RECORD = Path(__file__).resolve().parent / "measured.json"


def _cpu() -> tuple[str, list[str]]:
    """Name and the flags that kernels are chosen by."""
    try:
        lines = dict(
            line.replace("\t", "").split(":", 1)
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if ":" in line
        )
    except OSError:
        return platform.processor() or platform.machine(), []
    flags = [flag for flag in lines.get("flags", "").split() if flag.startswith(("avx", "fma", "sse4", "amx"))]
    return lines.get("model name", platform.machine()).strip(), flags


def environment() -> dict[str, Any]:
    """What figures depend on, but for the versions that processes tell."""
    import inferir
    from inferir.kernels import select

    cpu, flags = _cpu()
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": cpu,
        "flags": flags,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "nice": os.nice(0),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "backend": select("auto").name,
        "versions": {"inferir": inferir.__version__},
    }


class Record:
    """Read from `path` if it is there; `put` writes it, whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        found = json.loads(path.read_text()) if path.is_file() else {}
        self.environments: list[dict[str, Any]] = found.get("environments", [])
        self.cells: list[dict[str, Any]] = found.get("cells", [])
        self.limits: dict[str, float] = found.get("limits", {})

    @staticmethod
    def _place(cell: dict[str, Any]) -> tuple[Any, ...]:
        return cell["part"], cell["case"], cell["rows"], cell["threads"]

    def has(self, part: str, case: str, rows: int, threads: int) -> bool:
        return any(self._place(cell) == (part, case, rows, threads) for cell in self.cells)

    def put(self, cell: dict[str, Any], environment: dict[str, Any]) -> None:
        """Keep a cell, instead of an older one."""
        self.cells = [other for other in self.cells if self._place(other) != self._place(cell)]
        if environment not in self.environments:
            self.environments.append(environment)
        self.cells.append(cell | {"when": environment["when"]})
        used = {cell["when"] for cell in self.cells}
        self.environments = [other for other in self.environments if other["when"] in used]
        self.write()

    def write(self) -> None:
        text = json.dumps(
            {"environments": self.environments, "limits": self.limits, "cells": self.cells}, indent=1, sort_keys=True
        )
        new = self._path.with_suffix(".new")
        new.write_text(text + "\n")
        new.replace(self._path)
