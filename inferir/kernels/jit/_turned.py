"""Rows in lanes, for many rows and few columns of a model: their values are turned so that a vector holds a column of 16
rows, and what a model stores is spread.

Tiles whose lanes are outputs (`_tiles.py`) leave those behind the last output empty, and what is made of their sums row
by row, such as the least of them, goes across lanes. Here every lane is a row: any number of outputs is taken without
a gap, and the least is compared lane by lane.

Rows are turned in squares of 16 by 16 by unpacking pairs, then pairs of pairs, then segments of 16 bytes, which are one
instruction each where registers have 64 bytes.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir

from inferir.kernels.jit._simd import LINE, instruction, prefetch_at
from inferir.kernels.jit._tiles import loop, multiply_add, spread

__all__ = ["LANES", "TURNED_ROWS", "least_scores_1x2", "least_scores_1x4", "least_scores_1x8", "least_scores_2x8",
           "turn_rows"]  # fmt: skip

#: Rows of a vector.
LANES = LINE // 4

#: Rows that are turned together: two vectors of each column.
TURNED_ROWS = 2 * LANES

_SEGMENT = 4

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_NARROW, _WIDE = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.DoubleType(), LANES)
_NUMBERS = ir.VectorType(_I32, LANES)


def _number(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _of_segments(*lanes: int) -> list[int]:
    """Lanes of a segment's first two vectors (the second's from 4 on), as lanes of all segments."""
    whole = range(0, LANES, _SEGMENT)
    return [start + lane % _SEGMENT + LANES * (lane // _SEGMENT) for start in whole for lane in lanes]


def _segments(*numbers: int) -> list[int]:
    return [_SEGMENT * number + lane for number in numbers for lane in range(_SEGMENT)]


#: Two vectors become two; four steps turn a square.
_SINGLES = _of_segments(0, 4, 1, 5), _of_segments(2, 6, 3, 7)
_PAIRS = _of_segments(0, 1, 4, 5), _of_segments(2, 3, 6, 7)
_QUADS = _segments(0, 2, 4, 6), _segments(1, 3, 5, 7)


def _both(b: Any, masks: tuple[list[int], list[int]], one: Any, other: Any) -> list[Any]:
    return [b.shuffle_vector(one, other, ir.Constant(_NUMBERS, mask)) for mask in masks]


def turned_square(b: Any, rows: list[Any]) -> list[Any]:
    """Columns of 16 rows of 16."""
    quads = []
    for q in range(0, LANES, _SEGMENT):
        low, high = _both(b, _SINGLES, *rows[q : q + 2]), _both(b, _SINGLES, *rows[q + 2 : q + 4])
        quads.append([*_both(b, _PAIRS, low[0], high[0]), *_both(b, _PAIRS, low[1], high[1])])
    columns: list[Any] = [None] * LANES
    for c in range(_SEGMENT):
        even, odd = zip(*(_both(b, _QUADS, quads[q][c], quads[q + 1][c]) for q in (0, 2)), strict=True)
        columns[c], columns[2 * _SEGMENT + c] = _both(b, _QUADS, *even)
        columns[_SEGMENT + c], columns[3 * _SEGMENT + c] = _both(b, _QUADS, *odd)
    return columns


class _About:
    """Vectors of rows about a center, in float32: that of float32 rows is taken off in two parts, without doubles."""

    def __init__(self, b: Any, is_narrow: bool, center: Any) -> None:
        self._b, self._is_narrow, self._center = b, is_narrow, center
        if is_narrow:
            self._high = b.fptrunc(center, _narrow_of(center))
            self._low = b.fptrunc(b.fsub(center, b.fpext(self._high, center.type)), self._high.type)

    def __call__(self, values: Any) -> Any:
        b = self._b
        if self._is_narrow:
            return b.fsub(b.fsub(values, self._high), self._low)
        return b.fptrunc(b.fsub(values, self._center), _narrow_of(self._center))


def _narrow_of(values: Any) -> Any:
    return _NARROW if isinstance(values.type, ir.VectorType) else ir.FloatType()


def _turn_rows(
    b: Any, address: Any, x: Any, first: Any, rows: Any, width: Any, center: Any, turned: Any, to: Any
) -> None:
    element = address(0, _number(0)).type.pointee
    is_narrow = isinstance(element, ir.FloatType)
    lanes = _NARROW if is_narrow else _WIDE
    last = b.sub(rows, _number(1))
    numbers = [b.select(b.icmp_unsigned("<", _number(r), last), _number(r), last) for r in range(LANES)]
    begins = [b.mul(b.add(first, number), width) for number in numbers]

    def square(column: Any, _: list[Any]) -> list[Any]:
        column = b.select(b.icmp_unsigned("<", b.add(column, _number(LANES)), width), column, b.sub(width, _number(LANES)))
        about = _About(b, is_narrow, b.load(b.bitcast(address(4, column), _WIDE.as_pointer()), align=8))
        places = [b.bitcast(address(0, b.add(begin, column)), lanes.as_pointer()) for begin in begins]
        values = [about(b.load(place, align=4 if is_narrow else 8)) for place in places]
        for f, of_column in enumerate(turned_square(b, values)):
            place = address(5, b.add(to, b.mul(b.add(column, _number(f)), _number(TURNED_ROWS))))
            b.store(of_column, b.bitcast(place, _NARROW.as_pointer()), align=4)
        return []

    def one(column: Any, _: list[Any]) -> list[Any]:
        about = _About(b, is_narrow, b.load(address(4, column)))
        start = b.add(to, b.mul(column, _number(TURNED_ROWS)))
        for r, begin in enumerate(begins):
            b.store(about(b.load(address(0, b.add(begin, column)))), address(5, b.add(start, _number(r))))
        return []

    with b.if_else(b.icmp_unsigned(">=", width, _number(LANES))) as (wide, slim):
        with wide:
            loop(b, _number(0), width, LANES, square, [])
        with slim:
            loop(b, _number(0), width, 1, one, [])


@instruction(lambda *_: numba.void, _turn_rows)
def turn_rows(x, first, rows, width, center, turned, to):
    """turned.flat[to + f * TURNED_ROWS + r] = x[first + r, f] - center[f] in float32, f < width, r < 16; where there
    are fewer `rows`, the last of them again.

    Off by less than three roundings of the difference."""
    numbers = int(first) + np.minimum(np.arange(LANES), int(rows) - 1)
    place = turned.reshape(-1)[int(to) :]
    for f in range(int(width)):
        place[f * TURNED_ROWS : f * TURNED_ROWS + LANES] = x[numbers, f].astype(np.float64) - center[f]


def _least_scores(n_vectors: int, n_points: int) -> Any:
    """An instruction over `n_vectors` of 16 rows, which takes `n_points` at a time."""

    def lower(
        b: Any, address: Any, turned: Any, at: Any, width: Any, packed: Any, count: Any, square: Any, least: Any,
        second: Any, number: Any, to: Any, x: Any, ahead: Any, n_lines: Any,
    ) -> None:  # fmt: skip
        def vector(argument: int, place: Any, kind: Any = _NARROW) -> Any:
            return b.bitcast(address(argument, place), kind.as_pointer())

        def rows(column: Any) -> list[Any]:
            start = b.add(at, b.mul(column, _number(TURNED_ROWS)))
            places = [b.add(start, _number(v * LANES)) for v in range(n_vectors)]
            return [b.load(vector(0, place), align=4) for place in places]

        def add_squares(column: Any, sums: list[Any]) -> list[Any]:
            return [multiply_add(b, x, x, total) for x, total in zip(rows(column), sums, strict=True)]

        zero, most = ir.Constant(_NARROW, [0.0] * LANES), ir.Constant(_NARROW, [math.inf] * LANES)
        squares = loop(b, _number(0), width, 1, add_squares, [zero] * n_vectors)[1]
        for v, values in enumerate(squares):
            b.store(values, vector(5, b.add(to, _number(v * LANES))), align=4)
        span = b.add(width, _number(1))

        def points(first: Any, best: list[Any]) -> list[Any]:
            group, lane = b.lshr(first, _number(4)), b.and_(first, _number(LANES - 1))
            base = b.add(b.mul(b.mul(group, span), _number(LANES)), lane)
            place = address(3, base)

            def stored(column: Any, p: int) -> Any:
                return spread(b, b.load(b.gep(place, [b.add(b.mul(column, _number(LANES)), _number(p))])), _NARROW)

            def add_column(column: Any, sums: list[Any]) -> list[Any]:
                values, before, later = rows(column), iter(sums), []
                following = b.add(column, _number(1))
                for p in range(n_points):
                    coef = stored(following, p)
                    later.extend(multiply_add(b, coef, x, next(before)) for x in values)
                return later

            def add_columns(column: Any, carried: list[Any]) -> list[Any]:
                line, *sums = carried
                prefetch_at(b, b.gep(begin_ahead, [b.shl(line, _number(6))]))
                for u in range(4):
                    sums = add_column(b.add(column, _number(u)), sums)
                following = b.add(line, _number(1))
                return [b.select(b.icmp_unsigned("<", following, n_lines), following, line), *sums]

            halves = [stored(_number(0), p) for p in range(n_points)]
            whole = b.and_(width, _number(-4))
            sums = [half for half in halves for _ in range(n_vectors)]
            line, *best = best
            column, (line, *sums) = loop(b, _number(0), whole, 4, add_columns, [line, *sums])
            sums = loop(b, column, width, 1, add_column, sums)[1]
            for p in range(n_points):
                j = b.add(first, _number(p))
                there = spread(b, b.icmp_unsigned("<", j, count), ir.VectorType(ir.IntType(1), LANES))
                of_point = spread(b, b.trunc(j, _I32), _NUMBERS)
                for v in range(n_vectors):
                    value = sums[p * n_vectors + v]
                    low, next_low, which = best[3 * v : 3 * v + 3]
                    value = b.select(there, value, most)
                    wins = b.fcmp_ordered("<", value, low)
                    loser = b.select(wins, low, value)
                    best[3 * v] = b.select(wins, value, low)
                    best[3 * v + 1] = b.select(b.fcmp_ordered("<", loser, next_low), loser, next_low)
                    best[3 * v + 2] = b.select(wins, of_point, which)
            return [line, *best]

        begin_ahead = b.bitcast(address(10, ahead), ir.IntType(8).as_pointer())
        start = [most, most, ir.Constant(_NUMBERS, [0] * LANES)] * n_vectors
        best = loop(b, _number(0), count, n_points, points, [_number(0), *start])[1][1:]
        for v in range(n_vectors):
            place = b.add(to, _number(v * LANES))
            for argument, value, kind in zip((6, 7, 8), best[3 * v :], (_NARROW, _NARROW, _NUMBERS), strict=False):
                b.store(value, vector(argument, place, kind), align=4)

    def least_scores(turned, at, width, packed, count, square, least, second, number, to, x, ahead, n_lines):
        rows, m = n_vectors * LANES, int(count)
        values = turned.reshape(-1, TURNED_ROWS)[: int(width), int(at) : int(at) + rows]
        stored = packed.transpose(0, 2, 1).reshape(-1, int(width) + 1)[:m]
        scores = np.fmin(stored[:, :1] + stored[:, 1:] @ values, np.inf)
        order, lanes = np.argsort(scores, axis=0, kind="stable"), slice(int(to), int(to) + rows)
        square[lanes], number[lanes] = (values * values).sum(axis=0), order[0]
        least[lanes] = scores.min(axis=0)
        second[lanes] = np.take_along_axis(scores, order[1:2], axis=0) if m > 1 else np.inf

    return instruction(lambda *_: numba.void, lower)(least_scores)


least_scores_2x8 = _least_scores(2, 8)
least_scores_1x8 = _least_scores(1, 8)
least_scores_1x4 = _least_scores(1, 4)
least_scores_1x2 = _least_scores(1, 2)
