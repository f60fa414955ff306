"""CSV: values separated by commas, semicolons, tabs or vertical bars.

Python's `csv` module splits the lines (RFC 4180: quotes, line ends within them) whether or not pyarrow is installed, so
that a file always gives the same answers.

    first line     the names of the columns; with header=False there is none, and columns are by position
    separator      the one of , ; tab | that splits the first line into most of the model's columns
    numbers        as float() reads ASCII, without underscores; true and false in any case are 1 and 0, as in pandas
    missing        MISSING, which is pandas' list (na_values of read_csv), unless it is one of the column's categories
    categories     text. Where all of a column's categories are numbers, "2.0" is the number 2: pandas writes integers
                   so when others of their column are missing. Where they are True and False, any case will do
    empty lines    skipped
"""

from __future__ import annotations

import csv
import io
import math
import reprlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.datafiles.base import RowReader, TableWriter
from inferir.datafiles.files import LONGEST_TEXT, Source, Target
from inferir.errors import DimensionError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns
from inferir.rows.categories import parse_number

__all__ = ["MISSING", "CsvReader", "CsvWriter", "lines_of"]

#: Fields that are missing values, with or without spaces around them.
MISSING = frozenset(
    [
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
    ]
)

_BOOLEANS = {"true": True, "false": False}

#: Fields that are no numbers for float(), as they are mostly written.
_WORDS = {**dict.fromkeys(MISSING, math.nan), "True": 1.0, "False": 0.0, "TRUE": 1.0, "FALSE": 0.0}

_SEPARATORS = ",;\t|"

#: Rows whose fields are converted before others are split: so many stay in the cache between the two.
_PART_ROWS = 256


class _BadNumberError(ValueError):
    def __init__(self, row: int) -> None:
        self.row = row


class CsvReader(RowReader):
    """Batches are dicts of column name -> float64 array, or a list of text, numbers and None for a category column."""

    def __init__(self, source: Source, columns: Columns, batch_rows: int, header: bool) -> None:
        super().__init__(source, columns)
        self._batch_rows = batch_rows
        positions = list(range(len(columns.names)))
        self._width = len(positions)
        with source.reading():
            lines = self._watched(lines_of(source))
            first, self._empty_lines = _first_line(lines, source)
            separator = _separator(first, columns, header)
            self._records = csv.reader(chain([first], lines), delimiter=separator, strict=True)
            if header:
                names = self._take(1)[0]
                positions, self._width = self._match(names), len(names)
        self._fields = [
            (position, spec.name, None if spec.categories is None else _Texts(spec))
            for position, spec in zip(positions, columns.specs, strict=True)
        ]

    def _batches(self) -> Iterator[tuple[Any, int]]:
        ended = False
        while not ended:
            parts: list[list[Any]] = []
            rows = 0
            while rows < self._batch_rows and not ended:
                lines_before = self._records.line_num
                records = self._take(min(_PART_ROWS, self._batch_rows - rows))
                ended = not records
                filled = [record for record in records if record] if [] in records else records
                if filled:
                    parts.append(self._converted(filled, records, lines_before))
                    rows += len(filled)
            if parts:
                merged = map(_merged, zip(*parts, strict=True))
                yield dict(zip(self._columns.names, merged, strict=True)), rows

    def _converted(self, rows: list[list[str]], records: list[list[str]], lines_before: int) -> list[Any]:
        """The model's columns of `rows`, which are the `records` without empty lines."""
        if set(map(len, rows)) != {self._width}:
            bad = next(row for row, record in enumerate(rows) if len(record) != self._width)
            raise DimensionError(
                f"{self._source.name}, line {self._line_of(bad, records, lines_before)}: "
                f"expected {self._width} values, got {len(rows[bad])}"
            )
        texts = list(zip(*rows, strict=True))
        columns: list[Any] = []
        for position, name, known in self._fields:
            column = texts[position]
            try:
                columns.append(_numbers(column, self._plain) if known is None else list(map(known.__getitem__, column)))
            except _BadNumberError as error:
                line = self._line_of(error.row, records, lines_before)
                raise InvalidInputError(
                    f"{self._source.name}, line {line}, column {name!r}: "
                    f"expected a number, got {reprlib.repr(column[error.row])}"
                ) from None
        return columns

    def _watched(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines; notes whether all of them are such that float() reads only what a number is (see `_numbers`)."""
        self._plain = True
        for line in lines:
            if "_" in line or not line.isascii():
                self._plain = False
            yield line

    def _take(self, count: int) -> list[list[str]]:
        try:
            return list(islice(self._records, count))
        except csv.Error as error:
            line = self._empty_lines + self._records.line_num
            raise InvalidInputError(f"{self._source.name}, line {line}: expected CSV: {error}") from error

    def _match(self, header: list[str]) -> list[int]:
        came_from_positions = header == [str(position) for position in range(len(header))]
        known = came_from_positions or not set(self._columns.names).isdisjoint(header)
        if not known and all(parse_number(name) is not None for name in header):
            raise InvalidInputError(
                f"{self._source.name}: expected the names of the columns in the first line, got numbers: "
                f"{', '.join(header[:5])}; for a file without names, ask for no header"
            )
        try:
            return self._columns.match(header)
        except DimensionError as error:
            raise DimensionError(f"{self._source.name}: {error.message}") from error

    def _line_of(self, row: int, records: list[list[str]], lines_before: int) -> int:
        """The line, counted from 1, on which a row of a batch starts: fields may hold line ends."""
        line = self._empty_lines + lines_before + 1
        for record in records:
            if record:
                if row == 0:
                    break
                row -= 1
            line += 1 + sum(field.count("\n") + field.count("\r") - field.count("\r\n") for field in record)
        return line


def lines_of(source: Source) -> Iterator[str]:
    """Lines of text with their ends. Raises InvalidInputError for one that is longer than a file of rows has."""
    # Not `for line in text`, which would hold a line of any length.
    for number, line in enumerate(iter(partial(source.text().readline, LONGEST_TEXT), ""), 1):
        if len(line) == LONGEST_TEXT:
            raise InvalidInputError(
                f"{source.name}, line {number}: expected lines of less than {LONGEST_TEXT} characters"
            )
        yield line


def _first_line(lines: Iterator[str], source: Source) -> tuple[str, int]:
    """The first line that is not empty, and how many were before it."""
    for number, line in enumerate(lines):
        if line.strip():
            return line, number
    raise source.empty()


def _separator(line: str, columns: Columns, header: bool) -> str:
    names = set(columns.names) if header and columns.named else None

    def fit(separator: str) -> tuple[int, int]:
        fields = next(csv.reader([line], delimiter=separator), [])
        if names is None:
            return -abs(len(fields) - len(columns.names)), len(fields)
        return len(names.intersection(fields)), len(fields)

    return max(_SEPARATORS, key=fit)


def _merged(parts: Sequence[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else list(chain.from_iterable(parts))


def _numbers(texts: Sequence[str], plain: bool) -> npt.NDArray[np.float64]:
    """Fields as numbers. float() also reads "1_000" and the digits of all scripts: unless the file is `plain`, which is
    cheaper to see line by line, that is looked for.
    """
    try:
        values = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        try:
            numbers = [_WORDS[text] if text in _WORDS else float(text) for text in texts]
        except ValueError:
            numbers = [_number(text, row) for row, text in enumerate(texts)]
        values = np.array(numbers, np.float64)
    if not plain:
        for row, text in enumerate(texts):
            if "_" in text or not text.isascii():
                raise _BadNumberError(row)
    return values


def _number(text: str, row: int) -> float:
    text = text.strip(" ")
    if text in MISSING:
        return math.nan
    if text.lower() in _BOOLEANS:
        return float(_BOOLEANS[text.lower()])
    if parse_number(text) is None:
        raise _BadNumberError(row)
    return float(text)


class _Texts(dict[str, Any]):
    """Field of a category column -> category or None. `__missing__` answers for fields that are neither."""

    def __init__(self, spec: ColumnSpec) -> None:
        categories = spec.categories or ()
        super().__init__(dict.fromkeys(MISSING))
        self.update({category: category for category in categories})
        self._all_numbers = all(parse_number(category) is not None for category in categories)
        self._all_booleans = {"True", "False"}.issuperset(categories)

    def __missing__(self, text: str) -> Any:
        if text.strip(" ") in MISSING:
            return None
        if self._all_booleans and text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        number = parse_number(text) if self._all_numbers else None
        return text if number is None else number


class CsvWriter(TableWriter):
    """Numbers with the fewest digits that read back the same; a missing value is an empty field."""

    def __init__(self, target: Target, names: Sequence[str]) -> None:
        super().__init__(target, names)
        self._separator = "\t" if target.name.lower().removesuffix(".gz").endswith(".tsv") else ","
        with target.writing():
            self._write_records([self.names])

    def _write(self, columns: list[Any], rows: int) -> None:
        self._write_records(zip(*self._cells(columns), strict=True))

    def _finish(self) -> None:
        pass  # the last line has its end

    def _write_records(self, records: Any) -> None:
        text = io.StringIO()
        csv.writer(text, delimiter=self._separator, lineterminator="\n").writerows(records)
        self._target.stream.write(text.getvalue().encode())
