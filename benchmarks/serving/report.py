"""python -m benchmarks.serving.report [RECORD]: tables and picture of docs/performance.md, from the file of figures."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.page.parts import PICTURES, write
from benchmarks.serving.figures import LATENCIES, OURS, SERVERS, stands
from benchmarks.serving.record import RECORD, read

__all__ = ["REPORT", "page"]

REPORT = "benchmarks.serving.report"


class _Part(NamedTuple):
    """A figure that is a part of something: where it stands, of what it is, what we aim at, where its error stands."""

    place: str
    what: str
    aim: str
    error: str = ""


_PARTS = (
    _Part("kernel.kernel_part", "binary batches of 1,000 rows: the kernel's part of the CPU time", "at least 50 %"),
    _Part("overload.part", "1,000 connections that never wait: answers, of what 16 get", "at least 80 %"),
    _Part("shed.part", "ten times what a slow model can answer: answers in time, of what it can", "at least 80 %"),
    _Part(
        "telemetry.part",
        "metrics, JSON logs of changes, `Server-Timing`: more CPU time",
        "at most 5 %",
        "telemetry.error",
    ),
    _Part("stages.part", "the same, and the times of stages that it tells", "at most 5 %", "stages.error"),
    _Part("logged.part", "without the times of stages, with a line of the log for every request", "", "logged.error"),
)


def _environments(record: Mapping[str, Any]) -> Iterator[str]:
    """A line for each machine and versions, with the scenarios that were measured there."""
    same: dict[tuple[Any, ...], list[tuple[str, dict[str, Any]]]] = {}
    for scenario, found in record.items():
        where = found["environment"]
        versions = ", ".join(f"{name} {version}" for name, version in sorted(where["versions"].items()))
        machine = where["cpu"], where["cores"], where["system"], where["python"], versions
        same.setdefault(machine, []).append((scenario, where))
    for (cpu, cores, system, python, versions), some in same.items():
        times = sorted({where["when"] for _, where in some})
        loads = [where["load"] for _, where in some]
        span = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
        scenarios = f" ({', '.join(scenario for scenario, _ in some)})" if len(same) > 1 else ""
        yield (
            f"- {span}{scenarios}: {cpu}, {cores} cores, load before {min(loads):.1f} to {max(loads):.1f}; {system}, "
            f"Python {python}"
        )
        yield f"- {versions}"


def _closed(record: Mapping[str, Any]) -> Iterator[str]:
    figures = stands(record, "closed") or {}
    yield "| 16 connections that never wait | requests/s | ours / theirs | p50, ms | p99, ms | CPU us a request |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, label in SERVERS.items():
        if (found := figures.get(name)) is not None:
            times = figures[OURS]["requests_per_s"] / found["requests_per_s"]
            ratio = "" if name == OURS else f"{times:.1f}"
            called = f"**{label} {found['version']}**" if name == OURS else f"{label}; {found['version']}"
            cpu_us = f"{found['cpu_us_per_request']:,.0f}" if "cpu_us_per_request" in found else ""
            yield (
                f"| {called} | {found['requests_per_s']:,.0f} | {ratio} | {found['p50_ms']:.2f} "
                f"| {found['p99_ms']:.2f} | {cpu_us} |"
            )


def _open(record: Mapping[str, Any]) -> Iterator[str]:
    yield "| ours, requests due at fixed times | p50, ms | p99, ms | p99.9, ms | longest, ms |"
    yield "|---|--:|--:|--:|--:|"
    for place, label in LATENCIES.items():
        if (found := stands(record, place)) is not None:
            figures = (f"{found[key]:.2f}" for key in ("p50_ms", "p99_ms", "p99.9_ms", "max_ms"))
            yield f"| {label} | {' | '.join(figures)} |"


def _parts(record: Mapping[str, Any]) -> Iterator[str]:
    yield "| ours | measured | we aim at |"
    yield "|---|--:|--:|"
    for part in _PARTS:
        if (found := stands(record, part.place)) is not None:
            percent = f"{100 * found:.1f}" if abs(found) < 0.1 else f"{100 * found:.0f}"
            error = stands(record, part.error) if part.error else None
            of_it = "" if error is None else f" ± {100 * error:.1f}"
            yield f"| {part.what} | {percent}{of_it} % | {part.aim} |"


def page(record: Mapping[str, Any]) -> dict[str, str]:
    """Name of a part of the page -> its text."""
    tables = ([*_environments(record)], [*_closed(record)], [*_open(record)], [*_parts(record)])
    return {"serving": "\n\n".join("\n".join(table) for table in tables)}


def main() -> None:
    from benchmarks.serving.pictures import draw

    record = read(Path(sys.argv[1]) if len(sys.argv) > 1 else RECORD)
    write(page(record), [draw(record, PICTURES)], REPORT)


if __name__ == "__main__":
    main()
