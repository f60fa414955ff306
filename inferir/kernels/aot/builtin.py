"""Compiled steps as built-in functions of CPython, which cost 0.05 us to call where one of ctypes costs 0.3 and more.

    ask = row_function(address, steps_address, n_steps, row_address, row_nbytes)   # None where it cannot be made
    ask(row)             # bytes: copied to row_address; then as Library.run. -2: no bytes, or not row_nbytes of them

    ask = rows_function(address, table_address, np.ndarray)
    ask(rows, answer)    # C-contiguous arrays: as Library.bind_rows. -2: no arrays, or not of as many rows

The library's `inferir_call` and `inferir_call_rows` are their C code (`abi_cpython.py`). CPython hands it the object
that the function was made with; here that is a bytes object, behind whose head lie numbers. The library has no symbol
of CPython's: where heads end, what makes an int and which type bytes are is among these numbers.

A row is answered with the interpreter's lock: that suits what takes microseconds. Of more rows nobody knows how long
they take, so the lock is released.
"""

from __future__ import annotations

import _ctypes
import os
from collections.abc import Callable
from typing import Any, cast

__all__ = [
    "ARRAY_DATA", "ARRAY_LENGTHS", "ARRAY_RANK", "HEAD_NBYTES", "LENGTH", "TYPE", "row_function", "rows_function",
]  # fmt: skip

#: Of a bytes object: references, type, length, hash. A build of CPython with other heads (without the lock, say, or for
#: 32 bits) shows in `bytes.__basicsize__`, which counts the NUL at the end too.
HEAD_NBYTES, TYPE, LENGTH = 32, 8, 16

#: Fields of a NumPy array. Where it has others, `_reads_arrays` sees it.
ARRAY_DATA, ARRAY_RANK, ARRAY_LENGTHS = 16, 24, 32

_METH_O, _METH_FASTCALL = 8, 0x80


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
_ROW = b"ask(row, /)\n--\n\nRun the steps for a row's bytes: -1, or the number of the step that stopped."
_ROWS = b"ask(rows, answer, /)\n--\n\nRun the steps over an array into another: -1, or where and at which they stopped."

#: CPython keeps a pointer to each definition, so none may go: one for each function of each library.
_DEFINITIONS: dict[int, bytes] = {}


def row_function(
    call_address: int, steps_address: int, n_steps: int, row_address: int, row_nbytes: int
) -> Callable[[bytes], int] | None:
    """A function over `inferir_call` at `call_address`, or None where this Python is not as expected."""
    own = steps_address, n_steps, row_address, row_nbytes, id(bytes)
    return _function(call_address, _METH_O, _ROW, own, "PyLong_FromLongLong")


def rows_function(call_address: int, table_address: int, array: type[Any]) -> Callable[[Any, Any], int] | None:
    """A function over `inferir_call_rows` at `call_address`, or None where Python, or its `array`s, are not."""
    if not _reads_arrays(array):
        return None
    symbols = "PyLong_FromLongLong", "PyEval_SaveThread", "PyEval_RestoreThread"
    return _function(call_address, _METH_FASTCALL, _ROWS, (table_address, id(array)), *symbols)


def _function(
    call_address: int, flags: int, doc: bytes, own: tuple[int, ...], *symbols: str
) -> Callable[..., int] | None:
    """A function that is made with the numbers `own` and, behind them, the addresses of CPython's `symbols`."""
    if bytes.__basicsize__ != HEAD_NBYTES + 1:
        return None
    try:
        python = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]  # None: what the process has
        make_function, *found = (_ctypes.dlsym(python, name) for name in ("PyCFunction_NewEx", *symbols))
    except OSError:
        return None
    definition = _DEFINITIONS.setdefault(call_address, _numbers(_address(_NAME), call_address, flags, _address(doc)))
    made: Any = _MakeFunction(make_function)(
        _Integer(_address(definition)), _Object(_numbers(*own, *found)), _Integer(0)
    )
    return cast("Callable[..., int]", made)


def _reads_arrays(array: type[Any]) -> bool:
    """Whether arrays have their fields where compiled functions read them."""
    from ctypes import string_at  # who has NumPy has it

    probe = array((3, 5), "u1")
    data, rank, lengths = (string_at(id(probe) + place, 8) for place in (ARRAY_DATA, ARRAY_RANK, ARRAY_LENGTHS))
    if data != _numbers(probe.__array_interface__["data"][0]) or rank[:4] != b"\2\0\0\0":
        return False
    return string_at(int.from_bytes(lengths, "little"), 16) == _numbers(3, 5)
