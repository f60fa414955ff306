"""Arrays laid out for tiles of registers (`kernels/jit/_tiles.py`): made once, while a model is bound."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inferir.program.arrays import Array

__all__ = [
    "LINE_NBYTES", "TOTALS", "TURNED_ROWS", "ByteScores", "aligned", "as_bytes", "by_columns", "byte_scores", "packed",
    "scores",
]  # fmt: skip

#: Of a cache line, and of a group of lanes.
LINE_NBYTES = 64

#: Groups of points that are looked at together by scores of bytes, and points of a group (`kernels/jit/_bytes.py`).
_BYTE_GROUPS, _BYTE_LANES = 16, 16

#: Groups of a cell, of which the kernel knows the least scores.
_BYTE_CELL = 4

#: Where scores of bytes are made: from so many points on, up to so many columns, for so many neighbours.
_LEAST_POINTS, _MOST_COLUMNS, _MOST_NEIGHBORS = 1024, 1 << 14, 16

#: Points whose neighbours are looked at to decide about them.
_ASKED = 16

#: Dimensions of the scratch in which tiles leave their sums.
TOTALS = (8, 64)

#: Rows that are turned into columns together (`kernels/jit/_turned.py`).
TURNED_ROWS = 32


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


class ByteScores(NamedTuple):
    """Points about their center in whole steps, as bytes; `residual` is how far the farthest is from its point.

    The fields behind `points` are the same, with the points of a lane of four groups, a cell, side by side.
    """

    step: float
    residual: float
    offsets: Array
    points: Array
    cell_offsets: Array
    cell_points: Array

    @property
    def sizes(self) -> dict[str, int]:
        """Dimensions of scratch: bytes of a row, cells, and candidates, of which a few more are written than asked."""
        n_cells = len(self.cell_points)
        return {"codes": self.cell_points.shape[2] // 4, "cells": n_cells, "candidates": 136 + n_cells // 4}


def byte_scores(points: Array, center: Array, k: int) -> ByteScores:
    """Points (n, columns) for scores of bytes; none where those would not tell the k nearest from many others."""
    n, columns = points.shape
    worth = n >= _LEAST_POINTS and columns <= _MOST_COLUMNS and k <= _MOST_NEIGHBORS
    made = as_bytes(points if worth else points[:0], center)
    return made if _tells_apart(made, n, k) else as_bytes(points[:0], center)


def as_bytes(points: Array, center: Array) -> ByteScores:
    """Points about `center` in whole steps; none where there are none, or where their squares leave the doubles."""
    n, columns = points.shape
    with np.errstate(over="ignore", invalid="ignore"):
        about = points - center
    largest = float(np.abs(about).max(initial=0.0))
    if not 1e-100 < largest < 1e100:
        n, about, largest = 0, about[:0], 127.0
    step = largest / 127
    whole = np.rint(about / step)
    residual = float(np.sqrt(np.square(about - whole * step).sum(axis=1).max(initial=0.0))) * (1 + 1e-10)
    groups, fours = -(-n // (_BYTE_GROUPS * _BYTE_LANES)) * _BYTE_GROUPS, -(-columns // 4)
    codes = np.zeros((groups * _BYTE_LANES, fours * 4), np.int8)
    codes[:n, :columns] = -whole
    offsets = np.full(groups * _BYTE_LANES, 1 << 30, np.int32)
    offsets[:n] = np.square(whole).sum(axis=1) // 2 + 128 * whole.sum(axis=1)
    lanes = codes.reshape(groups, _BYTE_LANES, fours, 4).transpose(0, 2, 1, 3).reshape(groups, fours, LINE_NBYTES)
    offsets = offsets.reshape(groups, _BYTE_LANES)
    arrays = (offsets, lanes.view(np.uint8), *_by_cell(codes, offsets))
    return ByteScores(step, residual, *map(aligned, arrays))


def _by_cell(codes: Array, offsets: Array) -> tuple[Array, Array]:
    """Offsets (cells, lanes, points) and bytes (cells, lanes, blocks of four, four, points and columns)."""
    cells, columns = len(offsets) // _BYTE_CELL, codes.shape[1]
    fours = -(-columns // 16) * 4
    whole = np.zeros((len(codes), fours * 4), np.int8)
    whole[:, :columns] = codes
    lanes = whole.reshape(cells, _BYTE_CELL, _BYTE_LANES, fours, 4).transpose(0, 2, 3, 1, 4)
    of_cell = offsets.reshape(cells, _BYTE_CELL, _BYTE_LANES).transpose(0, 2, 1)
    return of_cell, lanes.reshape(cells, _BYTE_LANES, fours * 16).view(np.uint8)


def _tells_apart(made: ByteScores, n: int, k: int) -> bool:
    """Whether few points are as near to some of them as the k-th nearest may be, by all that steps say."""
    groups, fours, _ = made.points.shape
    if not groups:
        return False
    codes = made.points.view(np.int8).reshape(groups, fours, _BYTE_LANES, 4).transpose(0, 2, 1, 3)
    whole = codes.reshape(groups * _BYTE_LANES, fours * 4)[:n].astype(np.float32)
    asked = np.linspace(0, n - 1, _ASKED).astype(np.int64)
    squares = np.square(whole).sum(axis=1)
    square = np.maximum(squares + squares[asked, None] - 2 * (whole[asked] @ whole.T), 0)
    nearest = np.sqrt(np.partition(square, k, axis=1)[:, k, None])  # the 0th is itself
    near = np.count_nonzero(np.sqrt(square) <= nearest + 4 * made.residual / made.step, axis=1)
    return bool(near.mean() <= 16 + n / 256)
