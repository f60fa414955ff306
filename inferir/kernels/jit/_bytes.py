"""Products of bytes: an instruction of AVX-512 (VNNI) adds 64 of them, four times what a multiply-add of float32 does.

They give distances between rows and points that are both rounded to bytes. `operators/_packing.py` packs points as
`points[group, four, lane * 4 + column]`, turned to the other sign, 16 of them a group, four columns together; `offset`
is what a sum starts from. A row's bytes are 128 more than its numbers, as the instruction takes one side unsigned. So

    score[group, lane] = offset[group, lane] + sum of (row + 128) * points = floor(|point|**2 / 2) - row . point

which with |row|**2 / 2 is half of the square of their distance, or 1/2 less. Sums of whole numbers are exact.

A cell is the least score of the points of one lane in CELL groups: a whole pass stores few numbers, and says where to
look again.

The functions here are of their own machine code, for a CPU that has the instruction: a library for AVX-512 runs on
others as well, and asks (`has_byte_products`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, config

from inferir.kernels.jit._simd import LINE, instruction
from inferir.kernels.jit._tiles import loop, spread

__all__ = [
    "CELL",
    "CELLS",
    "LANES",
    "RANKED",
    "ROWS",
    "cells_of_one",
    "cells_of_six",
    "has_byte_products",
    "kth_least",
    "near_cells",
    "near_points",
    "rank",
]

#: Groups of points that share a cell, and cells that are looked at together.
CELL, CELLS = 4, 4

#: Points of a group.
LANES = 16

#: Rows whose products with the points of a cell are summed at the same time: 24 vectors of sums. Eight rows by two
#: groups have sixteen, and take a tenth longer.
ROWS = 6

#: Doubles that are compared at once.
RANKED = 8

#: Turns of the loop over columns that are written out: for a row alone twice as many, as it has few sums.
_UNROLLED = 2

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_SCORES = ir.VectorType(_I32, LANES)
_MOST = 2**31 - 1
_FEATURE = "avx512vnni"


def _number(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _each(value: int) -> ir.Constant:
    return ir.Constant(_SCORES, [value] * LANES)


def _vector(b: Any, place: Any) -> Any:
    return b.bitcast(place, _SCORES.as_pointer())


def _known() -> bool | None:
    """Whether the CPU that is compiled for has byte products; None where that is asked when the code runs."""
    if config.CPU_NAME == "generic":  # type: ignore[attr-defined]  # made from NUMBA_CPU_NAME
        return None
    return bool(binding.get_host_cpu_features().get(_FEATURE))


def _outlined(name: str, arrays: tuple[int, ...], returns: Any, body: Callable[..., Any]) -> Callable[..., Any]:
    """An instruction's IR that calls a function, made once in a module, whose code may use the byte products.

    Where they are known to be missing there is no such function, and nobody calls it: not every LLVM has the words.
    """

    def lower(b: Any, address: Any, *values: Any) -> Any:
        if _known() is False:
            return ir.Constant(returns, 0) if returns else None
        passed = [address(i, _number(0)) if i in arrays else value for i, value in enumerate(values)]
        function = b.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(returns or ir.VoidType(), [value.type for value in passed])
            function = ir.Function(b.module, kind, name)
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")
            set.add(function.attributes, f'"target-features"="+{_FEATURE}"')  # a string, which llvmlite does not know
            inner = ir.IRBuilder(function.append_basic_block("entry"))
            result = body(inner, *function.args)
            inner.ret(result) if returns else inner.ret_void()
        result = b.call(function, passed)
        return result if returns else None

    return lower


def _add_products(b: Any, score: Any, row: Any, points: Any) -> Any:
    kind = ir.FunctionType(_SCORES, [_SCORES] * 3)
    function = cgutils.get_or_insert_function(b.module, kind, "llvm.x86.avx512.vpdpbusd.512")
    return b.call(function, [score, row, points])


def _scores(b: Any, row_places: list[Any], points: Any, offset: Any, groups: list[Any], fours: Any) -> list[Any]:
    """Scores of each row and group."""
    starts = [b.load(_vector(b, b.gep(offset, [b.mul(g, _number(LANES))])), align=4) for g in groups]
    bases = [b.mul(b.mul(g, fours), _number(LINE)) for g in groups]
    turns = _UNROLLED if len(row_places) > 1 else 2 * _UNROLLED

    def add(four: Any, scores: list[Any]) -> list[Any]:
        at, vectors = b.mul(four, _number(LINE)), []
        for base in bases:
            vectors.append(b.load(_vector(b, b.gep(points, [b.add(base, at)])), align=1))
        before, later = iter(scores), list[Any]()
        for place in row_places:
            word = b.bitcast(b.gep(place, [b.mul(four, _number(4))]), _I32.as_pointer())
            row = spread(b, b.load(word, align=1), _SCORES)
            later.extend(_add_products(b, next(before), row, vector) for vector in vectors)
        return later

    def add_several(four: Any, scores: list[Any]) -> list[Any]:
        for u in range(turns):
            scores = add(b.add(four, _number(u)), scores)
        return scores

    whole = b.and_(fours, _number(-turns))
    four, scores = loop(b, _number(0), whole, turns, add_several, starts * len(row_places))
    return loop(b, four, fours, 1, add, scores)[1]


def _less(b: Any, one: Any, other: Any) -> Any:
    kind = ir.FunctionType(_SCORES, [_SCORES] * 2)
    return b.call(cgutils.get_or_insert_function(b.module, kind, "llvm.smin.v16i32"), [one, other])


def _cells(n_rows: int) -> Any:
    def body(
        b: Any,
        codes: Any,
        at: Any,
        width: Any,
        points: Any,
        offset: Any,
        fours: Any,
        cells: Any,
        count: Any,
        begin: Any,
        end: Any,
    ) -> None:
        rows = [b.gep(codes, [b.mul(b.add(at, _number(r)), width)]) for r in range(n_rows)]

        def cell(number: Any, _: list[Any]) -> list[Any]:
            groups = [b.add(b.mul(number, _number(CELL)), _number(q)) for q in range(CELL)]
            scores = _scores(b, rows, points, offset, groups, fours)
            for r in range(n_rows):
                one, two, three, four = scores[r * CELL : (r + 1) * CELL]
                place = b.mul(b.add(b.mul(b.add(at, _number(r)), count), number), _number(LANES))
                least = _less(b, _less(b, one, two), _less(b, three, four))
                b.store(least, _vector(b, b.gep(cells, [place])), align=4)
            return []

        loop(b, begin, end, 1, cell, [])

    def cells_of(codes, at, width, points, offset, fours, cells, count, begin, end):
        for r in range(int(at), int(at) + n_rows):
            scores = _all_scores(codes, r, points, offset).reshape(-1, CELL, LANES)
            cells[r, int(begin) : int(end)] = scores[int(begin) : int(end)].min(axis=1)

    lower = _outlined(f"inferir_cells_of_{n_rows}", (0, 3, 4, 6), None, body)
    return instruction(lambda *_: numba.void, lower)(cells_of)


def _all_scores(codes, at, points, offset):
    lanes = points.view(np.int8).reshape(len(points), -1, LANES, 4).astype(np.int64)
    row = codes[at, : 4 * lanes.shape[1]].astype(np.int64).reshape(-1, 1, 4)
    return (lanes * row).sum(axis=(1, 3)) + offset


cells_of_six = _cells(ROWS)
"""cells[r] = the `count` cells of 16 lanes of row r, for at <= r < at + 6, whose `width` bytes are codes[r]; `fours` is
the number of columns over 4."""
cells_of_one = _cells(1)
"""The same for row `at` alone."""


def _near_points(b: Any, codes: Any, at: Any, width: Any, points: Any, offset: Any, lane: Any, limit: Any) -> Any:
    row, blocks = b.gep(codes, [b.mul(at, width)]), b.lshr(width, _number(4))
    four_words = ir.VectorType(_I32, CELL)
    to_all = ir.Constant(_SCORES, [word for word in range(4) for _ in range(CELL)])

    def add(block: Any, sums: list[Any]) -> list[Any]:
        words = b.load(b.bitcast(b.gep(row, [b.mul(block, _number(16))]), four_words.as_pointer()), align=1)
        place = b.gep(points, [b.mul(b.add(b.mul(lane, blocks), block), _number(LINE))])
        return [_add_products(b, sums[0], b.shuffle_vector(words, words, to_all), b.load(_vector(b, place), align=1))]

    total = loop(b, _number(0), blocks, 1, add, [_each(0)])[1][0]
    for half in (8, 4):
        low, high = (ir.Constant(ir.VectorType(_I32, half), list(range(k, k + half))) for k in (0, half))
        total = b.add(b.shuffle_vector(total, total, low), b.shuffle_vector(total, total, high))
    start = b.bitcast(b.gep(offset, [b.mul(lane, _number(CELL))]), four_words.as_pointer())
    score = b.add(total, b.load(start, align=4))
    near = b.icmp_signed("<=", score, spread(b, b.trunc(limit, _I32), four_words))
    return b.zext(b.bitcast(near, ir.IntType(CELL)), _I64)


@instruction(lambda *_: numba.uint64, _outlined("inferir_near_points", (0, 3, 4), _I64, _near_points))
def near_points(codes, at, width, points, offset, lane, limit):
    """Bits of those of a cell's four points in a lane, the cells' lanes counted through, whose scores are at most
    `limit` for row `at`. Points are `points[cell, lane, block, four, point, column]`, `offset[cell, lane, point]`."""
    lanes = points.view(np.int8).reshape(-1, points.shape[2] // LINE, 4, CELL, 4)[int(lane)].astype(np.int64)
    row = codes[int(at)].astype(np.int64).reshape(-1, 4, 1, 4)
    scores = (lanes * row).sum(axis=(0, 1, 3)) + offset.reshape(-1, CELL)[int(lane)]
    return np.uint64(sum(1 << point for point in np.flatnonzero(scores <= limit).tolist()))


def _at_most(b: Any, scores: list[Any], limit: Any) -> Any:
    most, found = spread(b, b.trunc(limit, _I32), _SCORES), _number(0)
    for q, score in enumerate(scores):
        low = b.bitcast(b.icmp_signed("<=", score, most), ir.IntType(LANES))
        found = b.or_(found, b.shl(b.zext(low, _I64), _number(q * LANES)))
    return found


def _cell_vectors(b: Any, address: Any, cells: Any, count: Any, row: Any, number: Any) -> list[Any]:
    first = b.mul(b.add(b.mul(row, count), number), _number(LANES))
    places = [address(0, b.add(first, _number(q * LANES))) for q in range(CELLS)]
    return [b.load(_vector(b, place), align=4) for place in places]


def _near_cells(b: Any, address: Any, cells: Any, count: Any, row: Any, number: Any, limit: Any) -> Any:
    return _at_most(b, _cell_vectors(b, address, cells, count, row, number), limit)


@instruction(lambda *_: numba.uint64, _near_cells)
def near_cells(cells, count, row, number, limit):
    """Bits of those lanes of the four cells from `number` on that are at most `limit`."""
    lanes = cells[int(row), int(number) : int(number) + CELLS].reshape(-1)
    return np.uint64(sum(1 << lane for lane in np.flatnonzero(lanes <= limit).tolist()))


def _kth_least(b: Any, address: Any, cells: Any, count: Any, row: Any, k: Any) -> Any:
    def fold(number: Any, least: list[Any]) -> list[Any]:
        vectors = _cell_vectors(b, address, cells, count, row, number)
        return [_less(b, *pair) for pair in zip(least, vectors, strict=True)]

    least = loop(b, _number(0), count, CELLS, fold, [_each(_MOST)] * CELLS)[1]
    kind = ir.FunctionType(_I32, [_SCORES])
    lowest = cgutils.get_or_insert_function(b.module, kind, "llvm.vector.reduce.smin.v16i32")

    def take(_: Any, values: list[Any]) -> list[Any]:
        left = values[:CELLS]
        found = b.call(lowest, [_less(b, _less(b, left[0], left[1]), _less(b, left[2], left[3]))])
        among = spread(b, found, _SCORES)
        return [*(b.select(b.icmp_signed("==", v, among), _each(_MOST), v) for v in left), found]

    found = loop(b, _number(0), k, 1, take, [*least, ir.Constant(_I32, _MOST)])[1][-1]
    return b.sext(found, _I64)


@instruction(lambda *_: numba.int64, _kth_least)
def kth_least(cells, count, row, k):
    """A score that k points or more do not exceed: the k-th of 64 lanes' least ones, without repetition."""
    lanes = cells[int(row)].reshape(-1, CELLS * LANES).min(axis=0)
    values = np.unique(lanes)
    return np.int64(values[int(k) - 1] if len(values) >= k else _MOST)


def _has_byte_products(b: Any, address: Any) -> Any:
    known = _known()
    if known is not None:
        return _number(int(known))
    name = "inferir_byte_products"
    number = b.module.globals.get(name) or ir.GlobalVariable(b.module, _I64, name)
    return b.load(number)


@instruction(lambda: numba.uint64, _has_byte_products)
def has_byte_products():
    """Whether this CPU has the instruction: a constant but in the libraries that may run on both (`aot/targets.py`)."""
    return np.uint64(1)


def _rank(b: Any, address: Any, values: Any, labels: Any, first: Any, count: Any, value: Any, label: Any) -> Any:
    doubles, whole = ir.VectorType(ir.DoubleType(), RANKED), ir.VectorType(_I64, RANKED)
    its_value, its_label = spread(b, value, doubles), spread(b, label, whole)

    def add(at: Any, found: list[Any]) -> list[Any]:
        of_values = b.load(b.bitcast(address(0, at), doubles.as_pointer()), align=8)
        of_labels = b.load(b.bitcast(address(1, b.add(first, at)), whole.as_pointer()), align=8)
        tied = b.and_(b.fcmp_ordered("==", of_values, its_value), b.icmp_signed("<", of_labels, its_label))
        before = b.bitcast(b.or_(b.fcmp_ordered("<", of_values, its_value), tied), ir.IntType(RANKED))
        return [b.add(found[0], b.zext(b.ctpop(before), _I64))]

    return loop(b, _number(0), count, RANKED, add, [_number(0)])[1][0]


@instruction(lambda *_: numba.uint64, _rank)
def rank(values, labels, first, count, value, label):
    """How many of `count` doubles, rounded up to eights, are below `value`, or equal to it and their label, those from
    position `first` on, is below `label`: its position when they are sorted."""
    end = -(-int(count) // RANKED) * RANKED
    of_labels = labels.reshape(-1)[int(first) : int(first) + end].tolist()
    pairs = zip(values.reshape(-1)[:end].tolist(), of_labels, strict=True)
    return np.uint64(sum(pair < (value, label) for pair in pairs))
