"""Rows of plain Python values, as JSON gives them -> row-major floats, without NumPy.

    number column      numbers; True and False are 1 and 0; None is NaN; text and containers are refused
    category column    text, numbers, None: see categories.py, which builds on the codes below

The rules are those of `Columns.encode`, and a test holds the two together. This is the way in for one row or a few, and
the only one where NumPy is not there: nothing is imported that a start on AWS Lambda would feel.
"""

from __future__ import annotations

import _struct

from inferir.errors import DimensionError, InferirError, InvalidInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Protocol

    Typecode = Literal["d", "f"]

    class Column(Protocol):
        """A column as `formats.spec.ColumnSpec` has it."""

        @property
        def name(self) -> str: ...

        @property
        def categories(self) -> Sequence[str] | None: ...


__all__ = ["NAN", "UNKNOWN", "NotACategoryError", "PlainCodes", "PlainColumns", "parse_number", "short_repr"]

#: The code of a value that is not among the categories.
UNKNOWN = -1.0

#: `math` is a file of its own in many interpreters.
NAN = float("nan")


class NotACategoryError(TypeError):
    """A value that is neither text nor a number nor missing. Becomes an InvalidInputError once its row is known."""


class PlainCodes(dict):  # type: ignore[type-arg]  # dict[Any, float] would need typing when it is run
    """Text -> code. What is not among the categories is answered by `__missing__`, so that the lookup of a known text
    costs no Python call. Only strings are keys: the number 1 never finds the key "1" by accident.
    """

    __slots__ = ("_numbers",)

    #: What counts as a truth value, as an integer, and as a number at all.
    booleans: tuple[Any, ...] = (bool,)
    integers: tuple[Any, ...] = (int,)
    numbers: tuple[Any, ...] = (int, float)

    def __init__(self, categories: Sequence[str]) -> None:
        super().__init__()
        for code, text in enumerate(categories):
            self.setdefault(text, float(code))
        self._numbers: dict[str, float] = dict(self)
        for code, text in enumerate(categories):
            number = parse_number(text)
            if isinstance(number, float) and number == number:
                self._numbers.setdefault(self.text_of(number), float(code))

    def __missing__(self, value: Any) -> float:
        if isinstance(value, str):
            return UNKNOWN
        if value is None:
            return NAN
        if isinstance(value, self.numbers):
            text = self.text_of(value)
            if isinstance(value, self.booleans) and text not in self._numbers:  # pandas, CatBoost: True is 1
                text = str(int(value))
            return NAN if text.endswith("nan") else self._numbers.get(text, UNKNOWN)
        raise NotACategoryError

    @classmethod
    def text_of(cls, value: Any) -> str:
        """The text by which a number is compared: see the rules in categories.py."""
        try:
            if isinstance(value, cls.booleans):
                return str(bool(value))
            if isinstance(value, cls.integers):
                return str(int(value))
            whole = int(value)
            return str(whole) if whole == value else str(value)
        except (ValueError, OverflowError):  # NaN, infinite, or an integer of more digits than Python writes
            return "" if isinstance(value, cls.integers) else str(value).lower()


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


class PlainColumns:
    """A model's input columns, for rows of plain values.

    typecode  of the numbers in a row: "d", or "f" for a model that works in float32 from its first step.
    """

    __slots__ = ("_codes", "_names", "_pack", "row_nbytes", "typecode", "width")

    def __init__(self, columns: Sequence[Column], typecode: Typecode = "d") -> None:
        self.width = len(columns)
        self.typecode: Typecode = typecode
        self._names = [column.name for column in columns]
        self._codes = [(k, PlainCodes(c.categories)) for k, c in enumerate(columns) if c.categories is not None]
        layout = _struct.Struct(f"{self.width}{typecode}")
        self._pack, self.row_nbytes = layout.pack_into, layout.size

    def write(self, features: Any, memory: bytearray, offset: int) -> None:
        """Write one row of `row_nbytes` at `offset`: `features` is a list in the model's order of columns, or a dict by
        column name, whose other keys are left out.

        Raises DimensionError (E003) for a wrong number or missing names of columns and InvalidInputError (E006) for a
        value of the wrong kind.
        """
        cells = features if type(features) is list and len(features) == self.width else self._cells(features)
        if self._codes:
            cells = self._coded(cells)
        try:
            self._pack(memory, offset, *cells)
        except (_struct.error, OverflowError):  # type: ignore[attr-defined]
            numbers = [self._number(cell, name) for cell, name in zip(cells, self._names)]  # noqa: B905
            memoryview(memory)[offset : offset + self.row_nbytes].cast(self.typecode)[:] = _rounded(
                numbers, self.typecode
            )

    def _cells(self, features: Any) -> list[Any]:
        """The cells of anything else than a list of the right length."""
        if type(features) is list:
            raise DimensionError(f"expected {self.width} features, got {len(features)}")
        if type(features) is not dict:
            raise InvalidInputError(
                f"features: expected a list, or an object by column name, got {short_repr(features)}"
            )
        try:
            return [features[name] for name in self._names]
        except KeyError:
            from inferir.rows.names import missing_columns  # difflib, and with it re: too dear for every start

            missing = [name for name in self._names if name not in features]
            raise missing_columns(missing, list(map(str, features))) from None

    def _coded(self, cells: list[Any]) -> list[Any]:
        cells = cells.copy()
        for position, codes in self._codes:
            try:
                cells[position] = codes[cells[position]]
            except TypeError:  # a container, or NotACategoryError
                raise self._refusal(self._names[position], "text or a number", cells[position]) from None
        return cells

    def _number(self, cell: Any, name: str) -> float:
        if cell is None:
            return NAN
        if not isinstance(cell, (int, float)):
            raise self._refusal(name, "a number", cell)
        try:
            return float(cell)
        except OverflowError:
            raise self._refusal(name, "a number that fits a float", cell) from None

    @staticmethod
    def _refusal(name: str, expected: str, cell: Any) -> InferirError:
        return InvalidInputError(f"column {name!r}: expected {expected}, got {short_repr(cell)}")


def _rounded(numbers: list[float], typecode: Typecode) -> memoryview[float]:
    """The numbers in memory. One beyond float32 becomes infinite there, as in NumPy; `struct` would refuse it."""
    view = memoryview(bytearray(_struct.Struct(f"{len(numbers)}{typecode}").size)).cast(typecode)
    for place, number in enumerate(numbers):
        view[place] = number
    return view


def short_repr(value: Any) -> str:
    """What came, for a message: long values are cut."""
    from reprlib import repr as shortened

    try:
        return shortened(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"{type(value).__name__} of {value.bit_length()} bits"
