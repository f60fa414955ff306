"""Steps of TreeSHAP over vectors of doubles, at one node.

Of one row, a vector holds several points of a quadrature: `four_points` or `eight_points`. Of more rows it holds LANES
of them at one point: `rows`. The steps are the same, and so are the operations on each number: a row has the same bits
in either. Vectors lie one behind the other in flat scratch; positions are those of their first number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils

from inferir.kernels.jit._compile import scalar
from inferir.kernels.jit._simd import instruction
from inferir.kernels.jit._tiles import spread

__all__ = ["LANES", "Steps", "compare", "divide", "eight_points", "four_points", "rows"]

#: Doubles in the widest vector.
LANES = 8

_I64 = ir.IntType(64)


class Steps(NamedTuple):
    """`bent` holds t and s of a node, its point and how many times its contribution counts, `gain` its e: vectors or
    numbers, of which there are `n_points` and `n_rows`. a = share + e t is the factor of the left child."""

    n_points: int
    n_rows: int
    bend: Any
    fill: Any
    carry: Any
    join: Any
    join_leaves: Any


class _Vectors:
    """IR of vectors of `lanes` doubles in the arguments of an instruction."""

    def __init__(self, b: Any, address: Any, lanes: int) -> None:
        self.b, self._address, self._lanes = b, address, lanes
        self.kind = ir.VectorType(ir.DoubleType(), lanes)

    def _place(self, argument: int, index: Any, ahead: int) -> Any:
        index = self.b.add(index, ir.Constant(_I64, ahead * self._lanes))
        place = self._address(argument, index)
        return self.b.bitcast(place, ir.VectorType(place.type.pointee, self._lanes).as_pointer())

    def load(self, argument: int, index: Any, ahead: int = 0) -> Any:
        """`ahead` counts vectors."""
        return self.b.load(self._place(argument, index, ahead), align=4)

    def store(self, value: Any, argument: int, index: Any, ahead: int = 0) -> None:
        self.b.store(value, self._place(argument, index, ahead), align=8)

    def load_spread(self, argument: int, index: Any, ahead: int = 0) -> Any:
        """`ahead` counts numbers."""
        return self.spread(self.b.load(self._address(argument, self.b.add(index, ir.Constant(_I64, ahead)))))

    def spread(self, value: Any) -> Any:
        return spread(self.b, value, ir.VectorType(value.type, self._lanes))

    def each(self, value: float) -> Any:
        return ir.Constant(self.kind, [value] * self._lanes)

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """x y + z, fused where the target has an instruction for it."""
        kind = ir.FunctionType(self.kind, [self.kind] * 3)
        function = cgutils.get_or_insert_function(self.b.module, kind, f"llvm.fmuladd.v{self._lanes}f64")
        return self.b.call(function, [x, y, z])


def _step(lower: Any, lanes: int = LANES) -> Any:
    """The instruction whose IR `lower` writes, given vectors in place of a builder."""
    return instruction(lambda *_: numba.void, lambda b, address, *values: lower(_Vectors(b, address, lanes), *values))


def _steps(n_points: int, n_rows: int) -> Steps:
    lanes, along_rows = max(n_points, n_rows), n_rows > 1

    def t_of(v: _Vectors, at: Any) -> Any:
        return v.load_spread(0, at) if along_rows else v.load(0, at)

    def s_of(v: _Vectors, at: Any) -> Any:
        return v.load_spread(0, at, 1) if along_rows else v.load(0, at, 1)

    def e_of(v: _Vectors, i: Any) -> Any:
        return v.load(3, i) if along_rows else v.load_spread(3, i)

    def bend(point, at, kept, bent, to):
        """t and s for the points from `at` on: t / f and z' / f^2 for f = z' + (1 - z') t, z' being `kept`."""
        for k in range(np.uint64(n_points)):
            inverse = 1.0 / (kept + (1.0 - kept) * point[at + k])
            bent[to + k] = point[at + k] * inverse
            bent[to + np.uint64(n_points) + k] = kept * inverse * inverse

    def _fill(v: _Vectors, value: Any, expected: Any, to: Any) -> None:
        v.store(v.spread(value), 1, to)

    def fill(value, expected, to):
        """expected[to] = value."""
        expected[to : to + lanes] = value

    def _carry(
        v: _Vectors, bent: Any, at: Any, share: Any, gain: Any, i: Any, carried: Any, above: Any, below: Any
    ) -> None:
        product = v.load(5, above)
        left = v.b.fmul(product, v.multiply_add(e_of(v, i), t_of(v, at), v.spread(share)))
        v.store(left, 5, below)
        v.store(v.b.fsub(product, left), 5, below, 1)

    def carry(bent, at, share, gain, i, carried, above, below):
        """carried[below] = carried[above] a for the left child, and behind it the rest of carried[above]."""
        product = carried[above : above + lanes]
        left = product * (share + gain[i : i + n_rows] * bent[at : at + n_points])
        carried[below : below + lanes], carried[below + lanes : below + 2 * lanes] = left, product - left

    def _join(
        v: _Vectors, bent: Any, at: Any, share: Any, gain: Any, i: Any, carried: Any, above: Any, expected: Any,
        below: Any, contribution: Any, column: Any,
    ) -> None:  # fmt: skip
        right, scale = v.load(7, below, 1), e_of(v, i)
        difference = v.b.fsub(v.load(7, below), right)
        factor = v.multiply_add(scale, t_of(v, at), v.spread(share))
        v.store(v.multiply_add(factor, difference, right), 7, above)
        part = v.b.fmul(v.b.fmul(v.load(5, above), s_of(v, at)), difference)
        v.store(v.multiply_add(part, scale, v.load(9, column)), 9, column)

    def join(bent, at, share, gain, i, carried, above, expected, below, contribution, column):
        """expected[above] = R + a (L - R), L and R being expected[below] and what is behind it;
        contribution[column] += e carried[above] s (L - R)."""
        right, scale = expected[below + lanes : below + 2 * lanes], gain[i : i + n_rows]
        difference = expected[below : below + lanes] - right
        part = carried[above : above + lanes] * bent[at + n_points : at + 2 * n_points] * difference
        expected[above : above + lanes] = right + (share + scale * bent[at : at + n_points]) * difference
        contribution[column : column + lanes] += scale * part

    def _join_leaves(
        v: _Vectors, bent: Any, at: Any, share: Any, gain: Any, i: Any, carried: Any, above: Any, expected: Any,
        left: Any, right: Any, contribution: Any, column: Any,
    ) -> None:  # fmt: skip
        difference, scale = v.spread(v.b.fsub(left, right)), e_of(v, i)
        factor = v.multiply_add(scale, t_of(v, at), v.spread(share))
        v.store(v.multiply_add(factor, difference, v.spread(right)), 7, above)
        part = v.b.fmul(v.load(5, above), s_of(v, at))
        v.store(v.multiply_add(part, v.b.fmul(scale, difference), v.load(10, column)), 10, column)

    def join_leaves(bent, at, share, gain, i, carried, above, expected, left, right, contribution, column):
        """The same where both children are leaves, of values L and R."""
        scale, part = gain[i : i + n_rows], carried[above : above + lanes] * bent[at + n_points : at + 2 * n_points]
        expected[above : above + lanes] = right + (share + scale * bent[at : at + n_points]) * (left - right)
        contribution[column : column + lanes] += part * (scale * (left - right))

    return Steps(
        n_points,
        n_rows,
        scalar(bend),
        _step(_fill, lanes)(fill),
        _step(_carry, lanes)(carry),
        _step(_join, lanes)(join),
        _step(_join_leaves, lanes)(join_leaves),
    )


def _compare(v: _Vectors, columns: Any, at: Any, threshold: Any, default_left: Any, left: Any) -> None:
    value = v.load(0, at)
    goes_left = v.b.fcmp_ordered("<=", value, v.spread(threshold))
    missing = v.b.and_(v.b.fcmp_unordered("uno", value, value), v.spread(v.b.trunc(default_left, ir.IntType(1))))
    goes_left = v.b.or_(goes_left, missing)
    v.store(v.b.select(goes_left, v.each(1.0), v.each(0.0)), 4, ir.Constant(_I64, 0))


@_step(_compare)
def compare(columns, at, threshold, default_left, left):
    """left = 1.0 for the rows from `at` on that go left by a comparison, else 0.0. `default_left` is 1 or 0."""
    value = columns.reshape(-1)[at : at + LANES]
    left[:] = (value <= threshold) | (np.isnan(value) & bool(default_left))


def _divide(v: _Vectors, left: Any, share: Any, agrees: Any, at: Any, gain: Any, i: Any, below: Any) -> None:
    goes_left, agree = v.load(0, ir.Constant(_I64, 0)), v.load(2, at)
    v.store(v.b.fmul(agree, v.b.fsub(goes_left, v.spread(share))), 4, i)
    v.store(v.b.fmul(agree, goes_left), 2, below)
    v.store(v.b.fmul(agree, v.b.fsub(v.each(1.0), goes_left)), 2, below, 1)


@_step(_divide)
def divide(left, share, agrees, at, gain, i, below):
    """gain[i] = e of the rows; agrees[below] and what is behind it: whether they agree with either child."""
    agree = agrees[at : at + LANES]
    gain[i : i + LANES] = agree * (left - share)
    agrees[below : below + LANES], agrees[below + LANES : below + 2 * LANES] = agree * left, agree * (1.0 - left)


four_points, eight_points, rows = _steps(4, 1), _steps(LANES, 1), _steps(1, LANES)
