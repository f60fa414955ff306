"""A peer in a fresh process of its environment, asked in lines of JSON (`worker.py`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rivals.environments import python_of
from benchmarks.rivals.measure import Turner
from benchmarks.rivals.peers import WORKERS
from benchmarks.rivals.subject import Array

__all__ = ["PeerError", "Process", "SideBySide"]

_ROOT = Path(__file__).resolve().parents[2]

#: A reply that takes longer is none. tl2cgen's first compilation of a large forest is the longest.
_PATIENCE_S = 900.0


class PeerError(Exception):
    """A peer died, or took too long."""


def _environ(threads: int) -> dict[str, str]:
    """One number for every pool. Idle threads sleep soon, for it is another process's turn."""
    pools = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    return {
        **os.environ,
        **{f"{pool}_NUM_THREADS": str(threads) for pool in pools},
        "KMP_BLOCKTIME": "5",
        "PYTHONPATH": str(_ROOT),
    }


class Process:
    """`peer` on `case` with `threads` threads; `ready` waits until it can be asked. `clock` is "wall" or "cpu"."""

    def __init__(self, peer: str, case: str, threads: int, clock: str = "wall") -> None:
        self.peer, self._clock = peer, clock
        command = [python_of(WORKERS[peer].environment), "-m", "benchmarks.rivals.worker", peer, case, str(threads)]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            command,
            cwd=_ROOT,
            env=_environ(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # so that a compiler it has started ends with it
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """The reply. Raises PeerError with the last of what it printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(_PATIENCE_S, self._kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if line:
            return json.loads(line)  # type: ignore[no-any-return]
        self._process.wait()
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()
        raise PeerError(f"{self.peer}: {last[-1] if last else f'exit status {self._process.returncode}'}")

    def _kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)

    def ready(self) -> dict[str, Any]:
        return self.ask()

    def answer(self, rows: int) -> Array:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "answer.npy"
            self.ask(answer=rows, file=str(file))
            return np.load(file)  # type: ignore[no-any-return]

    def turn(self, rows: int, calls: int) -> float:
        """Seconds of `calls` calls, by the process's clock."""
        return float(self.ask(rows=rows, calls=calls)[self._clock])

    def close(self) -> None:
        self._process.communicate()  # closes its input, which ends it
        self._errors.close()


class SideBySide:
    """Processes that take a turn at the same time, each with its part of the rows: what so many cores could gain if
    nothing had to be shared out."""

    def __init__(self, processes: Sequence[Turner]) -> None:
        self._processes = processes

    def turn(self, rows: int, calls: int) -> float:
        """Seconds of the slowest."""
        part = rows // len(self._processes)
        with ThreadPoolExecutor(len(self._processes)) as pool:
            return max(pool.map(lambda process: process.turn(part, calls), self._processes))
