"""Compiled steps as a built-in function of CPython, which costs 0.05 us to call where one of ctypes costs 0.3.

    ask = function(library, steps_address, n_steps, row_address, row_nbytes)     # None where it cannot be made
    ask(row)        # bytes: copied to row_address; then as Library.run. -2: no bytes, or not row_nbytes of them

The library's `inferir_call` is the function's C code (`abi.py`). What CPython hands it is itself the object that the
function was made with; here that is a bytes object, behind whose head lie the numbers below. The library has no symbol
of CPython's: where heads end, what makes an int and which type bytes are is among these numbers.

It holds the interpreter's lock all the time, so it suits what takes microseconds.
"""

from __future__ import annotations

import _ctypes
import os
from collections.abc import Callable
from typing import Any, cast

__all__ = ["HEAD_NBYTES", "function"]

#: Of a bytes object: references, type, length, hash. A build of CPython with other heads (without the lock, say, or for
#: 32 bits) shows in `bytes.__basicsize__`, which counts the NUL at the end too.
HEAD_NBYTES = 32

_METH_O = 8


class _Integer(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "q"


class _Object(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "O"


class _MakeFunction(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_PYTHONAPI
    _restype_ = _Object


def _numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "little") for value in values)


def _address(memory: bytes) -> int:
    """Where the contents of a bytes object are."""
    return id(memory) + HEAD_NBYTES


_NAME = b"ask"
_DOC = b"ask(row, /)\n--\n\nRun the steps for a row's bytes: -1, or the number of the step that stopped."

#: CPython keeps a pointer to each definition, so none may go: one for each library.
_DEFINITIONS: dict[int, bytes] = {}


def function(
    call_address: int, steps_address: int, n_steps: int, row_address: int, row_nbytes: int
) -> Callable[[bytes], int] | None:
    """A function over `inferir_call` at `call_address`, or None where this Python is not as expected."""
    if bytes.__basicsize__ != HEAD_NBYTES + 1:
        return None
    try:
        python = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]  # None: what the process has
        make_int, make_function = (_ctypes.dlsym(python, name) for name in ("PyLong_FromLongLong", "PyCFunction_NewEx"))
    except OSError:
        return None
    definition = _DEFINITIONS.setdefault(call_address, _numbers(_address(_NAME), call_address, _METH_O, _address(_DOC)))
    own = _numbers(steps_address, n_steps, row_address, row_nbytes, id(bytes), make_int)
    made: Any = _MakeFunction(make_function)(_Integer(_address(definition)), _Object(own), _Integer(0))
    return cast("Callable[[bytes], int]", made)
