"""Products of rows with one vector: lanes go along the columns, and what the lanes of eight rows hold is added up in
one go.

For so few outputs that they would leave most lanes of a tile (`_tiles.py`) empty. Sums run over every 16th column (8th
of doubles) and are then added in pairs, in whatever place among the eight its row is: so a row alone has the bits that
it has in a batch.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir

from inferir.kernels.jit._simd import LINE, instruction, prefetch_at
from inferir.kernels.jit._tiles import loop, multiply_add, spread

__all__ = ["ROWS", "dot_rows"]

#: Rows that an instruction takes, at most.
ROWS = 8

#: From what is read to what is asked for: rows of few columns need few operations, and memory would be waited for.
AHEAD_NBYTES = 8192

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _number(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _add_halves(b: Any, one: Any, other: Any, width: int) -> Any:
    """Runs of `width` lanes, halved: those of one vector, then those of the other."""
    count, half = one.type.count, width // 2
    low = [start + lane for start in range(0, 2 * count, width) for lane in range(half)]
    places = ir.VectorType(_I32, count)
    parts = [b.shuffle_vector(one, other, ir.Constant(places, [lane + by for lane in low])) for by in (0, half)]
    return b.fadd(*parts)


def _dot_rows(
    b: Any, address: Any, x: Any, at: Any, row: Any, rows: Any, coef: Any, output: Any, first: Any, last: Any,
    rest: Any, rests: Any, totals: Any, to: Any,
) -> None:  # fmt: skip
    element = address(0, _number(0)).type.pointee
    nbytes = 4 if isinstance(element, ir.FloatType) else 8
    lanes = ir.VectorType(element, LINE // nbytes)
    blocks = b.mul(output, _blocks(b, row, lanes.count))
    last_row = b.sub(rows, _number(1))
    numbers = [b.select(b.icmp_unsigned("<", _number(r), last_row), _number(r), last_row) for r in range(ROWS)]
    begins = [b.add(at, b.mul(number, row)) for number in numbers]
    zero = ir.Constant(lanes, [0.0] * lanes.count)

    def vector(argument: int, place: Any) -> Any:
        return b.bitcast(address(argument, place), lanes.as_pointer())

    def coefs(column: Any) -> Any:
        return b.load(vector(4, b.add(b.mul(blocks, _number(lanes.count)), column)), align=nbytes)

    whole = b.add(first, b.and_(b.sub(last, first), _number(-lanes.count)))

    def ask_ahead(column: Any) -> None:
        for begin in begins:
            prefetch_at(b, address(0, b.add(b.add(begin, column), _number(AHEAD_NBYTES // nbytes))))

    def block(column: Any, sums: list[Any]) -> list[Any]:
        ask_ahead(column)
        by_lane = coefs(column)
        loads = [b.load(vector(0, b.add(begin, column)), align=nbytes) for begin in begins]
        return [multiply_add(b, values, by_lane, total) for values, total in zip(loads, sums, strict=True)]

    _, sums = loop(b, first, whole, lanes.count, block, [zero] * ROWS)
    before = b.block
    left = b.sub(last, whole)
    with b.if_then(b.icmp_unsigned("!=", left, _number(0))):
        ask_ahead(whole)
        by_lane = coefs(whole)
        places = ir.Constant(ir.VectorType(_I64, lanes.count), list(range(lanes.count)))
        inside = b.icmp_unsigned("<", places, spread(b, left, places.type))
        within = b.icmp_unsigned("!=", rests, _number(0))
        added = []
        for begin, number, total in zip(begins, numbers, sums, strict=True):
            there = vector(0, b.add(begin, whole))
            copied = vector(10, b.add(rest, b.mul(number, _number(lanes.count))))
            values = b.load(b.select(within, copied, there), align=nbytes)
            added.append(multiply_add(b, b.select(inside, values, zero), by_lane, total))
        ending = b.block
    joined = []
    for total, more in zip(sums, added, strict=True):
        phi = b.phi(lanes)
        phi.add_incoming(total, before)
        phi.add_incoming(more, ending)
        joined.append(phi)

    width = lanes.count
    while len(joined) > 1:
        half = len(joined) // 2
        joined = [_add_halves(b, joined[i * 2], joined[i * 2 + 1], width) for i in range(half)]
        width //= 2
    while width > 1:
        joined = [_add_halves(b, joined[0], joined[0], width)]
        width //= 2
    answers = b.shuffle_vector(joined[0], joined[0], ir.Constant(ir.VectorType(_I32, ROWS), list(range(ROWS))))
    b.store(answers, b.bitcast(address(10, to), answers.type.as_pointer()), align=nbytes)


def _blocks(b: Any, row: Any, n_lanes: int) -> Any:
    return b.udiv(b.add(row, _number(n_lanes - 1)), _number(n_lanes))


@instruction(lambda *_: numba.void, _dot_rows)
def dot_rows(x, at, row, rows, coef, output, first, last, rest, rests, totals, to):
    """totals.flat[to + r] = sum over first <= f < last of x.flat[at + r * row + f] * coef[output].flat[f], r < rows.

    `coef` is [outputs, vectors, lanes], zero behind the last column, and `first` begins a vector. Values behind `last`
    are read and not used; if `rests`, the last vector of row r is totals.flat[rest + r * lanes] and on instead.
    """
    for r in range(int(rows)):
        start = int(at + r * row)
        values = x.reshape(-1)[start + int(first) : start + int(last)].astype(np.float64)
        totals.reshape(-1)[int(to) + r] = values @ coef[int(output)].reshape(-1)[int(first) : int(last)].astype(
            np.float64
        )
