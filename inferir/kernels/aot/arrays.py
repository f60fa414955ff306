"""Calls single compiled kernels on NumPy arrays. Like other backends it trusts them: dtype, rank, C-contiguous."""

from __future__ import annotations

import struct
import threading
from array import array
from collections.abc import Callable
from typing import Any

from inferir.kernels.aot.library import Library
from inferir.kernels.signatures import Signature

__all__ = ["Call", "block_layout"]


def block_layout(signature: Signature) -> struct.Struct:
    """A kernel's block: what `abi.thunk` reads."""
    codes = {"f64": "d", "i64": "q"}
    return struct.Struct(
        "=" + "".join("q" * (1 + len(a.dims)) if a.dims else codes[a.dtype] for a in signature.arguments)
    )


class Call:
    """One kernel of a library. Releases the interpreter's lock; each thread has a block of its own."""

    def __init__(self, library: Library, signature: Signature) -> None:
        self._library, self._address = library, library.address(signature.name)
        self._layout = block_layout(signature)
        self._is_array = tuple(bool(argument.dims) for argument in signature.arguments)
        self._local = threading.local()

    def _bind(self) -> tuple[array[int], Callable[[], int]]:
        """This thread's block with the step behind it, and a call that runs it."""
        length = self._layout.size // 8
        memory = array("q", bytes(8 * (length + 3)))
        address, _ = memory.buffer_info()
        memory[length], memory[length + 1] = self._address, address
        self._local.bound = memory, self._library.bind(address + 8 * length, 1, release_lock=True)
        return self._local.bound  # type: ignore[no-any-return]

    def __call__(self, *arguments: Any) -> None:
        values: list[Any] = []
        for is_array, argument in zip(self._is_array, arguments, strict=True):
            if is_array:
                values.append(argument.ctypes.data)
                values.extend(argument.shape)
            else:
                values.append(argument)
        try:
            memory, run = self._local.bound
        except AttributeError:
            memory, run = self._bind()
        self._layout.pack_into(memory, 0, *values)
        run()
