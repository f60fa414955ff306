"""What becomes of the totals of tiles (`_tiles.py`), a vector at a time: sums with an intercept, powers, and what is
least among them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from inferir.kernels.jit._math import _LN2_HIGH, _LN2_LOW, _LOG2E, _ONE_APART
from inferir.kernels.jit._simd import LINE, instruction
from inferir.kernels.jit._tiles import GROUPS, TOTALS, multiply_add, spread

__all__ = [
    "add_lanes",
    "add_lanes_relu",
    "add_powers",
    "add_powers_within",
    "divide_lanes",
    "exp_lanes",
    "lanes_at_most",
    "lowest_bit",
    "two_least",
]

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _number(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _finish(finish: Callable[..., Any], meaning: Callable[[Any, Any], Any]) -> Any:
    """An instruction over the totals of a group, from position `at` on:

    out[to + r * width + l] = finish(totals[at + r * TOTALS + l], by[first + l]) for r < rows, l < count
    """

    def lower(
        b: Any,
        address: Any,
        totals: Any,
        at: Any,
        rows: Any,
        by: Any,
        first: Any,
        count: Any,
        out: Any,
        to: Any,
        width: Any,
    ) -> None:
        element = address(0, _number(0)).type.pointee
        nbytes = 4 if isinstance(element, ir.FloatType) else 8
        n_lanes = LINE // nbytes

        def each_row(size: int, lane: Any) -> None:
            kind = ir.VectorType(element, size).as_pointer()

            def vector(argument: int, place: Any) -> Any:
                return b.bitcast(address(argument, b.add(place, lane)), kind)

            by_lane = b.load(vector(3, first), align=nbytes)
            with cgutils.for_range(b, rows, intp=_I64) as loop:
                total = b.load(vector(0, b.add(at, b.mul(loop.index, _number(TOTALS)))), align=nbytes)
                place = vector(6, b.add(to, b.mul(loop.index, width)))
                b.store(finish(b, total, by_lane), place, align=nbytes)

        with b.if_else(b.icmp_unsigned(">=", count, _number(n_lanes))) as (whole, part):
            with whole:
                each_row(n_lanes, _number(0))
            with part:
                size = n_lanes // 2
                while size:
                    with b.if_then(b.icmp_unsigned("!=", b.and_(count, _number(size)), _number(0))):
                        each_row(size, b.and_(count, _number(-2 * size)))
                    size //= 2

    def finish_lanes(totals, at, rows, by, first, count, out, to, width):
        lanes = min(int(count), LINE // totals.itemsize)
        for r in range(int(rows)):
            start, end = int(at) + r * TOTALS, int(to) + r * int(width)
            values = meaning(totals.reshape(-1)[start : start + lanes], by[int(first) : int(first) + lanes])
            out.reshape(-1)[end : end + lanes] = values

    return instruction(lambda *_: numba.void, lower)(finish_lanes)


def _lanes_at_most(b: Any, address: Any, totals: Any, at: Any, limit: Any) -> Any:
    lanes, found = ir.VectorType(limit.type, TOTALS // GROUPS), _number(0)
    for q in range(GROUPS):
        place = address(0, b.add(at, _number(q * lanes.count)))
        values = b.load(b.bitcast(place, lanes.as_pointer()), align=4)
        low = b.bitcast(b.fcmp_unordered("<=", values, spread(b, limit, lanes)), ir.IntType(lanes.count))
        found = b.or_(found, b.shl(b.zext(low, _I64), _number(q * lanes.count)))
    return found


@instruction(lambda *_: numba.uint64, _lanes_at_most)
def lanes_at_most(totals, at, limit):
    """Bits of those of the float32 totals of the row that begins at `at` that are at most `limit`, or NaN."""
    low = ~(totals.reshape(-1)[int(at) : int(at) + TOTALS] > limit)
    return np.uint64(sum(1 << lane for lane in np.flatnonzero(low).tolist()))


def _two_least(b: Any, address: Any, totals: Any, at: Any, count: Any) -> Any:
    lanes = ir.VectorType(ir.FloatType(), TOTALS // GROUPS)
    whole = ir.VectorType(_I32, lanes.count)
    most = ir.Constant(lanes, [math.inf] * lanes.count)
    limit = spread(
        b, b.trunc(b.select(b.icmp_unsigned("<", count, _number(TOTALS)), count, _number(TOTALS)), _I32), whole
    )

    def less(x: Any, y: Any) -> Any:
        return b.select(b.fcmp_ordered("<", y, x), y, x)

    def better(one: Any, other: Any) -> Any:
        """Least, second least and number of the least, of two candidates in each lane."""
        wins = b.fcmp_ordered("<", other[0], one[0])
        second = less(less(one[1], other[1]), b.select(wins, one[0], other[0]))
        return b.select(wins, other[0], one[0]), second, b.select(wins, other[2], one[2])

    found = []
    for q in range(GROUPS):
        place = address(0, b.add(at, _number(q * lanes.count)))
        values = b.load(b.bitcast(place, lanes.as_pointer()), align=4)
        numbers = ir.Constant(whole, [q * lanes.count + lane for lane in range(lanes.count)])
        counts = b.and_(b.icmp_unsigned("<", numbers, limit), b.fcmp_ordered("<", values, most))
        found.append((b.select(counts, values, most), most, numbers))
    best = better(better(found[0], found[1]), better(found[2], found[3]))
    half = lanes.count // 2
    while half:
        turned = ir.Constant(whole, [(lane + half) % lanes.count for lane in range(lanes.count)])
        best = better(best, tuple(b.shuffle_vector(v, v, turned) for v in best))
        half //= 2
    first = ir.Constant(_I32, 0)
    for place, value in enumerate(best[:2]):
        b.store(b.extract_element(value, first), address(0, b.add(at, _number(place))))
    return b.zext(b.extract_element(best[2], first), _I64)


@instruction(lambda *_: numba.uint64, _two_least)
def two_least(totals, at, count):
    """Position of the least of `count` float32 totals from position `at` on; it and the second least take the place of
    the first two. Of equals any. Infinite ones and NaN count as infinite, and have any position."""
    whole, start = totals.reshape(-1), int(at)
    values = np.fmin(whole[start : start + min(int(count), TOTALS)], np.inf)
    order = np.argsort(values, kind="stable")
    whole[start : start + 2] = values[order[0]], values[order[1]] if len(order) > 1 else np.inf
    return np.uint64(order[0])


def _lowest_bit(b: Any, address: Any, bits: Any) -> Any:
    return b.cttz(bits, ir.Constant(ir.IntType(1), 1))


@instruction(lambda _: numba.uint64, _lowest_bit)
def lowest_bit(bits):
    """Position of the lowest 1; there has to be one."""
    return np.uint64((int(bits) & -int(bits)).bit_length() - 1)


#: 1 / n! from n = 11 down: e**r to 7e-15 for |r| <= ln(2) / 2.
_SERIES = tuple(1.0 / math.factorial(n) for n in range(11, -1, -1))


def _exp_lanes(b: Any, address: Any, totals: Any, at: Any, factor: Any) -> None:
    lanes = ir.VectorType(ir.DoubleType(), LINE // 8)
    whole = ir.VectorType(_I64, lanes.count)

    def each(value: float) -> ir.Constant:
        return ir.Constant(lanes, [value] * lanes.count)

    place = b.bitcast(address(0, at), lanes.as_pointer())
    x = b.fmul(b.load(place, align=8), spread(b, factor, lanes))
    vanishes = b.fcmp_ordered("<", x, each(-708.0))
    x = b.select(vanishes, each(0.0), x)
    shifted = multiply_add(b, x, each(_LOG2E), each(_ONE_APART))
    power = b.fsub(shifted, each(_ONE_APART))
    rest = multiply_add(b, power, each(-_LN2_LOW), multiply_add(b, power, each(-_LN2_HIGH), x))
    value = each(_SERIES[0])
    for coef in _SERIES[1:]:
        value = multiply_add(b, value, rest, each(coef))
    exponent = b.shl(b.bitcast(shifted, whole), ir.Constant(whole, [52] * lanes.count))
    value = b.bitcast(b.add(b.bitcast(value, whole), exponent), lanes)
    b.store(b.select(vanishes, each(0.0), value), place, align=8)


@instruction(lambda *_: numba.void, _exp_lanes)
def exp_lanes(totals, at, factor):
    """A vector of float64 totals at position `at` becomes e**(factor total), which must be at most 1: to 1e-14, and 0
    below 1e-307. NaN stays."""
    lanes = totals.reshape(-1)[int(at) : int(at) + LINE // 8]
    x = factor * lanes
    lanes[:] = np.where(x < -708.0, 0.0, np.exp(x))


#: 2**f for |f| <= 1 / 2 in float32, from the highest power down: to 3e-6, where 2.6e-6 are the series'. Another power
#: would take them to 7.5e-8, where products of 30 columns are right to 1e-5.
_SERIES_OF_TWO = (
    0.009570102014629326, 0.05591786030632565, 0.24024744824991692, 0.6931218147429867, 0.9999992614469312,
)  # fmt: skip

#: 1.5 * 2**23: where float32 are 1 apart, their bits count up.
_ONE_APART_NARROW = 12582912.0


def _add_powers(
    b: Any, address: Any, totals: Any, at: Any, less: Any, coef: Any, first: Any, sums: Any, to: Any
) -> None:
    lanes = ir.VectorType(ir.FloatType(), TOTALS // GROUPS)
    whole = ir.VectorType(_I32, lanes.count)

    def each(value: float) -> ir.Constant:
        return ir.Constant(lanes, [value] * lanes.count)

    def vector(argument: int, place: Any) -> Any:
        return b.bitcast(address(argument, place), lanes.as_pointer())

    total = each(0.0)
    for q in range(GROUPS):
        x = b.load(vector(0, b.add(at, _number(q * lanes.count))), align=4)
        if less is not None:
            x = b.fsub(x, spread(b, less, lanes))
            x = b.select(b.fcmp_ordered("<", x, each(-126.0)), each(-126.0), x)
        shifted = b.fadd(x, each(_ONE_APART_NARROW))
        rest = b.fsub(x, b.fsub(shifted, each(_ONE_APART_NARROW)))
        value = each(_SERIES_OF_TWO[0])
        for term in _SERIES_OF_TWO[1:]:
            value = multiply_add(b, value, rest, each(term))
        exponent = b.shl(b.bitcast(shifted, whole), ir.Constant(whole, [23] * lanes.count))
        value = b.bitcast(b.add(b.bitcast(value, whole), exponent), lanes)
        total = multiply_add(b, b.load(vector(3, b.add(first, _number(q * lanes.count))), align=4), value, total)
    place = vector(5, to)
    b.store(b.fadd(total, b.load(place, align=4)), place, align=4)


@instruction(lambda *_: numba.void, _add_powers)
def add_powers(totals, at, less, coef, first, sums, to):
    """Sums over the four groups of float32 totals from position `at` on, lane by lane, of coef 2**(total - less).

    They are added to the 16 sums from position `to` on. A power is right to 3e-6 of it, or to 1.2e-38; `total - less`
    must not be above 100. NaN stays.
    """
    x = totals.reshape(-1)[int(at) : int(at) + TOTALS] - less
    terms = coef.reshape(-1)[int(first) : int(first) + TOTALS] * np.exp2(np.maximum(x, np.float32(-126.0)))
    sums.reshape(-1)[int(to) : int(to) + TOTALS // GROUPS] += terms.reshape(GROUPS, -1).sum(axis=0)


def _add_powers_within(b: Any, address: Any, totals: Any, at: Any, coef: Any, first: Any, sums: Any, to: Any) -> None:
    def place(argument: int, index: Any) -> Any:
        return address(argument if argument == 0 else argument - 1, index)

    _add_powers(b, place, totals, at, None, coef, first, sums, to)


@instruction(lambda *_: numba.void, _add_powers_within)
def add_powers_within(totals, at, coef, first, sums, to):
    """As `add_powers` of totals that are all between -120 and 120, less 0."""
    add_powers(totals, at, np.float32(0.0), coef, first, sums, to)


def _rectified(b: Any, total: Any, addend: Any) -> Any:
    value = b.fadd(total, addend)
    zero = ir.Constant(value.type, [0.0] * value.type.count)
    return b.select(b.fcmp_ordered("<=", value, zero), zero, value)


def _rectified_sum(total, addend):
    value = total + addend
    return np.where(value <= 0.0, 0.0, value)


add_lanes = _finish(lambda b, total, addend: b.fadd(total, addend), lambda total, addend: total + addend)
add_lanes_relu = _finish(_rectified, _rectified_sum)
divide_lanes = _finish(lambda b, total, divisor: b.fdiv(total, divisor), lambda total, divisor: total / divisor)
