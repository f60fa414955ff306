"""When a dead worker is replaced."""

from __future__ import annotations

from inferir.server.workers.restarts import Restarts


def test_short_lives_wait_ever_longer() -> None:
    restarts = Restarts()
    delays = [restarts.delay_s(0.1) for _ in range(12)]
    assert delays == sorted(delays)
    assert delays[0] <= 0.05
    assert delays[-1] == 10.0


def test_a_long_life_begins_anew() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.delay_s(0.1)
    assert restarts.delay_s(3600.0) <= 0.05
