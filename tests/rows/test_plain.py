"""Rows of plain values, against the way in that uses NumPy."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import DimensionError, InferirError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns
from inferir.rows.plain import PlainColumns

SPECS = (
    ColumnSpec("age"),
    ColumnSpec("colour", "category", ("red", "2", "True", "0.1", "3.0")),
    ColumnSpec("height"),
)

numbers = st.one_of(st.none(), st.booleans(), st.integers(), st.floats())
categories = st.one_of(numbers, st.sampled_from(["red", "2", "2.0", "True", ""]), st.text(max_size=3))
#: What a JSON document may hold in the place of a value.
anything = st.one_of(
    categories, st.lists(numbers, max_size=2), st.dictionaries(st.text(max_size=2), numbers, max_size=1)
)


def encoded(features: Any, specs: tuple[ColumnSpec, ...] = SPECS, typecode: Literal["d", "f"] = "d") -> list[float]:
    columns = PlainColumns(specs, typecode)
    memory = bytearray(columns.row_nbytes)
    columns.write(features, memory, 0)
    return memoryview(memory).cast(typecode).tolist()


def same(ours: list[float], theirs: Any) -> bool:
    return bool(np.array_equal(np.array(ours), theirs, equal_nan=True))


@given(numbers, categories, numbers)
def test_a_row_is_what_columns_makes_of_it(age: Any, colour: Any, height: Any) -> None:
    by_position = [age, colour, height]
    by_name = {"height": height, "age": age, "other": "x", "colour": colour}
    try:
        expected = Columns(SPECS).encode([by_position], "float64")[0]
    except InvalidInputError:
        with pytest.raises(InvalidInputError):
            encoded(by_position)
        return
    assert same(encoded(by_position), expected)
    assert same(encoded(by_name), expected)


@given(st.one_of(anything, st.lists(anything, max_size=4)))
def test_whatever_comes_is_a_row_or_an_error(features: Any) -> None:
    try:
        row = encoded(features)
    except (DimensionError, InvalidInputError):
        return
    assert same(row, Columns(SPECS).encode([features], "float64")[0])


def test_a_row_is_written_where_it_is_asked_for() -> None:
    columns, memory = PlainColumns(SPECS), bytearray(b"\xff" * 72)
    columns.write([1, "2", 3], memory, 24)
    assert np.frombuffer(memory, np.float64)[3:6].tolist() == [1, 1, 3]
    assert memory[:24] == memory[48:] == b"\xff" * 24


@given(st.lists(numbers, min_size=2, max_size=2))
def test_float32_rows_are_rounded_once(features: list[Any]) -> None:
    specs = (ColumnSpec("a"), ColumnSpec("b"))
    try:
        expected = Columns(specs).encode([features], "float32")[0]
    except InvalidInputError:
        return
    assert same(encoded(features, specs, "f"), expected)


def test_a_row_without_categories_is_taken_as_it_is() -> None:
    specs = tuple(ColumnSpec(name) for name in "abc")
    assert encoded([1, -0.0, True], specs) == [1.0, 0.0, 1.0]
    assert math.copysign(1, encoded([1, -0.0, True], specs)[1]) == -1
    assert same(encoded([1, None, math.inf], specs), [1, math.nan, math.inf])


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        ([1, "red"], DimensionError, "expected 3 features, got 2"),
        ([], DimensionError, "expected 3 features, got 0"),
        ({"age": 1, "color": "red"}, DimensionError, "missing columns 'colour' (did you mean 'color'?), 'height'"),
        ("1,red,2", InvalidInputError, "features: expected a list, or an object by column name, got '1,red,2'"),
        (None, InvalidInputError, "features: expected a list, or an object by column name, got None"),
        (["x", "red", 1], InvalidInputError, "column 'age': expected a number, got 'x'"),
        ([1, ["red"], 1], InvalidInputError, "column 'colour': expected text or a number, got ['red']"),
        ([1, "red", 10**400], InvalidInputError, "column 'height': expected a number that fits a float, got 1000"),
        ([1, "red", 10**5000], InvalidInputError, "a number that fits a float, got int of 16610 bits"),
        ([{}, "red", 1], InvalidInputError, "column 'age': expected a number, got {}"),
    ],
)
def test_a_refusal_says_what_was_expected_and_what_came(features: Any, error: type[InferirError], message: str) -> None:
    with pytest.raises(error) as caught:
        encoded(features)
    assert message in caught.value.message
