"""Register tiles: sums of a few rows for a few outputs that stay in vector registers from the first column to the last.

What outputs have per column (coefficients, stored points, means) is packed, `packed[group, column, lane]`: a group is
as many outputs as 64 bytes hold. A step of a tile loads one vector of each group, spreads one value of each row over
the lanes, and adds. Eight vectors of sums wait for nothing on a CPU with two multiply-adds a cycle, each of latency
four, and are the sixteen registers of AVX2.

Each output's sum runs over the columns in their order, one multiply-add a column, in whatever tile its row falls: so a
row alone has the bits that it has in a batch. The multiply-add is fused where the target has the instruction.

`product_tiles`, `square_tiles`, `gaussian_tiles` (x, at, row, rows, packed, group, groups, depth, begin, end, totals)
give for up to TILE_ROWS rows of x and GROUPS groups from `group` on

    totals[r, q * lanes + l] = sum over begin <= f < end of step(x[at + r * row + f], packed[group + q, f, ..., l])

where x and packed are arrays of any shape, `at` is the position of a first value in x, `row` leads to the next, and a
group has `depth` columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from inferir.kernels.jit._compile import scalar
from inferir.kernels.jit._math import _LN2_HIGH, _LN2_LOW, _LOG2E, _ONE_APART
from inferir.kernels.jit._simd import LINE, instruction, prefetch_at, registers_nbytes

__all__ = [
    "GROUPS",
    "TILE_ROWS",
    "TOTALS",
    "exp_lanes",
    "gaussian_tiles",
    "lanes_at_most",
    "lowest_bit",
    "multiply_add",
    "product_tiles",
    "spread",
    "square_tiles",
    "two_least",
]

#: Rows and groups that are asked for at a time, at most.
TILE_ROWS, GROUPS = 8, 4

#: Values between rows of totals: GROUPS groups of float32.
TOTALS = 64

#: Columns whose products are added to each other in float32 before they are added to the rest.
PANEL_COLUMNS = 32

#: Columns that a turn of the loop takes: addresses are counted up once for all of them.
_UNROLLED = 4

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _number(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def multiply_add(b: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z."""
    bits = LINE * 8 // x.type.count
    kind = ir.FunctionType(x.type, [x.type] * 3)
    function = cgutils.get_or_insert_function(b.module, kind, f"llvm.fmuladd.v{x.type.count}f{bits}")
    return b.call(function, [x, y, z])


def spread(b: Any, value: Any, lanes: ir.VectorType) -> Any:
    """A vector of one value."""
    nothing, places = ir.Constant(lanes, ir.Undefined), ir.VectorType(ir.IntType(32), lanes.count)
    first = b.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return b.shuffle_vector(first, nothing, ir.Constant(places, [0] * lanes.count))


def _product(b: Any, total: Any, x: Any, coef: Any) -> Any:
    """total + x coef."""
    return multiply_add(b, x, coef, total)


def _square(b: Any, total: Any, x: Any, center: Any) -> Any:
    """total + (x - center)**2."""
    difference = b.fsub(x, center)
    return multiply_add(b, difference, difference, total)


def _gaussian(b: Any, total: Any, x: Any, mean: Any, precision: Any) -> Any:
    """total + (x - mean)**2 precision."""
    difference = b.fsub(x, mean)
    return multiply_add(b, b.fmul(difference, precision), difference, total)


#: Steps in NumPy: terms of x [columns, 1] and packed [columns, vectors, lanes].
_TERMS: dict[Any, Callable[[Any, Any], Any]] = {
    _product: lambda x, packed: x * packed[:, 0],
    _square: lambda x, packed: (x - packed[:, 0]) ** 2,
    _gaussian: lambda x, packed: (x - packed[:, 0]) ** 2 * packed[:, 1],
}


def _lower(step: Callable[..., Any], n_rows: int, n_groups: int, n_vectors: int) -> Callable[..., Any]:
    """The IR of a tile: a loop over columns, with a vector of sums for each row and group."""

    def lower(
        b: Any,
        address: Any,
        x: Any,
        at: Any,
        row: Any,
        packed: Any,
        group: Any,
        depth: Any,
        first: Any,
        last: Any,
        totals: Any,
        to: Any,
    ) -> None:
        element = address(0, _number(0)).type.pointee
        n_lanes = LINE // (4 if isinstance(element, ir.FloatType) else 8)
        lanes, nbytes, span = ir.VectorType(element, n_lanes), LINE // n_lanes, n_lanes * n_vectors
        rows = [b.add(at, b.mul(row, _number(r))) for r in range(n_rows)]
        groups = [b.mul(b.mul(b.add(group, _number(q)), depth), _number(span)) for q in range(n_groups)]

        def vector(argument: int, place: Any) -> Any:
            return b.bitcast(address(argument, place), lanes.as_pointer())

        def columns(begin: Any, end: Any, unrolled: int, starts: list[Any]) -> tuple[Any, list[Any]]:
            """A loop from `begin` to `end` by `unrolled`: the column it stops at, and the sums."""
            before = b.block
            head, body, after = (b.append_basic_block(name) for name in ("columns", "column", "summed"))
            b.branch(head)
            b.position_at_end(head)
            column, sums = b.phi(_I64), [b.phi(lanes) for _ in starts]
            b.cbranch(b.icmp_unsigned("<", column, end), body, after)
            b.position_at_end(body)
            later_sums: list[Any] = list(sums)
            for u in range(unrolled):
                f = b.add(column, _number(u))
                offset = b.mul(f, _number(span))
                vectors = [
                    [
                        b.load(vector(3, b.add(b.add(base, offset), _number(v * n_lanes))), align=nbytes)
                        for v in range(n_vectors)
                    ]
                    for base in groups
                ]
                for r, base in enumerate(rows):
                    value = spread(b, b.load(address(0, b.add(base, f))), lanes)
                    for q in range(n_groups):
                        later_sums[r * n_groups + q] = step(b, later_sums[r * n_groups + q], value, *vectors[q])
            following = b.add(column, _number(unrolled))
            for phi, first, later in zip([column, *sums], [begin, *starts], [following, *later_sums], strict=True):
                phi.add_incoming(first, before)
                phi.add_incoming(later, b.block)
            b.branch(head)
            b.position_at_end(after)
            return column, sums

        zeros = [ir.Constant(lanes, [0.0] * n_lanes)] * (n_rows * n_groups)
        places = []
        for sum_ in range(len(zeros)):
            r, q = divmod(sum_, n_groups)
            places.append(vector(8, b.add(to, _number(r * TOTALS + q * n_lanes))))

        def panel(begin: Any, end: Any) -> list[Any]:
            whole = b.add(begin, b.and_(b.sub(end, begin), _number(-_UNROLLED)))
            column, sums = columns(begin, whole, _UNROLLED, zeros)
            return columns(column, end, 1, sums)[1]

        if n_lanes == LINE // 8:
            for place, total in zip(places, panel(first, last), strict=True):
                b.store(total, place, align=nbytes)
            return
        for place, zero in zip(places, zeros, strict=True):
            b.store(zero, place, align=nbytes)
        before = b.block
        head, body, after = (b.append_basic_block(name) for name in ("panels", "panel", "done"))
        b.branch(head)
        b.position_at_end(head)
        begin = b.phi(_I64)
        begin.add_incoming(first, before)
        b.cbranch(b.icmp_unsigned("<", begin, last), body, after)
        b.position_at_end(body)
        end = b.add(begin, _number(PANEL_COLUMNS))
        end = b.select(b.icmp_unsigned("<", end, last), end, last)
        if n_rows == TILE_ROWS and n_groups == 1:  # so few outputs that memory may be what is waited for
            for base in rows:
                for line in range(PANEL_COLUMNS // n_lanes):
                    ahead = b.add(b.mul(row, _number(TILE_ROWS)), _number(line * n_lanes))
                    prefetch_at(b, address(0, b.add(b.add(base, begin), ahead)))
        for place, total in zip(places, panel(begin, end), strict=True):
            b.store(b.fadd(total, b.load(place, align=nbytes)), place, align=nbytes)
        begin.add_incoming(end, b.block)
        b.branch(head)
        b.position_at_end(after)

    return lower


def _tile(step: Callable[..., Any], n_rows: int, n_groups: int, n_vectors: int) -> Any:
    """One tile, as an instruction; totals are written from position `to` on."""

    def tile(x, at, row, packed, group, depth, begin, end, totals, to):
        lanes = packed.shape[2] // n_vectors
        for r in range(n_rows):
            values = x.reshape(-1)[int(at + r * row) :][int(begin) : int(end), None].astype(np.float64)
            for q in range(n_groups):
                vectors = packed.reshape(-1, int(depth), n_vectors, lanes)[
                    int(group) + q, int(begin) : int(end)
                ].astype(np.float64)
                start = int(to) + r * TOTALS + q * lanes
                totals.reshape(-1)[start : start + lanes] = _TERMS[step](values, vectors).sum(axis=0)

    return instruction(lambda *_: numba.void, _lower(step, n_rows, n_groups, n_vectors))(tile)


def _tiles(step: Callable[..., Any], n_vectors: int = 1) -> Any:
    """Rows and groups, cut into tiles: tall ones for many rows, flat ones for what is left."""
    tile_8x2, tile_8x1, tile_4x2, tile_4x1, tile_2x1, tile_1x4, tile_1x2, tile_1x1 = (
        _tile(step, rows, groups, n_vectors)
        for rows, groups in ((8, 2), (8, 1), (4, 2), (4, 1), (2, 1), (1, 4), (1, 2), (1, 1))
    )

    @scalar
    def tiles(x, at, row, rows, packed, group, groups, depth, begin, end, totals):
        lanes = np.uint64(packed.shape[2] // n_vectors)
        one, two, four, eight, width = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(8), np.uint64(TOTALS)
        many, some = registers_nbytes() >= np.uint64(2048), registers_nbytes() >= np.uint64(512)
        r = np.uint64(0)
        while r < rows:
            left, start, q = rows - r, at + r * row, np.uint64(0)
            if many and left >= eight:
                while q + two <= groups:
                    tile_8x2(x, start, row, packed, group + q, depth, begin, end, totals, r * width + q * lanes)
                    q += two
                if q < groups:
                    tile_8x1(x, start, row, packed, group + q, depth, begin, end, totals, r * width + q * lanes)
                r += eight
            elif some and left >= four:
                while many and q + two <= groups:
                    tile_4x2(x, start, row, packed, group + q, depth, begin, end, totals, r * width + q * lanes)
                    q += two
                while q < groups:
                    tile_4x1(x, start, row, packed, group + q, depth, begin, end, totals, r * width + q * lanes)
                    q += one
                r += four
            elif not some and left >= two:
                while q < groups:
                    tile_2x1(x, start, row, packed, group + q, depth, begin, end, totals, r * width + q * lanes)
                    q += one
                r += two
            else:
                if groups == four:
                    tile_1x4(x, start, row, packed, group, depth, begin, end, totals, r * width)
                    q = four
                if q + two <= groups:
                    tile_1x2(x, start, row, packed, group + q, depth, begin, end, totals, r * width + q * lanes)
                    q += two
                if q < groups:
                    tile_1x1(x, start, row, packed, group + q, depth, begin, end, totals, r * width + q * lanes)
                r += one

    return tiles


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
    limit = spread(b, b.trunc(b.select(b.icmp_unsigned("<", count, _number(TOTALS)), count, _number(TOTALS)), _I32), whole)

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
    values = totals.reshape(-1)[int(at) : int(at) + min(int(count), TOTALS)]
    order = np.argsort(np.where(np.isnan(values), np.inf, values), kind="stable")
    least = int(order[0])
    values[:2] = [values[least], values[order[1]] if len(order) > 1 else np.inf]
    return np.uint64(least)


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


product_tiles = _tiles(_product)
square_tiles = _tiles(_square)
gaussian_tiles = _tiles(_gaussian, 2)


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
