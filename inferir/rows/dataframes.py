"""pandas frames, column by column, without importing pandas.

pandas could hand over its columns through Arrow or through the interchange protocol. Neither is used: the first needs
pyarrow (an optional dependency of pandas), adds the index to the columns and takes 2 ms for a row of 30; the second is
deprecated since pandas 3. Read here, a frame gives the same matrix with and without pyarrow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import InvalidInputError
from inferir.rows.arrow import from_arrow_array
from inferir.rows.values import NUMERIC_KINDS, Values, fits_float32, from_array

__all__ = ["from_pandas", "is_pandas"]


def is_pandas(rows: Any) -> bool:
    """Whether `rows` is a pandas frame. If pandas was never imported, it is not."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(rows, pandas.DataFrame)


def from_pandas(
    frame: Any,
    match: Callable[[list[str]], list[int]],
    names: Sequence[str],
    dtype: np.dtype[Any] | None,
    all_numbers: bool,
) -> npt.NDArray[Any] | list[list[Values]]:
    """The model's columns of a frame: one 2-D array where they are all its columns, in order, and all of NumPy's
    numeric dtypes; else one batch.
    """
    positions = match([str(label) for label in frame.columns.tolist()])
    if all_numbers and positions == list(range(frame.shape[1])):
        dtypes = set(frame.dtypes.tolist())
        if all(isinstance(kind, np.dtype) and kind.kind in NUMERIC_KINDS for kind in dtypes):
            if dtype is None:
                dtype = np.dtype(np.float32 if all(map(fits_float32, dtypes)) else np.float64)
            with np.errstate(over="ignore"):
                matrix: npt.NDArray[Any] = frame.to_numpy(dtype=dtype)
            return matrix
    if 2 * len(positions) < frame.shape[1]:
        frame = frame.iloc[:, positions]
        positions = list(range(len(positions)))
    columns = [series for _, series in frame.items()]  # three times as fast as iloc for each
    return [[_column(columns[position], name) for position, name in zip(positions, names, strict=True)]]


def _column(series: Any, name: str) -> Values:
    dtype = series.dtype
    if dtype.kind in "mM":  # with a time zone it would come as objects
        raise InvalidInputError(f"column {name!r}: expected numbers or text, got {dtype}")
    if isinstance(dtype, np.dtype):
        return from_array(series.to_numpy(), name)
    if hasattr(dtype, "categories") and hasattr(series, "cat"):
        codes = series.cat.codes.to_numpy()
        return Values(codes, codes < 0, _column(series.cat.categories.to_series(), name))
    numpy_dtype = getattr(dtype, "numpy_dtype", None)
    if hasattr(dtype, "pyarrow_dtype"):
        # Asked for NumPy, a nullable column of integers comes as floats, rounded before we see it.
        chunked = series.array.__arrow_array__()
        return from_arrow_array(chunked.combine_chunks(), name)
    if isinstance(numpy_dtype, np.dtype) and numpy_dtype.kind in NUMERIC_KINDS:  # Int64, Float32, boolean, ...
        missing = series.isna().to_numpy(dtype=bool)
        filler = numpy_dtype.type(0)
        return Values(series.to_numpy(dtype=numpy_dtype, na_value=filler), missing if missing.any() else None)
    if dtype.kind == "O":  # text and objects; the marker of a missing value may be NaN, None or NA
        return Values(series.to_numpy(dtype=object).tolist())
    return from_array(series.to_numpy(), name)
