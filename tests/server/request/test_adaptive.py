"""A limit that follows the latency of a simulated server."""

from __future__ import annotations

import pytest

from inferir.server.request.adaptive import GradientLimit


def run(limit: GradientLimit, capacity: int, requests: int, service_s: float = 0.01) -> None:
    """Full use of the limit; above `capacity` requests at once, each takes proportionally longer."""
    for _ in range(requests):
        in_work = limit.limit
        limit.observe(service_s * max(1.0, in_work / capacity), in_work)


def test_it_stays_while_latency_does() -> None:
    limit = GradientLimit(64)
    run(limit, capacity=1000, requests=2000)
    assert limit.limit == 64


def test_it_falls_when_requests_become_slow_and_comes_back() -> None:
    limit = GradientLimit(200)
    run(limit, capacity=1000, requests=1000)
    for _ in range(60):  # as if capacity had become a tenth
        limit.observe(0.1, limit.limit)
    low = limit.limit
    assert low < 100
    run(limit, capacity=1000, requests=3000)
    assert limit.limit == 200


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e9])
def test_it_keeps_its_bounds(seconds: float) -> None:
    limit = GradientLimit(50, lowest=3)
    for k in range(5000):
        limit.observe(seconds if k % 2 else 0.01, 50)
        assert 3 <= limit.limit <= 50


def test_a_limit_that_is_not_used_says_nothing() -> None:
    limit = GradientLimit(64)
    run(limit, capacity=1000, requests=100)
    for _ in range(1000):
        limit.observe(1.0, in_work=1)
    assert limit.limit == 64
