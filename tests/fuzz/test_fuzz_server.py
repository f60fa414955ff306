"""A slice of the server's fuzzer: enough that a mistake in it, or in the commonest ways, is noticed."""

from __future__ import annotations

import asyncio

from tests.fuzz.fuzz_server import fuzz


def test_damaged_requests_break_nothing() -> None:
    statuses = asyncio.run(fuzz(1500, seed=1))
    assert {200, 400, 404, 405, 415} <= set(statuses)
    assert statuses[400] > 100
