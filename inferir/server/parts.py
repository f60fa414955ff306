"""The parts of a running server, as handlers find them. app.py puts them together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from inferir.server.inference.dataplane import DataPlane
from inferir.server.models.registry import ModelVersion, Registry
from inferir.server.monitoring.monitor import Monitor
from inferir.server.monitoring.truths import Remembered
from inferir.server.observer import Telemetry
from inferir.server.request.admission import Admission
from inferir.server.request.rates import RateLimit
from inferir.server.settings import Settings

__all__ = ["Admin", "Parts"]


class Admin(Protocol):
    """Changes of what is loaded. With several workers a change is made by all of them or by none."""

    async def load(self, source: str) -> ModelVersion:
        """Load a file beside or in place of what came from it before. Raises FormatError, MemoryLimitError, ..."""

    async def reload(self, name: str) -> ModelVersion:
        """Load a model's file again, also after it was unloaded. Raises UnknownModelError, FormatError, ..."""

    async def unload(self, name: str, version: str = "") -> None:
        """Raises UnknownModelError, ConflictError."""

    async def alias(self, alias: str, reference: str) -> None:
        """Raises UnknownModelError, ConflictError."""

    def sources(self) -> dict[str, str]:
        """Name -> file of every model that can be loaded: loaded, unloaded, or failed."""


@dataclass
class Parts:
    """Everything that a handler may need.

    ready      whether the server answers: everything was loaded, a model among it, and no stop was asked for.
    snapshots  what /metrics adds up: of this process, or of all workers.
    gauges     name -> value of what only the server knows.
    recall     what was predicted for a request id, by any worker; then it is forgotten.
    """

    settings: Settings
    registry: Registry
    plane: DataPlane
    admin: Admin
    admission: Admission
    rate_limit: RateLimit | None
    telemetry: Telemetry
    ready: Callable[[], bool]
    snapshots: Callable[[], Awaitable[list[dict[str, Any]]]]
    gauges: Callable[[], dict[str, float]]
    monitor: Monitor
    recall: Callable[[str], Awaitable[Remembered | None]]
