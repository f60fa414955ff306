"""pandas frames, with and without pyarrow; against pandas' own conversion where it has one."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import DimensionError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns
from tests.patience import PATIENCE_S

pd = pytest.importorskip("pandas")

TWO = Columns([ColumnSpec("a"), ColumnSpec("b")])
MIXED = Columns([ColumnSpec("a"), ColumnSpec("c", "category", ("red", "2", "True"))])

NUMPY_DTYPES = ["float16", "float32", "float64", "int8", "int64", "uint8", "uint64", "bool"]
NULLABLE_DTYPES = ["Float32", "Float64", "Int8", "Int64", "UInt64", "boolean"]


@pytest.fixture(autouse=True)
def no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


class TestNumbers:
    @given(st.sampled_from(NUMPY_DTYPES), st.sampled_from(NUMPY_DTYPES), st.sampled_from([None, "float32", "float64"]))
    def test_numpy_dtypes(self, first: str, second: str, dtype: str | None) -> None:
        frame = pd.DataFrame({"a": np.array([0, 1, 1], first), "b": np.array([1, 0, 1], second)})
        narrow = {first, second} <= {"float16", "float32"}
        matrix = TWO.encode(frame, dtype)  # type: ignore[arg-type]
        assert matrix.dtype == (dtype or ("float32" if narrow else "float64"))
        assert matrix.flags.c_contiguous
        np.testing.assert_array_equal(matrix, frame.astype("float64").to_numpy())

    @pytest.mark.parametrize("dtype", NULLABLE_DTYPES)
    def test_nullable_dtypes(self, dtype: str) -> None:
        frame = pd.DataFrame({"a": pd.array([1, None, 0], dtype), "b": pd.array([0, 1, 1], dtype)})
        matrix = TWO.encode(frame)
        np.testing.assert_array_equal(matrix, [[1, 0], [np.nan, 1], [0, 1]])
        assert matrix.dtype == ("float32" if dtype == "Float32" else "float64")

    def test_arrow_dtypes(self) -> None:
        pa = pytest.importorskip("pyarrow")
        numbers = pd.Series([1, None, 3], dtype=pd.ArrowDtype(pa.int64()))
        frame = pd.DataFrame(
            {"a": pd.concat([numbers, numbers]), "b": pd.Series([0.5] * 6, dtype="float[pyarrow]").values}
        )
        np.testing.assert_array_equal(TWO.encode(frame)[:, 0], [1, np.nan, 3, 1, np.nan, 3])
        np.testing.assert_array_equal(TWO.encode(frame)[:, 1], 0.5)

    @pytest.mark.parametrize("dtype", ["int64", "Int64", "int64[pyarrow]"])
    @pytest.mark.parametrize("other", [0, 0.5, "x"])
    def test_integers_are_rounded_once(self, dtype: str, other: Any) -> None:
        if "pyarrow" in dtype:
            pytest.importorskip("pyarrow")
        number = 2**60 + 2**36 + 1  # float64 drops the 1, and then float32 goes down instead of up
        columns = Columns(
            [
                ColumnSpec("a"),
                ColumnSpec("b", "category" if other == "x" else "number", ("x",) if other == "x" else None),
            ]
        )
        frame = pd.DataFrame({"a": pd.Series([number], dtype=dtype), "b": [other]})
        assert columns.encode(frame, "float32")[0, 0] == 2**60 + 2**37

    def test_objects(self) -> None:
        frame = pd.DataFrame({"a": pd.Series([1, None, pd.NA, 2.5], dtype=object), "b": [True, False, True, False]})
        np.testing.assert_array_equal(TWO.encode(frame), [[1, 1], [np.nan, 0], [np.nan, 1], [2.5, 0]])

    def test_sparse_columns(self) -> None:
        frame = pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 0.0, 1.5]), "b": [1.0, 2.0, 3.0]})
        np.testing.assert_array_equal(TWO.encode(frame), [[0, 1], [0, 2], [1.5, 3]])

    @pytest.mark.parametrize("dtype", ["object", "str", "string", "category"])
    def test_text_in_a_number_column(self, dtype: str) -> None:
        frame = pd.DataFrame({"a": [1, 2], "b": pd.Series([None, "abc"], dtype=dtype)})
        with pytest.raises(InvalidInputError, match="row 1, column 'b': expected a number, got 'abc'"):
            TWO.encode(frame)

    @pytest.mark.parametrize("dtype", ["datetime64[ns]", "datetime64[ns, UTC]", "timedelta64[ns]"])
    def test_dates(self, dtype: str) -> None:
        frame = pd.DataFrame({"a": [1], "b": pd.Series([0], dtype=dtype), "c": ["red"]})
        for columns in (TWO, Columns([ColumnSpec("b", "category", ("red",))])):
            with pytest.raises(InvalidInputError, match=f"column 'b': expected numbers or text, got {dtype[:10]}"):
                columns.encode(frame)

    def test_complex(self) -> None:
        with pytest.raises(InvalidInputError, match="column 'b': expected numbers or text, got complex128"):
            TWO.encode(pd.DataFrame({"a": [1], "b": [1j]}))


class TestCategories:
    @pytest.mark.parametrize("dtype", ["object", "str", "string", "category", "string[pyarrow]", "string[python]"])
    def test_text(self, dtype: str) -> None:
        if "pyarrow" in dtype:
            pytest.importorskip("pyarrow")
        frame = pd.DataFrame({"c": pd.Series(["red", None, "blue", "2"], dtype=dtype), "a": [1.0, 2, 3, 4]})
        np.testing.assert_array_equal(MIXED.encode(frame), [[1, 0], [2, np.nan], [3, -1], [4, 1]])

    def test_categories_of_numbers(self) -> None:
        frame = pd.DataFrame({"a": [1.0, 2, 3], "c": pd.Categorical([2, None, 5])})
        np.testing.assert_array_equal(MIXED.encode(frame), [[1, 1], [2, np.nan], [3, -1]])

    def test_numbers_and_booleans(self) -> None:
        for values, codes in (([2, 3], [1, -1]), ([2.0, np.nan], [1, np.nan]), ([True, False], [2, -1])):
            matrix = MIXED.encode(pd.DataFrame({"a": [0, 0], "c": values}))
            np.testing.assert_array_equal(matrix[:, 1], codes)

    def test_objects_of_all_kinds(self) -> None:
        frame = pd.DataFrame({"a": [0] * 5, "c": pd.Series(["red", 2, True, pd.NaT, np.nan], dtype=object)})
        np.testing.assert_array_equal(MIXED.encode(frame)[:, 1], [0, 1, 2, np.nan, np.nan])

    def test_intervals(self) -> None:
        frame = pd.DataFrame({"a": [0.0], "c": pd.cut([0.5], [0, 1])})
        with pytest.raises(InvalidInputError, match="column 'c'"):
            MIXED.encode(frame)


class TestNames:
    def test_order_extra_columns_and_index(self) -> None:
        frame = pd.DataFrame({"other": ["x", "y"], "b": [1, 2], "a": [3, 4]}, index=["p", "q"])
        np.testing.assert_array_equal(TWO.encode(frame), [[3, 1], [4, 2]])
        np.testing.assert_array_equal(TWO.encode(frame[["a", "b"]]), [[3, 1], [4, 2]])

    def test_many_extra_columns(self) -> None:
        frame = pd.DataFrame({f"more {number}": [0] for number in range(20)} | {"b": [1], "a": [2]})
        np.testing.assert_array_equal(TWO.encode(frame), [[2, 1]])

    def test_names_that_are_numbers(self) -> None:
        columns = Columns([ColumnSpec("0"), ColumnSpec("1")])
        np.testing.assert_array_equal(columns.encode(pd.DataFrame([[1, 2]], columns=[1, 0])), [[2, 1]])

    def test_missing(self) -> None:
        with pytest.raises(
            DimensionError, match=r"missing columns 'a' \(did you mean 'A'\?\), 'b'; got 2 columns: 'A', '0'"
        ):
            TWO.encode(pd.DataFrame({"A": [1], 0: [2]}))

    def test_repeated(self) -> None:
        with pytest.raises(DimensionError, match="more than one called 'a'"):
            TWO.encode(pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"]))

    def test_by_position_when_the_model_has_no_names(self) -> None:
        columns = Columns([ColumnSpec("x0"), ColumnSpec("x1")], named=False)
        frame = pd.DataFrame({"q": [1], "p": [2]}, index=["row"])
        np.testing.assert_array_equal(columns.encode(frame), [[1, 2]])
        with pytest.raises(DimensionError, match="expected 2 columns, got 3"):
            columns.encode(frame.assign(r=1))

    def test_series(self) -> None:
        with pytest.raises(DimensionError, match="one dimension"):
            TWO.encode(pd.Series([1, 2]))

    def test_no_rows(self) -> None:
        frame = pd.DataFrame({"a": [1.0], "c": ["red"], "b": [1]})[:0]
        assert TWO.encode(frame).shape == MIXED.encode(frame).shape == (0, 2)


def test_without_pyarrow() -> None:
    code = """
    import sys, warnings
    sys.modules["pyarrow"] = None
    import numpy as np, pandas as pd
    from inferir.formats.spec import ColumnSpec
    from inferir.rows import Columns

    warnings.simplefilter("error")
    names = ["number", "nullable", "text", "object", "category"]
    categories = {"text": ("red",), "object": ("red",), "category": ("red", "2")}
    columns = Columns([ColumnSpec(n, "category" if n in categories else "number", categories.get(n)) for n in names])
    frame = pd.DataFrame({
        "category": pd.Categorical(["red", None, "blue"]),
        "object": pd.Series(["red", 7, None], dtype=object),
        "text": pd.Series(["red", None, "blue"], dtype="str"),
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "number": [1.5, np.nan, 3],
    })
    expected = [[1.5, 1, 0, 0, 0], [np.nan, np.nan, np.nan, -1, np.nan], [3, 3, -1, np.nan, -1]]
    np.testing.assert_array_equal(columns.encode(frame), expected)
    assert "nanoarrow" not in sys.modules
    """
    completed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert completed.returncode == 0, completed.stderr
