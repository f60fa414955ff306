"""What a value of a graph is while the graph is walked: a constant, or a tensor with one slice for each input row.

Operators know matrices, one row per input row; ONNX knows tensors of any rank in which the rows are one axis, the batch
axis, of a length that nobody knows. So a tensor is a matrix and a picture of it: `columns` has the tensor's shape, with
what one input row brings along the batch axis (1 as a rule), and says which column of the matrix each element is. What
only moves elements (reshape, transpose, slice, gather, broadcast) is NumPy on that picture and computes nothing.

A tensor of class numbers or of few distinct values keeps what they are: `table` says what each position stands for, so
that a function of it is a function of the table, and `levels` lists the values that numbers can take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "ABSENT", "TEXT", "Array", "Constant", "Maps", "Refused", "Tensor", "Value", "batch_axis", "broadcast",
    "dtype_name", "whole",
]  # fmt: skip

Array: TypeAlias = npt.NDArray[Any]

#: The dtype of strings, whatever their length.
TEXT = np.dtype(object)


@dataclass(frozen=True)
class Constant:
    """An array that no row changes. `axis` is its batch axis where it has one, there of length 1: all rows alike."""

    array: Array
    axis: int | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype


@dataclass(frozen=True)
class Tensor:
    """`columns` (any shape, int64) of the matrix `value`, which has `width` columns and is stored as f32, f64 or i64.

    dtype   that of the ONNX tensor: integers and booleans are stored as whole numbers, strings as codes in the input
            columns that `columns` are.
    table   stored as i64 only: what each position is.
    levels  the values an element can have, where they are few and known.
    margin  whether these are known to be scores before a link, not probabilities.
    stacked whether the first axis, which the picture has and the ONNX tensor has not, counts blocks of rows, one below
            the other. Only a reshape can take them apart again.
    """

    value: str
    columns: Array
    axis: int
    dtype: np.dtype[Any]
    stored: str
    width: int
    table: Array | None = None
    levels: Array | None = None
    margin: bool = False
    stacked: bool = False

    @property
    def batch(self) -> int:
        """How many entries along the batch axis one input row has."""
        return int(self.columns.shape[self.axis])

    def see(self, columns: Array, axis: int | None = None) -> Tensor:
        """The same elements, placed otherwise."""
        return replace(self, columns=columns, axis=self.axis if axis is None else axis)

    def shape(self) -> str:
        """For messages: N where the rows are."""
        n = "N" if self.batch == 1 else f"{self.batch}N"
        return f"[{', '.join(n if k == self.axis else str(d) for k, d in enumerate(self.columns.shape))}]"


@dataclass(frozen=True)
class Maps:
    """ZipMap's output: a map per row, from `keys` to the tensor's columns."""

    tensor: Tensor
    keys: tuple[Any, ...]


@dataclass(frozen=True)
class Refused:
    """An output that cannot be converted, which matters only if something reads it."""

    what: str
    supported: str


#: An optional input that is not given.
ABSENT = Constant(np.zeros(0, np.int64))

Value: TypeAlias = "Constant | Tensor | Maps | Refused"


def whole(value: str, width: int, dtype: np.dtype[Any], stored: str, **more: Any) -> Tensor:
    """All columns of a matrix, as a tensor [N, width]."""
    return Tensor(value, np.arange(width).reshape(1, width), 0, dtype, stored, width, **more)


def dtype_name(dtype: np.dtype[Any]) -> str:
    return "string" if dtype == TEXT else dtype.name


def batch_axis(values: Sequence[Constant | Tensor]) -> tuple[int, int] | None:
    """Batch axis of operands that are broadcast together, counted from the last axis (-1), and its entries per row.

    None where they do not line up: where rows of one would meet columns of another.
    """
    axes = {v.axis - v.columns.ndim for v in values if isinstance(v, Tensor)}
    axes |= {v.axis - v.array.ndim for v in values if isinstance(v, Constant) and v.axis is not None}
    batches = {v.batch for v in values if isinstance(v, Tensor)}
    if len(axes) != 1 or len(batches) > 1:
        return None
    axis, batch = axes.pop(), batches.pop() if batches else 1
    for value in values:
        if (
            isinstance(value, Constant)
            and value.axis is None
            and value.array.ndim >= -axis
            and value.array.shape[axis] != 1
        ):
            return None
    return axis, batch


def broadcast(values: Sequence[Constant | Tensor]) -> tuple[list[Array], int] | None:
    """Pictures of tensors and arrays of constants, all of one shape, and its batch axis. None where they clash."""
    found = batch_axis(values)
    if found is None:
        return None
    arrays = [v.columns if isinstance(v, Tensor) else v.array for v in values]
    try:
        shape = np.broadcast_shapes(*[a.shape for a in arrays])
    except ValueError:
        return None
    return [np.broadcast_to(a, shape) for a in arrays], len(shape) + found[0]
