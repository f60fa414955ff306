"""Calls of peers in turns: a turn is a hundredth of a second of one process, then it is another's.

A turn of short calls keeps a peer's code and model in the caches, as in a loop of the user's; the turns keep what else
the machine does from falling on one peer alone. Of each peer's turns the median and the fastest are kept.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

__all__ = ["Figure", "Turner", "turns"]

TURN_S = 0.01

#: Rounds of turns: at least, or fewer where a round is so long.
_ROUNDS, _LONG_ROUND_S = 5, 4.0
_MOST_ROUNDS = 400

#: A peer so many times slower than the fastest does not go on after its first turns, if these are so long.
_HOPELESS, _HOPELESS_S = 3.0, 0.1

#: Threads of a pool go on spinning a while after their call.
_SETTLE_S = 0.01


class Turner(Protocol):
    def turn(self, rows: int, calls: int) -> float:
        """Seconds of `calls` calls."""
        ...


class Figure(NamedTuple):
    """Seconds a call; from so many turns of so many calls."""

    median_s: float
    fastest_s: float
    turns: int
    calls: int


def _calls(peer: Turner, rows: int) -> int:
    """So many calls take a turn; found by doubling, which also warms up."""
    calls = 1
    while (seconds := peer.turn(rows, calls)) < TURN_S / 2:
        calls = max(2 * calls, min(20 * calls, int(calls * TURN_S / max(seconds, 1e-9))))
    return max(1, round(calls * TURN_S / seconds))


def turns(peers: Mapping[Any, Turner], rows: int, seconds: float, threads: int = 1) -> dict[Any, Figure]:
    """What a call with `rows` rows takes each peer, of as many rounds as there is time for."""
    calls = {name: _calls(peer, rows) for name, peer in peers.items()}
    found: dict[Any, list[float]] = {name: [] for name in peers}
    going = dict(peers)
    start = time.perf_counter()
    for rounds in range(1, _MOST_ROUNDS + 1):
        began = time.perf_counter()
        for name, peer in going.items():
            if threads > 1:
                time.sleep(_SETTLE_S)
            found[name].append(peer.turn(rows, calls[name]) / calls[name])
        now = time.perf_counter()
        fastest = min(min(values) for values in found.values())
        going = {
            name: peer
            for name, peer in going.items()
            if found[name][-1] < _HOPELESS_S or min(found[name]) < _HOPELESS * fastest
        }
        enough = _ROUNDS if now - began < _LONG_ROUND_S else 3
        if rounds >= enough and now - start > seconds:
            break
    return {
        name: Figure(statistics.median(values), min(values), len(values), calls[name]) for name, values in found.items()
    }
