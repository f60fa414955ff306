"""Frames that offer nothing but `__dataframe__`: pandas' and pyarrow's, with everything else hidden."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from inferir.errors import DimensionError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns
from inferir.rows.interchange import _copied

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

MIXED = Columns([ColumnSpec("a"), ColumnSpec("c", "category", ("red", "grün"))])


class Frame:
    """Hides all but the protocol."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas 3 deprecates it
            return self._frame.__dataframe__(nan_as_null, allow_copy)


@pytest.mark.parametrize("library", [pa.table, pd.DataFrame])
@pytest.mark.parametrize("dtype", ["int8", "uint64", "float32", "float64", "bool"])
def test_numbers(library: Any, dtype: str) -> None:
    numbers = np.array([0, 1, 1], dtype)
    frame = library({"c": ["grün", None, "blue"], "a": numbers})
    matrix = MIXED.encode(Frame(frame))
    np.testing.assert_array_equal(matrix, [[0, 1], [1, np.nan], [1, -1]])
    assert matrix.dtype == ("float32" if dtype == "float32" else "float64")


@pytest.mark.parametrize(
    "frame",
    [
        pa.table({"a": pa.array([1, None, 3]), "c": pa.array(["red", None, "x"], pa.large_string())}),
        pa.table({"a": pa.array([1, None, 3]), "c": pa.array(["red", None, "x"]).dictionary_encode()}),
        pa.table({"a": pa.array([True, None, False]), "c": ["red", None, "x"]}),
        pd.DataFrame({"a": pd.array([1, None, 3], "Int64"), "c": ["red", None, "x"]}),
        pd.DataFrame({"a": [1, np.nan, 3], "c": pd.Categorical(["red", None, "x"])}),
    ],
    ids=["large text", "dictionary", "bits", "nullable", "categorical"],
)
def test_missing(frame: Any) -> None:
    last = 0 if pa.types.is_boolean(frame.schema.field("a").type if hasattr(frame, "schema") else pa.int8()) else 3
    np.testing.assert_array_equal(MIXED.encode(Frame(frame)), [[1, 0], [np.nan, np.nan], [last, -1]])


def test_chunks_and_offsets() -> None:
    flags = pa.chunked_array([[True, False, None], [None, True]])
    texts = pa.chunked_array([["red", "grün", None], ["x", "red"]])
    table = pa.table({"a": flags, "c": texts}).slice(1)
    np.testing.assert_array_equal(MIXED.encode(Frame(table)), [[0, 1], [np.nan, np.nan], [np.nan, -1], [1, 0]])


def test_no_rows() -> None:
    assert MIXED.encode(Frame(pd.DataFrame({"a": [1.0], "c": ["red"]})[:0])).shape == (0, 2)


def test_names() -> None:
    with pytest.raises(DimensionError, match="missing column 'c'"):
        MIXED.encode(Frame(pd.DataFrame({"a": [1.0]})))


def test_dates() -> None:
    frame = pd.DataFrame({"a": np.array(["2020-01-01"], "datetime64[ns]"), "c": ["red"]})
    with pytest.raises(InvalidInputError, match="column 'a': expected numbers or text, got datetime"):
        MIXED.encode(Frame(frame))


def test_a_buffer_that_is_too_short() -> None:
    class Buffer:
        bufsize = 8
        ptr = 0

    with pytest.raises(InvalidInputError, match="expected a buffer of 16 bytes, got one of 8"):
        _copied(Buffer(), np.dtype(np.float64), 1, 1)


def test_a_frame_whose_arrow_export_needs_a_library_that_is_not_there() -> None:
    class WithoutPyarrow(Frame):
        def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
            raise ImportError("Import pyarrow failed")

    frame = WithoutPyarrow(pd.DataFrame({"a": [1.5], "c": ["red"]}))
    np.testing.assert_array_equal(MIXED.encode(frame), [[1.5, 0]])
