"""What a row did wrong, in words. Backends with and without NumPy say it alike."""

from __future__ import annotations

__all__ = ["UNKNOWN_CATEGORY", "RowProblem", "row_problem"]

UNKNOWN_CATEGORY = "a category the model knows"


class RowProblem(Exception):  # noqa: N818 - it becomes an InvalidInputError with the row's number in the whole batch
    """A row that a kernel cannot take: its position, and what was wrong with it."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(row, text)
        self.row, self.text = row, text


def row_problem(position: int, value: float, columns: tuple[str, ...], expected: tuple[str, ...]) -> RowProblem:
    """For the bad `value` at `position`, counted through rows of as many columns as there are names."""
    row, column = divmod(position, len(columns))
    wanted = expected[column if len(expected) > 1 else 0]
    return RowProblem(row, f"{columns[column]}: expected {wanted}, got {_came(value, wanted)}")


def _came(value: float, wanted: str) -> str:
    if wanted == UNKNOWN_CATEGORY:  # text has become a code by then, -1 if there is none
        return "a missing value" if value != value else "one it does not" if value == -1 else repr(value)
    return str(value)
