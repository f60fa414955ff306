"""Levels of a symmetric tree, answered for 64 or 256 rows while the numbers of their leaves stay in registers: a load
of codes, a comparison and an addition for each level and 64 rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir

from inferir.kernels.jit._simd import LINE, instruction
from inferir.kernels.jit._tiles import loop, spread

__all__ = ["PLANE_NBYTES", "number_of_64", "number_of_256"]

#: Codes of a plane: one for each row of a block.
PLANE_NBYTES = 256

_I8, _I64 = ir.IntType(8), ir.IntType(64)
_BYTES = ir.VectorType(_I8, LINE)


def _numberer(n_vectors: int) -> Callable[..., Any]:
    """The instruction for so many times 64 rows."""

    def lower(
        b: Any, address: Any, level: Any, begin: Any, end: Any, codes: Any, codes_at: Any, numbers: Any, at: Any
    ) -> None:
        def lanes(argument: int, index: Any, vector: int) -> Any:
            return b.bitcast(address(argument, b.add(index, ir.Constant(_I64, vector * LINE))), _BYTES.as_pointer())

        def turn(q: Any, values: list[Any]) -> list[Any]:
            *found, bit = values
            word = b.zext(b.load(address(0, q)), _I64)
            plane_at = b.add(codes_at, b.and_(word, ir.Constant(_I64, 0xFFFFFF00)))  # a plane has 256 codes
            rank = spread(b, b.trunc(word, _I8), _BYTES)
            for vector, number in enumerate(found):
                is_right = b.icmp_unsigned(">=", b.load(lanes(3, plane_at, vector), align=LINE), rank)
                found[vector] = b.add(number, b.select(is_right, bit, ir.Constant(_BYTES, None)))
            return [*found, b.add(bit, bit)]

        first = [ir.Constant(_BYTES, None)] * n_vectors + [ir.Constant(_BYTES, [1] * LINE)]
        _, (*found, _) = loop(b, begin, end, 1, turn, first)
        for vector, number in enumerate(found):
            b.store(number, lanes(5, at, vector), align=LINE)

    return lower


def _numbering(n_vectors: int) -> Any:
    def number(level, begin, end, codes, codes_at, numbers, at):
        rows = n_vectors * LINE
        found = np.zeros(rows, np.uint8)
        for i, word in enumerate(level[int(begin) : int(end)].view(np.uint32)):
            plane_at = int(codes_at) + int(word >> 8) * PLANE_NBYTES
            found |= (codes[plane_at : plane_at + rows] >= np.uint8(word & 255)).astype(np.uint8) << np.uint8(i)
        numbers[int(at) : int(at) + rows] = found

    return instruction(lambda *_: numba.void, _numberer(n_vectors))(number)


#: (level, begin, end, codes, codes_at, numbers, at): numbers[at + r] has bit i where row r has the rank of level
#: begin + i or more, among the codes of the level's plane.
number_of_64, number_of_256 = (_numbering(n_vectors) for n_vectors in (1, 4))
