"""Pictures of the figures: ratios of all cells, and what the machine's limits leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.page.drawing import COLORS, INK, STYLE, plt, save
from benchmarks.rivals.figures import Cell, cells, groups
from benchmarks.rivals.record import Record

__all__ = ["draw"]


def _bars(found: list[Cell], path: Path) -> Path:
    """Best peer / ours of every cell, a bar for each number of rows, on a scale of powers."""
    parts = [(name, some) for name, some in groups(found).items() if some]
    sizes = [len({cell.case.key for cell in some}) for _, some in parts]
    figure, axes = plt.subplots(
        len(parts), 1, figsize=(8, 0.62 * sum(sizes) + 1), height_ratios=sizes, layout="constrained", squeeze=False
    )
    for (name, some), axis in zip(parts, axes[:, 0], strict=True):
        cases = list(dict.fromkeys(cell.case.label for cell in some))
        columns = sorted({(cell.rows, cell.threads) for cell in some})
        height = 0.8 / len(columns)
        for i, (rows, threads) in enumerate(columns):
            of = [cell for cell in some if (cell.rows, cell.threads) == (rows, threads)]
            places = [cases.index(cell.case.label) + (i - len(columns) / 2 + 0.5) * height for cell in of]
            label = f"{rows:,} row{'s' * (rows > 1)}{f', {threads} threads' * (threads > 1)}"
            bars = axis.barh(places, [cell.ratio for cell in of], height, color=COLORS[i], label=label)
            axis.bar_label(bars, [f"{cell.ratio:.1f} {cell.others_s[0][1]}" for cell in of], padding=2, fontsize=6)
        axis.set_yticks(range(len(cases)), cases)
        axis.invert_yaxis()
        axis.set_xscale("log", base=2)
        axis.set_xlim(0.5, 2 * max(cell.ratio for cell in found))
        axis.set_xticks([2.0**power for power in range(-1, 7)], ["½", "1", "2", "4", "8", "16", "32", "64"])
        axis.axvline(1, color=INK, linewidth=0.8)
        axis.set_title(name, loc="left", fontweight="bold")
        axis.legend(loc="lower right", fontsize=7, frameon=False, ncols=4, bbox_to_anchor=(1.0, 1.0))
    axes[-1, 0].set_xlabel("best peer / ours: so many times as fast as the fastest peer")
    return save(figure, path)


def _nodes(axis: Any, found: list[Cell], limits: dict[str, float]) -> None:
    """Node evaluations a second at 10,000 rows: rows times inner nodes, whether a walk would visit them or not."""
    some = [cell for cell in found if cell.case.key in limits["nodes"] and cell.rows == 10_000]
    for i, cell in enumerate(some):
        work = limits["nodes"][cell.case.key] * cell.rows
        axis.plot([i], [work / cell.ours_s / 1e9], "o", color=COLORS[1], label="inferir" if i == 0 else None)
        axis.plot([i], [work / cell.others_s[0][0] / 1e9], "x", color=COLORS[3], label="best peer" if i == 0 else None)
    axis.axhline(limits["flops_per_s"] / 1e9, color=INK, linewidth=0.8)
    axis.text(0, limits["flops_per_s"] / 1e9, "a compare and a select of bytes for each", va="bottom", size=7)
    axis.set_yscale("log")
    axis.set_xticks(range(len(some)), [cell.case.key for cell in some], rotation=30, ha="right", fontsize=7)
    axis.set_ylabel("10⁹ nodes a second")
    axis.set_title("Trees, 10,000 rows, one thread", loc="left", fontweight="bold")
    axis.legend(fontsize=7, frameon=False)


def _roofline(axis: Any, found: list[Cell], limits: dict[str, float]) -> None:
    """Operations a second over operations for each byte of rows that is read."""
    intensities = np.logspace(-1, 4, 200)
    roof = np.minimum(limits["flops_per_s"], limits["bytes_per_s"] * intensities)
    axis.plot(intensities, roof / 1e9, color=INK, linewidth=0.8, label="measured limit")
    some = [cell for cell in found if cell.case.flops and cell.rows == 10_000 and cell.case.dtype is np.float32]
    for i, cell in enumerate(some):
        intensity = cell.case.flops / (cell.case.columns * 4)
        ours, best = (cell.case.flops * cell.rows / seconds / 1e9 for seconds in (cell.ours_s, cell.others_s[0][0]))
        axis.plot([intensity], [ours], "o", color=COLORS[1], label="inferir" if i == 0 else None)
        axis.plot([intensity], [best], "x", color=COLORS[3], label="best peer" if i == 0 else None)
        axis.text(intensity * 1.15, ours, cell.case.label.split(",")[0], size=7, va="center")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("operations for each byte of rows")
    axis.set_ylabel("GFLOP/s")
    axis.set_title("Dense models, float32, 10,000 rows, one thread", loc="left", fontweight="bold")
    axis.legend(fontsize=7, frameon=False, loc="lower right")


def draw(record: Record, folder: Path) -> list[Path]:
    """The files that were written."""
    found = cells(record)
    with plt.rc_context(STYLE):
        made = [_bars(found, folder / "rivals.svg")]
        if record.limits:
            figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
            _nodes(left, found, record.limits)
            _roofline(right, found, record.limits)
            made.append(save(figure, folder / "roofline.svg"))
    return made
