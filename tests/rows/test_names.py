from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import DimensionError
from inferir.rows.names import check_width, match_names, missing_columns


@given(st.lists(st.text(max_size=3), unique=True, min_size=1), st.randoms())
def test_positions(came: list[str], random: object) -> None:
    expected = random.sample(came, random.randint(1, len(came)))  # type: ignore[attr-defined]
    assert [came[position] for position in match_names(expected, came)] == expected


@pytest.mark.parametrize(
    ("expected", "came", "message"),
    [
        (["age"], ["Age", "x"], r"missing column 'age' \(did you mean 'Age'\?\); got 2 columns: 'Age', 'x'"),
        (["AGE"], ["age"], r"did you mean 'age'"),
        (["age", "qqq"], ["b"], r"missing columns 'age', 'qqq'; got 1 column: 'b'"),
        (["age"], [], r"missing column 'age'; got no columns"),
        (["a"], ["a", "b", "a"], r"got more than one called 'a'"),
    ],
)
def test_refused(expected: list[str], came: list[str], message: str) -> None:
    with pytest.raises(DimensionError, match=message):
        match_names(expected, came)


def test_repeated_names_that_the_model_does_not_use() -> None:
    assert match_names(["b"], ["a", "a", "b"]) == [2]


def test_a_message_about_a_wide_table_is_short() -> None:
    wide = [f"column {number}" for number in range(20_000)]
    assert len(str(missing_columns([f"x{name}" for name in wide], wide))) < 600


def test_width() -> None:
    check_width(3, 3)
    with pytest.raises(DimensionError, match="expected 1 column, got 2"):
        check_width(1, 2)
