"""Leaves of quantised trees, of four trees at a time, added to the sums of rows.

Each row's sum gets its terms in the order of the trees, in one of two ways:

    in registers  AVX-512 takes any lanes of two registers in one instruction: 32 leaves in float32, or 16 in float64. A
                  tree with more has its leaves in several pairs, between which the higher bits of a leaf's number
                  choose. So there are no loads but those of the numbers, and additions of rows are side by side
    from memory   on all other targets, and for trees of more leaves: as loads, of which CPUs have two a cycle. So
                  numbers of eight rows are loaded at once, as one word, and so are their sums

The permutation has a name of its own in IR that knows of no CPU (`PERMUTES`), which `aot/emit.py` defines for each
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
from inferir.kernels.jit._tiles import loop, opaque

__all__ = ["PERMUTES", "add_four", "has_permutes", "permute"]

_I8, _I64 = ir.IntType(8), ir.IntType(64)
_NBYTES = {"float": 4, "double": 8}

#: Rows whose numbers are one word.
_WORD_ROWS = 8

#: By lanes, name of the function (lanes 0 to n - 1, numbers, lanes n to 2 n - 1) that takes lanes by their numbers: in
#: IR that knows of no CPU, and LLVM's for AVX-512.
PERMUTES = {
    16: ("inferir_permute_v16f32", "llvm.x86.avx512.vpermi2var.ps.512"),
    8: ("inferir_permute_v8f64", "llvm.x86.avx512.vpermi2var.pd.512"),
}


def permute(b: Any, low: Any, number: Any, high: Any) -> Any:
    kind = low.type
    function = ir.FunctionType(kind, [kind, number.type, kind])
    ours, theirs = PERMUTES[kind.count]
    name = ours if config.CPU_NAME == "generic" else theirs  # type: ignore[attr-defined]  # made from NUMBA_CPU_NAME
    return b.call(cgutils.get_or_insert_function(b.module, function, name), [low, number, high])


def _look_up(b: Any, vectors: list[Any], number: Any) -> Any:
    """vectors[number // lanes][number % lanes], in each lane."""
    found = [permute(b, low, number, high) for low, high in zip(vectors[::2], vectors[1::2], strict=True)]
    bit = 2 * number.type.count
    while len(found) > 1:
        wanted = b.and_(number, ir.Constant(number.type, [bit] * number.type.count))
        is_high = b.icmp_unsigned("!=", wanted, ir.Constant(number.type, None))
        found = [b.select(is_high, high, low) for low, high in zip(found[::2], found[1::2], strict=True)]
        bit *= 2
    return found[0]


def has_permutes() -> bool:
    """Whether this code may come to a CPU that has the instruction."""
    generic: bool = config.CPU_NAME == "generic"  # type: ignore[attr-defined]
    return generic or bool(binding.get_host_cpu_features().get("avx512f"))


def _adder(n_vectors: int) -> Callable[..., Any]:
    """The instruction for trees whose leaves are at most so many vectors."""

    def lower(
        b: Any, address: Any, leaf: Any, begin0: Any, begin1: Any, begin2: Any, begin3: Any,
        number: Any, at0: Any, at1: Any, at2: Any, at3: Any, rows: Any, sums: Any, sums_at: Any,
    ) -> None:  # fmt: skip
        if not has_permutes():
            return
        element = address(0, begin0).type.pointee
        nbytes = _NBYTES[str(element)]
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


def _add_from_memory(
    b: Any, address: Any, leaf: Any, begin0: Any, begin1: Any, begin2: Any, begin3: Any,
    number: Any, at0: Any, at1: Any, at2: Any, at3: Any, rows: Any, sums: Any, sums_at: Any,
) -> None:  # fmt: skip
    tables = [address(0, begin) for begin in (begin0, begin1, begin2, begin3)]
    element = tables[0].type.pointee
    nbytes, lanes = _NBYTES[str(element)], ir.VectorType(element, _WORD_ROWS)

    def turn(r: Any, values: list[Any]) -> list[Any]:
        own = b.bitcast(address(11, b.add(sums_at, r)), lanes.as_pointer())
        total = b.load(own, align=nbytes)
        for table, at in zip(tables, (at0, at1, at2, at3), strict=True):
            word = b.load(b.bitcast(address(5, b.add(at, r)), _I64.as_pointer()), align=1)
            found = ir.Constant(lanes, ir.Undefined)
            for row in range(_WORD_ROWS):
                if row and row % 2 == 0:  # two bytes of a register have names on x86, which LLVM would not use
                    word = opaque(b, b.lshr(word, ir.Constant(_I64, 16)))
                place = b.and_(b.lshr(word, ir.Constant(_I64, 8 * (row % 2))), ir.Constant(_I64, 255))
                found = b.insert_element(found, b.load(b.gep(table, [place])), ir.Constant(ir.IntType(32), row))
            total = b.fadd(total, found)
        b.store(total, own, align=nbytes)
        return values

    loop(b, ir.Constant(_I64, 0), rows, _WORD_ROWS, turn, [])


def _add(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at):
    """sums.flat[sums_at + r] += leaf[begin0 + number[at0 + r], 0], then of the three others, for r < rows.

    Some rows more are read and written, up to a whole register. Behind a tree's first leaf there are as many rows of
    `leaf` as it has room for.
    """
    total = sums.reshape(-1)[sums_at : sums_at + rows]
    for begin, at in ((begin0, at0), (begin1, at1), (begin2, at2), (begin3, at3)):
        total += leaf[begin + number[at : at + rows].astype(np.uint64), 0]


add_of_2, add_of_4, add_of_8, add_of_16 = (instruction(lambda *_: numba.void, _adder(n))(_add) for n in (2, 4, 8, 16))
add_from_memory = instruction(lambda *_: numba.void, _add_from_memory)(_add)


@scalar
def _most_in_registers(leaf):
    """Leaves of a tree that are looked up in registers; of more, in memory. 0 where the CPU has no permutes."""
    if registers_nbytes() < np.uint64(2048):
        return np.uint64(0)
    return np.uint64(256) // (words_of(leaf) * words_of(leaf))


@scalar
def add_four(leaf, begin0, begin1, begin2, begin3, most, number, at0, at1, at2, at3, rows, sums, sums_at):
    """sums.flat[sums_at + r] += leaf of row r in four trees, one after the other, of up to `most` leaves."""
    lanes = np.uint64(16) // words_of(leaf)
    if most > _most_in_registers(leaf):
        add_from_memory(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at)
    elif most <= np.uint64(2) * lanes:
        add_of_2(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at)
    elif most <= np.uint64(4) * lanes:
        add_of_4(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at)
    elif most <= np.uint64(8) * lanes:
        add_of_8(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at)
    elif words_of(leaf) == np.uint64(1):
        add_of_16(leaf, begin0, begin1, begin2, begin3, number, at0, at1, at2, at3, rows, sums, sums_at)
