"""What goes into the next batch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inferir.server.inference.batching import JOINING_S, pays, take
from inferir.server.models.registry import Cost

FOREVER = 1e9


def test_it_pays_where_calls_are_dear() -> None:
    assert not pays(Cost(fixed_s=10e-6, row_s=1e-3))  # dear rows, cheap calls: nothing to save
    assert pays(Cost(fixed_s=10 * JOINING_S, row_s=1e-6))


def test_batches_are_counted_in_rows() -> None:
    assert take([3, 3, 3, 3], [FOREVER] * 4, 0.0, Cost(), max_rows=10, budget_s=1.0) == 3
    assert take([30, 3], [FOREVER] * 2, 0.0, Cost(), max_rows=10, budget_s=1.0) == 1  # the first one always goes


def test_a_batch_ends_in_time_for_all_of_it() -> None:
    cost = Cost(fixed_s=0.001, row_s=0.001)
    assert take([1] * 10, [0.0055] * 10, 0.0, cost, max_rows=100, budget_s=1.0) == 4
    assert take([1] * 10, [FOREVER] * 2 + [0.0] + [FOREVER] * 7, 0.0, cost, max_rows=100, budget_s=1.0) == 2
    assert take([1] * 10, [FOREVER] * 10, 0.0, cost, max_rows=100, budget_s=0.0045) == 3


@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(0.0, 2.0)), min_size=1, max_size=30),
    st.integers(1, 100),
    st.floats(0.0, 1.0),
    st.floats(0.0, 0.1),
)
def test_what_is_taken_fits(requests: list[tuple[int, float]], max_rows: int, budget_s: float, row_s: float) -> None:
    rows, deadlines = [n for n, _ in requests], [s for _, s in requests]
    cost = Cost(0.001, row_s)
    count = take(rows, deadlines, 0.0, cost, max_rows, budget_s)
    assert 1 <= count <= len(rows)
    if count > 1:
        total = sum(rows[:count])
        assert total <= max_rows
        assert cost.seconds(total) <= min(budget_s, *deadlines[:count])
    if count < len(rows):
        total = sum(rows[: count + 1])
        assert total > max_rows or cost.seconds(total) > min(budget_s, *deadlines[: count + 1])
