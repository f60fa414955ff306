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
from inferir.kernels.jit._simd import LINE, instruction

__all__ = [
    "GROUPS",
    "TILE_ROWS",
    "TOTALS",
    "exp_lanes",
    "gaussian_tiles",
    "lanes_at_most",
    "lowest_bit",
    "product_tiles",
    "square_tiles",
]

#: Rows and groups that are asked for at a time, at most.
TILE_ROWS, GROUPS = 8, 4

#: Values between rows of totals: GROUPS groups of float32.
TOTALS = 64

#: Columns that a turn of the loop takes: addresses are counted up once for all of them.
_UNROLLED = 4

_I64 = ir.IntType(64)


def _number(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _multiply_add(b: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z."""
    bits = LINE * 8 // x.type.count
    kind = ir.FunctionType(x.type, [x.type] * 3)
    function = cgutils.get_or_insert_function(b.module, kind, f"llvm.fmuladd.v{x.type.count}f{bits}")
    return b.call(function, [x, y, z])


def _spread(b: Any, value: Any, lanes: ir.VectorType) -> Any:
    """A vector of one value."""
    nothing, places = ir.Constant(lanes, ir.Undefined), ir.VectorType(ir.IntType(32), lanes.count)
    first = b.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return b.shuffle_vector(first, nothing, ir.Constant(places, [0] * lanes.count))


def _product(b: Any, total: Any, x: Any, coef: Any) -> Any:
    """total + x coef."""
    return _multiply_add(b, x, coef, total)


def _square(b: Any, total: Any, x: Any, center: Any) -> Any:
    """total + (x - center)**2."""
    difference = b.fsub(x, center)
    return _multiply_add(b, difference, difference, total)


def _gaussian(b: Any, total: Any, x: Any, mean: Any, precision: Any) -> Any:
    """total + (x - mean)**2 precision."""
    difference = b.fsub(x, mean)
    return _multiply_add(b, b.fmul(difference, precision), difference, total)


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
                    value = _spread(b, b.load(address(0, b.add(base, f))), lanes)
                    for q in range(n_groups):
                        later_sums[r * n_groups + q] = step(b, later_sums[r * n_groups + q], value, *vectors[q])
            following = b.add(column, _number(unrolled))
            for phi, first, later in zip([column, *sums], [begin, *starts], [following, *later_sums], strict=True):
                phi.add_incoming(first, before)
                phi.add_incoming(later, b.block)
            b.branch(head)
            b.position_at_end(after)
            return column, sums

        starts = [ir.Constant(lanes, [0.0] * n_lanes)] * (n_rows * n_groups)
        whole = b.add(first, b.and_(b.sub(last, first), _number(-_UNROLLED)))
        column, sums = columns(first, whole, _UNROLLED, starts)
        for place, total in enumerate(columns(column, last, 1, sums)[1]):
            r, q = divmod(place, n_groups)
            start = b.add(to, _number(r * TOTALS + q * n_lanes))
            b.store(total, vector(8, start), align=nbytes)

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
    tile_8x1, tile_4x2, tile_4x1, tile_1x4, tile_1x2, tile_1x1 = (
        _tile(step, rows, groups, n_vectors) for rows, groups in ((8, 1), (4, 2), (4, 1), (1, 4), (1, 2), (1, 1))
    )

    @scalar
    def tiles(x, at, row, rows, packed, group, groups, depth, begin, end, totals):
        lanes = np.uint64(packed.shape[2] // n_vectors)
        one, two, four, eight, width = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(8), np.uint64(TOTALS)
        r = np.uint64(0)
        while r < rows:
            left, start, q = rows - r, at + r * row, np.uint64(0)
            if left >= four:
                both = left >= eight
                while q + two <= groups:
                    tile_4x2(x, start, row, packed, group + q, depth, begin, end, totals, r * width + q * lanes)
                    if both:
                        second = r + four
                        tile_4x2(
                            x,
                            at + second * row,
                            row,
                            packed,
                            group + q,
                            depth,
                            begin,
                            end,
                            totals,
                            second * width + q * lanes,
                        )
                    q += two
                if q < groups:
                    if both:
                        tile_8x1(x, start, row, packed, group + q, depth, begin, end, totals, r * width + q * lanes)
                    else:
                        tile_4x1(x, start, row, packed, group + q, depth, begin, end, totals, r * width + q * lanes)
                r += eight if both else four
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


def _lanes_at_most(b: Any, address: Any, totals: Any, at: Any, limit: Any) -> Any:
    lanes, found = ir.VectorType(limit.type, TOTALS // GROUPS), _number(0)
    for q in range(GROUPS):
        place = address(0, b.add(at, _number(q * lanes.count)))
        values = b.load(b.bitcast(place, lanes.as_pointer()), align=4)
        low = b.bitcast(b.fcmp_unordered("<=", values, _spread(b, limit, lanes)), ir.IntType(lanes.count))
        found = b.or_(found, b.shl(b.zext(low, _I64), _number(q * lanes.count)))
    return found


@instruction(lambda *_: numba.uint64, _lanes_at_most)
def lanes_at_most(totals, at, limit):
    """Bits of those of the float32 totals of the row that begins at `at` that are at most `limit`, or NaN."""
    low = ~(totals.reshape(-1)[int(at) : int(at) + TOTALS] > limit)
    return np.uint64(sum(1 << lane for lane in np.flatnonzero(low).tolist()))


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
    x = b.fmul(b.load(place, align=8), _spread(b, factor, lanes))
    vanishes = b.fcmp_ordered("<", x, each(-708.0))
    x = b.select(vanishes, each(0.0), x)
    shifted = _multiply_add(b, x, each(_LOG2E), each(_ONE_APART))
    power = b.fsub(shifted, each(_ONE_APART))
    rest = _multiply_add(b, power, each(-_LN2_LOW), _multiply_add(b, power, each(-_LN2_HIGH), x))
    value = each(_SERIES[0])
    for coef in _SERIES[1:]:
        value = _multiply_add(b, value, rest, each(coef))
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
