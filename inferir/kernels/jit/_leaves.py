"""Leaves of quantised trees looked up in registers, eight or sixteen rows at a time.

AVX-512 takes any lanes of two registers in one instruction: 32 leaves in float32, or 16 in float64. A tree with more
has its leaves in several pairs, between which the higher bits of a leaf's number choose. So there are no loads but
those of the numbers, and additions of rows are side by side. Each row's sum gets its terms in the order of the trees,
as `tree_quantized.add_four_leaves` gives them to it one row after the other, which is the way for all other targets and
for trees of more leaves.

The instruction has a name of its own in IR that knows of no CPU (`PERMUTES`), which `aot/emit.py` defines for each
target, as only one has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, config

from inferir.kernels.jit._compile import scalar
from inferir.kernels.jit._simd import LINE, instruction, registers_nbytes, words_of
from inferir.kernels.jit._tiles import loop

__all__ = ["PERMUTES", "add_four_in_registers", "most_in_registers"]

_I8, _I64 = ir.IntType(8), ir.IntType(64)

#: By lanes, name of the function (lanes 0 to n - 1, numbers, lanes n to 2 n - 1) that takes lanes by their numbers: in
#: IR that knows of no CPU, and LLVM's for AVX-512.
PERMUTES = {
    16: ("inferir_permute_v16f32", "llvm.x86.avx512.vpermi2var.ps.512"),
    8: ("inferir_permute_v8f64", "llvm.x86.avx512.vpermi2var.pd.512"),
}


def _permute(b: Any, low: Any, number: Any, high: Any) -> Any:
    kind = low.type
    function = ir.FunctionType(kind, [kind, number.type, kind])
    ours, theirs = PERMUTES[kind.count]
    name = ours if config.CPU_NAME == "generic" else theirs  # type: ignore[attr-defined]  # made from NUMBA_CPU_NAME
    return b.call(cgutils.get_or_insert_function(b.module, function, name), [low, number, high])


def _look_up(b: Any, vectors: list[Any], number: Any) -> Any:
    """vectors[number // lanes][number % lanes], in each lane."""
    found = [_permute(b, low, number, high) for low, high in zip(vectors[::2], vectors[1::2], strict=True)]
    bit = 2 * number.type.count
    while len(found) > 1:
        wanted = b.and_(number, ir.Constant(number.type, [bit] * number.type.count))
        is_high = b.icmp_unsigned("!=", wanted, ir.Constant(number.type, None))
        found = [b.select(is_high, high, low) for low, high in zip(found[::2], found[1::2], strict=True)]
        bit *= 2
    return found[0]


def _permutes() -> bool:
    """Whether this code may come to a CPU that has the instruction."""
    generic: bool = config.CPU_NAME == "generic"  # type: ignore[attr-defined]
    return generic or bool(binding.get_host_cpu_features().get("avx512f"))


def _adder(n_vectors: int) -> Callable[..., Any]:
    """The instruction for trees whose leaves are at most so many vectors."""

    def lower(
        b: Any, address: Any, leaf: Any, begin0: Any, begin1: Any, begin2: Any, begin3: Any,
        number: Any, at0: Any, at1: Any, at2: Any, at3: Any, rows: Any, sums: Any, sums_at: Any,
    ) -> None:  # fmt: skip
        if not _permutes():
            return
        element = address(0, begin0).type.pointee
        nbytes = {"float": 4, "double": 8}[str(element)]
        lanes = LINE // nbytes
        kind, numbers = ir.VectorType(element, lanes), ir.VectorType(ir.IntType(8 * nbytes), lanes)

        def place(argument: int, index: Any, of: Any) -> Any:
            return b.bitcast(address(argument, index), of.as_pointer())

        tables = [
            [b.load(place(0, b.add(begin, ir.Constant(_I64, v * lanes)), kind), align=nbytes) for v in range(n_vectors)]
            for begin in (begin0, begin1, begin2, begin3)
        ]

        def turn(r: Any, values: list[Any]) -> list[Any]:
            own = place(11, b.add(sums_at, r), kind)
            total = b.load(own, align=nbytes)
            for vectors, at in zip(tables, (at0, at1, at2, at3), strict=True):
                narrow = b.load(place(5, b.add(at, r), ir.VectorType(_I8, lanes)), align=1)
                total = b.fadd(total, _look_up(b, vectors, b.zext(narrow, numbers)))
            b.store(total, own, align=nbytes)
            return values

        loop(b, ir.Constant(_I64, 0), rows, lanes, turn, [])

    return lower


def _add(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at):
    """sums.flat[sums_at + r] += leaf[begin0 + number[at0 + r], 0], then of the three others, for r < rows.

    Some rows more are read and written, up to a whole register. Behind a tree's first leaf there are as many rows of
    `leaf` as it has room for.
    """
    total = sums.reshape(-1)[sums_at : sums_at + rows]
    for begin, at in ((begin0, at0), (begin1, at1), (begin2, at2), (begin3, at3)):
        total += leaf[begin + number[at : at + rows].astype(np.uint64), 0]


add_of_2, add_of_4, add_of_8, add_of_16 = (instruction(lambda *_: numba.void, _adder(n))(_add) for n in (2, 4, 8, 16))


@scalar
def most_in_registers(leaf):
    """Leaves of a tree that are looked up in registers; of more, in memory. 0 where the CPU has no permutes."""
    if registers_nbytes() < np.uint64(2048):
        return np.uint64(0)
    return np.uint64(256) // (words_of(leaf) * words_of(leaf))


@scalar
def add_four_in_registers(leaf, begin0, begin1, begin2, begin3, most, number, at0, at1, at2, at3, rows, sums, sums_at):
    """sums.flat[sums_at + r] += leaf of row r in four trees, one after the other, of up to `most` leaves."""
    lanes = np.uint64(16) // words_of(leaf)
    if most <= np.uint64(2) * lanes:
        add_of_2(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at)
    elif most <= np.uint64(4) * lanes:
        add_of_4(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at)
    elif most <= np.uint64(8) * lanes:
        add_of_8(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at)
    elif words_of(leaf) == np.uint64(1):
        add_of_16(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at)
