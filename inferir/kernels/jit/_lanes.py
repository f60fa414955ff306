"""Rows in lanes: eight rows of a matrix go through one sequence of instructions, whatever the number of their columns.

Loops over columns fill vectors only where columns are many, and classes are few. Here column after column is gathered,
eight rows at a time, and put back. Behind the last row, the last one is taken again: a lane knows nothing of others, so
a row alone has the bits that it has in a batch.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir

from inferir.kernels.jit._math import _LN2_HIGH, _LN2_LOW, _LOG2E, _ONE_APART
from inferir.kernels.jit._simd import instruction
from inferir.kernels.jit._tiles import loop, multiply_add

__all__ = ["ROWS", "softmax_rows"]

#: Rows that an instruction takes, at most.
ROWS = 8

#: Columns that are kept as vectors between passes; of more, each pass gathers its own.
KEPT = 64

_I64 = ir.IntType(64)
_LANES = ir.VectorType(ir.DoubleType(), ROWS)
_WHOLE = ir.VectorType(_I64, ROWS)

#: 1 / n! from n = 13 down to 2.
_SERIES = tuple(1.0 / math.factorial(n) for n in range(13, 1, -1))


def _number(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _each(value: float) -> ir.Constant:
    return ir.Constant(_LANES, [value] * ROWS)


def _power_of_two(b: Any, shifted: Any) -> Any:
    """2**k, of k + _ONE_APART for -1022 <= k <= 1023."""
    exponent = b.shl(b.bitcast(shifted, _WHOLE), ir.Constant(_WHOLE, [52] * ROWS))
    return b.bitcast(b.add(exponent, ir.Constant(_WHOLE, [1023 << 52] * ROWS)), _LANES)


def exp(b: Any, x: Any) -> Any:
    """e**x for x <= 0, or NaN: `_math.exp`, with the two halves of the exponent taken apart as doubles."""
    x = b.select(b.fcmp_ordered("<", x, _each(-746.0)), _each(-746.0), x)
    one_apart = _each(_ONE_APART)
    k = b.fsub(multiply_add(b, x, _each(_LOG2E), one_apart), one_apart)
    r = multiply_add(b, k, _each(-_LN2_LOW), multiply_add(b, k, _each(-_LN2_HIGH), x))
    series = _each(_SERIES[0])
    for coef in _SERIES[1:]:
        series = multiply_add(b, series, r, _each(coef))
    value = b.fadd(_each(1.0), multiply_add(b, b.fmul(r, r), series, r))
    half = multiply_add(b, k, _each(0.5), one_apart)
    rest = b.fadd(b.fsub(k, b.fsub(half, one_apart)), one_apart)
    return b.fmul(b.fmul(value, _power_of_two(b, half)), _power_of_two(b, rest))


class _Rows:
    """Columns of rows first, first + 1, ... of two matrices that are arguments of an instruction."""

    def __init__(self, b: Any, address: Any, first: Any, count: Any, width: Any) -> None:
        self._b, self._address = b, address
        last = b.sub(count, _number(1))
        self._begins = []
        for r in range(ROWS):
            row = b.select(b.icmp_unsigned("<", _number(r), last), _number(r), last)
            self._begins.append(b.mul(b.add(first, row), width))

    def load(self, argument: int, column: Any) -> Any:
        """A column, in double."""
        b = self._b
        values: Any = ir.Constant(ir.VectorType(self._address(argument, column).type.pointee, ROWS), ir.Undefined)
        for r, begin in enumerate(self._begins):
            value = b.load(self._address(argument, b.add(begin, column)))
            values = b.insert_element(values, value, ir.Constant(ir.IntType(32), r))
        return values if values.type == _LANES else b.fpext(values, _LANES)

    def store(self, argument: int, column: Any, values: Any) -> None:
        """Put a column back, rounded to the width of the argument."""
        b = self._b
        places = [self._address(argument, b.add(begin, column)) for begin in self._begins]
        lanes = ir.VectorType(places[0].type.pointee, ROWS)
        values = values if lanes == _LANES else b.fptrunc(values, lanes)
        for r, place in enumerate(places):
            b.store(b.extract_element(values, ir.Constant(ir.IntType(32), r)), place)

    def fold(self, width: Any, start: Any, step: Any) -> Any:
        """step(column, value) over the columns, from the value `start` on."""
        return loop(self._b, _number(0), width, 1, lambda column, values: [step(column, values[0])], [start])[1][0]


class _Kept:
    """Columns of lanes in memory of the function's own, which holds KEPT of them."""

    def __init__(self, b: Any) -> None:
        self._b = b
        with b.goto_entry_block():
            self._columns = b.alloca(_LANES, KEPT)

    def load(self, column: Any) -> Any:
        return self._b.load(self._b.gep(self._columns, [column]))

    def store(self, column: Any, values: Any) -> Any:
        self._b.store(values, self._b.gep(self._columns, [column]))
        return values


def _softmax(b: Any, address: Any, x: Any, first: Any, count: Any, width: Any, out: Any) -> None:
    rows, kept = _Rows(b, address, first, count, width), _Kept(b)

    def over(margin: Any, margin_again: Any, power: Any, keep_power: Any) -> None:
        def larger(column: Any, peak: Any) -> Any:
            value = margin(column)
            wins = b.or_(b.fcmp_ordered(">", value, peak), b.fcmp_unordered("uno", value, value))
            return b.select(wins, value, peak)

        def add_power(column: Any, total: Any) -> Any:
            value = exp(b, b.fsub(margin_again(column), peak))
            keep_power(column, value)
            return b.fadd(total, value)

        def scaled(column: Any, factor: Any) -> Any:
            rows.store(4, column, b.fmul(power(column), factor))
            return factor

        peak = rows.fold(width, _each(-math.inf), larger)
        total = rows.fold(width, _each(0.0), add_power)
        rows.fold(width, b.fdiv(_each(1.0), total), scaled)

    with b.if_else(b.icmp_unsigned("<=", width, _number(KEPT))) as (few, many):
        with few:
            over(lambda j: kept.store(j, rows.load(0, j)), kept.load, kept.load, kept.store)
        with many:
            over(
                lambda j: rows.load(0, j),
                lambda j: rows.load(0, j),
                lambda j: rows.load(4, j),
                lambda j, values: rows.store(4, j, values),
            )


@instruction(lambda *_: numba.void, _softmax)
def softmax_rows(x, first, count, width, out):
    """out = exp(x - max x) / sum of exp(x - max x) over the `width` columns, for rows first <= i < first + count."""
    rows = slice(int(first), int(first + count))
    powers = np.exp(x[rows].astype(np.float64) - x[rows].max(axis=1, keepdims=True))
    out[rows] = powers / powers.sum(axis=1, keepdims=True)
