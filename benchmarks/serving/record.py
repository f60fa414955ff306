"""The file of figures: for each scenario what was found, and where. A scenario that is measured again is replaced."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["RECORD", "environment", "put", "read"]

RECORD = Path(__file__).resolve().parent / "measured.json"

_PACKAGES = ("inferir", "aiohttp", "uvloop", "msgspec", "numpy", "numba", "xgboost-cpu", "fastapi", "uvicorn")


def environment() -> dict[str, Any]:
    """What figures depend on."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": model.partition(": ")[2],
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "nice": os.nice(0),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "versions": versions,
    }


def read(path: Path = RECORD) -> dict[str, dict[str, Any]]:
    """Scenario -> `environment` and `figures`."""
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def put(path: Path, scenario: str, figures: Any, environment: dict[str, Any]) -> None:
    """Keep a scenario's figures in place of those that are there."""
    found = read(path) | {scenario: {"environment": environment, "figures": figures}}
    path.write_text(json.dumps(found, indent=1) + "\n")
