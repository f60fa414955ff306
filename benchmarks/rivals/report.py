"""python -m benchmarks.rivals.report [RECORD]: tables and pictures of docs/performance.md, from the file of figures.

Tables go between the marks in the page; nothing else of it is touched. Ratios are of medians: best peer / ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.page.parts import PICTURES, write
from benchmarks.rivals.cases import CASES
from benchmarks.rivals.figures import Cell, cells, geometric_mean, groups
from benchmarks.rivals.peers import APART, OURS, PEERS
from benchmarks.rivals.record import RECORD, Record

__all__ = ["REPORT", "page"]

#: What the marks of its parts say.
REPORT = "benchmarks.rivals.report"

#: Fewer rows may be in a cache.
_READ_ROWS = 10_000

_CLOCKS = {"wall": "time", "cpu": "time of the CPU"}


def _time(seconds: float) -> str:
    us = seconds * 1e6
    return f"{us:,.1f}" if us < 100 else f"{us:,.0f}"


def _table(found: list[Cell]) -> Iterator[str]:
    """A line for each case, two columns for each number of rows."""
    columns = list(dict.fromkeys((rows, threads) for cell in found for rows, threads in [(cell.rows, cell.threads)]))
    columns.sort()
    heads = [f"{rows:,} row{'s' * (rows > 1)}{f', {threads} threads' * (threads > 1)}" for rows, threads in columns]
    yield f"| model | {' | '.join(f'{head}, us | best peer / ours' for head in heads)} |"
    yield f"|---|{'--:|--:|' * len(columns)}"
    places = {(cell.case.key, cell.rows, cell.threads): cell for cell in found}
    for case in dict.fromkeys(cell.case for cell in found):
        line = [case.label]
        for rows, threads in columns:
            cell = places.get((case.key, rows, threads))
            line += ["", ""] if cell is None else [_time(cell.ours_s), f"{cell.ratio:.1f} {cell.others_s[0][1]}"]
        yield f"| {' | '.join(line)} |"
    means = [geometric_mean(c.ratio for c in found if (c.rows, c.threads) == column) for column in columns]
    yield f"| **geometric mean** | {' | '.join(f' | **{mean:.1f}**' for mean in means)} |"


def _everything(found: list[Cell]) -> Iterator[str]:
    """All peers, of all cells."""
    seen = {name for cell in found for _, name in cell.others_s}
    names = [name for name in PEERS if name in seen]
    yield f"| model | rows | threads | {OURS} | {' | '.join(names)} |"
    yield f"|---|--:|--:|--:|{'--:|' * len(names)}"
    for cell in found:
        others = {name: _time(seconds) for seconds, name in cell.others_s}
        rest = " | ".join(others.get(name, "") for name in names)
        yield f"| {cell.case.label} | {cell.rows:,} | {cell.threads} | {_time(cell.ours_s)} | {rest} |"


def _threads(record: Record) -> Iterator[str]:
    """Ours on one thread, over ours on all; and over as many processes side by side, where that was measured."""
    figures = {
        (cell["case"], cell["rows"], cell["threads"]): cell["peers"][OURS]["median_s"]
        for cell in record.cells
        if cell["part"] == "threads" and cell["case"] in CASES
    }
    if not figures:
        return
    apart = {(cell["case"], cell["rows"]): cell[APART]["median_s"] for cell in record.cells if APART in cell}
    most = max(threads for _, _, threads in figures)
    rows = sorted({n for _, n, _ in figures})
    yield f"| model | {' | '.join(f'{n:,} rows, us | 1 / {most} threads | side by side' for n in rows)} |"
    yield f"|---|{'--:|--:|--:|' * len(rows)}"
    for key in (key for key in CASES if any(case == key for case, _, _ in figures)):
        line = [CASES[key].label]
        for n in rows:
            one, all_threads = figures.get((key, n, 1)), figures.get((key, n, most))
            line += [_time(one), f"{one / all_threads:.2f}"] if one and all_threads else ["", ""]
            line.append(f"{one / apart[key, n]:.2f}" if one and (key, n) in apart else "")
        yield f"| {' | '.join(line)} |"


def _reading(record: Record) -> Iterator[str]:
    """Ours over what it takes to read the rows, where that was measured in turns with it."""
    figures = {
        (cell["case"], cell["rows"], cell["threads"]): (cell["reading"]["median_s"], cell["peers"][OURS]["median_s"])
        for cell in record.cells
        if "reading" in cell and cell["case"] in CASES and cell["rows"] >= _READ_ROWS
    }
    columns = sorted({(rows, threads) for _, rows, threads in figures})
    heads = [f"{rows:,} rows{f', {threads} threads' * (threads > 1)}" for rows, threads in columns]
    if not figures:
        return
    yield f"| model | {' | '.join(f'{head}: reading, us | ours / reading' for head in heads)} |"
    yield f"|---|{'--:|--:|' * len(columns)}"
    for key in (key for key in CASES if any(case == key for case, _, _ in figures)):
        line = [CASES[key].label]
        for column in columns:
            reading, ours = figures.get((key, *column), (0.0, 0.0))
            line += [_time(reading), f"{ours / reading:.1f}"] if reading else ["", ""]
        yield f"| {' | '.join(line)} |"


def _environments(record: Record) -> Iterator[str]:
    """A line for each machine and system, and one of versions."""
    same: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for found in record.environments:
        machine = (found["cpu"], found["cores"], found["system"], found["python"], found["backend"], *found["flags"])
        same.setdefault(machine, []).append(found)
    for (cpu, cores, system, python, backend, *flags), some in same.items():
        times = sorted(found["when"] for found in some)
        of = [cell for cell in record.cells if cell["when"] in times]
        loads, clocks = [cell["load"] for cell in of], {cell.get("clock", "wall") for cell in of}
        span = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
        yield (
            f"- {span}: {cpu}, {cores} cores ({' '.join(flags)}), load {min(loads):.1f} to {max(loads):.1f}, "
            f"{' and '.join(sorted(_CLOCKS[clock] for clock in clocks))}; {system}, Python {python}, backend {backend}"
        )
        versions = {name: version for found in some for name, version in found["versions"].items()}
        yield f"- {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}"


def page(record: Record) -> dict[str, str]:
    """Name of a part of the page -> its text."""
    found = cells(record)
    lines = [*_environments(record), ""]
    for name, some in groups(found).items():
        if some:
            lines += [f"### {name}", "", *_table(some), ""]
    behind = [f"{c.case.label}, {c.rows:,} rows ({c.ratio:.2f} {c.others_s[0][1]})" for c in found if c.ratio < 1]
    mean = geometric_mean(cell.ratio for cell in found)
    lines += [
        f"All {len(found)} cells: geometric mean {mean:.1f}; behind the best peer: {'; '.join(behind) or 'none'}.",
        "",
        "<details><summary>Every peer, us</summary>",
        "",
        *_everything(found),
        "",
        "</details>",
    ]
    return {"rivals": "\n".join(lines), "threads": "\n".join(_threads(record)), "reading": "\n".join(_reading(record))}


def main() -> None:
    from benchmarks.rivals.pictures import draw

    record = Record(Path(sys.argv[1]) if len(sys.argv) > 1 else RECORD)
    write(page(record), draw(record, PICTURES), REPORT)


if __name__ == "__main__":
    main()
