"""Lists of lists, lists of dicts, dicts of columns."""

from __future__ import annotations

import datetime
import math
from collections import OrderedDict
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import DimensionError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns

TWO = Columns([ColumnSpec("age"), ColumnSpec("income")])
MIXED = Columns([ColumnSpec("length"), ColumnSpec("colour", "category", ("red", "green"))])

reals = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False))


def as_float(value: float | None) -> float:
    return math.nan if value is None else float(value)


class TestLists:
    @given(st.lists(st.tuples(reals, reals), min_size=1, max_size=5))
    def test_numbers(self, rows: list[tuple[float | None, ...]]) -> None:
        expected = np.array([[as_float(value) for value in row] for row in rows])
        for form in (rows, tuple(rows), [list(row) for row in rows]):
            encoded = TWO.encode(form)
            assert encoded.dtype == np.float64
            np.testing.assert_array_equal(encoded, expected)

    @given(st.lists(st.tuples(reals, st.sampled_from(["red", "green", "blue", None])), min_size=1, max_size=5))
    def test_mixed(self, rows: list[tuple[float | None, str | None]]) -> None:
        codes = {"red": 0.0, "green": 1.0, "blue": -1.0, None: math.nan}
        expected = np.array([[as_float(number), codes[colour]] for number, colour in rows])
        np.testing.assert_array_equal(MIXED.encode(rows), expected)
        np.testing.assert_array_equal(MIXED.encode(np.array(rows, object)), expected)
        records = [{"colour": colour, "more": 1, "length": number} for number, colour in rows]
        np.testing.assert_array_equal(MIXED.encode(records), expected)
        columns = {"colour": [colour for _, colour in rows], "length": [number for number, _ in rows]}
        np.testing.assert_array_equal(MIXED.encode(columns), expected)

    def test_rows_of_arrays_keep_float32(self) -> None:
        rows = [np.array([1, 2], np.float32), np.array([3, 4], np.float32)]
        assert TWO.encode(rows).dtype == np.float32
        np.testing.assert_array_equal(TWO.encode(rows), [[1, 2], [3, 4]])

    @pytest.mark.parametrize("rows", [[], ()])
    @pytest.mark.parametrize("columns", [TWO, MIXED])
    def test_no_rows(self, rows: object, columns: Columns) -> None:
        assert columns.encode(rows).shape == (0, 2)
        assert columns.encode(rows, "float32").dtype == np.float32

    @pytest.mark.parametrize("columns", [TWO, MIXED])
    def test_ragged(self, columns: Columns) -> None:
        with pytest.raises(DimensionError, match=r"row 2: expected 2 values, as in row 0, got 3"):
            columns.encode([[1, 2], [3, 4], [5, 6, 7], [8]])
        with pytest.raises(DimensionError, match=r"row 1: expected 2 values, as in row 0, got 1"):
            columns.encode([[1, 2], [3]])

    @pytest.mark.parametrize("columns", [TWO, MIXED])
    @pytest.mark.parametrize("rows", [[[1]], [[1, 2, 3]], [[]]])
    def test_wrong_width(self, columns: Columns, rows: list[list[int]]) -> None:
        with pytest.raises(DimensionError, match=f"expected 2 columns, got {len(rows[0])}"):
            columns.encode(rows)

    @pytest.mark.parametrize("columns", [TWO, MIXED])
    def test_rows_that_are_not_rows(self, columns: Columns) -> None:
        with pytest.raises(DimensionError, match="row 1: expected a row of values, got int"):
            columns.encode([[1, 2], 3])
        with pytest.raises(InvalidInputError, match="row 1: expected a list of values, got dict"):
            columns.encode([[1, 2], {"age": 1}])
        with pytest.raises(InvalidInputError, match="row 0: expected a list of values, got object"):
            columns.encode([object()])

    def test_rows_of_another_sequence_type(self) -> None:
        np.testing.assert_array_equal(TWO.encode([range(2), range(2, 4)]), [[0, 1], [2, 3]])

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ("abc", "'abc'"),
            ("1.5", "'1.5'"),
            (b"1", "b'1'"),
            (1j, "1j"),
            (datetime.date(2020, 1, 2), "datetime.date"),
            (np.datetime64("2020-01-02"), "datetime64"),
            (object(), "object"),
        ],
    )
    def test_what_is_no_number(self, value: object, told: str) -> None:
        with pytest.raises(InvalidInputError, match="row 3, column 'income': expected a number, got .*" + told):
            TWO.encode([[1, 2], [3, None], [5, True], [7, value]])

    @pytest.mark.parametrize("digits", [400, 5000])  # Python does not write integers of more than 4,300 digits
    def test_integers_too_large_for_a_float(self, digits: int) -> None:
        number = 10**digits
        with pytest.raises(InvalidInputError, match="row 1, column 'age': expected a number that fits a float"):
            TWO.encode([[1, 2], [number, 4]])

    def test_integers_beyond_64_bits(self) -> None:
        assert TWO.encode([[2**70, -(2**70)]]).tolist() == [[2.0**70, -(2.0**70)]]

    def test_a_long_text_is_cut(self) -> None:
        with pytest.raises(InvalidInputError) as raised:
            TWO.encode([["x" * 10_000, 1]])
        assert len(str(raised.value)) < 200


class TestDicts:
    @pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
    def test_by_name(self, kind: type) -> None:
        rows = [kind({"income": 2, "age": 1, "other": "x"}), kind({"age": 3, "income": None})]
        np.testing.assert_array_equal(TWO.encode(rows), [[1, 2], [3, np.nan]])

    def test_one_column(self) -> None:
        columns = Columns([ColumnSpec("only")])
        assert columns.encode([{"only": 5}]).tolist() == [[5.0]]

    def test_missing_key(self) -> None:
        with pytest.raises(DimensionError, match=r"row 1: missing column 'income' \(did you mean 'incom'\?\); got 2"):
            TWO.encode([{"age": 1, "income": 2}, {"age": 1, "incom": 2}])

    def test_mixed_with_lists(self) -> None:
        with pytest.raises(InvalidInputError, match="row 1: expected a dict by column name, as row 0, got list"):
            TWO.encode([{"age": 1, "income": 2}, [1, 2]])

    def test_one_dict_is_not_a_row(self) -> None:
        with pytest.raises(DimensionError, match=r"pass one row as \[\{...\}\]"):
            TWO.encode({"age": 1, "income": 2})

    def test_text_in_a_number_column(self) -> None:
        with pytest.raises(InvalidInputError, match="row 1, column 'length': expected a number, got 'long'"):
            MIXED.encode([{"length": 1, "colour": "red"}, {"length": "long", "colour": "red"}])


class TestColumns:
    def test_arrays_keep_float32(self) -> None:
        columns = {"age": np.array([1, 2], np.float32), "income": np.array([3, 4], np.float16)}
        assert TWO.encode(columns).dtype == np.float32

    def test_one_float64_column_makes_float64(self) -> None:
        columns = {"age": np.array([1, 2], np.float32), "income": np.array([0.1, 0.2])}
        np.testing.assert_array_equal(TWO.encode(columns), np.array([[1, 0.1], [2, 0.2]]))

    def test_category_columns_do_not_count(self) -> None:
        assert MIXED.encode({"length": np.array([1], np.float32), "colour": ["red"]}).dtype == np.float32

    def test_different_lengths(self) -> None:
        with pytest.raises(DimensionError, match="column 'income': expected 2 values, as in column 'age', got 1"):
            TWO.encode({"age": [1, 2], "income": [1]})

    def test_nested(self) -> None:
        with pytest.raises(DimensionError, match="column 'age': expected one dimension, got 2"):
            TWO.encode({"age": np.zeros((2, 2)), "income": [1, 2]})
        with pytest.raises(DimensionError, match="row 1, column 'age': expected one value, got list"):
            TWO.encode({"age": [1, [2]], "income": [1, 2]})

    def test_many_rows_are_written_in_blocks(self) -> None:
        rows = 5000
        columns = {"age": np.arange(rows), "income": np.arange(rows, dtype=np.float32) + 0.5}
        expected = np.stack([np.arange(rows), np.arange(rows) + 0.5], axis=1)
        np.testing.assert_array_equal(TWO.encode(columns), expected)
