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

import math
from collections.abc import Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MISSING_TYPES", "UNKNOWN", "CategoryCodes", "NotACategoryError", "number_text", "parse_number"]

#: The code of a value that is not among the categories.
UNKNOWN = -1.0

#: pandas' markers of a missing value, by the names of their types: pandas is not imported to look.
MISSING_TYPES = frozenset({"NAType", "NaTType"})


class NotACategoryError(TypeError):
    """A value that is neither text nor a number nor missing. Becomes an InvalidInputError once its row is known."""


class CategoryCodes(dict[Any, float]):
    """Text -> code. What is not among the categories is answered by `__missing__`, so that the lookup of a known text
    costs no Python call. Only strings are keys: the number 1 never finds the key "1" by accident.
    """

    __slots__ = ("_numbers",)

    def __init__(self, categories: Sequence[str]) -> None:
        super().__init__()
        for code, text in enumerate(categories):
            self.setdefault(text, float(code))
        self._numbers: dict[str, float] = dict(self)
        for code, text in enumerate(categories):
            number = parse_number(text)
            if isinstance(number, float) and not math.isnan(number):
                self._numbers.setdefault(number_text(number), float(code))

    def __missing__(self, value: Any) -> float:
        if isinstance(value, str):
            return UNKNOWN
        if value is None or type(value).__name__ in MISSING_TYPES:
            return math.nan
        if isinstance(value, (Real, Decimal, np.bool_)):
            text = number_text(value)
            if isinstance(value, (bool, np.bool_)) and text not in self._numbers:  # pandas, CatBoost: True is 1
                text = str(int(value))
            return math.nan if text.endswith("nan") else self._numbers.get(text, UNKNOWN)
        raise NotACategoryError

    def of_objects(self, values: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Codes of Python values. Raises NotACategoryError (or TypeError where a value cannot be hashed)."""
        return np.fromiter(map(self.__getitem__, values), np.float64, len(values))

    def of_numbers(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Codes of an array of numbers or booleans, shape (n,); NaN gives NaN."""
        distinct, inverse = np.unique(values, return_inverse=True)
        codes = np.array([self[value] for value in distinct], dtype=np.float64)
        return codes[inverse.reshape(-1)]


def number_text(value: Any) -> str:
    """The text by which a number is compared: see the rules above."""
    try:
        if isinstance(value, (bool, np.bool_)):
            return str(bool(value))
        if isinstance(value, Integral):
            return str(int(value))
        whole = int(value)
        return str(whole) if whole == value else str(value)
    except (ValueError, OverflowError):  # NaN, infinite, or an integer of more digits than Python writes
        return "" if isinstance(value, Integral) else str(value).lower()


def parse_number(text: str) -> int | float | None:
    """The number that a text writes in plain ASCII, an int where it has only digits; None where it is not one."""
    if "_" in text or not text.isascii():  # Python reads "1_000" and other scripts' digits; no data file means them
        return None
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return None
