"""Numbers for the plots: how many requests there were, and how long they took, since the server started.

The page asks again and again, and shows the difference: so a number of a second is right whoever else asks, and a
server of several workers is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from inferir.server.parts import Parts
from inferir.server.telemetry.exposition import add_up
from inferir.server.telemetry.families import FAMILIES

__all__ = ["live", "quantile"]

_DURATION = FAMILIES["model_inference_duration_seconds"]


async def live(parts: Parts) -> dict[str, Any]:
    """`buckets` of each model: how many requests took up to each of `bounds_s`, the rest last."""
    total = add_up(await parts.snapshots())
    errors = total.get("inferir_request_errors", {})
    shed = total.get("inferir_requests_shed", {})
    rows = total.get("model_predictions", {})
    durations = total.get(_DURATION.name, {})
    return {
        "monotonic_s": monotonic(),
        "ready": parts.ready(),
        "gauges": parts.gauges(),
        "bounds_s": list(_DURATION.bounds),
        "errors": sum(values[0] for values in errors.values()),
        "shed": sum(values[0] for values in shed.values()),
        "models": [
            {
                "name": version.name,
                "version": version.version,
                "rows": rows.get((version.name, version.version), [0.0])[0],
                "buckets": durations.get((version.name, version.version), [0.0] * (len(_DURATION.bounds) + 2))[:-1],
            }
            for version in parts.registry
        ],
    }


def quantile(share: float, bounds: Sequence[float], buckets: Sequence[float]) -> float | None:
    """The quantile within its bucket by straight line, as PromQL's histogram_quantile has it; None of nothing."""
    total = sum(buckets)
    if not total:
        return None
    rank, before = share * total, 0.0
    for k, count in enumerate(buckets):
        if count and before + count >= rank:
            if k == len(bounds):
                return bounds[-1]
            low = bounds[k - 1] if k else 0.0
            return low + (bounds[k] - low) * (rank - before) / count
        before += count
    return bounds[-1]
