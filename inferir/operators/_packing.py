"""Arrays laid out for tiles of registers (`kernels/jit/_tiles.py`): made once, while a model is bound."""

from __future__ import annotations

import numpy as np

from inferir.program.arrays import Array

__all__ = ["LINE_NBYTES", "TOTALS", "aligned", "by_columns", "packed", "scores"]

#: Of a cache line, and of a group of lanes.
LINE_NBYTES = 64

#: Dimensions of the scratch in which tiles leave their sums.
TOTALS = (8, 64)


def aligned(array: Array) -> Array:
    """A C-contiguous copy that begins at a cache line, so that no vector of it lies in two."""
    memory = np.empty(array.nbytes + LINE_NBYTES, np.uint8)
    start = -memory.ctypes.data % LINE_NBYTES
    copy: Array = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def packed(*arrays: Array) -> Array:
    """Rows of `arrays`, each (outputs, columns), as (groups, columns, vectors of all arrays): lanes of a group side by
    side, array after array, those past the last output zero."""
    outputs, columns = arrays[0].shape
    lanes = LINE_NBYTES // arrays[0].itemsize
    groups = -(-outputs // lanes)
    whole = np.zeros((groups * lanes, len(arrays), columns), arrays[0].dtype)
    whole[:outputs] = np.stack(arrays, axis=1)
    by_group = whole.reshape(groups, lanes, len(arrays), columns).transpose(0, 3, 2, 1)
    return aligned(by_group.reshape(groups, columns, len(arrays) * lanes))


def by_columns(array: Array) -> Array:
    """Rows of (outputs, columns) as (outputs, vectors, lanes), zero behind the last column: for `dot`."""
    lanes = LINE_NBYTES // array.itemsize
    outputs, columns = array.shape
    whole = np.zeros((outputs, -(-columns // lanes) * lanes), array.dtype)
    whole[:, :columns] = array
    return aligned(whole.reshape(outputs, -1, lanes))


def scores(points: Array) -> tuple[Array, float, Array]:
    """Points (n, columns) for scores in float32: their center, the distance of the farthest from it, and packed
    (half of the square, minus the point) about the center."""
    center = points.mean(axis=0) if len(points) else np.zeros(points.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        about = points - center
        square = np.sum(about * about, axis=1)
        narrow = np.column_stack([0.5 * square, -about]).astype(np.float32)
    return center, float(np.sqrt(square.max(initial=0.0))), packed(narrow)
