"""A picture of the figures: what servers do at most, and how long answers take, to the slowest of 10,000."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.page.drawing import COLORS, INK, STYLE, plt, save
from benchmarks.serving.figures import LATENCIES, OURS, SERVERS, stands

__all__ = ["draw"]

_NINES = (0, 1, 2, 3, 4)


def _bars(axis: Any, figures: Mapping[str, Any]) -> None:
    names = [name for name in SERVERS if name in figures]
    rates = [figures[name]["requests_per_s"] for name in names]
    colors = [COLORS[1] if name == OURS else COLORS[0] for name in names]
    bars = axis.barh(range(len(names)), rates, 0.7, color=colors)
    axis.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=3)
    axis.set_yticks(range(len(names)), [SERVERS[name].replace(", ", "\n") for name in names])
    axis.invert_yaxis()
    axis.set_xlim(0, 1.15 * max(rates))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.locator_params(axis="x", nbins=5)
    axis.set_xlabel("requests a second on one core, 16 connections")


def _curves(axis: Any, record: Mapping[str, Any]) -> None:
    for (place, label), color in zip(LATENCIES.items(), COLORS, strict=True):
        if (found := stands(record, place)) is not None:
            nines_ms = found["nines_ms"]
            axis.plot([k / 4 for k in range(len(nines_ms))], nines_ms, color=color, label=label)
    axis.set_yscale("log")
    axis.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    axis.set_yticks([], minor=True)
    axis.set_ylim(top=40)  # room for the legend
    axis.set_xticks(_NINES, [f"{100 - 10.0 ** (2 - nines):g} %" for nines in _NINES])
    axis.grid(color=INK, alpha=0.1)
    axis.set_xlabel("so many answers took no longer")
    axis.set_ylabel("ms from when the request was due")
    axis.legend(fontsize=7, frameon=False, loc="upper left")


def draw(record: Mapping[str, Any], folder: Path) -> Path:
    """The file that was written."""
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
        _bars(left, stands(record, "closed"))
        _curves(right, record)
        return save(figure, folder / "serving.svg")
