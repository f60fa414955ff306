"""The columns of one model, and the one place through which rows enter it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from inferir.errors import DimensionError, InvalidInputError, UnsupportedModelError
from inferir.formats.spec import ColumnSpec
from inferir.rows.arrow import from_arrow, is_arrow
from inferir.rows.categories import CategoryCodes
from inferir.rows.dataframes import from_pandas, is_pandas
from inferir.rows.interchange import from_interchange
from inferir.rows.names import check_width, match_names
from inferir.rows.sequences import ONE_DIMENSIONAL, by_position, code_rows, columns_of_rows, from_columns
from inferir.rows.values import NUMERIC_KINDS, Matrix, Values, assemble, fits_float32, from_array, target_dtype

__all__ = ["Columns", "Dtype"]

Dtype: TypeAlias = Literal["float32", "float64"]

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_DTYPES: dict[str | None, np.dtype[Any]] = {"float32": _FLOAT32, "float64": _FLOAT64}

#: Flags of an array that a kernel can read as it lies: C-contiguous (1) and aligned (0x100). One attribute, not two.
_READY = 0x101

_ACCEPTED = "a NumPy array, a list of lists or of dicts, or a data frame (pandas, polars, anything with Arrow)"


class Columns:
    """A model's input columns, prepared once so that `encode` has little left to do.

    specs   the columns in the model's order. A `category` column without `categories` takes codes, as a number column.
    named   False when the model was trained without column names and those in `specs` are made up. Tables are then
            matched by position, and must have as many columns as the model.

    Raises UnsupportedModelError for a `text` column without `categories`: this build has no operator that reads text.
    """

    __slots__ = ("_as_is", "_categories", "_codes", "_width", "named", "names", "specs")

    def __init__(self, specs: Sequence[ColumnSpec], named: bool = True) -> None:
        self.specs = tuple(specs)
        self.named = named
        self.names = [spec.name for spec in self.specs]
        self._width = len(self.specs)
        if not self.specs:
            raise UnsupportedModelError("expected a model with at least one column, got one with none")
        for spec in self.specs:
            if spec.kind == "text" and spec.categories is None:
                raise UnsupportedModelError(f"column {spec.name!r} is free text, which this build cannot use")
        self._codes = [None if spec.categories is None else CategoryCodes(spec.categories) for spec in self.specs]
        self._categories = [(position, code) for position, code in enumerate(self._codes) if code is not None]
        # Asked for -> the dtypes that are returned as they came.
        both = (_FLOAT64, _FLOAT32)
        as_is: dict[Any, tuple[np.dtype[Any], ...]] = {None: both, "float32": (_FLOAT32,), "float64": (_FLOAT64,)}
        self._as_is = dict.fromkeys(as_is, ()) if self._categories else as_is

    @property
    def coded(self) -> bool:
        """Whether there are category columns, whose values become codes."""
        return bool(self._categories)

    def encode(self, rows: Any, dtype: Dtype | None = None, first_row: int = 0) -> Matrix:
        """Rows as a C-contiguous, aligned (n, d) matrix in the model's order of columns.

        Columns that came as numbers keep their values, rounded once if `dtype` is narrower; category columns are codes
        (-1.0: not among the categories); what is missing (None, NaN, null) is NaN.

        rows       a NumPy array; a list of lists (by position) or of dicts (by column name); a dict of columns; a data
                   frame: pandas, anything that offers Arrow, the DataFrame interchange protocol, or `__array__`.
        dtype      None: float32 if every number column that came is float32 or float16, otherwise float64.
        first_row  the number by which errors call the first row.

        The matrix may be `rows` itself. Raises DimensionError (E003) for a wrong shape, a wrong number of columns or
        missing names, InvalidInputError (E006) for values of the wrong kind.
        """
        if type(rows) is np.ndarray and rows.dtype in self._as_is.get(dtype, ()) and self.fits(rows):
            return rows
        return self._encode(rows, dtype, first_row)

    def fits(self, rows: npt.NDArray[Any]) -> bool:
        """Whether kernels can read an array of their dtype as it lies."""
        shape = rows.shape
        return len(shape) == 2 and shape[1] == self._width and rows.flags.num & _READY == _READY

    def match(self, came: list[str]) -> list[int]:
        """Position in a table with the columns `came` of each of the model's columns."""
        if came == self.names:
            return list(range(self._width))
        if self.named:
            return match_names(self.names, came)
        check_width(self._width, len(came))
        return list(range(self._width))

    def _encode(self, rows: Any, dtype: Dtype | None, first_row: int) -> Matrix:
        target = _DTYPES.get(dtype)
        if target is None and dtype is not None:
            raise ValueError(f"expected dtype 'float32', 'float64' or None, got {dtype!r}")
        read: npt.NDArray[Any] | list[list[Values]]
        if isinstance(rows, np.ndarray):
            read = self._array(rows)
        elif isinstance(rows, (list, tuple)):
            if not rows:
                return np.empty((0, self._width), target or _FLOAT64)
            rows = by_position(rows, self.names, first_row)
            array = code_rows(rows, self._categories)
            if array is not None:
                check_width(self._width, array.shape[1])
                return _matrix(array, target)
            read = [columns_of_rows(rows, self.names, first_row)]
        else:
            read = self._read(rows, target)
        if isinstance(read, np.ndarray):
            if not self._categories and read.dtype.kind in NUMERIC_KINDS:
                return _matrix(read, target)
            read = [[from_array(read[:, position], name) for position, name in enumerate(self.names)]]
        if target is None:
            target = target_dtype(read[0], self._codes) if read else _FLOAT64
        return assemble(read, self.names, self._codes, target, first_row)

    def _read(self, rows: Any, dtype: np.dtype[Any] | None) -> npt.NDArray[Any] | list[list[Values]]:
        """The rows as a 2-D array of the right width, or as batches of one Values per column. Most telling form first:
        a pandas frame has `__array__` too, but only its columns know their names.
        """
        if is_pandas(rows):
            return from_pandas(rows, self.match, self.names, dtype, not self._categories)
        if is_arrow(rows):
            read = from_arrow(rows, self.match, self.names)
            if read is not None:
                return read
        if hasattr(rows, "__dataframe__"):
            return from_interchange(rows.__dataframe__(), self.match, self.names)
        if isinstance(rows, Mapping):
            return from_columns(rows, self.match, self.names)
        return self._array(_as_array(rows))

    def _array(self, array: npt.NDArray[Any]) -> npt.NDArray[Any] | list[list[Values]]:
        if array.dtype.names is not None and array.ndim == 1:
            return from_columns({name: array[name] for name in array.dtype.names}, self.match, self.names)
        if array.ndim < 2:
            raise DimensionError(ONE_DIMENSIONAL if array.ndim else "expected a table of rows, got a single value")
        if array.ndim > 2:
            raise DimensionError(f"expected two dimensions, rows and columns, got shape {array.shape}")
        check_width(self._width, array.shape[1])
        if isinstance(array, np.ma.MaskedArray):
            return [[_masked(array[:, position], name) for position, name in enumerate(self.names)]]
        return np.asarray(array)  # np.matrix stays two-dimensional when it is sliced


def _matrix(array: npt.NDArray[Any], dtype: np.dtype[Any] | None) -> Matrix:
    if dtype is None:
        dtype = _FLOAT32 if fits_float32(array.dtype) else _FLOAT64
    matrix: Matrix
    if array.dtype.kind == "f" and array.itemsize > dtype.itemsize:  # otherwise nothing overflows, and errstate costs
        with np.errstate(over="ignore"):
            matrix = np.ascontiguousarray(array, dtype=dtype)
    else:
        matrix = np.ascontiguousarray(array, dtype=dtype)
    return matrix if matrix.flags.aligned else matrix.copy()


def _masked(column: np.ma.MaskedArray[Any, Any], name: str) -> Values:
    mask = np.ma.getmaskarray(column)
    values = from_array(column.data, name)
    if isinstance(values.data, list):
        return Values([None if masked else value for value, masked in zip(values.data, mask.tolist(), strict=True)])
    return Values(values.data, mask)


def _as_array(rows: Any) -> npt.NDArray[Any]:
    """The array that an object offers through `__array__` or the buffer protocol."""
    got = f"{type(rows).__module__}.{type(rows).__qualname__}"
    if hasattr(rows, "tocsr"):
        raise InvalidInputError(f"expected a dense matrix, got {got}; pass .toarray()")
    if not isinstance(rows, (str, bytes, bytearray)):
        try:
            return np.asarray(rows if hasattr(rows, "__array__") else memoryview(rows))
        except Exception as error:  # whatever another library raises when its data cannot be an array
            raise InvalidInputError(f"expected {_ACCEPTED}, got {got}: {error}") from error
    raise InvalidInputError(f"expected {_ACCEPTED}, got {got}")
