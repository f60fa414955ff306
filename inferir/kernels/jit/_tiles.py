"""Register tiles: sums of a few rows for a few outputs that stay in vector registers from the first column to the last.

What outputs have per column (coefficients, stored points, means) is packed, `packed[group, column, lane]`: a group is
as many outputs as 64 bytes hold. A step of a tile loads one vector of each group, spreads one value of each row over
the lanes, and adds. Eight vectors of sums wait for nothing on a CPU with two multiply-adds a cycle, each of latency
four. Sixteen of 64 bytes are half of the registers of AVX-512; elsewhere a tile has as many as leave registers for what
is added (`registers_nbytes`).

Each output's sum runs over the columns in their order, one multiply-add a column, in whatever tile its row falls: so a
row alone has the bits that it has in a batch. In float32, sums are of PANEL_COLUMNS, and then of those: one sum over a
thousand columns would lose two digits. The multiply-add is fused where the target has the instruction.

`product_tiles`, `square_tiles`, `gaussian_tiles` (x, at, row, rows, packed, group, groups, depth, begin, end, totals)
give for up to TILE_ROWS rows of x and GROUPS groups from `group` on

    totals[r, q * lanes + l] = sum over begin <= f < end of step(x[at + r * row + f], packed[group + q, f, ..., l])

where x and packed are arrays of any shape, `at` is the position of a first value in x, `row` leads to the next, and a
group has `depth` columns. Where outputs are so few that memory may be what is waited for, rows that come later are
asked for meanwhile: those of x, or by `product_tiles_before` (..., later, later_at) those of another array, of which x
may be a copy that was worked on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from inferir.kernels.jit._compile import scalar
from inferir.kernels.jit._simd import LINE, instruction, prefetch_at, registers_nbytes

__all__ = [
    "GROUPS", "TILE_ROWS", "TOTALS", "gaussian_tiles", "loop", "multiply_add", "opaque", "product_tiles",
    "product_tiles_before", "spread", "square_tiles",
]  # fmt: skip

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


def loop(
    b: Any, begin: Any, end: Any, by: int, body: Callable[[Any, list[Any]], list[Any]], values: list[Any]
) -> tuple[Any, list[Any]]:
    """The IR of: for i from `begin` on, `by` a turn, while i < `end`: values = body(i, values). Returns the last."""
    before = b.block
    head, inside, after = (b.append_basic_block(name) for name in ("loop", "turn", "done"))
    b.branch(head)
    b.position_at_end(head)
    i, carried = b.phi(_I64), [b.phi(value.type) for value in values]
    b.cbranch(b.icmp_unsigned("<", i, end), inside, after)
    b.position_at_end(inside)
    later = body(i, list(carried))
    following = b.add(i, _number(by))
    for phi, first, last in zip([i, *carried], [begin, *values], [following, *later], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(last, b.block)
    b.branch(head)
    b.position_at_end(after)
    return i, list(carried)


def opaque(b: Any, value: Any) -> Any:
    """The same address or whole number, of which LLVM does not know how it was computed.

    Else it would count addresses from row to row, an addition for each value that is loaded: a sixth of the time of a
    tile of one group, if a column has one vector; where there are more, multiplication takes longer. The assembly is
    empty, on every target.
    """
    kind = ir.FunctionType(value.type, [value.type])
    return b.asm(kind, "", "=r,0", [value], side_effect=False)


class _Tile:
    """The IR of a tile: a vector of sums for each row and group, and what is added to them in each column."""

    def __init__(
        self, step: Callable[..., Any], n_vectors: int, b: Any, address: Any, rows: list[Any], groups: list[Any]
    ) -> None:
        element = address(0, _number(0)).type.pointee
        self._step, self._n_vectors, self._b, self._address = step, n_vectors, b, address
        places = [address(0, row) for row in rows]
        self._rows = [opaque(b, place) for place in places] if n_vectors == 1 else places
        self.n_lanes = LINE // (4 if isinstance(element, ir.FloatType) else 8)
        self.nbytes = LINE // self.n_lanes
        self._lanes, self._span = ir.VectorType(element, self.n_lanes), self.n_lanes * n_vectors
        self._groups = [b.mul(group, _number(self._span)) for group in groups]
        self.zeros = [ir.Constant(self._lanes, [0.0] * self.n_lanes)] * (len(rows) * len(groups))

    def vector(self, argument: int, place: Any) -> Any:
        return self._b.bitcast(self._address(argument, place), self._lanes.as_pointer())

    def _add_column(self, f: Any, sums: list[Any]) -> list[Any]:
        b, offset = self._b, self._b.mul(f, _number(self._span))
        vectors = []
        for base in self._groups:
            places = [b.add(b.add(base, offset), _number(v * self.n_lanes)) for v in range(self._n_vectors)]
            vectors.append([b.load(self.vector(3, place), align=self.nbytes) for place in places])
        before, later = iter(sums), list[Any]()
        for base in self._rows:
            value = spread(b, b.load(b.gep(base, [f])), self._lanes)
            later.extend(self._step(b, next(before), value, *of_group) for of_group in vectors)
        return later

    def sums(self, begin: Any, end: Any) -> list[Any]:
        """Of the columns from `begin` to `end`, row by row."""
        b = self._b

        def columns(column: Any, sums: list[Any]) -> list[Any]:
            for u in range(_UNROLLED):
                sums = self._add_column(b.add(column, _number(u)), sums)
            return sums

        whole = b.add(begin, b.and_(b.sub(end, begin), _number(-_UNROLLED)))
        column, sums = loop(b, begin, whole, _UNROLLED, columns, self.zeros)
        return loop(b, column, end, 1, self._add_column, sums)[1]

    def prefetch(self, rows: list[Any], begin: Any) -> None:
        """Ask for a panel of other rows, those that come later."""
        b = self._b
        for row in rows:
            for line in range(PANEL_COLUMNS // self.n_lanes):
                prefetch_at(b, self._address(10, b.add(b.add(row, begin), _number(line * self.n_lanes))))


def _lower(step: Callable[..., Any], n_rows: int, n_groups: int, n_vectors: int) -> Callable[..., Any]:
    def lower(
        b: Any, address: Any, x: Any, at: Any, row: Any, packed: Any, group: Any, depth: Any, first: Any, last: Any,
        totals: Any, to: Any, later: Any, later_at: Any,
    ) -> None:  # fmt: skip
        rows = [b.add(at, b.mul(row, _number(r))) for r in range(n_rows)]
        groups = [b.mul(b.add(group, _number(q)), depth) for q in range(n_groups)]
        tile = _Tile(step, n_vectors, b, address, rows, groups)
        places: list[Any] = []
        for r in range(n_rows):
            starts = [b.add(to, _number(r * TOTALS + q * tile.n_lanes)) for q in range(n_groups)]
            places.extend(tile.vector(8, start) for start in starts)
        narrow = tile.nbytes == 4
        for place, total in zip(places, tile.zeros if narrow else tile.sums(first, last), strict=True):
            b.store(total, place, align=tile.nbytes)

        def panel(begin: Any, _: list[Any]) -> list[Any]:
            end = b.add(begin, _number(PANEL_COLUMNS))
            end = b.select(b.icmp_unsigned("<", end, last), end, last)
            if n_rows == TILE_ROWS and n_groups == 1:  # so few outputs that memory may be what is waited for
                tile.prefetch([b.add(later_at, b.mul(row, _number(r))) for r in range(n_rows)], begin)
            for place, total in zip(places, tile.sums(begin, end), strict=True):
                b.store(b.fadd(total, b.load(place, align=tile.nbytes)), place, align=tile.nbytes)
            return []

        if narrow:
            loop(b, first, last, PANEL_COLUMNS, panel, [])

    return lower


def _tile(step: Callable[..., Any], n_rows: int, n_groups: int, n_vectors: int) -> Any:
    """One tile, as an instruction; totals are written from position `to` on."""

    def tile(x, at, row, packed, group, depth, begin, end, totals, to, later, later_at):
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
    def tiles_before(x, at, row, rows, packed, group, groups, depth, begin, end, totals, later, later_at):
        lanes = np.uint64(packed.shape[2] // n_vectors)
        one, two, four, eight, width = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(8), np.uint64(TOTALS)
        many, some = registers_nbytes() >= np.uint64(2048), registers_nbytes() >= np.uint64(512)
        r = np.uint64(0)
        while r < rows:
            left, q, start, asked, to = rows - r, np.uint64(0), at + r * row, later_at + r * row, r * width
            if many and left >= eight:
                while q + two <= groups:
                    tile_8x2(x, start, row, packed, group + q, depth, begin, end, totals, to + q * lanes, later, asked)
                    q += two
                if q < groups:
                    tile_8x1(x, start, row, packed, group + q, depth, begin, end, totals, to + q * lanes, later, asked)
                r += eight
            elif some and left >= four:
                while many and q + two <= groups:
                    tile_4x2(x, start, row, packed, group + q, depth, begin, end, totals, to + q * lanes, later, asked)
                    q += two
                while q < groups:
                    tile_4x1(x, start, row, packed, group + q, depth, begin, end, totals, to + q * lanes, later, asked)
                    q += one
                r += four
            elif not some and left >= two:
                while q < groups:
                    tile_2x1(x, start, row, packed, group + q, depth, begin, end, totals, to + q * lanes, later, asked)
                    q += one
                r += two
            else:
                if groups == four:
                    tile_1x4(x, start, row, packed, group, depth, begin, end, totals, to, later, asked)
                    q = four
                if q + two <= groups:
                    tile_1x2(x, start, row, packed, group + q, depth, begin, end, totals, to + q * lanes, later, asked)
                    q += two
                if q < groups:
                    tile_1x1(x, start, row, packed, group + q, depth, begin, end, totals, to + q * lanes, later, asked)
                r += one

    @scalar
    def tiles(x, at, row, rows, packed, group, groups, depth, begin, end, totals):
        later_at = at + np.uint64(TILE_ROWS) * row
        tiles_before(x, at, row, rows, packed, group, groups, depth, begin, end, totals, x, later_at)

    return tiles, tiles_before


product_tiles, product_tiles_before = _tiles(_product)
square_tiles, _ = _tiles(_square)
gaussian_tiles, _ = _tiles(_gaussian, 2)
