"""Tiles whose lanes are rows: a vector holds one column of 16 rows, and what a model stores is spread over it.

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

#: Of a vector, within which it can be unpacked.
_SEGMENT = 4

#: Columns that a turn of the loop takes.
_UNROLLED = 4

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_NARROW, _WIDE = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.DoubleType(), LANES)
_NUMBERS, _MASK = ir.VectorType(_I32, LANES), ir.VectorType(ir.IntType(1), LANES)
_ZERO, _MOST = (ir.Constant(_NARROW, [value] * LANES) for value in (0.0, math.inf))


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
        column = b.select(
            b.icmp_unsigned("<", b.add(column, _number(LANES)), width), column, b.sub(width, _number(LANES))
        )
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


class _Scores:
    """The IR of scores of `n_vectors` of 16 rows and some points, `n_points` at a time."""

    def __init__(self, shape: tuple[int, int], b: Any, address: Any, at: Any, width: Any, count: Any) -> None:
        (self._n_vectors, self._n_points), self._b, self._address = shape, b, address
        self._at, self._width, self._count = at, width, count

    def _vector(self, argument: int, place: Any, kind: Any = _NARROW) -> Any:
        return self._b.bitcast(self._address(argument, place), kind.as_pointer())

    def _rows(self, column: Any) -> list[Any]:
        b = self._b
        start = b.add(self._at, b.mul(column, _number(TURNED_ROWS)))
        places = [b.add(start, _number(v * LANES)) for v in range(self._n_vectors)]
        return [b.load(self._vector(0, place), align=4) for place in places]

    def store(self, argument: int, to: Any, vectors: list[Any], kind: Any = _NARROW) -> None:
        for v, vector in enumerate(vectors):
            self._b.store(vector, self._vector(argument, self._b.add(to, _number(v * LANES)), kind), align=4)

    def squares(self) -> list[Any]:
        def add_column(column: Any, sums: list[Any]) -> list[Any]:
            return [multiply_add(self._b, x, x, total) for x, total in zip(self._rows(column), sums, strict=True)]

        return loop(self._b, _number(0), self._width, 1, add_column, [_ZERO] * self._n_vectors)[1]

    def _tile(self, first: Any, ask: Any, line: Any) -> tuple[Any, list[Any]]:
        """Scores of the points from the first on, point by point; `ask` is called for a line of memory on the way."""
        b = self._b
        group, lane = b.udiv(first, _number(LANES)), b.urem(first, _number(LANES))
        span = b.mul(b.add(self._width, _number(1)), _number(LANES))
        begin = self._address(3, b.add(b.mul(group, span), lane))

        def stored(column: Any, p: int) -> Any:
            value = b.load(b.gep(begin, [b.add(b.mul(column, _number(LANES)), _number(p))]))
            return spread(b, value, _NARROW)

        def add_column(column: Any, sums: list[Any]) -> list[Any]:
            values, before, later = self._rows(column), iter(sums), list[Any]()
            for p in range(self._n_points):
                coef = stored(b.add(column, _number(1)), p)
                later.extend(multiply_add(b, coef, x, next(before)) for x in values)
            return later

        def add_columns(column: Any, carried: list[Any]) -> list[Any]:
            line, *sums = carried
            line = ask(line)
            for u in range(_UNROLLED):
                sums = add_column(b.add(column, _number(u)), sums)
            return [line, *sums]

        whole = b.and_(self._width, _number(-_UNROLLED))
        halves = [stored(_number(0), p) for p in range(self._n_points) for _ in range(self._n_vectors)]
        column, (line, *sums) = loop(b, _number(0), whole, _UNROLLED, add_columns, [line, *halves])
        return line, loop(b, column, self._width, 1, add_column, sums)[1]

    def _compared(self, value: Any, j: Any, low: Any, next_low: Any, which: Any) -> tuple[Any, Any, Any]:
        """The least, the second and the least one's number, with the score of point j among them."""
        b = self._b
        value = b.select(spread(b, b.icmp_unsigned("<", j, self._count), _MASK), value, _MOST)
        wins = b.fcmp_ordered("<", value, low)
        loser = b.select(wins, low, value)
        next_low = b.select(b.fcmp_ordered("<", loser, next_low), loser, next_low)
        return b.select(wins, value, low), next_low, b.select(wins, spread(b, b.trunc(j, _I32), _NUMBERS), which)

    def least(self, ask: Any) -> tuple[list[Any], list[Any], list[Any]]:
        """Of all points: the least scores, the second least ones, and numbers of points that have the least."""
        b, n = self._b, self._n_vectors

        def points(first: Any, carried: list[Any]) -> list[Any]:
            line, *found = carried
            line, scores = self._tile(first, ask, line)
            lows, next_lows, numbers = found[:n], found[n : 2 * n], found[2 * n :]
            for place, value in enumerate(scores):
                j, v = b.add(first, _number(place // n)), place % n
                lows[v], next_lows[v], numbers[v] = self._compared(value, j, lows[v], next_lows[v], numbers[v])
            return [line, *lows, *next_lows, *numbers]

        start = [_number(0), *[_MOST] * (2 * n), *[ir.Constant(_NUMBERS, [0] * LANES)] * n]
        found = loop(b, _number(0), self._count, self._n_points, points, start)[1][1:]
        return found[:n], found[n : 2 * n], found[2 * n :]


def _least_scores(n_vectors: int, n_points: int) -> Any:
    """An instruction over `n_vectors` of 16 rows, which takes `n_points` at a time."""

    def lower(
        b: Any, address: Any, turned: Any, at: Any, width: Any, packed: Any, count: Any, square: Any, least: Any,
        second: Any, number: Any, to: Any, x: Any, ahead: Any, n_lines: Any,
    ) -> None:  # fmt: skip
        tile = _Scores((n_vectors, n_points), b, address, at, width, count)
        begin = b.bitcast(address(10, ahead), ir.IntType(8).as_pointer())

        def ask(line: Any) -> Any:
            prefetch_at(b, b.gep(begin, [b.mul(line, _number(LINE))]))
            following = b.add(line, _number(1))
            return b.select(b.icmp_unsigned("<", following, n_lines), following, line)

        tile.store(5, to, tile.squares())
        lows, next_lows, numbers = tile.least(ask)
        tile.store(6, to, lows)
        tile.store(7, to, next_lows)
        tile.store(8, to, numbers, _NUMBERS)

    def least_scores(turned, at, width, packed, count, square, least, second, number, to, x, ahead, n_lines):
        rows, m = n_vectors * LANES, int(count)
        values = turned.reshape(-1, TURNED_ROWS)[: int(width), int(at) : int(at) + rows]
        stored = packed.transpose(0, 2, 1).reshape(-1, int(width) + 1)[:m]
        scores = np.fmin(stored[:, :1] + stored[:, 1:] @ values, np.inf)
        order, lanes = np.argsort(scores, axis=0, kind="stable"), slice(int(to), int(to) + rows)
        square[lanes], number[lanes] = (values * values).sum(axis=0), order[0]
        least[lanes] = scores.min(axis=0)
        second[lanes] = np.take_along_axis(scores, order[1:2], axis=0) if m > 1 else np.inf

    least_scores.__doc__ = f"""Of {n_vectors * LANES} turned rows, from lane `at` on, into places `to` and on: squares,
    the least and the second least of their scores of `count` points, and the number of a point that has the least.

    `packed` are points (`operators/_packing.py`, `scores`). `n_lines` of memory from x.flat[ahead] on are asked for.
    Infinite scores and NaN count as infinite."""
    return instruction(lambda *_: numba.void, lower)(least_scores)


least_scores_2x8 = _least_scores(2, 8)
least_scores_1x8 = _least_scores(1, 8)
least_scores_1x4 = _least_scores(1, 4)
least_scores_1x2 = _least_scores(1, 2)
