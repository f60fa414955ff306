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
from llvmlite import ir
from numba.core import cgutils, config
from numba.extending import intrinsic

__all__ = ["LINE", "instruction", "prefetch", "read", "words_of", "write"]

Meaning = TypeVar("Meaning", bound=Callable[..., Any])

_DISABLED: bool = config.DISABLE_JIT  # type: ignore[attr-defined]  # made from NUMBA_DISABLE_JIT
_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)

#: Bytes of a cache line, and of the widest register.
LINE = 64


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


def _prefetch(b: Any, address: Any, array: Any, index: Any) -> None:
    place = b.bitcast(address(0, index), _I8.as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [place.type, _I32, _I32, _I32])
    function = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
    b.call(function, [place, *(ir.Constant(_I32, v) for v in (0, 3, 1))])  # to read, keep in all caches, data


@instruction(_nothing, _prefetch)
def prefetch(array, index):
    """Ask for the cache line of array[index], and go on."""


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
