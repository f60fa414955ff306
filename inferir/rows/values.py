"""One column's values in the three forms in which they come, and columns -> matrix.

A column's values are a NumPy array of numbers, a list of Python objects, or positions in a dictionary of either.
Numbers are written straight into the matrix in its own dtype, so that an integer is rounded once.

    number column      numbers and booleans; None, NaN, null are NaN; text, dates, complex numbers are refused
    category column    see categories.py

A number too large for float32 becomes infinity there, as in NumPy; a Python integer too large for float64 is refused.
Python integers above 2**53 that share a list with floats, or that come as objects, pass through float64, as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from inferir.errors import InferirError, InvalidInputError
from inferir.rows.categories import MISSING_TYPES, CategoryCodes
from inferir.rows.plain import short_repr

__all__ = ["NUMERIC_KINDS", "Matrix", "Values", "assemble", "bad_value", "fits_float32", "from_array", "target_dtype"]

Matrix: TypeAlias = "npt.NDArray[np.floating[Any]]"

#: dtype.kind of booleans, signed and unsigned integers, floats.
NUMERIC_KINDS = "biuf"

#: Rows written at a time: columns are read along and the matrix is written across, and a block of both stays in cache.
_BLOCK_ROWS = 2048

_NUMBER_TYPES = (Real, Decimal, np.bool_, type(None))

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)


@dataclass(slots=True)
class Values:
    """Values of one column for consecutive rows.

    `data` is a one-dimensional array of a numeric kind or a list of Python objects. `missing` marks missing rows of an
    array (in a list they are None). With `dictionary`, `data` are integer positions in the dictionary's values.
    """

    data: npt.NDArray[Any] | list[Any]
    missing: npt.NDArray[np.bool_] | None = None
    dictionary: Values | None = None

    def __len__(self) -> int:
        return len(self.data)


def from_array(array: npt.NDArray[Any], name: str) -> Values:
    """One column out of an array of any dtype, shape (n,)."""
    kind = array.dtype.kind
    if kind in NUMERIC_KINDS:
        return Values(array)
    if kind in "OUT":  # objects, fixed-width text, NumPy 2's StringDType
        return Values(array.tolist())
    raise InvalidInputError(f"column {name!r}: expected numbers or text, got {array.dtype}")


def fits_float32(dtype: np.dtype[Any]) -> bool:
    """Whether every value of `dtype` that training in float32 could have seen is kept: float32 and float16."""
    return dtype.kind == "f" and dtype.itemsize <= _FLOAT32.itemsize


def target_dtype(columns: Sequence[Values], codes: Sequence[CategoryCodes | None]) -> np.dtype[Any]:
    """float32 if there are number columns and all of them are float32 or float16, else float64."""
    numbers = [values for values, code in zip(columns, codes, strict=True) if code is None]
    return _FLOAT32 if numbers and all(map(_is_float32, numbers)) else _FLOAT64


def _is_float32(values: Values) -> bool:
    if values.dictionary is not None:
        return _is_float32(values.dictionary)
    return isinstance(values.data, np.ndarray) and fits_float32(values.data.dtype)


def assemble(
    batches: Sequence[Sequence[Values]],
    names: Sequence[str],
    codes: Sequence[CategoryCodes | None],
    dtype: np.dtype[Any],
    first_row: int,
) -> Matrix:
    """The matrix of `batches`, each one Values per column in the model's order.

    `codes` holds what encodes each category column, None for a number column. `first_row` is the number that errors
    give to the first row.
    """
    matrix: Matrix = np.empty((sum(len(batch[0]) for batch in batches), len(names)), dtype)
    start = 0
    with np.errstate(over="ignore"):
        for batch in batches:
            part = matrix[start : start + len(batch[0])]
            columns = [
                _numbers(values, dtype, name, first_row + start)
                if code is None
                else _codes(values, code, name, first_row + start)
                for values, name, code in zip(batch, names, codes, strict=True)
            ]
            for top in range(0, len(part), _BLOCK_ROWS):
                block = part[top : top + _BLOCK_ROWS]
                for position, (column, _) in enumerate(columns):
                    block[:, position] = column[top : top + _BLOCK_ROWS]
            for position, (_, missing) in enumerate(columns):
                if missing is not None:
                    part[missing, position] = math.nan
            start += len(part)
    return matrix


#: Numbers of any numeric dtype, and which of them are missing whatever they say.
_Column: TypeAlias = "tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]"


def _numbers(values: Values, dtype: np.dtype[Any], name: str, first_row: int) -> _Column:
    if isinstance(values.data, list):
        return _number_objects(values.data, name, first_row), None
    entries = values.dictionary
    if entries is None:
        return values.data, values.missing
    if isinstance(entries.data, list):  # spread over the rows, so that an error names the row
        return _number_objects(_spread(values, entries.data, name).tolist(), name, first_row), None
    return _spread(values, _with_nan(entries.data.astype(dtype), entries.missing), name), None


def _codes(values: Values, codes: CategoryCodes, name: str, first_row: int) -> _Column:
    if isinstance(values.data, list):
        return _object_codes(values.data, codes, name, first_row), None
    entries = values.dictionary
    if entries is None:
        return codes.of_numbers(values.data), values.missing
    if isinstance(entries.data, np.ndarray):
        return _spread(values, _with_nan(codes.of_numbers(entries.data), entries.missing), name), None
    try:
        return _spread(values, codes.of_objects(entries.data), name), None
    except (TypeError, ArithmeticError):  # an entry is neither text nor a number, but perhaps no row has it
        return _object_codes(_spread(values, entries.data, name).tolist(), codes, name, first_row), None


def _with_nan(numbers: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None) -> npt.NDArray[Any]:
    if missing is not None:
        numbers[missing] = math.nan
    return numbers


def _spread(values: Values, entries: npt.NDArray[Any] | list[Any], name: str) -> npt.NDArray[Any]:
    """The dictionary's entries at the positions that `values` holds, and NaN or None where it is missing."""
    with_missing = np.empty(len(entries) + 1, dtype=object if isinstance(entries, list) else entries.dtype)
    with_missing[:-1] = entries
    with_missing[-1] = None if isinstance(entries, list) else math.nan
    positions = np.asarray(values.data)
    known = positions if values.missing is None else positions[~values.missing]
    if len(known) and (known.min() < 0 or known.max() >= len(entries)):
        raise InvalidInputError(
            f"column {name!r}: expected positions in a dictionary of {len(entries)}, got {known.min()} to {known.max()}"
        )
    if values.missing is not None:  # a missing position may be any number
        positions = np.where(values.missing, len(entries), positions)
    spread: npt.NDArray[Any] = with_missing[positions]
    return spread


def _object_codes(objects: list[Any], codes: CategoryCodes, name: str, first_row: int) -> npt.NDArray[np.float64]:
    try:
        return codes.of_objects(objects)
    except (TypeError, ArithmeticError):
        pass
    for row, value in enumerate(objects, first_row):
        try:
            codes[value]
        except (TypeError, ArithmeticError):
            raise bad_value(row, name, "text or a number", value) from None
    raise AssertionError("a value was refused in a column, and taken by itself")


def _number_objects(objects: list[Any], name: str, first_row: int) -> npt.NDArray[np.float64]:
    types = set(map(type, objects))
    if any(kind.__name__ in MISSING_TYPES for kind in types):
        objects = [None if type(value).__name__ in MISSING_TYPES else value for value in objects]
        types = set(map(type, objects))
    if all(issubclass(kind, _NUMBER_TYPES) for kind in types):
        try:
            return np.array(objects, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            pass
    for row, value in enumerate(objects, first_row):
        if not isinstance(value, _NUMBER_TYPES):
            raise bad_value(row, name, "a number", value)
        try:
            np.array([value], dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise bad_value(row, name, "a number that fits a float", value) from None
    raise AssertionError("a value was refused in a column, and taken by itself")


def bad_value(row: int, name: str, expected: str, value: Any) -> InferirError:
    """The error for one cell."""
    return InvalidInputError(f"row {row}, column {name!r}: expected {expected}, got {short_repr(value)}")
