"""CSV, against pandas where pandas says the same, and against exact text."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferir.datafiles import open_rows, open_writer
from inferir.datafiles.delimited import MISSING
from inferir.errors import DimensionError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns

pd = pytest.importorskip("pandas")

TWO = (ColumnSpec("a"), ColumnSpec("b"))
MIXED = (ColumnSpec("a"), ColumnSpec("c", "category", ("red", "green", "NA")))

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path, text: str | bytes, columns: Any = TWO, **options: Any) -> np.ndarray:
    """All rows of a file with this text, encoded."""
    path = path / "x.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    encoder = Columns(columns, options.get("named", True))
    with open_rows(path, columns, **options) as reader:
        batches = [encoder.encode(batch) for batch in reader]
    return np.concatenate(batches) if batches else np.empty((0, len(columns)))


class TestHeader:
    def test_by_name(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(read(tmp_path, "b,other,a\n1,x,2\n3,,4\n"), [[2, 1], [4, 3]])

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DimensionError, match=r"x\.csv: missing column 'b' \(did you mean 'B'\?\); got 2 columns"):
            read(tmp_path, "a,B\n1,2\n")

    def test_repeated(self, tmp_path: Path) -> None:
        with pytest.raises(DimensionError, match=r"x\.csv: .*more than one called 'a'"):
            read(tmp_path, "a,b,a\n1,2,3\n")

    def test_no_rows(self, tmp_path: Path) -> None:
        assert read(tmp_path, "a,b\n").shape == (0, 2)

    @pytest.mark.parametrize("named", [True, False])
    def test_without(self, tmp_path: Path, named: bool) -> None:
        np.testing.assert_array_equal(read(tmp_path, "1,2\n3,4\n", header=False, named=named), [[1, 2], [3, 4]])

    def test_without_and_of_another_width(self, tmp_path: Path) -> None:
        with pytest.raises(DimensionError, match=r"x\.csv, line 1: expected 2 values, got 3"):
            read(tmp_path, "1,2,3\n", header=False)

    def test_of_a_model_without_names(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(read(tmp_path, "q,p\n1,2\n", named=False), [[1, 2]])
        np.testing.assert_array_equal(
            read(tmp_path, "0,1\n1,2\n", named=False), [[1, 2]]
        )  # a pandas frame without names
        with pytest.raises(DimensionError, match="expected 2 columns, got 3"):
            read(tmp_path, "q,p,r\n1,2,3\n", named=False)

    @pytest.mark.parametrize("named", [True, False])
    def test_forgotten(self, tmp_path: Path, named: bool) -> None:
        with pytest.raises(InvalidInputError, match=r"expected the names .* got numbers: 5\.1, 3\.5; .* no header"):
            read(tmp_path, "5.1,3.5\n4.9,3.0\n", named=named)

    def test_names_with_quotes_and_line_ends(self, tmp_path: Path) -> None:
        columns = (ColumnSpec('say "a"'), ColumnSpec("two\nlines"))
        np.testing.assert_array_equal(read(tmp_path, '"say ""a""","two\nlines"\n1,2\n', columns), [[1, 2]])

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(read(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n"), [[1, 2]])


class TestLines:
    @pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("last", [True, False])
    def test_separators_and_ends(self, tmp_path: Path, separator: str, end: str, last: bool) -> None:
        text = end.join(separator.join(row) for row in (["a", "b"], ["1", "2"], ["3", "4"])) + (end if last else "")
        np.testing.assert_array_equal(read(tmp_path, text), [[1, 2], [3, 4]])
        np.testing.assert_array_equal(read(tmp_path, text.split(end, 1)[1], header=False), [[1, 2], [3, 4]])

    def test_the_separator_is_the_one_that_finds_the_columns(self, tmp_path: Path) -> None:
        columns = (ColumnSpec("weight, kg"), ColumnSpec("size, m"))
        np.testing.assert_array_equal(read(tmp_path, "weight, kg;size, m\n1;2\n", columns), [[1, 2]])

    def test_a_decimal_comma_is_not_read_as_something_else(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match="line 2, column 'a': expected a number, got '1,5'"):
            read(tmp_path, "a;b\n1,5;2\n")

    def test_empty_lines(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(read(tmp_path, "\n\na,b\n\n1,2\n\n\n3,4\n\n"), [[1, 2], [3, 4]])

    @pytest.mark.parametrize("batch_rows", [1, 2, 100])
    def test_lines_are_counted_through_everything(self, tmp_path: Path, batch_rows: int) -> None:
        text = '\n\na,c\n1,"x\ny"\n\n2,"x\r\n"\n3,red\n\n\n4,red\nfive,red\n6,red\n'
        line = text.split("five")[0].count("\n") + 1
        with pytest.raises(InvalidInputError, match=rf"x\.csv, line {line}, column 'a': expected a number, got 'five'"):
            read(tmp_path, text, MIXED, batch_rows=batch_rows)
        with pytest.raises(DimensionError, match=rf"x\.csv, line {line}: expected 2 values, got 1"):
            read(tmp_path, text.replace("five,red", "five"), MIXED, batch_rows=batch_rows)

    @pytest.mark.parametrize(
        ("text", "line"), [('a,b\n1,2\n"3,4\n5,6\n', 4), ('a,b\n1,2\n"3"x,4\n', 3), ("a,b\n1,2\n" + "3" * 200_000, 3)]
    )
    def test_what_is_not_csv(self, tmp_path: Path, text: str, line: int) -> None:
        with pytest.raises(InvalidInputError, match=rf"x\.csv, line {line}: expected CSV: "):
            read(tmp_path, text)


class TestNumbers:
    @same_folder
    @given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-(2**70), 2**70)), min_size=1, max_size=20))
    def test_as_python_reads_them(self, tmp_path: Path, values: list[float | None]) -> None:
        text = "a,b\n" + "".join(f"{'' if value is None else repr(value)},0\n" for value in values)
        expected = [math.nan if value is None else float(value) for value in values]
        np.testing.assert_array_equal(read(tmp_path, text)[:, 0], expected)

    @pytest.mark.parametrize("words", [sorted(MISSING), ["True", "TRUE", "true", "False", "FALSE", "false"]])
    def test_words_as_in_pandas(self, tmp_path: Path, words: list[str]) -> None:
        text = "a,b\n" + "".join(f"{word},1\n" for word in words)
        np.testing.assert_array_equal(read(tmp_path, text), pd.read_csv(io.StringIO(text)).astype(float).to_numpy())

    def test_our_list_is_that_of_pandas(self) -> None:
        from pandas._libs.parsers import STR_NA_VALUES

        assert MISSING == STR_NA_VALUES

    @pytest.mark.parametrize("text", [" 1.5", "1.5 ", "+1.5", "15e-1", "  NA ", " True"])
    def test_spaces_and_forms(self, tmp_path: Path, text: str) -> None:
        expected = {"  NA ": math.nan, " True": 1.0}.get(text, 1.5)
        np.testing.assert_array_equal(read(tmp_path, f"a,b\n{text},2\nnull,3\n")[0], [expected, 2])

    @pytest.mark.parametrize(
        "text", ["abc", "1_000", "0x10", "1.5.2", "1 2", "\u0661", "\xa01", "1,000", "--", "yes", "1e", "$5"]
    )
    @pytest.mark.parametrize("other", ["1", "", " NA", "grün"])
    def test_what_is_no_number(self, tmp_path: Path, text: str, other: str) -> None:
        columns = (ColumnSpec("a"), ColumnSpec("c", "category", ("red",)))
        with pytest.raises(InvalidInputError, match=r"line 3, column 'a': expected a number, got "):
            read(tmp_path, f'a,c\n1,{other}\n"{text}",2\n,3\n', columns)

    def test_float32_models(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").write_text("a,b\n0.1,16777217\n")
        with open_rows(tmp_path / "x.csv", TWO) as reader:
            matrix = Columns(TWO).encode(next(iter(reader)), "float32")
        np.testing.assert_array_equal(matrix, np.array([[0.1, 16777217]], np.float32))


class TestCategories:
    def test_text(self, tmp_path: Path) -> None:
        text = "a,c\n1,red\n2,\n3,blue\n4,null\n5,NA\n6, red\n"
        expected = [[1, 0], [2, math.nan], [3, -1], [4, math.nan], [5, 2], [6, -1]]
        np.testing.assert_array_equal(read(tmp_path, text, MIXED), expected)

    def test_numbers_as_pandas_writes_them(self, tmp_path: Path) -> None:
        columns = (ColumnSpec("a"), ColumnSpec("c", "category", ("1", "2", "30")))
        frame = pd.DataFrame({"a": [0, 0, 0, 0], "c": [1, None, 30, 4]})
        text = frame.to_csv(index=False)
        assert "30.0" in text
        np.testing.assert_array_equal(read(tmp_path, text, columns)[:, 1], [0, math.nan, 2, -1])
        np.testing.assert_array_equal(read(tmp_path, "a,c\n0,2\n0,02\n0,x\n", columns)[:, 1], [1, 1, -1])

    def test_numbers_among_text_are_text(self, tmp_path: Path) -> None:
        columns = (ColumnSpec("a"), ColumnSpec("c", "category", ("1", "x")))
        np.testing.assert_array_equal(read(tmp_path, "a,c\n0,1\n0,1.0\n", columns)[:, 1], [0, -1])

    def test_booleans(self, tmp_path: Path) -> None:
        columns = (ColumnSpec("a"), ColumnSpec("c", "category", ("False", "True")))
        text = "a,c\n0,True\n0,false\n0,TRUE\n0,1\n"
        np.testing.assert_array_equal(read(tmp_path, text, columns)[:, 1], [1, 0, 1, -1])


@same_folder
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_infinity=False)),
            st.sampled_from(["red", "green", "a,b", 'say "x"', "two\nlines", "grün", None]),
        ),
        max_size=12,
    ),
    st.integers(1, 5),
    st.sampled_from(",;\t|"),
)
def test_any_file_of_pandas(tmp_path: Path, rows: list[Any], batch_rows: int, separator: str) -> None:
    columns = (ColumnSpec("number"), ColumnSpec("text", "category", ("red", "two\nlines", "a,b", 'say "x"')))
    frame = pd.DataFrame(rows, columns=["number", "text"]).astype({"number": float, "text": object})
    text = frame.to_csv(index=False, sep=separator)
    expected = Columns(columns).encode(frame)
    np.testing.assert_array_equal(read(tmp_path, text, columns, batch_rows=batch_rows), expected)


class TestWriter:
    def test_exact_text(self, tmp_path: Path) -> None:
        columns = {
            "label": ["a", 'b "c"', None],
            "class": np.array([1, -2, 3]),
            "p": np.array([0.1, 1 / 3, math.nan]),
            "q": np.array([0.1, 1 / 3, math.inf], np.float32),
            "flag": np.array([True, False, True]),
        }
        with open_writer(tmp_path / "x.csv", list(columns)) as writer:
            writer.write(columns)
            writer.write({name: column[:0] for name, column in columns.items()})
        assert (tmp_path / "x.csv").read_bytes().decode() == (
            'label,class,p,q,flag\na,1,0.1,0.1,True\n"b ""c""",-2,0.3333333333333333,0.33333334,False\n,3,,inf,True\n'
        )

    def test_tabs(self, tmp_path: Path) -> None:
        with open_writer(tmp_path / "x.tsv", ["a", "b"]) as writer:
            writer.write({"a": [1], "b": ["x\ty"]})
        assert (tmp_path / "x.tsv").read_text() == 'a\tb\n1\t"x\ty"\n'

    @same_folder
    @given(st.sampled_from([np.float64, np.float32, np.float16]), st.lists(st.floats(width=16), max_size=10), st.data())
    def test_floats_read_back(self, tmp_path: Path, dtype: type, values: list[float], data: st.DataObject) -> None:
        if dtype is not np.float16:
            values += data.draw(st.lists(st.floats(width=32 if dtype is np.float32 else 64), max_size=10))
        numbers = np.array(values, dtype)
        with open_writer(tmp_path / "x.csv", ["a"]) as writer:
            writer.write({"a": numbers})
        with open_rows(tmp_path / "x.csv", [ColumnSpec("a")]) as reader:
            back = np.concatenate([np.empty(0), *(batch["a"] for batch in reader)])
        np.testing.assert_array_equal(back.astype(dtype), numbers)
        np.testing.assert_array_equal(np.signbit(back), np.signbit(np.where(np.isnan(numbers), 0, numbers)))

    def test_numpy_scalars_in_lists(self, tmp_path: Path) -> None:
        with open_writer(tmp_path / "x.csv", ["a"]) as writer:
            writer.write({"a": [np.float32(0.1), np.int64(3), np.str_("x"), np.bool_(True), math.nan, 0.5]})
        assert (tmp_path / "x.csv").read_text() == 'a\n0.1\n3\nx\nTrue\n""\n0.5\n'


def test_errors_of_a_batch_by_row_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1, "b": 2}\n' * 5 + '{"a": "x", "b": 2}\n')
    with open_rows(path, TWO, batch_rows=4) as reader:
        first, second = reader
        reader.first_row = 0
        reader.check(first)
        reader.first_row = 4
        with pytest.raises(InvalidInputError, match=r"x\.jsonl: row 5, column 'a': expected a number, got 'x'"):
            reader.check(second)
