"""What readers and writers of all formats have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from inferir.datafiles.files import Source, Target
from inferir.errors import DimensionError, InferirError, InvalidInputError
from inferir.rows import Columns

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["RowReader", "TableWriter", "cells"]


class RowReader(ABC):
    """Batches of rows, each as `rows.Columns.encode` takes it.

    first_row  number of rows before the batch that came last.
    """

    def __init__(self, source: Source, columns: Columns) -> None:
        self._source = source
        self._columns = columns
        self.first_row = 0

    @abstractmethod
    def _batches(self) -> Iterator[tuple[Any, int]]:
        """Batches and how many rows each holds."""

    def __iter__(self) -> Iterator[Any]:
        next_row = 0
        with self._source.reading():
            for batch, rows in self._batches():
                self.first_row = next_row
                yield batch
                next_row += rows

    def check(self, batch: Any) -> None:
        """Raises what is wrong with the values of the batch that came last, by its row in the file, if anything is."""
        try:
            self._columns.encode(batch, first_row=self.first_row)
        except InferirError as error:
            raise type(error)(f"{self._source.name}: {error.message}") from error

    @property
    def bytes_done(self) -> int:
        """How much of the file is read."""
        return self._source.done

    @property
    def bytes_total(self) -> int | None:
        """Size of the file; None for standard input."""
        return self._source.total

    def close(self) -> None:
        """Closes the file."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class TableWriter(ABC):
    """A table, written batch by batch. The file is there once `close` returns."""

    def __init__(self, target: Target, names: Sequence[str]) -> None:
        self._target = target
        self.names = list(names)

    @abstractmethod
    def _write(self, columns: list[Any], rows: int) -> None:
        """Writes `rows` rows."""

    @abstractmethod
    def _finish(self) -> None:
        """Writes what ends the file."""

    def _cells(self, columns: list[Any]) -> list[list[Any]]:
        return [cells(column, name) for column, name in zip(columns, self.names, strict=True)]

    def write(self, columns: Mapping[str, Any]) -> None:
        """Adds rows: for each column a one-dimensional array or a list of text, numbers, booleans or None.

        Raises DimensionError where the names are not those the writer was opened with, or lengths differ;
        InvalidInputError for other values; FileAccessError when the file cannot be written.
        """
        if list(columns) != self.names:
            raise DimensionError(f"expected the columns {self.names}, got {list(columns)}")
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise DimensionError(f"expected columns of one length, got {lengths}")
        with self._target.writing():
            self._write(list(columns.values()), next(iter(lengths.values()), 0))

    def close(self) -> None:
        """Ends the file and gives it its name."""
        try:
            with self._target.writing():
                self._finish()
            self._target.commit()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Gives up: nothing is left of what was written."""
        self._target.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def cells(column: Any, name: str) -> list[Any]:
    """A column as text, Python numbers, booleans and None for NaN. A float32 becomes the float that is written with the
    fewest digits that read back as the same float32: 0.1, where float() would give 0.10000000149011612.
    """
    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf":
        if column.ndim != 1:
            raise DimensionError(f"column {name!r}: expected one dimension, got {column.ndim}")
        values = list(map(float, column.astype("U"))) if column.dtype in (np.float32, np.float16) else column.tolist()
        if column.dtype.kind == "f" and np.isnan(column).any():
            return [None if math.isnan(value) else value for value in values]
        return list(values)
    listed = column.tolist() if isinstance(column, np.ndarray) else list(column)
    if {str, int, bool, type(None)}.issuperset(map(type, listed)):
        return listed
    return [_cell(value, name) for value in listed]


def _cell(value: Any, name: str) -> Any:
    if isinstance(value, (np.float32, np.float16)):
        value = float(str(value))
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)  # a subclass may have another text
    if value is None:
        return None
    raise InvalidInputError(f"column {name!r}: expected text, a number, a boolean or None, got {type(value).__name__}")
