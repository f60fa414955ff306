"""python -m benchmarks.rivals [WORD...]: ours beside others, on the cases whose key has one of the words, or on all.

Every peer runs in a fresh process, and processes take turns (`measure.py`). Before anything is timed, all must give the
same answer (`agreement.py`). Figures go into a file (`record.py`), from which `report` writes docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.rivals.agreement import COMPARED_ROWS, agree
from benchmarks.rivals.cases import CASES, THREAD_CASES, Case
from benchmarks.rivals.measure import turns
from benchmarks.rivals.peers import APART, OURS, PEERS, READING, WORKERS
from benchmarks.rivals.prepare import prepare
from benchmarks.rivals.process import PeerError, Process, SideBySide
from benchmarks.rivals.record import RECORD, Record, environment

#: A call that would take longer, going by the rows before, is not made.
_LONGEST_S = 5.0

_THREAD_ROWS = (1_000, 10_000, 100_000)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def started(case: Case, names: Iterable[str], threads: int, clock: str, versions: Any) -> dict[str, Process]:
    """Processes that are ready; what cannot take part is said and left out."""
    processes = {
        name: Process(name, case.key, threads, clock)
        for name in names
        if WORKERS[name].may_have(case.library, case.ask)
    }
    ready = {}
    for name, process in processes.items():
        try:
            reply = process.ready()
        except PeerError as error:
            say(f"  {error}")
            continue
        if reply["ready"]:
            ready[name] = process
            versions.update(reply["versions"])
        else:
            process.close()
    return ready


def agreeing(case: Case, processes: dict[str, Process]) -> dict[str, Process]:
    """Those that answer as ours does."""
    ours, right = processes[OURS].answer(COMPARED_ROWS), {}
    for name, process in processes.items():
        try:
            off = agree(case, ours, process.answer(COMPARED_ROWS), name)
        except (AssertionError, PeerError) as error:
            say(f"  left out: {error}")
            process.close()
            continue
        if off:
            say(f"  {name}: {off:.2%} of the rows differ")
        right[name] = process
    return right


def compare(case: Case, names: Iterable[str], options: argparse.Namespace, record: Record, facts: Any) -> None:
    """All cells of a case: one set of processes for one thread, another for all cores."""
    names = list(names)
    for threads in sorted(set(case.rows.values()), reverse=True):
        used = threads or os.cpu_count() or 1
        clock = options.clock if used == 1 else "wall"
        wanted = [
            rows
            for rows, of in case.rows.items()
            if of == threads
            and (not options.rows or rows in options.rows)
            and not (options.resume and record.has("rivals", case.key, rows, used))
        ]
        if not wanted:
            continue
        going = agreeing(case, started(case, names, used, clock, facts["versions"]))
        if not case.is_tree:
            going |= started(case, [READING], used, clock, facts["versions"])
        by_row: dict[str, float] = {}
        for rows in wanted:
            if not by_row and rows > 1000:  # what a call will take, by a tenth of it
                by_row = {name: process.turn(rows // 100, 1) * 100 / rows for name, process in going.items()}
            able = {name: process for name, process in going.items() if by_row.get(name, 0) * rows < _LONGEST_S}
            load = os.getloadavg()[0]
            figures = turns(able, rows, options.seconds, used)
            by_row |= {name: figure.fastest_s / rows for name, figure in figures.items()}
            cell = {"part": "rivals", "case": case.key, "rows": rows, "threads": used, "clock": clock}
            if (reading := figures.pop(READING, None)) is not None:
                say(f"  {rows:>7,} rows, {used}: reading {reading.median_s * 1e6:,.1f}")
                cell |= {"reading": reading._asdict()}
            cell |= {"load": round(load, 1), "peers": {name: figure._asdict() for name, figure in figures.items()}}
            record.put(cell, facts)
            said = sorted((figure.median_s, name) for name, figure in figures.items())
            say(f"  {rows:>7,} rows, {used}: " + ", ".join(f"{name} {s * 1e6:,.1f}" for s, name in said))
        for process in going.values():
            process.close()


def compare_threads(case: Case, options: argparse.Namespace, record: Record, facts: Any) -> None:
    """Ours on one thread and on all cores; and as many processes with one thread each, side by side."""
    counts = (1, os.cpu_count() or 1)
    processes = {threads: Process(OURS, case.key, threads) for threads in counts}
    single = [Process(OURS, case.key, 1) for _ in range(max(counts))]
    for process in (*processes.values(), *single):
        process.ready()
    for rows in _THREAD_ROWS:
        found = turns({**processes, APART: SideBySide(single)}, rows, options.seconds, max(counts))
        apart = found.pop(APART)
        for threads, figure in found.items():
            cell = {"part": "threads", "case": case.key, "rows": rows, "threads": threads, "clock": "wall"}
            cell |= {"load": round(os.getloadavg()[0], 1), "peers": {OURS: figure._asdict()}}
            if threads > 1:
                cell |= {APART: apart._asdict()}
            record.put(cell, facts)
        one, all_cores = (found[threads].median_s for threads in counts)
        gains = f"{one / all_cores:.2f}, side by side {one / apart.median_s:.2f}"
        say(f"  {rows:>7,} rows: {one * 1e6:,.0f} us, {all_cores * 1e6:,.0f} us: {gains}")
    for process in (*processes.values(), *single):
        process.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", default=[""], help="parts of keys of cases (default: all)")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS), help="ours always takes part")
    parser.add_argument("--rows", nargs="+", type=int, help="these numbers of rows only")
    parser.add_argument("--seconds", type=float, default=1.5, help="for each cell, all peers together")
    parser.add_argument("--record", type=Path, default=RECORD, help="file of figures, added to (default %(default)s)")
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"), help="of one thread; cpu: a busy machine")
    parser.add_argument("--resume", action="store_true", help="leave cells alone that the file has")
    parser.add_argument("--threads", action="store_true", help="instead: ours on one thread and on all cores")
    options = parser.parse_args()
    record, facts = Record(options.record), environment()
    chosen = [case for key, case in CASES.items() if any(word in key for word in options.words)]
    start = time.perf_counter()
    for case in chosen:
        if options.threads and case.key not in THREAD_CASES:
            continue
        prepare(case)
        say(f"{case.key}, after {time.perf_counter() - start:.0f} s")
        if options.threads:
            compare_threads(case, options, record, facts)
        else:
            compare(case, dict.fromkeys((OURS, *options.peers)), options, record, facts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
