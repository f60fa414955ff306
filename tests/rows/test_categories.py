"""Category values -> codes, against a plain dictionary."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns
from inferir.rows.categories import CategoryCodes, number_text, parse_number

CODES = CategoryCodes(("red", "2", "True", "0.1", "3.0", "inf"))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("red", 0),
        ("Red", -1),
        (np.str_("red"), 0),
        ("", -1),
        (2, 1),
        (2.0, 1),
        (np.int8(2), 1),
        (np.float32(2), 1),
        (Decimal(2), 1),
        (Fraction(2), 1),
        ("2", 1),
        ("2.0", -1),
        (True, 2),
        (np.bool_(True), 2),
        (1, -1),
        (False, -1),
        (0.1, 3),
        (np.float32(0.1), 3),
        (np.float64(np.float32(0.1)), -1),
        (3, 4),
        (3.0, 4),
        ("3.0", 4),
        ("3", -1),
        (math.inf, 5),
        (-math.inf, -1),
        (Decimal(10) ** 5000, -1),
    ],
)
def test_one_value(value: object, code: float) -> None:
    assert CODES[value] == code


def test_an_integer_of_more_digits_than_python_writes() -> None:
    assert CODES[10**5000] == -1


class NAType:
    """As pandas.NA: it has no truth value."""

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


@pytest.mark.parametrize("value", [None, math.nan, np.float32(math.nan), Decimal("NaN"), NAType()])
def test_missing(value: object) -> None:
    assert math.isnan(CODES[value])


@pytest.mark.parametrize(
    "value", [b"red", 1j, object(), datetime.date(2020, 1, 1), np.datetime64("2020-01-01"), Decimal("sNaN"), {1}]
)
def test_neither_text_nor_number(value: object) -> None:
    columns = Columns([ColumnSpec("colour", "category", ("red",))])
    for rows in ([["red"], [value]], {"colour": ["red", value]}):
        with pytest.raises(InvalidInputError, match="row 1, column 'colour': expected text or a number, got"):
            columns.encode(rows)


def test_an_exact_category_comes_before_one_of_the_same_number() -> None:
    codes = CategoryCodes(("2.0", "2"))
    assert codes[2] == codes[2.0] == 1
    assert codes["2.0"] == 0


def test_large_integers_are_not_confused() -> None:
    codes = CategoryCodes((str(2**53), str(2**53 + 1)))
    assert codes[2**53] == 0
    assert codes[2**53 + 1] == 1
    np.testing.assert_array_equal(codes.of_numbers(np.array([2**53 + 1, 2**53 + 2])), [1, -1])


@pytest.mark.parametrize("text", ["1_000", "\u0661", "", "x", "1,5", "0x10", "1e", "--1"])
def test_text_that_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(("text", "number"), [("12", 12), ("-7", -7), ("1.50", 1.5), ("1e3", 1000.0)])
def test_text_that_is_a_number(text: str, number: float) -> None:
    assert parse_number(text) == number
    assert type(parse_number(text)) is type(number)


@given(st.floats(allow_nan=False))
def test_number_text_reads_back(value: float) -> None:
    assert float(number_text(value)) == value


@given(
    st.lists(st.text(max_size=15), min_size=1, max_size=8, unique=True),
    st.lists(st.one_of(st.none(), st.text(max_size=15)), max_size=20),
    st.data(),
)
def test_text_against_a_dictionary(categories: list[str], values: list[str | None], data: st.DataObject) -> None:
    values += data.draw(st.lists(st.sampled_from(categories), max_size=20))
    expected = [
        math.nan if value is None else categories.index(value) if value in categories else -1 for value in values
    ]
    np.testing.assert_array_equal(CategoryCodes(categories).of_objects(values), np.array(expected, float))


@given(st.lists(st.integers(-5, 5), min_size=1), st.sampled_from([np.int8, np.int64, np.float16, np.float64]))
def test_numbers_against_a_dictionary(values: list[int], dtype: type) -> None:
    categories = ["3", "-2", "0"]
    expected = [categories.index(str(value)) if str(value) in categories else -1 for value in values]
    codes = CategoryCodes(categories)
    np.testing.assert_array_equal(codes.of_numbers(np.array(values, dtype)), expected)
    np.testing.assert_array_equal(codes.of_objects(values), expected)


def test_booleans_are_numbers_where_there_are_no_booleans() -> None:
    codes = CategoryCodes(("x", "1", "0", "False"))
    assert codes.of_objects([True, np.bool_(True), False, "True", 1]).tolist() == [1, 1, 3, -1, 1]
    np.testing.assert_array_equal(codes.of_numbers(np.array([False, True])), [3, 1])


def test_numbers_with_nan_and_booleans() -> None:
    np.testing.assert_array_equal(CODES.of_numbers(np.array([2.0, np.nan, 5.0, np.nan])), [1, np.nan, -1, np.nan])
    np.testing.assert_array_equal(CODES.of_numbers(np.array([True, False])), [2, -1])
    assert CODES.of_numbers(np.array([], float)).shape == (0,)
