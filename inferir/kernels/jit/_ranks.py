"""Ranks of values among up to 256 sorted thresholds, those of eight or sixteen rows at a time, where a CPU has AVX-512.

Thresholds of a column are put into registers in the order in which a binary search asks for them: the middle one, the
two in the middle of the halves, and so on. A value's answers, read as bits, say where its next one is; so a step takes
lanes by their numbers, as leaves are looked up (`_leaves`), and loads nothing. Where a step's thresholds are more than
two registers, answers to the first steps choose between pairs of them.

Rows lie one after the other, and their columns side by side. So four columns are put aside first, row after row of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir

from inferir.kernels.jit._compile import scalar
from inferir.kernels.jit._leaves import has_permutes, permute
from inferir.kernels.jit._simd import LINE, instruction, registers_nbytes, words_of
from inferir.kernels.jit._tiles import loop, opaque, spread

__all__ = ["ASIDE", "COLUMN_ROWS", "MOST_BLOCKS", "column_aside", "rank_many", "takes_many"]

#: Columns that are put aside together, and values between them.
ASIDE, COLUMN_ROWS = 4, 256

#: Thresholds of a block, and blocks of a column.
_PIVOTS, MOST_BLOCKS = 16, 16

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _nbytes(element: Any) -> int:
    return {"float": 4, "double": 8}[str(element)]


def _shuffle(b: Any, low: Any, high: Any, places: list[int]) -> Any:
    return b.shuffle_vector(low, high, ir.Constant(ir.VectorType(_I32, len(places)), places))


def _every_second(b: Any, vectors: list[Any], first: int, n_values: int) -> list[Any]:
    """Values first, first + 2, ... of `n_values` that lie in vectors, as far as there are any."""
    lanes = vectors[0].type.count
    if n_values <= lanes:
        return [_shuffle(b, vectors[0], vectors[0], [(2 * i + first) % lanes for i in range(lanes)])]
    places = [2 * i + first for i in range(lanes)]
    return [_shuffle(b, low, high, places) for low, high in zip(vectors[::2], vectors[1::2], strict=True)]


def _take(b: Any, table: list[Any], n_values: int, number: Any, answers: list[Any]) -> Any:
    """The value of each lane's number in a table, whose first bits are the first of the answers."""
    lanes = table[0].type.count
    if n_values == 1:
        return _shuffle(b, table[0], table[0], [0] * lanes)
    if len(table) == 1:
        return permute(b, table[0], number, table[0])
    found = [permute(b, low, number, high) for low, high in zip(table[::2], table[1::2], strict=True)]
    for answer in reversed(answers[: (len(found) - 1).bit_length()]):
        found = [b.select(answer, high, low) for low, high in zip(found[::2], found[1::2], strict=True)]
    return found[0]


def _ranker(most_blocks: int) -> Callable[..., Any]:
    """The instruction for columns of up to so many blocks."""

    def lower(
        b: Any, address: Any, cuts: Any, first: Any, blocks: Any, values: Any, at: Any, rows: Any, rank: Any
    ) -> None:
        if not has_permutes():
            return
        element = address(0, first).type.pointee
        nbytes = _nbytes(element)
        lanes = LINE // nbytes
        kind, numbers = ir.VectorType(element, lanes), ir.VectorType(ir.IntType(8 * nbytes), lanes)

        zero, missing = (ir.Constant(numbers, [value] * lanes) for value in (0, -1))
        # As LLVM does not know that it is one, it adds it under a mask, and makes no number of the mask.
        one = spread(b, opaque(b, ir.Constant(numbers.element, 1)), numbers)

        infinite, vectors = ir.Constant(kind, [float("inf")] * lanes), []
        last = b.sub(blocks, ir.Constant(_I64, 1))
        for block in range(most_blocks):
            wanted = ir.Constant(_I64, block)
            is_there = b.icmp_unsigned("<", wanted, blocks)
            start = b.add(first, b.mul(b.select(is_there, wanted, last), ir.Constant(_I64, _PIVOTS)))
            for offset in range(0, _PIVOTS, lanes):
                place = b.bitcast(address(0, b.add(start, ir.Constant(_I64, offset))), kind.as_pointer())
                vectors.append(b.select(is_there, b.load(place, align=nbytes), infinite))
        tables, n_values = [], most_blocks * _PIVOTS
        while n_values > 1:
            tables.append((_every_second(b, vectors, 0, n_values), n_values // 2))
            vectors, n_values = _every_second(b, vectors, 1, n_values), n_values // 2
        greatest = _take(b, vectors, 1, None, [])

        def turn(r: Any, carried: list[Any]) -> list[Any]:
            value = b.load(b.bitcast(address(3, b.add(at, r)), kind.as_pointer()), align=nbytes)
            number = zero
            answers: list[Any] = []
            for table, size in reversed(tables):
                answers.append(b.fcmp_ordered("<", _take(b, table, size, number, answers), value))
                number = b.add(b.add(number, number), b.select(answers[-1], one, zero))
            number = b.add(number, b.select(b.fcmp_ordered("<", greatest, value), one, zero))
            number = b.select(b.fcmp_unordered("uno", value, value), missing, number)
            narrow = ir.VectorType(_I32, lanes)
            found = b.trunc(number, narrow) if nbytes == 8 else number
            b.store(found, b.bitcast(address(6, r), narrow.as_pointer()), align=4)
            return carried

        loop(b, ir.Constant(_I64, 0), rows, lanes, turn, [])

    return lower


def _ranking(most_blocks: int) -> Any:
    def rank(cuts, first, blocks, values, at, rows, rank):
        sorted_cuts = cuts.reshape(-1)[int(first) : int(first) + int(blocks) * _PIVOTS]
        own = values.reshape(-1)[int(at) : int(at) + int(rows)]
        found = np.searchsorted(sorted_cuts, own)
        rank[: int(rows)] = np.where(np.isnan(own), -1, found)

    return instruction(lambda *_: numba.void, _ranker(most_blocks))(rank)


_rank_of_1, _rank_of_4, _rank_of_8, _rank_of_16 = (_ranking(most_blocks) for most_blocks in (1, 4, 8, 16))


def _aside(b: Any, address: Any, x: Any, begin: Any, stride: Any, values: Any, at: Any) -> None:
    element = address(0, begin).type.pointee
    nbytes = _nbytes(element)
    lanes = LINE // nbytes
    groups = lanes // ASIDE
    four = ir.VectorType(element, ASIDE)
    rows = []
    for i in range(ASIDE):  # rows i, i + 4, i + 8, ... side by side
        parts = []
        for q in range(groups):
            place = b.add(begin, b.mul(stride, ir.Constant(_I64, i + ASIDE * q)))
            parts.append(b.load(b.bitcast(address(0, place), four.as_pointer()), align=nbytes))
        while len(parts) > 1:
            both = list(range(2 * parts[0].type.count))
            parts = [_shuffle(b, low, high, both) for low, high in zip(parts[::2], parts[1::2], strict=True)]
        rows.append(parts[0])

    def pairs(low: Any, high: Any, first: int) -> Any:
        """Values first and first + 1 of each four of both, in turns."""
        places = [p + side for q in range(groups) for p in (4 * q + first, 4 * q + first + 1) for side in (0, lanes)]
        return _shuffle(b, low, high, places)

    def halves(low: Any, high: Any, first: int) -> Any:
        """Values first and first + 1 of each four of `low`, and then of `high`."""
        places = [p + side for q in range(groups) for side in (0, lanes) for p in (4 * q + first, 4 * q + first + 1)]
        return _shuffle(b, low, high, places)

    for column in range(ASIDE):
        first, half = column // 2 * 2, column % 2 * 2
        whole = halves(pairs(rows[0], rows[1], first), pairs(rows[2], rows[3], first), half)
        place = address(3, b.add(at, ir.Constant(_I64, column * COLUMN_ROWS)))
        b.store(whole, b.bitcast(place, whole.type.as_pointer()), align=nbytes)


@instruction(lambda *_: numba.void, _aside)
def _put_aside(x, begin, stride, values, at):
    """values.flat[at + c * COLUMN_ROWS + r] = x.flat[begin + r * stride + c], for c < 4 and as many r as a register
    has lanes."""
    lanes = LINE // x.itemsize
    rows = np.lib.stride_tricks.as_strided(
        x.reshape(-1)[int(begin) :], (lanes, ASIDE), (int(stride) * x.itemsize, x.itemsize)
    )
    for c in range(ASIDE):
        start = int(at) + c * COLUMN_ROWS
        values.reshape(-1)[start : start + lanes] = rows[:, c]


@scalar
def takes_many(x, rows):
    """Whether so many rows of x are ranked by `rank_many`."""
    lanes = np.uint64(16) // words_of(x)
    return registers_nbytes() >= np.uint64(2048) and rows >= lanes and x.shape[1] >= ASIDE


@scalar
def column_aside(x, top, rows, column, aside, values):
    """Where the rows' values of a column are in `values`; `aside` is the first of the four columns that are there, or
    behind them all. Returns both."""
    width, lanes = np.uint64(x.shape[1]), np.uint64(16) // words_of(x)
    if not aside <= column < aside + np.uint64(ASIDE):
        aside = min(column, width - np.uint64(ASIDE))
        for r in range(np.uint64(0), rows, lanes):
            own = min(r, rows - lanes)  # the last ones overlap with those before
            _put_aside(x, (top + own) * width + aside, width, values, own)
    return aside, (column - aside) * np.uint64(COLUMN_ROWS)


@scalar
def rank_many(cuts, first, blocks, values, at, rows, rank):
    """rank[r] = number of the thresholds cuts.flat[first : first + 16 blocks], sorted, that are below values.flat[at +
    r], or -1 for a NaN; for r < rows, and what is behind them up to a whole register."""
    if blocks == np.uint64(1):
        _rank_of_1(cuts, first, blocks, values, at, rows, rank)
    elif blocks <= np.uint64(4):
        _rank_of_4(cuts, first, blocks, values, at, rows, rank)
    elif blocks <= np.uint64(8):
        _rank_of_8(cuts, first, blocks, values, at, rows, rank)
    else:
        _rank_of_16(cuts, first, blocks, values, at, rows, rank)
