"""What a row did wrong, in words. Backends with and without NumPy say it alike."""

from __future__ import annotations

from inferir.errors import InvalidInputError

__all__ = ["UNKNOWN_CATEGORY", "RowError", "row_error"]

UNKNOWN_CATEGORY = "a category the model knows"


class RowError(InvalidInputError):
    """A row that a kernel cannot take: its position in what the program was given, and what was wrong with it."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(f"row {row}, {text}")
        self.row, self.text = row, text


def row_error(position: int, value: float, columns: tuple[str, ...], expected: tuple[str, ...]) -> RowError:
    """For the bad `value` at `position`, counted through rows of as many columns as there are names."""
    row, column = divmod(position, len(columns))
    wanted = expected[column if len(expected) > 1 else 0]
    return RowError(row, f"{columns[column]}: expected {wanted}, got {_came(value, wanted)}")


def _came(value: float, wanted: str) -> str:
    if wanted == UNKNOWN_CATEGORY:  # text has become a code by then, -1 if there is none
        return "a missing value" if value != value else "one it does not" if value == -1 else repr(value)
    return str(value)
