"""Arrow tables of every producer, against the Python values they were made from."""

from __future__ import annotations

import datetime
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferir.errors import DimensionError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns

pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")

ONE = Columns([ColumnSpec("a")])
COLOUR = Columns([ColumnSpec("c", "category", ("red", "grün", "a name of more than twelve bytes", "2", ""))])
TWO = Columns([ColumnSpec("a"), ColumnSpec("c", "category", ("red", "green"))])

NUMBER_TYPES = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
FLOAT_TYPES = [pa.float16(), pa.float32(), pa.float64()]
TEXT_TYPES = [pa.string(), pa.large_string(), pa.string_view()]

texts = st.one_of(st.none(), st.sampled_from(COLOUR.specs[0].categories), st.text(max_size=30))


def code(value: str | None, columns: Columns = COLOUR) -> float:
    categories = columns.specs[-1].categories or ()
    return math.nan if value is None else float(categories.index(value)) if value in categories else -1.0


def column(values: list[Any], kind: Any) -> Any:
    numpy_values = np.array([0 if value is None else value for value in values], np.float16)
    if kind == pa.float16():  # pyarrow takes only NumPy's own
        return pa.array(numpy_values, kind, mask=np.array([value is None for value in values], bool))
    return pa.array(values, kind)


class TestNumbers:
    @pytest.mark.parametrize("kind", [*NUMBER_TYPES, *FLOAT_TYPES], ids=str)
    def test_every_type_with_nulls(self, kind: Any) -> None:
        values = [1, None, 3, 0, None, 100]
        expected = np.array([[math.nan if value is None else value] for value in values], float)
        table = pa.table({"a": column(values, kind)})
        np.testing.assert_array_equal(ONE.encode(table), expected)
        assert ONE.encode(table).dtype == ("float32" if kind in FLOAT_TYPES[:2] else "float64")
        np.testing.assert_array_equal(ONE.encode(table, "float32"), expected.astype(np.float32))
        np.testing.assert_array_equal(ONE.encode(table.slice(1, 4)), expected[1:5])

    @given(
        st.lists(st.one_of(st.none(), st.booleans()), min_size=1, max_size=40),
        st.integers(0, 39),
        st.lists(st.integers(0, 40), max_size=3),
    )
    def test_booleans_and_bitmaps_at_any_offset(self, values: list[bool | None], start: int, cuts: list[int]) -> None:
        start = min(start, len(values) - 1)
        edges = sorted({0, len(values), *(min(cut, len(values)) for cut in cuts)})
        chunks = [pa.array(values, pa.bool_())[low:high] for low, high in pairwise(edges)]
        table = pa.table({"a": pa.chunked_array(chunks, pa.bool_())}).slice(start)
        expected = [[math.nan if value is None else float(value)] for value in values[start:]]
        np.testing.assert_array_equal(ONE.encode(table), expected)

    @pytest.mark.parametrize("kind", [pa.int64(), pa.uint64()])
    def test_integers_are_rounded_once(self, kind: Any) -> None:
        number = 2**60 + 2**36 + 1  # float64 drops the 1, and then float32 goes down instead of up
        table = pa.table({"a": pa.array([number, None], kind)})
        assert ONE.encode(table, "float32")[0, 0] == 2**60 + 2**37

    def test_nulls_of_no_type(self) -> None:
        table = pa.table({"a": pa.nulls(2), "c": pa.nulls(2)})
        assert np.isnan(TWO.encode(table)).all()

    def test_a_column_of_nulls_keeps_float32(self) -> None:
        columns = Columns([ColumnSpec("a"), ColumnSpec("b")])
        assert columns.encode(pa.table({"a": pa.nulls(1), "b": pa.array([1], pa.float32())})).dtype == np.float32

    def test_dictionaries_of_numbers(self) -> None:
        table = pa.table({"a": pa.array([5, None, 7, 5], pa.int32()).dictionary_encode()})
        np.testing.assert_array_equal(ONE.encode(table), [[5], [np.nan], [7], [5]])

    @pytest.mark.parametrize(
        ("array", "told"),
        [
            (pa.array([datetime.date(2020, 1, 1)]), "date32"),
            (pa.array([0], pa.timestamp("us")), "timestamp"),
            (pa.array([datetime.timedelta(1)]), "duration"),
            (pa.array([datetime.time(1)]), "time64"),
            (pa.array([1], pa.decimal128(5, 2)), "decimal128.*cast it to double"),
            (pa.array([b"x"]), "binary"),
            (pa.array([[1]]), "list"),
            (pa.array([{"x": 1}]), "struct"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("kind", ["number", "category"])
    def test_other_types(self, array: Any, told: str, kind: str) -> None:
        columns = Columns([ColumnSpec("a", kind, ("x",) if kind == "category" else None)])  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match=f"column 'a': expected numbers or text, got {told}"):
            columns.encode(pa.table({"a": array}))

    @pytest.mark.parametrize("encode", [False, True])
    def test_text_in_a_number_column(self, encode: bool) -> None:
        array = pa.array([None, "7", "x"])
        table = pa.table({"a": array.dictionary_encode() if encode else array})
        with pytest.raises(InvalidInputError, match="row 1, column 'a': expected a number, got '7'"):
            ONE.encode(table)

    def test_rows_are_counted_across_batches(self) -> None:
        table = pa.table({"a": pa.chunked_array([pa.array([None, None], pa.string()), pa.array(["x"])])})
        with pytest.raises(InvalidInputError, match="row 12, column 'a': expected a number, got 'x'"):
            ONE.encode(table, first_row=10)


class TestText:
    @settings(max_examples=200)
    @given(st.lists(texts, max_size=20), st.sampled_from(TEXT_TYPES), st.integers(0, 5), st.integers(0, 20))
    def test_pyarrow(self, values: list[str | None], kind: Any, start: int, length: int) -> None:
        expected = np.array([[code(value)] for value in values[start : start + length]]).reshape(-1, 1)
        table = pa.table({"c": pa.array(values, kind)}).slice(start, length)
        np.testing.assert_array_equal(COLOUR.encode(table), expected)
        for batch in table.to_batches():
            np.testing.assert_array_equal(COLOUR.encode(batch), expected)

    @given(st.lists(texts, max_size=20), st.integers(0, 5))
    def test_dictionaries(self, values: list[str | None], start: int) -> None:
        expected = np.array([[code(value)] for value in values[start:]]).reshape(-1, 1)
        table = pa.table({"c": pa.array(values, pa.string()).dictionary_encode()}).slice(start)
        np.testing.assert_array_equal(COLOUR.encode(table), expected)

    def test_a_dictionary_for_each_batch(self) -> None:
        batches = [
            pa.record_batch({"c": pa.array(values).dictionary_encode()})
            for values in (["red", "grün"], ["grün", None], ["x"])
        ]
        reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
        np.testing.assert_array_equal(COLOUR.encode(reader), [[0], [1], [1], [np.nan], [-1]])

    def test_a_null_in_the_dictionary(self) -> None:
        array = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["red", None]))
        np.testing.assert_array_equal(COLOUR.encode(pa.table({"c": array})), [[0], [np.nan], [np.nan], [0]])

    def test_a_dictionary_of_numbers_and_a_null(self) -> None:
        array = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2]), pa.array([2, None, 5]))
        np.testing.assert_array_equal(COLOUR.encode(pa.table({"c": array})), [[3], [np.nan], [np.nan], [-1]])
        numbers = ONE.encode(pa.table({"a": array}))
        np.testing.assert_array_equal(numbers, [[2], [np.nan], [np.nan], [5]])

    def test_positions_outside_the_dictionary(self) -> None:
        for position in (-1, 1):
            array = pa.DictionaryArray.from_arrays(pa.array([position], pa.int8()), pa.array(["red"]), safe=False)
            with pytest.raises(InvalidInputError, match=f"dictionary of 1, got {position}"):
                COLOUR.encode(pa.table({"c": array}))

    def test_what_a_null_holds_does_not_matter(self) -> None:
        # A view and an index that point nowhere, both marked as null.
        nowhere = np.array([100, 0, 9, 2**31 - 1], np.int32).tobytes()
        valid = np.array([3, 0x646572, 0, 0], np.int32).tobytes()  # "red"
        buffers = [pa.py_buffer(b"\x02"), pa.py_buffer(nowhere + valid)]
        array = pa.Array.from_buffers(pa.string_view(), 2, buffers)
        np.testing.assert_array_equal(COLOUR.encode(pa.table({"c": array})), [[np.nan], [0]])
        index = pa.array(np.array([99, 0], np.int8), mask=np.array([True, False]))
        array = pa.DictionaryArray.from_arrays(index, pa.array(["red"]), safe=False)
        np.testing.assert_array_equal(COLOUR.encode(pa.table({"c": array})), [[np.nan], [0]])

    def test_text_that_is_not_utf8(self) -> None:
        array = pa.array([b"red", b"\xff"]).view(pa.string())
        with pytest.raises(InvalidInputError, match="column 'c': expected UTF-8 text"):
            COLOUR.encode(pa.table({"c": array}))

    def test_numbers_and_booleans_by_their_text(self) -> None:
        columns = Columns([ColumnSpec("c", "category", ("2", "True", "0.5"))])
        np.testing.assert_array_equal(columns.encode(pa.table({"c": [2, 3, None]})), [[0], [-1], [np.nan]])
        np.testing.assert_array_equal(columns.encode(pa.table({"c": [True, False, None]})), [[1], [-1], [np.nan]])
        np.testing.assert_array_equal(columns.encode(pa.table({"c": [0.5, 2.0, math.nan]})), [[2], [0], [np.nan]])


class TestTables:
    def test_by_name(self) -> None:
        table = pa.table({"other": [b"x"], "c": ["green"], "a": [7]})
        for rows in (table, table.to_batches()[0], table.to_reader(), pl.from_arrow(table)):
            np.testing.assert_array_equal(TWO.encode(rows), [[7, 1]])

    def test_missing_and_repeated(self) -> None:
        with pytest.raises(DimensionError, match=r"missing column 'c' \(did you mean 'C'\?\)"):
            TWO.encode(pa.table({"a": [1], "C": ["red"]}))
        with pytest.raises(DimensionError, match="more than one called 'a'"):
            TWO.encode(pa.table([pa.array([1]), pa.array([1]), pa.array(["red"])], names=["a", "a", "c"]))

    def test_by_position_when_the_model_has_no_names(self) -> None:
        columns = Columns([ColumnSpec("x0"), ColumnSpec("x1")], named=False)
        np.testing.assert_array_equal(columns.encode(pa.table({"b": [1], "a": [2]})), [[1, 2]])
        with pytest.raises(DimensionError, match="expected 2 columns, got 1"):
            columns.encode(pa.table({"b": [1]}))

    def test_no_rows(self) -> None:
        table = pa.table({"a": pa.array([], pa.float32()), "c": pa.array([], pa.string())})
        for rows in (table, table.to_batches(), pl.from_arrow(table)):
            assert TWO.encode(rows).shape == (0, 2)
        for kind in [*TEXT_TYPES, pa.bool_(), pa.dictionary(pa.int8(), pa.string())]:
            batch = pa.record_batch({"a": pa.array([], pa.int8()), "c": pa.array([], kind)})
            assert TWO.encode(batch).shape == (0, 2)

    @pytest.mark.parametrize("rows", [pa.array([1.0]), pa.chunked_array([[1.0]]), pl.Series("a", [1.0])], ids=str)
    def test_one_column_is_no_table(self, rows: Any) -> None:
        with pytest.raises(DimensionError, match="one dimension"):
            ONE.encode(rows)

    def test_struct_arrays(self) -> None:
        array = pa.array([{"a": 1, "c": "red"}, {"a": 2, "c": "green"}, {"a": 3, "c": None}])
        np.testing.assert_array_equal(TWO.encode(array), [[1, 0], [2, 1], [3, np.nan]])
        np.testing.assert_array_equal(TWO.encode(array[1:]), [[2, 1], [3, np.nan]])
        with pytest.raises(InvalidInputError, match="1 rows are null"):
            TWO.encode(pa.array([{"a": 1, "c": "red"}, None]))

    def test_the_matrix_outlives_the_table(self) -> None:
        def encoded() -> np.ndarray:
            return ONE.encode(pa.table({"a": np.arange(1000.0)}))

        matrix = encoded()
        pa.table({"a": np.full(1000, -1.0)})
        np.testing.assert_array_equal(matrix[:, 0], np.arange(1000))


class TestPolars:
    @settings(max_examples=200)
    @given(
        st.lists(st.tuples(st.one_of(st.none(), st.floats(width=32)), texts), max_size=20),
        st.integers(0, 5),
        st.sampled_from(["text", "categorical"]),
    )
    def test_frames(self, rows: list[tuple[float | None, str | None]], start: int, kind: str) -> None:
        columns = Columns([ColumnSpec("a"), *COLOUR.specs])
        frame = pl.DataFrame(
            {"a": [number for number, _ in rows], "c": [text for _, text in rows]},
            schema={"a": pl.Float32, "c": pl.String if kind == "text" else pl.Categorical},
        )[start:]
        expected = [[math.nan if number is None else number, code(text)] for number, text in rows[start:]]
        matrix = columns.encode(frame)
        np.testing.assert_array_equal(matrix, np.array(expected, np.float32).reshape(-1, 2))
        assert matrix.dtype == np.float32 or not len(frame)

    def test_enum(self) -> None:
        kind = pl.Enum(["grün", "red", "other"])
        frame = pl.DataFrame({"c": pl.Series(["red", None, "grün", "other"], dtype=kind)})
        np.testing.assert_array_equal(COLOUR.encode(frame), [[0], [np.nan], [1], [-1]])

    def test_many_chunks(self) -> None:
        frame = pl.concat([pl.DataFrame({"c": ["red"] * 3}), pl.DataFrame({"c": ["grün", None]})], rechunk=False)
        np.testing.assert_array_equal(COLOUR.encode(frame), [[0], [0], [0], [1], [np.nan]])

    def test_one_row_of_a_large_frame(self) -> None:
        frame = pl.DataFrame({"c": ["a name of more than twelve bytes"] * 10_000 + ["red"]})
        np.testing.assert_array_equal(COLOUR.encode(frame[9_999:]), [[2], [0]])
