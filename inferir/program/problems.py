"""What a row did wrong, in words. Backends with and without NumPy say it alike."""

from __future__ import annotations

from inferir.errors import InvalidInputError

__all__ = ["FINITE", "UNKNOWN_CATEGORY", "RowError", "row_error"]

FINITE = "a finite number"
#: Of a finite one that preprocessing makes infinite, or NaN.
STAYS_FINITE = "a number that stays finite"
UNKNOWN_CATEGORY = "a category the model knows"


class RowError(InvalidInputError):
    """A row that a kernel cannot take: its position in what the program was given, and what was wrong with it.

    As every error of this tree it can be made of a message alone, by whoever has to say more.
    """

    def __init__(self, text: str, row: int = -1) -> None:
        super().__init__(text if row < 0 else f"row {row}, {text}")
        self.row, self.text = row, text


def row_error(position: int, value: float, columns: tuple[str, ...], expected: tuple[str, ...]) -> RowError:
    """For the bad `value` at `position`, counted through rows of as many columns as there are names."""
    row, column = divmod(position, len(columns))
    wanted = expected[column if len(expected) > 1 else 0]
    if wanted == FINITE and value - value == 0:  # finite, without importing math: a cold start has this file
        wanted = STAYS_FINITE
    return RowError(f"{columns[column]}: expected {wanted}, got {_came(value, wanted)}", row)


def _came(value: float, wanted: str) -> str:
    if wanted == UNKNOWN_CATEGORY:  # text has become a code by then, -1 if there is none
        return "a missing value" if value != value else "one it does not" if value == -1 else repr(value)
    return "nan, a missing value" if value != value else str(value)
