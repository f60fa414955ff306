"""Values of a category column -> codes.

The code of a value is the position of its text in the column's categories, as a float.

    text                    compared as it is
    integers, booleans      compared as str() writes them: 2 is "2", True is "True", and "1" where there is no "True"
    other numbers           a whole number as an integer (2.0 is "2"), else the shortest text that reads back as the
                            same number in its own width (float32 0.1 is "0.1")
    not among them          -1.0
    None, NaN, null         NaN

A category that was itself stored as "2.0" is found by the number 2 as well, unless "2" is another category.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.rows.plain import NAN, UNKNOWN, NotACategoryError, PlainCodes, parse_number

__all__ = ["MISSING_TYPES", "UNKNOWN", "CategoryCodes", "NotACategoryError", "number_text", "parse_number"]

#: pandas' markers of a missing value, by the names of their types: pandas is not imported to look.
MISSING_TYPES = frozenset({"NAType", "NaTType"})


class CategoryCodes(PlainCodes):
    """Codes of the values that tables hold: NumPy's and pandas' beside Python's own."""

    __slots__ = ()

    booleans = (bool, np.bool_)
    integers = (Integral,)
    numbers = (Real, Decimal, np.bool_)

    def __missing__(self, value: Any) -> float:
        return NAN if type(value).__name__ in MISSING_TYPES else super().__missing__(value)

    def of_objects(self, values: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Codes of Python values. Raises NotACategoryError (or TypeError where a value cannot be hashed)."""
        return np.fromiter(map(self.__getitem__, values), np.float64, len(values))

    def of_numbers(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Codes of an array of numbers or booleans, shape (n,); NaN gives NaN."""
        distinct, inverse = np.unique(values, return_inverse=True)
        codes = np.array([self[value] for value in distinct], dtype=np.float64)
        return codes[inverse.reshape(-1)]


number_text = CategoryCodes.text_of
