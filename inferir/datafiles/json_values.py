"""JSON and JSON Lines: every row an object by column name or an array by position.

JSON is one array, read value by value: a file is never held as a whole. `null` is a missing value; NaN, Infinity and
-Infinity are read, as Python and pandas write them. Written is strict JSON: a missing value is `null`, an infinite one
1e999, which every reader of 64-bit floats makes infinite again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from inferir.datafiles.base import RowReader, TableWriter
from inferir.datafiles.delimited import lines_of
from inferir.datafiles.files import LONGEST_TEXT, Source, Target
from inferir.errors import InvalidInputError
from inferir.rows import Columns

__all__ = ["JsonLinesReader", "JsonLinesWriter", "JsonReader", "JsonWriter"]

#: Characters read at a time; also the least that is added when a value is not complete.
_CHUNK = 64 * 1024

#: A mistake so near to the end of what is read may be a value that is cut off: \ud800\udc00 is the longest.
_CUT_OFF = 16

_SPACE = re.compile(r"[ \t\r\n]*")


class JsonLinesReader(RowReader):
    """Batches are lists of dicts or lists. Empty lines are skipped."""

    def __init__(self, source: Source, columns: Columns, batch_rows: int, header: bool) -> None:
        super().__init__(source, columns)
        self._batch_rows = batch_rows
        with source.reading():
            self._rows = _lines(source)
            self._first = next(self._rows, None)
        if self._first is None:
            raise source.empty()

    def _batches(self) -> Iterator[tuple[Any, int]]:
        batch = [self._first, *islice(self._rows, self._batch_rows - 1)]
        while batch:
            yield batch, len(batch)
            batch = list(islice(self._rows, self._batch_rows))


def _lines(source: Source) -> Iterator[Any]:
    for number, line in enumerate(lines_of(source), 1):
        if line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _not_json(f"{source.name}, line {number}", error) from error
        yield _row(row, partial("{}, line {}".format, source.name, number))


class JsonReader(RowReader):
    """Batches are lists of dicts or lists."""

    def __init__(self, source: Source, columns: Columns, batch_rows: int, header: bool) -> None:
        super().__init__(source, columns)
        self._batch_rows = batch_rows
        with source.reading():
            self._scanner = _Scanner(source.text().read, source.name)
            opening = self._scanner.peek()
        if not opening:
            raise source.empty()
        if opening != "[":
            raise InvalidInputError(f"{self._scanner.place()}: expected an array of rows, got {opening!r}")

    def _batches(self) -> Iterator[tuple[Any, int]]:
        rows = self._rows()
        while batch := list(islice(rows, self._batch_rows)):
            yield batch, len(batch)

    def _rows(self) -> Iterator[Any]:
        scanner = self._scanner
        scanner.skip()
        if scanner.peek() == "]":
            scanner.skip()
        else:
            while True:
                scanner.peek()
                yield _row(scanner.value(), scanner.place)
                separator = scanner.peek()
                if separator not in (",", "]"):
                    raise InvalidInputError(f"{scanner.place()}: expected ',' or ']', got {separator or 'the end'!r}")
                scanner.skip()
                if separator == "]":
                    break
        if rest := scanner.peek():
            raise InvalidInputError(f"{scanner.place()}: expected the end of the file, got {rest!r}")


class _Scanner:
    """JSON text that is read as far as it is needed."""

    def __init__(self, read: Callable[[int], str], name: str) -> None:
        self._read = read
        self._name = name
        self._text = ""
        self._at = 0
        self._lines_gone = 0
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self) -> None:
        """Goes on by one character."""
        self._at += 1

    def value(self) -> Any:
        """The value that starts here."""
        while True:
            try:
                value, self._at = self._decode(self._text, self._at)
                return value
            except json.JSONDecodeError as error:
                cut_off = error.pos >= len(self._text) - _CUT_OFF or error.msg.startswith("Unterminated string")
                if len(self._text) - self._at > LONGEST_TEXT:
                    raise InvalidInputError(
                        f"{self.place()}: expected rows of at most {LONGEST_TEXT} characters"
                    ) from None
                if cut_off and self._more():
                    continue
                raise InvalidInputError(f"{self.place(error.pos)}: expected JSON: {error.msg}") from error
            except (ValueError, RecursionError) as error:  # an integer of thousands of digits, arrays in arrays in ...
                raise _not_json(self.place(), error) from error

    def place(self, at: int | None = None) -> str:
        """Where that is, for errors."""
        at = self._at if at is None else at
        line = self._lines_gone + self._text.count("\n", 0, at) + 1
        return f"{self._name}, line {line}"

    def _more(self) -> bool:
        # As much as there is already: a long value is tried a few times, not once for every chunk.
        chunk = self._read(max(_CHUNK, len(self._text) - self._at))
        self._lines_gone += self._text.count("\n", 0, self._at)
        self._text = self._text[self._at :] + chunk
        self._at = 0
        return bool(chunk)


def _row(value: Any, place: Callable[[], str]) -> Any:
    if not isinstance(value, (dict, list)):
        raise InvalidInputError(f"{place()}: expected an object or an array for a row, got {json.dumps(value)[:40]}")
    return value


def _not_json(place: str, error: Exception) -> InvalidInputError:
    if isinstance(error, json.JSONDecodeError):
        return InvalidInputError(f"{place}, column {error.colno}: expected JSON: {error.msg}")
    return InvalidInputError(f"{place}: expected JSON that can be read: {error}")


class _Writer(TableWriter):
    """Rows as objects, each on a line of its own."""

    _opening, _between, _closing = "", "\n", "\n"

    def __init__(self, target: Target, names: Sequence[str]) -> None:
        super().__init__(target, names)
        self._before = self._opening
        fields = ", ".join(f"{json.dumps(name)}: ".replace("%", "%%") + "%s" for name in self.names)
        self._template = "{" + fields + "}"

    def _write(self, columns: list[Any], rows: int) -> None:
        texts = [[_TEXT[type(value)](value) for value in column] for column in self._cells(columns)]
        lines = [self._template % row for row in zip(*texts, strict=True)]
        if lines:
            self._target.stream.write((self._before + self._between.join(lines)).encode())
            self._before = self._between

    def _finish(self) -> None:
        # Without a row the opening is not written yet.
        self._target.stream.write(((self._before if self._before == self._opening else "") + self._closing).encode())


class JsonWriter(_Writer):
    """One array of objects."""

    _opening, _between, _closing = "[\n", ",\n", "\n]\n"


class JsonLinesWriter(_Writer):
    """One object a line."""

    def _finish(self) -> None:
        if self._before != self._opening:
            super()._finish()


def _float(value: float) -> str:
    if math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    return repr(value)


#: Type -> its text; `json.dumps` says the same, but takes ten times as long for one value.
_TEXT: dict[type, Callable[[Any], str]] = {
    float: _float,
    int: int.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    str: json.encoder.encode_basestring_ascii,
    type(None): lambda value: "null",
}
