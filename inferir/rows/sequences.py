"""Rows in Python's own containers: lists of lists, lists of dicts, and a dict of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import DimensionError, InvalidInputError
from inferir.rows.categories import CategoryCodes
from inferir.rows.names import check_width, missing_columns
from inferir.rows.values import NUMERIC_KINDS, Values, from_array

__all__ = ["ONE_DIMENSIONAL", "by_position", "code_rows", "columns_of_rows", "from_columns"]

ONE_DIMENSIONAL = (
    "expected a table of rows, got one dimension; pass one row as [[...]] or x.reshape(1, -1), "
    "one column as x.reshape(-1, 1)"
)

_ROW_TYPES = (list, tuple, np.ndarray)
_CONTAINERS = (*_ROW_TYPES, Mapping)
_SCALARS = (str, bytes, int, float, complex, np.generic, type(None))

#: What NumPy makes floats of without parsing text, None included.
_PLAIN_NUMBERS = {int, float, bool, type(None)}


def by_position(rows: Sequence[Any], names: Sequence[str], first_row: int) -> Sequence[Any]:
    """Rows given as mappings by column name -> tuples in the model's order; other rows as they are.

    Raises DimensionError for a missing key, InvalidInputError where mappings and other rows are mixed.
    """
    if not isinstance(rows[0], Mapping):
        return rows
    pick = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
    try:
        if all(issubclass(kind, Mapping) for kind in set(map(type, rows))):
            return list(map(pick, rows))
    except KeyError:
        pass
    for number, row in enumerate(rows, first_row):
        if not isinstance(row, Mapping):
            raise InvalidInputError(
                f"row {number}: expected a dict by column name, as row {first_row}, got {_kind(row)}"
            )
        missing = [name for name in names if name not in row]
        if missing:
            raise missing_columns(missing, [str(key) for key in row], f"row {number}: ")
    raise AssertionError("a row was refused among others, and taken by itself")


def code_rows(rows: Sequence[Any], categories: Sequence[tuple[int, CategoryCodes]]) -> npt.NDArray[Any] | None:
    """Rows by position as one array of numbers, or None where they are not so plain (`columns_of_rows` then says why).

    The cells of category columns, given as (position, codes), are replaced by their codes first: a row is one pass, not
    one per column, which is what a prediction of a single row needs.
    """
    if not all(issubclass(kind, _ROW_TYPES) for kind in set(map(type, rows))):
        return None
    try:
        if categories:
            rows = [_coded(row, categories) for row in rows]
        array = np.array(rows)
        # NumPy would make text of [1.5, "a"] and parse "1.5": text goes the other way.
        if array.dtype.kind == "O" and array.ndim == 2 and _PLAIN_NUMBERS.issuperset(map(type, chain(*rows))):
            array = np.array(rows, dtype=np.float64)
    except (ValueError, TypeError, IndexError, ArithmeticError):
        return None
    return array if array.ndim == 2 and array.dtype.kind in NUMERIC_KINDS else None


def _coded(row: Any, categories: Sequence[tuple[int, CategoryCodes]]) -> list[Any]:
    cells = list(row)
    for position, codes in categories:
        cells[position] = codes[cells[position]]
    return cells


def columns_of_rows(rows: Sequence[Any], names: Sequence[str], first_row: int) -> list[Values]:
    """Rows by position as one Values per column. Raises DimensionError for ragged or one-dimensional rows, or a wrong
    number of values.
    """
    if not all(issubclass(kind, _ROW_TYPES) for kind in set(map(type, rows))):
        _check_rows(rows, first_row)
    width = len(rows[0])
    for number, row in enumerate(rows, first_row):
        if len(row) != width:
            raise DimensionError(f"row {number}: expected {width} values, as in row {first_row}, got {len(row)}")
    check_width(len(names), width)
    return [_objects(column, name, first_row) for column, name in zip(zip(*rows, strict=True), names, strict=False)]


def from_columns(
    columns: Mapping[Any, Any], match: Callable[[list[str]], list[int]], names: Sequence[str]
) -> list[list[Values]]:
    """A mapping of column names to one-dimensional arrays or lists of the same length."""
    came = list(columns.values())
    batch = [
        _column(came[position], name)
        for position, name in zip(match([str(key) for key in columns]), names, strict=True)
    ]
    for values, name in zip(batch, names, strict=True):
        if len(values) != len(batch[0]):
            raise DimensionError(
                f"column {name!r}: expected {len(batch[0])} values, as in column {names[0]!r}, got {len(values)}"
            )
    return [batch]


def _check_rows(rows: Sequence[Any], first_row: int) -> None:
    for number, row in enumerate(rows, first_row):
        if isinstance(row, _SCALARS):
            if number == first_row:
                raise DimensionError(ONE_DIMENSIONAL)
            raise DimensionError(f"row {number}: expected a row of values, got {_kind(row)}")
        if isinstance(row, Mapping) or not (hasattr(row, "__len__") and hasattr(row, "__iter__")):
            raise InvalidInputError(f"row {number}: expected a list of values, got {_kind(row)}")


def _objects(column: Sequence[Any], name: str, first_row: int) -> Values:
    if any(issubclass(kind, _CONTAINERS) for kind in set(map(type, column))):
        for row, value in enumerate(column, first_row):
            if isinstance(value, _CONTAINERS):
                raise DimensionError(f"row {row}, column {name!r}: expected one value, got {_kind(value)}")
    return Values(list(column))


def _column(values: Any, name: str) -> Values:
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        raise DimensionError(
            f"column {name!r}: expected a list or an array of values, got {_kind(values)}; pass one row as [{{...}}]"
        )
    if isinstance(values, (list, tuple)):
        return _objects(values, name, 0)
    array = np.asarray(values)
    if array.ndim != 1:
        raise DimensionError(f"column {name!r}: expected one dimension, got {array.ndim}")
    return from_array(array, name)


def _kind(value: Any) -> str:
    return type(value).__name__
