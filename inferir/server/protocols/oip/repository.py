"""Routes that Triton added to the protocol: which models there are, load, unload, statistics.

`load` reads a model's file again; files do not come in requests, so `file:` and `config` parameters are refused.

Source: Triton docs/protocol/extension_model_repository.md, extension_statistics.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from inferir.errors import InvalidInputError
from inferir.server.parts import Parts
from inferir.server.protocols.oip.messages import LoadBody, RepositoryIndexBody, RepositoryModel, UnloadBody
from inferir.server.request.exchange import STAGES, Exchange
from inferir.server.request.replies import JSON, Reply, json_reply
from inferir.server.request.routes import Route
from inferir.server.telemetry.exposition import add_up
from inferir.server.telemetry.families import BATCH_STAGES, FAMILIES

__all__ = ["RepositoryHandlers", "index", "statistics"]

#: Triton's parts of a request -> our stages.
_PARTS: Mapping[str, tuple[str, ...]] = {"queue": ("queue",), **BATCH_STAGES}
_NS = 1_000_000_000

_BODIES: Mapping[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (RepositoryIndexBody, LoadBody, UnloadBody)
}


class RepositoryHandlers:
    """Handlers of /v2/repository and of statistics."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        repository = "/v2/repository"
        models = "/v2/models"
        return [
            Route("POST", f"{repository}/index", self.index, "read", plain_errors=True),
            Route("POST", f"{repository}/models/{{name}}/load", self.load, "admin", plain_errors=True),
            Route("POST", f"{repository}/models/{{name}}/unload", self.unload, "admin", plain_errors=True),
            Route("GET", f"{models}/stats", self.statistics, "read", plain_errors=True),
            Route("GET", f"{models}/{{name}}/stats", self.statistics, "read", plain_errors=True),
            Route("GET", f"{models}/{{name}}/versions/{{version}}/stats", self.statistics, "read", plain_errors=True),
        ]

    def index(self, exchange: Exchange) -> Reply:
        body = _decoded(bytes(exchange.body), RepositoryIndexBody)
        return json_reply(index(self._parts, body.ready))

    async def load(self, exchange: Exchange) -> Reply:
        parameters = _decoded(bytes(exchange.body), LoadBody).parameters or {}
        if parameters:
            raise InvalidInputError(
                f"expected no parameters, got {sorted(parameters)[:5]}: models are loaded from the server's own files"
            )
        await self._parts.admin.reload(exchange.match["name"])
        return Reply(b"", content_type=JSON)

    async def unload(self, exchange: Exchange) -> Reply:
        _decoded(bytes(exchange.body), UnloadBody)
        await self._parts.admin.unload(exchange.match["name"])
        return Reply(b"", content_type=JSON)

    async def statistics(self, exchange: Exchange) -> Reply:
        name, version = exchange.match.get("name", ""), exchange.match.get("version", "")
        if name:
            found = self._parts.registry.find(name, version)
            name = found.name
        listed = statistics(await self._parts.snapshots(), name, version)
        return json_reply({"model_stats": listed})


def index(parts: Parts, ready_only: bool) -> list[RepositoryModel]:
    """Every model that can be loaded, and every version that is."""
    models = [RepositoryModel(version.name, version.version, "READY", "") for version in parts.registry]
    if not ready_only:
        failures = {failure.source: failure for failure in parts.registry.failures.values()}
        loaded = {version.source for version in parts.registry}
        for name, source in sorted(parts.admin.sources().items()):
            failure = failures.get(source)
            if failure is not None:
                models.append(RepositoryModel(name, failure.version, "UNAVAILABLE", failure.message))
            elif source not in loaded:
                models.append(RepositoryModel(name, "", "UNAVAILABLE", parts.registry.away.get(source, "unloaded")))
    return models


def statistics(snapshots: Sequence[Mapping[str, Any]], name: str = "", version: str = "") -> list[dict[str, Any]]:
    """Triton's `model_stats`, of one model or of all, since the server started."""
    total = add_up(snapshots)
    durations = total.get("model_inference_duration_seconds", {})
    failed = total.get("inferir_failed_seconds", {})
    models = sorted({labels for family in (durations, failed) for labels in family if labels[0]})
    return [
        _statistics_of(labels, total) for labels in models if name in ("", labels[0]) and version in ("", labels[1])
    ]


def _statistics_of(
    labels: tuple[str, ...], total: Mapping[str, Mapping[tuple[str, ...], list[float]]]
) -> dict[str, Any]:
    def histogram(family: str, key: tuple[str, ...]) -> tuple[int, float]:
        values = total.get(family, {}).get(key, [0.0])
        return int(sum(values[:-1])), values[-1]

    def number(family: str) -> float:
        return total.get(family, {}).get(labels, [0.0])[0]

    def duration(count: int, seconds: float) -> dict[str, int]:
        return {"count": count, "ns": int(seconds * _NS)}

    stages = {stage: histogram("inferir_stage_duration_seconds", (*labels, stage)) for stage in STAGES}
    success, success_s = histogram("model_inference_duration_seconds", labels)
    errors = sum(int(values[0]) for key, values in total.get("inferir_request_errors", {}).items() if key[:2] == labels)
    parts = {part: duration(success, sum(stages[stage][1] for stage in names)) for part, names in _PARTS.items()}
    return {
        "name": labels[0],
        "version": labels[1],
        "last_inference": int(number("inferir_last_inference_timestamp_seconds") * 1000),
        "inference_count": int(number("model_predictions")),
        "execution_count": histogram("inferir_batch_rows", labels)[0],
        "inference_stats": {
            "success": duration(success, success_s),
            "fail": duration(errors, number("inferir_failed_seconds")),
            **parts,
            "cache_hit": duration(0, 0.0),
            "cache_miss": duration(0, 0.0),
        },
        "batch_stats": _batch_stats(labels, total),
    }


def _batch_stats(
    labels: tuple[str, ...], total: Mapping[str, Mapping[tuple[str, ...], list[float]]]
) -> list[dict[str, Any]]:
    """By size of batch. Sizes are counted in buckets, and a batch is listed under the most rows that its bucket takes;
    beyond the last bucket, under twice as many.
    """
    family = FAMILIES["inferir_batch_rows"]
    bounds = [*map(int, family.bounds)]
    seconds = total.get("inferir_batch_stage_seconds", {})
    counts = total.get(family.name, {}).get(labels, [])[:-1]
    return [
        {
            "batch_size": size,
            **{
                stage: {"count": int(count), "ns": int(seconds.get((*labels, stage, rows), [0.0])[0] * _NS)}
                for stage in BATCH_STAGES
            },
        }
        for size, rows, count in zip([*bounds, 2 * bounds[-1]], [*map(str, bounds), "+Inf"], counts, strict=False)
        if count
    ]


def _decoded(body: bytes, kind: type) -> Any:
    """The body as `kind`; an empty one says nothing, as Triton's clients send it."""
    if not bytes(body).strip():
        return kind()
    try:
        return _BODIES[kind].decode(body)
    except RecursionError:
        raise InvalidInputError("expected JSON of a reasonable depth") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"expected an object in JSON: {error}") from None
