"""GET /health, /ready, /models, /metrics: what the server says about itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from inferir.server.errors import NotReadyError
from inferir.server.models.registry import Failure, ModelVersion, Registry
from inferir.server.parts import Parts
from inferir.server.request.exchange import Exchange
from inferir.server.request.replies import Reply, json_reply

__all__ = ["ObserveHandlers", "describe_models"]

_ALIVE = json_reply({"live": True, "status": "ok"})
_READY = json_reply({"ready": True, "status": "ok"})


class ObserveHandlers:
    """Cheap, never shed: a server that is too busy to say that it lives is restarted when it is needed most."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def health(self, exchange: Exchange) -> Reply:
        return _ALIVE

    def ready(self, exchange: Exchange) -> Reply:
        if not self._parts.ready():
            raise NotReadyError("expected models that are loaded, got some that are not, none, or a server that stops")
        return _READY

    def models(self, exchange: Exchange) -> Reply:
        registry = self._parts.registry
        return json_reply({"default_model": registry.table.default, "models": describe_models(registry)})

    async def metrics(self, exchange: Exchange) -> Reply:
        parts = self._parts
        accept = exchange.headers.get("Accept", "")
        text, content_type = parts.telemetry.render(await parts.snapshots(), parts.gauges(), accept)
        return Reply(text, content_type=content_type)


def describe_models(registry: Registry) -> list[dict[str, Any]]:
    """Every version that is loaded or did not load, in plain values."""
    loaded = [_loaded(version, registry) for version in registry]
    return loaded + [_failed(failure) for failure in registry.failures.values()]


def _loaded(version: ModelVersion, registry: Registry) -> dict[str, Any]:
    info: Mapping[str, Any] = version.info
    return {
        "name": version.name,
        "version": version.version,
        "state": "ready",
        "default": registry.is_default(version),
        "aliases": registry.aliases_of(version),
        "source": version.source,
        "digest": version.digest,
        "bytes": version.n_bytes,
        "loaded_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(version.loaded_at)),
        "load_seconds": dict(version.stages),
        "kernel_seconds": {"per_call": version.cost.fixed_s, "per_row": version.cost.row_s},
        "batching": version.batcher is not None,
        "baseline": version.baseline is not None,
        **{key: info[key] for key in ("type", "task", "framework", "created", "backend", "answers", "columns")},
        "classes": info["classes"],
    }


def _failed(failure: Failure) -> dict[str, Any]:
    return {
        "name": failure.name,
        "version": failure.version,
        "state": "failed",
        "source": failure.source,
        "code": failure.code,
        "message": failure.message,
    }
