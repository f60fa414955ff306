"""`Columns.encode`: arrays of every kind, the dtype rule, shapes, and what is imported on the way."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inferir.errors import DimensionError, InvalidInputError, UnsupportedModelError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns
from tests.patience import PATIENCE_S


def numbers(*names: str, named: bool = True) -> Columns:
    return Columns([ColumnSpec(name) for name in names], named=named)


THREE = numbers("age", "income", "score")
MIXED = Columns([ColumnSpec("length"), ColumnSpec("colour", "category", ("red", "green", "2"))])


class TestFastPath:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("rows", [0, 1, 5])
    def test_a_ready_array_is_returned_itself(self, dtype: str, rows: int) -> None:
        matrix = np.zeros((rows, 3), dtype)
        assert THREE.encode(matrix) is matrix
        assert THREE.encode(matrix, dtype) is matrix

    def test_read_only_is_ready(self) -> None:
        matrix = np.ones((2, 3))
        matrix.flags.writeable = False
        assert THREE.encode(matrix) is matrix

    def test_misaligned_is_copied(self) -> None:
        raw = np.zeros(8 * 6 + 1, np.uint8)
        matrix = raw[1:].view(np.float64).reshape(2, 3)
        matrix[:] = [[1, 2, 3], [4, 5, 6]]
        assert not matrix.flags.aligned
        encoded = THREE.encode(matrix)
        assert encoded.flags.aligned
        np.testing.assert_array_equal(encoded, [[1, 2, 3], [4, 5, 6]])

    def test_an_array_for_a_model_with_categories_is_encoded(self) -> None:
        np.testing.assert_array_equal(MIXED.encode(np.array([[1.5, 2.0], [2.0, 7.0]])), [[1.5, 2], [2, -1]])


NUMERIC = ["f2", "f4", "f8", "g", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


class TestArrays:
    @pytest.mark.parametrize("asked", ["float32", "float64", None])
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("dtype", NUMERIC)
    def test_every_dtype_and_byte_order(self, dtype: str, order: str, asked: str | None) -> None:
        matrix = np.array([[0, 1, 1], [1, 0, 1]]).astype(np.dtype(dtype).newbyteorder(order))
        encoded = THREE.encode(matrix, asked)
        expected = asked or ("float32" if dtype in ("f2", "f4") else "float64")
        assert encoded.dtype == expected
        assert encoded.dtype.isnative
        assert encoded.flags.c_contiguous
        np.testing.assert_array_equal(encoded, matrix.astype(expected))

    @pytest.mark.parametrize(
        "view",
        [np.asfortranarray, lambda m: m[::2], lambda m: m[::-1, ::-1], lambda m: np.broadcast_to(m[:1], (4, 3))],
    )
    def test_every_layout(self, view: object) -> None:
        matrix = view(np.arange(18.0).reshape(6, 3))  # type: ignore[operator]
        encoded = THREE.encode(matrix)
        assert encoded.flags.c_contiguous
        np.testing.assert_array_equal(encoded, matrix)

    @given(hnp.arrays(st.sampled_from([np.int64, np.uint64]), st.tuples(st.integers(1, 4), st.just(3))))
    def test_integers_are_rounded_once(self, matrix: np.ndarray) -> None:
        # The nearest float32 of an integer, found by comparing exact integers.
        for came, encoded in zip(matrix.ravel().tolist(), THREE.encode(matrix, "float32").ravel(), strict=True):
            error = abs(int(encoded) - came)
            for neighbour in (np.nextafter(encoded, np.float32(-np.inf)), np.nextafter(encoded, np.float32(np.inf))):
                assert error <= abs(int(neighbour) - came)

    def test_an_integer_that_two_roundings_get_wrong(self) -> None:
        number = 2**60 + 2**36 + 1  # just above a tie of float32; float64 drops the 1 and the tie goes down
        assert np.float32(np.float64(number)) == 2**60
        for rows in (np.array([[number] * 3]), [[number] * 3]):
            assert THREE.encode(rows, "float32")[0, 0] == 2**60 + 2**37

    def test_too_large_for_float32_is_infinite_without_a_warning(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(
                THREE.encode(np.array([[1e39, -1e300, 1.0]]), "float32"), [[np.inf, -np.inf, 1]]
            )

    def test_what_is_not_finite_stays(self) -> None:
        matrix = np.array([[np.nan, np.inf, -0.0]])
        encoded = THREE.encode(matrix, "float32")
        assert np.isnan(encoded[0, 0])
        assert encoded[0, 1] == np.inf
        assert np.signbit(encoded[0, 2])

    def test_masked_values_are_missing(self) -> None:
        matrix = np.ma.masked_array([[1, 2, 3], [4, 5, 6]], mask=[[0, 1, 0], [0, 0, 0]])
        np.testing.assert_array_equal(THREE.encode(matrix), [[1, np.nan, 3], [4, 5, 6]])

    def test_masked_objects_are_missing(self) -> None:
        matrix = np.ma.masked_array(np.array([[1, "red"], [2, "green"]], object), mask=[[0, 1], [1, 0]])
        np.testing.assert_array_equal(MIXED.encode(matrix), [[1, np.nan], [np.nan, 1]])

    def test_np_matrix(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            matrix = np.matrix([[1.0, 2.0]])
            np.testing.assert_array_equal(MIXED.encode(matrix), [[1, 2]])

    def test_structured_arrays_by_name(self) -> None:
        rows = np.array([(1.5, 30, 7.0)], dtype=[("score", "f4"), ("age", "i8"), ("income", "f8")])
        np.testing.assert_array_equal(THREE.encode(rows), [[30, 7, 1.5]])

    def test_objects(self) -> None:
        from decimal import Decimal
        from fractions import Fraction

        rows = np.array([[1, None, True], [Decimal("0.5"), Fraction(1, 4), np.float32(2)]], object)
        np.testing.assert_array_equal(THREE.encode(rows), [[1, np.nan, 1], [0.5, 0.25, 2]])

    def test_torch_like_objects_go_through_dunder_array(self) -> None:
        class Tensor:
            def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
                return np.array([[1, 2, 3]], np.float32)

        assert THREE.encode(Tensor()).dtype == np.float32

    def test_buffers(self) -> None:
        rows = memoryview(np.arange(6.0).reshape(2, 3))
        np.testing.assert_array_equal(THREE.encode(rows), [[0, 1, 2], [3, 4, 5]])


class TestRefused:
    @pytest.mark.parametrize("rows", [np.zeros(3), [1.0, 2.0, 3.0], array("d", [1, 2, 3]), ["a", "b"], [None]])
    def test_one_dimension(self, rows: object) -> None:
        with pytest.raises(DimensionError, match=r"reshape\(1, -1\)"):
            THREE.encode(rows)

    @pytest.mark.parametrize("rows", [np.float64(1), np.array(1.0)])
    def test_no_dimension(self, rows: object) -> None:
        with pytest.raises(DimensionError, match="single value"):
            THREE.encode(rows)

    def test_three_dimensions(self) -> None:
        with pytest.raises(DimensionError, match=r"two dimensions.*\(2, 3, 1\)"):
            THREE.encode(np.zeros((2, 3, 1)))
        with pytest.raises(DimensionError, match="row 0, column 'age': expected one value, got list"):
            THREE.encode([[[1.0], [2.0], [3.0]]])

    @pytest.mark.parametrize("rows", [np.zeros((2, 4)), np.zeros((2, 4), np.float32), [[1, 2, 3, 4]], np.zeros((0, 4))])
    def test_wrong_width(self, rows: object) -> None:
        with pytest.raises(DimensionError, match="expected 3 columns, got 4"):
            THREE.encode(rows)

    @pytest.mark.parametrize(
        "matrix",
        [
            np.zeros((1, 3), complex),
            np.zeros((1, 3), "M8[s]"),
            np.zeros((1, 3), "m8[s]"),
            np.zeros((1, 3), "S4"),
            np.zeros((1, 3), "V4"),
        ],
    )
    def test_wrong_dtype(self, matrix: np.ndarray) -> None:
        with pytest.raises(InvalidInputError, match="column 'age': expected numbers or text, got"):
            THREE.encode(matrix)

    @pytest.mark.parametrize("matrix", [np.array([["1", "2", "3"]]), np.array([["1", "2", "3"]], object)])
    def test_numbers_written_as_text_are_not_parsed(self, matrix: np.ndarray) -> None:
        with pytest.raises(InvalidInputError, match="row 0, column 'age': expected a number, got '1'"):
            THREE.encode(matrix)

    def test_sparse(self) -> None:
        sparse = pytest.importorskip("scipy.sparse")
        with pytest.raises(InvalidInputError, match="toarray"):
            THREE.encode(sparse.csr_matrix(np.eye(3)))
        with pytest.raises(InvalidInputError, match="toarray"):
            THREE.encode(sparse.coo_array(np.eye(3)))

    @pytest.mark.parametrize("rows", ["abc", b"abc", bytearray(3), 5, None, {1, 2}, (x for x in "ab")])
    def test_no_rows_at_all(self, rows: object) -> None:
        with pytest.raises(InvalidInputError, match=r"expected a NumPy array, .* got builtins"):
            THREE.encode(rows)

    def test_what_another_library_raises_is_told(self) -> None:
        class Tensor:
            def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
                raise RuntimeError("it is on a GPU")

        with pytest.raises(InvalidInputError, match="it is on a GPU"):
            THREE.encode(Tensor())

    def test_unknown_dtype(self) -> None:
        with pytest.raises(ValueError, match="float16"):
            THREE.encode(np.zeros((1, 3)), "float16")  # type: ignore[arg-type]

    def test_models_that_cannot_be_fed(self) -> None:
        with pytest.raises(UnsupportedModelError, match="'essay' is free text"):
            Columns([ColumnSpec("essay", "text")])
        with pytest.raises(UnsupportedModelError, match="at least one column"):
            Columns([])

    def test_rows_are_counted_from_first_row(self) -> None:
        with pytest.raises(InvalidInputError, match="row 101, column 'income': expected a number, got 'x'"):
            THREE.encode([[1, 2, 3], [1, "x", 3]], first_row=100)


def test_a_category_column_without_categories_takes_codes() -> None:
    columns = Columns([ColumnSpec("a", "category"), ColumnSpec("b")])
    matrix = np.array([[3.0, 1.0]])
    assert columns.encode(matrix) is matrix


@given(
    hnp.arrays(
        st.sampled_from([np.dtype(code).newbyteorder(order) for code in NUMERIC for order in "<>"]),
        st.tuples(st.integers(0, 5), st.just(3)),
    ),
    st.sampled_from([None, "float32", "float64"]),
    st.booleans(),
)
def test_any_array_against_astype(matrix: np.ndarray, dtype: str | None, fortran: bool) -> None:
    matrix = np.asfortranarray(matrix) if fortran else matrix
    encoded = THREE.encode(matrix, dtype)  # type: ignore[arg-type]
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(encoded, matrix.astype(encoded.dtype))
    assert encoded.flags.c_contiguous


def run_alone(code: str) -> None:
    """In a fresh interpreter: what is imported here is imported by this code."""
    completed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert completed.returncode == 0, completed.stderr


def test_only_numpy_is_imported() -> None:
    run_alone(
        """
        import sys
        from inferir.formats.spec import ColumnSpec
        from inferir.rows import Columns
        columns = Columns([ColumnSpec("a"), ColumnSpec("b", "category", ("x",))])
        assert columns.encode([[1, "x"], [None, None]]).shape == (2, 2)
        heavy = {"pandas", "polars", "pyarrow", "nanoarrow", "scipy", "numba"} & set(sys.modules)
        assert not heavy, heavy
        """
    )
