"""The budget of bytes: never more than its limit, and nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferir.server.request.budget import ByteBudget


@given(st.integers(0, 100), st.lists(st.tuples(st.booleans(), st.integers(0, 60))))
def test_what_is_taken_is_never_more_than_the_limit(limit: int, events: list[tuple[bool, int]]) -> None:
    budget, held = ByteBudget(limit), list[int]()
    for takes, n_bytes in events:
        if not takes and held:
            budget.give_back(held.pop())
        elif takes:
            fits = sum(held) + n_bytes <= limit
            assert budget.take(n_bytes) == fits
            if fits:
                held.append(n_bytes)
        assert budget.taken == sum(held) <= limit
