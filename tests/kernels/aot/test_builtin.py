"""Records appended, and lines with numbers in them, by a library's `inferir_call_record`."""

from __future__ import annotations

import gc
import math
import platform
import sys
from pathlib import Path
from types import BuiltinFunctionType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.kernels.aot import builtin, library

LINE = b"read;dur=0.000, run;dur=0.000\r\n"
PLACES = [9, None, 24]
TEXT = builtin.TEXT_NBYTES


class Book:
    """Records of three listed numbers, two more, and a text; and what appends them."""

    def __init__(self, level: str | None = None, capacity: int = 4, line: bytes = LINE, places: Any = PLACES) -> None:
        form = [("numbers", "f8", len(places) + 2), ("text", f"S{TEXT}")]
        self.memory = np.zeros(capacity + 2, form)
        self.memory["text"] = b"x" * TEXT
        self.count = np.zeros(1, np.int64)
        where = self.count.ctypes.data, self.memory.ctypes.data, capacity
        self.note: Any = library.load(level).bind_record(builtin.RecordForm(line, places, 2, 1, *where))

    def take(self) -> list[tuple[list[float], bytes]]:
        n, self.count[0] = self.count[0], 0
        return [(record["numbers"].tolist(), record["text"]) for record in self.memory[:n]]


@pytest.fixture(scope="module", params=[name for name, _ in library.levels(platform.machine(), library.cpu_flags())])
def book(libraries: Path, request: pytest.FixtureRequest) -> Book:
    assert library.load(request.param).level == request.param
    made = Book(request.param)
    assert isinstance(made.note, BuiltinFunctionType)
    return made


def expected(seconds: list[float]) -> bytes:
    read, _, run = (round(s * 1e6) for s in seconds)
    return b"read;dur=%d.%03d, run;dur=%d.%03d\r\n" % (*divmod(read, 1000), *divmod(run, 1000))


fits = st.floats(0.0, 0.0099994) | st.integers(0, 9999).map(lambda us: us / 1e6)
halves = st.integers(0, 9998).map(lambda us: (us + 0.5) / 1e6)


@given(
    seconds=st.tuples(*[fits | halves] * 3).map(list),
    more=st.tuples(st.floats(allow_nan=False), st.integers(-(2**53), 2**53)),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=2 * TEXT),
)
def test_a_record_and_its_line(book: Book, seconds: list[float], more: tuple[float, int], text: str) -> None:
    assert book.note(seconds, *more, text) == expected(seconds)
    assert book.take() == [([*seconds, *more], np.bytes_(text.encode()[:TEXT]))]


def test_every_thousandth(book: Book) -> None:
    for us in range(10_000):
        seconds = [us / 1e6, 0.0, (9999 - us) / 1e6]
        assert book.note(seconds, 0, 0, "") == expected(seconds)
        book.count[0] = 0


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("number", [0.01, 0.0099999, 1.0, 1e300, math.inf, math.nan, -1e-6, -math.inf])
def test_a_number_that_does_not_fit_is_kept(book: Book, number: float, place: int) -> None:
    seconds = [0.001] * 3
    seconds[place] = number
    assert book.note(seconds, 1, 2, "a") == b""
    assert book.note([0.001] * 3, 3, 4, "") == expected([0.001] * 3)
    (first, a), second = book.take()
    np.testing.assert_array_equal(first, [*seconds, 1, 2])
    assert (a, second) == (b"a", ([0.001, 0.001, 0.001, 3.0, 4.0], b""))


def test_numbers_of_other_kinds(book: Book) -> None:
    assert book.note([0, False, 0.0], True, np.float64(2.5), "") == expected([0.0, 0.0, 0.0])
    assert book.note([0.001, 0.002, 0.003, "one more"], 0, 0, "") == expected([0.001, 0.002, 0.003])
    assert book.note([-0.0, 0.0, 5e-324], 0, 0, "") == expected([0.0, 0.0, 0.0])
    assert book.take()[0] == ([0.0, 0.0, 0.0, 1.0, 2.5], b"")


def test_the_last_record_is_said_and_the_rest_is_lost(book: Book) -> None:
    said = [book.note([0.001] * 3, k, k, str(k)) for k in range(10)]
    assert [bool(line) for line in said] == [k != 3 for k in range(10)]
    assert [numbers[3] for numbers, _ in book.take()] == [0, 1, 2, 3]
    assert book.memory[5]["text"] == b"x" * TEXT, "what is behind the last of all"


def test_without_room_there_is_the_line_alone(libraries: Path) -> None:
    book = Book(capacity=0)
    assert [book.note([0.001] * 3, 1, 2, "a") for _ in range(3)] == [expected([0.001] * 3)] * 3
    assert book.take() == []
    assert book.memory[1]["text"] == b"x" * TEXT


@pytest.mark.parametrize("listed", [None, 7, b"1.0", (0.001, 0.001, 0.001), [], [0.001], [0.001, 0.001, "0.001"]])
def test_what_is_no_list_of_numbers(book: Book, listed: Any) -> None:
    with pytest.raises((SystemError, TypeError, IndexError)):  # the first is what PyList_GetItem says of no list
        book.note(listed, 1, 2, "a")
    assert book.take() == []
    assert book.note([0.001] * 3, 1, 2, "a") == expected([0.001] * 3)
    assert len(book.take()) == 1


@pytest.mark.parametrize(
    "more", [(), (1,), (1, 2), (1, 2, "a", "b"), ("1", 2, "a"), (1, None, "a"), (1, 2, b"a"), (1, 2, None), (1, 2, 3.0)]
)
def test_what_is_not_as_expected_behind_it(book: Book, more: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        book.note([0.001] * 3, *more)
    assert book.take() == []


def test_a_text_that_is_no_unicode(book: Book) -> None:
    with pytest.raises(UnicodeEncodeError):
        book.note([0.001] * 3, 1, 2, "\ud800")
    assert book.take() == []


def test_references_stay(book: Book) -> None:
    seconds, text = [0.001, 0.002, 0.003], "".join(["a", "b"])
    assert sys.getrefcount(book.note(seconds, 0.5, 0.5, text)) == sys.getrefcount(object()), "nobody else has it"
    before = [sys.getrefcount(each) for each in (book.note, seconds, text, *seconds)]
    for _ in range(10_000):
        book.note(seconds, 0.5, 0.5, text)
    assert [sys.getrefcount(each) for each in (book.note, seconds, text, *seconds)] == before
    book.take()


def test_it_keeps_what_it_needs(libraries: Path) -> None:
    books = [Book(line=LINE.replace(b"run", b"r%02d" % k)) for k in range(50)]
    gc.collect()
    scattered = [bytes(range(48, 48 + k % 50)) for k in range(10_000)]  # takes what was freed
    for k, book in enumerate(books):
        assert book.note([0.0, 0.0, 0.009], 0, 0, "") == b"read;dur=0.000, r%02d;dur=9.000\r\n" % k
    assert len(scattered) == 10_000


def test_lines_that_it_has_no_room_for(libraries: Path) -> None:
    longest = b"0.000" + b"-" * (builtin.LONGEST_LINE - 10)
    made = Book(line=longest, places=[0, None, None])
    assert made.note([0.0012, 0.0099, 0.001], 0, 0, "") == longest.replace(b"0.000", b"1.200")
    for line, places in ((longest + b"-", [0]), (LINE, [8]), (LINE, [30]), (LINE, [-7])):
        with pytest.raises(ValueError, match="expected"):
            Book(line=line, places=places)


def test_a_python_of_other_heads(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "HEAD_NBYTES", 48)
    assert Book().note is None
