"""What a row did wrong, in words."""

from __future__ import annotations

import math

import pytest

from inferir.program.problems import FINITE, UNKNOWN_CATEGORY, row_error


@pytest.mark.parametrize(
    ("value", "expected", "says"),
    [
        (math.nan, FINITE, "expected a finite number, got nan, a missing value"),  # JSON has no nan: it was null
        (math.inf, FINITE, "expected a finite number, got inf"),
        (1e300, FINITE, "expected a number that stays finite, got 1e+300"),
        (math.nan, UNKNOWN_CATEGORY, "expected a category the model knows, got a missing value"),
        (-1.0, UNKNOWN_CATEGORY, "expected a category the model knows, got one it does not"),
    ],
)
def test_the_row_the_column_and_what_came(value: float, expected: str, says: str) -> None:
    error = row_error(5, value, ("column 'a'", "column 'b'"), (expected,))
    assert error.message == f"row 2, column 'b': {says}"
    assert error.row == 2
