"""What Numba has no words for: vectors of bytes, prefetches, numbers read out of words.

Each instruction is written twice: as Python, which says what it means and is what runs under NUMBA_DISABLE_JIT, and as
LLVM IR. The IR is of LLVM's own vector types and its target-independent intrinsics, so that it lowers on every target:
64 lanes of bytes are one register of AVX-512, two of AVX2, four of SSE, NEON or WebAssembly.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, config
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

__all__ = [
    "LINE", "choose", "choose_of_eight", "count_below", "count_below_narrow", "flat", "instruction",
    "multiply_add", "prefetch", "prefetch_at", "read", "registers_nbytes", "skip_to_line", "words_of", "write",
]  # fmt: skip

Meaning = TypeVar("Meaning", bound=Callable[..., Any])

_DISABLED: bool = config.DISABLE_JIT  # type: ignore[attr-defined]  # made from NUMBA_DISABLE_JIT
_I8, _I16, _I32, _I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)

#: Bytes that an instruction works on: a cache line, and the widest register.
LINE = 64
_BYTES = ir.VectorType(_I8, LINE)

#: Numbers that one is compared with at once.
_PIVOTS = 16


def instruction(returns: Callable[..., Any], lower: Callable[..., Any]) -> Callable[[Meaning], Meaning]:
    """Mark a function as the meaning of an instruction: `returns` makes its type from its arguments', `lower` its IR.

    `lower` is called as lower(builder, address, *values): `address(i, index)` is a pointer to element `index` of
    argument i, which is an array. Positions are unsigned.
    """

    def mark(meaning: Meaning) -> Meaning:
        if _DISABLED:
            return meaning

        def typed(typing_context: Any, *types: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                def address(i: int, index: Any) -> Any:
                    data = context.make_array(signature.args[i])(context, builder, values[i]).data
                    return builder.gep(data, [index])

                result = lower(builder, address, *values)
                return context.get_dummy_value() if result is None else result

            return returns(*types)(*types), generate

        arguments = inspect.signature(meaning).parameters.values()
        context = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        typed.__signature__ = inspect.Signature([context, *arguments])  # type: ignore[attr-defined]  # Numba asks it
        typed.__name__, typed.__doc__, typed.__module__ = meaning.__name__, meaning.__doc__, meaning.__module__
        return intrinsic(typed)  # type: ignore[return-value]  # callable, by kernels

    return mark


def _nothing(*_: Any) -> Any:
    return numba.void


def prefetch_at(b: Any, place: Any) -> None:
    """The IR of `prefetch`."""
    place = b.bitcast(place, _I8.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [place.type, _I32, _I32, _I32])
    function = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
    b.call(function, [place, *(ir.Constant(_I32, v) for v in (0, 3, 1))])  # to read, keep in all caches, data


def _prefetch(b: Any, address: Any, array: Any, index: Any) -> None:
    prefetch_at(b, address(0, index))


@instruction(_nothing, _prefetch)
def prefetch(array, index):
    """Ask for the cache line of array[index], and go on."""


def _multiply_add(b: Any, address: Any, x: Any, y: Any, z: Any) -> Any:
    function = cgutils.get_or_insert_function(b.module, ir.FunctionType(x.type, [x.type] * 3), "llvm.fmuladd.f64")
    return b.call(function, [x, y, z])


@instruction(lambda x, y, z: numba.float64, _multiply_add)
def multiply_add(x, y, z):
    """x y + z of doubles: rounded once where the CPU has an instruction for it, else twice."""
    return x * y + z


def _words_of(b: Any, address: Any, array: Any) -> Any:
    return ir.Constant(_I64, {"float": 1, "double": 2}[str(address(0, ir.Constant(_I64, 0)).type.pointee)])


@instruction(lambda array: numba.uint64, _words_of)
def words_of(array):
    """Words of 32 bits in a number of a float array: a constant, which `itemsize` is not once it is compiled."""
    return np.uint64(array.itemsize // 4)


def _read(b: Any, address: Any, words: Any, index: Any, like: Any) -> Any:
    return b.load(b.bitcast(address(0, index), address(2, ir.Constant(_I64, 0)).type), align=4)


@instruction(lambda words, index, like: like.dtype, _read)
def read(words, index, like):
    """The number of `like`'s dtype whose bits are the words from `index` on."""
    return words[index : index + like.itemsize // 4].view(like.dtype)[0]


def _write(b: Any, address: Any, words: Any, index: Any, value: Any) -> None:
    b.store(value, b.bitcast(address(0, index), value.type.as_pointer()), align=4)


@instruction(_nothing, _write)
def write(words, index, value):
    """Store the bits of `value` in the words from `index` on."""
    words[index : index + value.itemsize // 4] = np.array([value]).view(words.dtype)


def _splat(b: Any, value: Any, lanes: int) -> Any:
    kind = ir.VectorType(value.type, lanes)
    one = b.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_I32, 0))
    return b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))


def _skip_to_line(b: Any, address: Any, array: Any) -> Any:
    begin = b.ptrtoint(address(0, ir.Constant(_I64, 0)), _I64)
    return b.and_(b.neg(begin), ir.Constant(_I64, LINE - 1))


@instruction(lambda array: numba.uint64, _skip_to_line)
def skip_to_line(array):
    """Index of the first element of a byte array that begins a cache line."""
    return np.uint64(-array.ctypes.data % LINE)


def _count_below(b: Any, address: Any, pivots: Any, index: Any, x: Any) -> Any:
    pointer = b.bitcast(address(0, index), ir.VectorType(x.type, _PIVOTS).as_pointer())
    below = b.fcmp_ordered("<", b.load(pointer, align=4), _splat(b, x, _PIVOTS))
    return b.zext(b.ctpop(b.bitcast(below, _I16)), _I64)


@instruction(lambda pivots, index, x: numba.uint64, _count_below)
def count_below(pivots, index, x):
    """How many of the 16 numbers from pivots.flat[index] on are below x. None is below NaN."""
    return np.uint64(np.count_nonzero(pivots.reshape(-1)[index : index + _PIVOTS] < x))


def _count_below_narrow(b: Any, address: Any, pivots: Any, index: Any, x: Any) -> Any:
    lanes = 32 // {"float": 4, "double": 8}[str(x.type)]
    kind, total = ir.VectorType(x.type, lanes), ir.Constant(_I64, 0)
    for part in range(_PIVOTS // lanes):
        pointer = b.bitcast(address(0, b.add(index, ir.Constant(_I64, part * lanes))), kind.as_pointer())
        below = b.fcmp_ordered("<", b.load(pointer, align=4), _splat(b, x, lanes))
        total = b.add(total, b.zext(b.ctpop(b.bitcast(below, ir.IntType(lanes))), _I64))
    return total


@instruction(lambda pivots, index, x: numba.uint64, _count_below_narrow)
def count_below_narrow(pivots, index, x):
    """As `count_below`, in vectors of 32 bytes: where there are few, those of 64 slow down all code around them, as
    some CPUs lower their clock for them."""
    return np.uint64(np.count_nonzero(pivots.reshape(-1)[index : index + _PIVOTS] < x))


def _lanes(b: Any, address: Any, i: int, index: Any) -> Any:
    return b.bitcast(address(i, index), _BYTES.as_pointer())


def _reaches(b: Any, address: Any, index: Any, rank: Any) -> Any:
    """Mask of the lanes whose code is `rank` or more."""
    return b.icmp_unsigned(">=", b.load(_lanes(b, address, 0, index), align=LINE), _splat(b, rank, LINE))


def _choose(
    b: Any, address: Any, codes: Any, at: Any, rank: Any, slots: Any, left: Any, right: Any, n_left: Any, out: Any
) -> None:
    mask = _reaches(b, address, at, rank)
    below_left = b.load(_lanes(b, address, 3, left), align=LINE)
    below_right = b.add(b.load(_lanes(b, address, 3, right), align=LINE), _splat(b, n_left, LINE))
    b.store(b.select(mask, below_right, below_left), _lanes(b, address, 3, out), align=LINE)


@instruction(_nothing, _choose)
def choose(codes, at, rank, slots, left, right, n_left, out):
    """slots[out] = slots[right] + n_left where codes[at] >= rank, else slots[left]; each is 64 bytes from there on."""
    goes_right = codes[at : at + LINE] >= rank
    slots[out : out + LINE] = np.where(goes_right, slots[right : right + LINE] + n_left, slots[left : left + LINE])


def _choose_of_eight(b: Any, address: Any, codes: Any, *arguments: Any) -> None:
    places, ranks = arguments[:7], arguments[7:14]
    half, left, right, _, out = arguments[14:]
    masks = [_reaches(b, address, at, rank) for at, rank in zip(places, ranks, strict=True)]

    def quarter(node: int) -> Any:
        return b.zext(masks[node], _BYTES)

    below_left = b.select(masks[1], b.add(quarter(4), _splat(b, left, LINE)), quarter(3))
    below_right = b.select(masks[2], b.add(quarter(6), _splat(b, right, LINE)), quarter(5))
    value = b.select(masks[0], b.add(below_right, _splat(b, half, LINE)), below_left)
    b.store(value, _lanes(b, address, 18, out), align=LINE)


@instruction(_nothing, _choose_of_eight)
def choose_of_eight(codes, a0, a1, a2, a3, a4, a5, a6, r0, r1, r2, r3, r4, r5, r6, half, left, right, slots, out):
    """slots[out] = number of the leaf, over three levels of nodes in the order of a heap: node i is codes[ai] >= ri.

    `half` is the number of leaves on the left of node 0, `left` and `right` those on the left of nodes 1 and 2.
    """
    places, ranks = (a0, a1, a2, a3, a4, a5, a6), (r0, r1, r2, r3, r4, r5, r6)
    goes = [codes[at : at + LINE] >= rank for at, rank in zip(places, ranks, strict=True)]
    below_left = np.where(goes[1], goes[4] + left, goes[3])
    below_right = np.where(goes[2], goes[6] + right, goes[5])
    slots[out : out + LINE] = np.where(goes[0], below_right + half, below_left)


def _flat(typing_context: Any, array: Any) -> Any:
    view_type = numba.types.Array(array.dtype, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source = context.make_array(signature.args[0])(context, builder, values[0])
        view = context.make_array(view_type)(context, builder)
        length: Any = ir.Constant(_I64, 1)
        for n in cgutils.unpack_tuple(builder, source.shape):
            length = builder.mul(length, n)
        itemsize = ir.Constant(_I64, context.get_abi_sizeof(context.get_data_type(array.dtype)))
        populate_array(view, source.data, [length], [itemsize], itemsize, None)
        return view._getvalue()

    return view_type(array), generate


def flat(array):
    """The numbers of a C-contiguous array in one row, for loops that need no columns: these are often too few to fill
    a vector."""
    return array.reshape(-1)


if not _DISABLED:
    _flat.__doc__ = flat.__doc__
    flat = intrinsic(_flat)  # type: ignore[assignment]  # callable, by kernels


def _registers_nbytes(b: Any, address: Any) -> Any:
    if config.CPU_NAME != "generic":  # type: ignore[attr-defined]  # made from NUMBA_CPU_NAME
        return ir.Constant(_I64, 2048 if binding.get_host_cpu_features().get("avx512f") else 512)
    name = "inferir_registers_nbytes"
    number = b.module.globals.get(name) or ir.GlobalVariable(b.module, _I64, name)
    number.global_constant = True
    return b.load(number)


@instruction(lambda: numba.uint64, _registers_nbytes)
def registers_nbytes():
    """Of all vector registers: a constant of the target (`aot/targets.py`), or of this machine."""
    return np.uint64(2048)
