"""What the figures are of: servers, and loads whose latency is drawn; and where they stand in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["LATENCIES", "OURS", "SERVERS", "stands"]

OURS = "inferir"
SERVERS = {
    OURS: "ours",
    "fastapi": "FastAPI + XGBoost, uvicorn on uvloop",
    "mlserver": "MLServer, its XGBoost runtime",
    "bentoml": "BentoML + XGBoost",
}

#: What requests at fixed times were, by where their figures stand.
LATENCIES = {
    "open": "5,000 single rows a second, 64 connections",
    "batch": "200 batches of 32 rows a second",
    "swap.without": "2,000 a second, two cores, no swaps",
    "swap.with": "the same, a model of 50 MB replaced every 3 s",
}


def stands(record: Mapping[str, Any], place: str) -> Any:
    """What stands at scenario.key.key; None where that was not measured."""
    scenario, *keys = place.split(".")
    found = record.get(scenario, {}).get("figures")
    for key in keys:
        found = found and found.get(key)
    return found
