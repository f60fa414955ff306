"""A peer's process: python -m benchmarks.rivals.worker PEER CASE THREADS, requests and replies as lines of JSON.

    -> {}                                        <- {"ready": true, "versions": {...}} or {"ready": false, "why": "..."}
    -> {"answer": 1000, "file": "x.npy"}         <- {} when the answer to that many rows is in the file
    -> {"rows": 100, "calls": 20}                <- {"wall": 0.0123, "cpu": 0.0122}, seconds of that many calls, each
                                                    with other rows

It imports only what its peer needs. What libraries print goes to standard error.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import itertools
import json
import os
import sys
import time
import warnings
from typing import Any

import numpy as np

from benchmarks.rivals.peers import WORKERS
from benchmarks.rivals.subject import Prepared, Subject

#: So many different rows or batches go round.
_MOST_BATCHES = 1000


class Worker:
    def __init__(self, subject: Subject, prepared: Prepared) -> None:
        self._subject, self._prepared = subject, prepared
        self._batches: dict[int, itertools.cycle[Any]] = {}

    def answer(self, rows: int) -> Any:
        call, make, finish = self._prepared
        return np.asarray(finish(call(make(self._subject.rows[:rows]))))

    def turn(self, rows: int, calls: int) -> tuple[float, float]:
        """Seconds of `calls` calls, and seconds of the CPU."""
        if rows not in self._batches:
            every = self._subject.rows
            starts = range(0, min(len(every) - rows, (_MOST_BATCHES - 1) * rows) + 1, rows)
            self._batches = {rows: itertools.cycle([self._prepared.rows(every[i : i + rows]) for i in starts])}
            gc.collect()
            gc.freeze()
        batches, call = list(itertools.islice(self._batches[rows], calls)), self._prepared.call
        cpu, start = time.process_time(), time.perf_counter()
        for batch in batches:
            call(batch)
        return time.perf_counter() - start, time.process_time() - cpu


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in packages}


def main() -> None:
    name, key, threads = sys.argv[1:]
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")  # libraries' own, about rows without names
    peer, subject = WORKERS[name], Subject(key, int(threads))

    def reply(**values: Any) -> None:
        replies.write(json.dumps(values) + "\n")
        replies.flush()

    sys.stdin.readline()
    prepared = importlib.import_module(f"benchmarks.rivals.peers.{peer.module}").prepare(subject)
    if prepared is None:
        reply(ready=False, why="has no such model")
        return
    worker = Worker(subject, prepared)
    worker.answer(2)
    reply(ready=True, versions=_versions(peer.packages))
    for line in sys.stdin:
        request = json.loads(line)
        if "answer" in request:
            np.save(request["file"], worker.answer(request["answer"]))
            reply()
        else:
            wall, cpu = worker.turn(request["rows"], request["calls"])
            reply(wall=wall, cpu=cpu)


if __name__ == "__main__":
    main()
