"""python -m benchmarks.rivals [--seconds 1.0] [--only WORD]: a table in Markdown on standard output.

Every cell is the time of a call on one thread. All peers of a model take turns, so a busy machine slows all of them,
and the fastest call of each counts. Peers must agree: labels but for the few that differ in float32 alone, numbers to
the contract of their width.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.rivals import onnx_runtime, ours, scikit_learn
from benchmarks.rivals.cases import CASES, Array, Call, Case, Peer

ROWS = (1, 100, 10_000)

#: Rows on which answers are compared.
_COMPARED_ROWS = 1000

#: A call that would take longer, going by the rows before, is not made.
_LONGEST_S = 5.0

#: Share of labels that may differ between two float32 computations, of rows near a border.
_UNEQUAL_LABELS = 0.002


def agree(case: Case, ours_answer: Array, theirs: Array, peer: str) -> None:
    """Raises AssertionError where a peer answers something else."""
    theirs = np.asarray(theirs).reshape(ours_answer.shape)
    if ours_answer.dtype.kind in "iu":
        unequal = float(np.mean(ours_answer != theirs))
        assert unequal <= (_UNEQUAL_LABELS if peer != "scikit-learn" or case.dtype is np.float32 else 0), (
            f"{case.name}: {unequal:.2%} of the labels are not those of {peer}"
        )
        return
    narrow = theirs.dtype == np.float32 or case.dtype is np.float32
    size = np.abs(theirs).max()
    error = float(np.abs(ours_answer - theirs).max() / size)
    assert error <= (1e-4 if narrow else 1e-9), f"{case.name}: off by {error:.1e} from {peer}"


def times(calls: Mapping[str, Call], rows: Array, seconds: float) -> dict[str, float]:
    """Fastest call of each, in seconds, of as many rounds as there is time for, at least three."""
    best = dict.fromkeys(calls, float("inf"))
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < 3 or (time.perf_counter() < end and rounds < 5000):
        for name, call in calls.items():
            start = time.perf_counter()
            call(rows)
            best[name] = min(best[name], time.perf_counter() - start)
        rounds += 1
    return best


def compare(case: Case, peers: Mapping[str, Peer], seconds: float) -> list[str]:
    """Lines of the table."""
    made = {name: peer(case) for name, peer in peers.items()}
    calls = {name: call for name, call in made.items() if call is not None}
    own = next(name for name in calls if name.startswith("inferir"))
    answer = np.asarray(calls[own](case.rows[:_COMPARED_ROWS]))
    for name, call in calls.items():
        agree(case, answer, call(case.rows[:_COMPARED_ROWS]), name)
    lines, by_row = [], dict.fromkeys(calls, 0.0)
    for n in ROWS:
        found = times({name: calls[name] for name in by_row if by_row[name] * n < _LONGEST_S}, case.rows[:n], seconds)
        by_row = {name: best / n for name, best in found.items()}
        best = min(found[name] for name in found if not name.startswith("inferir"))
        cells = " | ".join(f"{found[name] * 1e6:,.1f}" if name in found else "-" for name in peers)
        mine = min(found[name] for name in found if name.startswith("inferir"))
        lines.append(f"| {case.name} | {n:,} | {cells} | {best / mine:.1f} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each cell, all peers together")
    parser.add_argument("--only", default="", help="models whose name contains this")
    options = parser.parse_args()
    peers = {**ours.peers(), **scikit_learn.peers(), **onnx_runtime.peers()}
    sys.stdout.write(f"| model | rows | {' | '.join(f'{name}, us' for name in peers)} | best peer / ours |\n")
    sys.stdout.write(f"|---|--:|{'--:|' * (len(peers) + 1)}\n")
    with threadpool_limits(1):
        for case in CASES:
            if options.only in case.name:
                sys.stdout.write("\n".join(compare(case, peers, options.seconds)) + "\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
