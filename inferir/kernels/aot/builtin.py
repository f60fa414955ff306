"""Compiled steps as built-in functions of CPython, which cost 0.05 us to call where one of ctypes costs 0.3 and more.

    ask = row_function(address, steps_address, n_steps, row_address, row_nbytes)   # None where it cannot be made
    ask(row)             # bytes: copied to row_address; then as Library.run. -2: no bytes, or not row_nbytes of them

    ask = rows_function(address, table_address, np.ndarray)
    ask(rows, answer)    # C-contiguous arrays: as Library.bind_rows. -2: no arrays, or not of as many rows

    note = record_function(address, form)
    note(seconds, ...)   # bytes: the line with these milliseconds in it, and a record appended: as Library.bind_record

The library's `inferir_call`, `inferir_call_rows` and `inferir_call_record` are their C code (`abi_cpython.py`). CPython
hands it the object that the function was made with; here that is a bytes object, behind whose head lie numbers. The
library has no symbol of CPython's: what makes an int, where heads end and which type bytes are is among these numbers.

A row is answered with the interpreter's lock: that suits what takes microseconds. Of more rows nobody knows how long
they take, so the lock is released.
"""

from __future__ import annotations

import _ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

__all__ = [
    "ARRAY_DATA", "ARRAY_LENGTHS", "ARRAY_RANK", "FLOAT_VALUE", "HEAD_NBYTES", "LENGTH", "LIST_ITEMS", "LONGEST_LINE",
    "TEXT_NBYTES", "TYPE",
    "RecordForm", "record_function", "row_function", "rows_function",
]  # fmt: skip

#: Of a bytes object: references, type, length, hash. A build of CPython with other heads (without the lock, say, or for
#: 32 bits) shows in `bytes.__basicsize__`, which counts the NUL at the end too.
HEAD_NBYTES, TYPE, LENGTH = 32, 8, 16

#: Fields of a NumPy array. Where it has others, `_reads_arrays` sees it.
ARRAY_DATA, ARRAY_RANK, ARRAY_LENGTHS = 16, 24, 32

#: Fields of a list and of a float; the sizes of both say whether they are there.
LIST_ITEMS, FLOAT_VALUE = 24, 16
_LIST_NBYTES, _FLOAT_NBYTES = 40, 24

#: Bytes of a line with numbers in it, and of one number more; bytes that a record has for each text.
LONGEST_LINE, TEXT_NBYTES = 512, 128

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


class RecordForm(NamedTuple):
    """What records have in them and where they are; see Library.bind_record.

    line             of which a call prints a copy with numbers in it.
    places           where it has "0.000", for each number of a call's list; None for one that is not shown.
    n_numbers        that a record has beside those, doubles like them.
    n_texts          behind the numbers, TEXT_NBYTES each.
    count_address    where the number of records is, an int64.
    records_address  where they are, one behind the other, with room for one more than `capacity`.
    """

    line: bytes
    places: Sequence[int | None]
    n_numbers: int
    n_texts: int
    count_address: int
    records_address: int
    capacity: int


_NAME = b"ask"
_ROW = b"ask(row, /)\n--\n\nRun the steps for a row's bytes: -1, or the number of the step that stopped."
_ROWS = b"ask(rows, answer, /)\n--\n\nRun the steps over an array into another: -1, or where and at which they stopped."
_RECORD = b"note(seconds, /, *more)\n--\n\nAppend a record; the line with these seconds in it, in milliseconds."

#: CPython keeps a pointer to each definition, so none may go: one for each function of each library.
_DEFINITIONS: dict[int, bytes] = {}


def row_function(
    call_address: int, steps_address: int, n_steps: int, row_address: int, row_nbytes: int
) -> Callable[[bytes], int] | None:
    """A function over `inferir_call` at `call_address`, or None where this Python is not as expected."""
    own = steps_address, n_steps, row_address, row_nbytes, id(bytes)
    return _function(call_address, _METH_O, _ROW, _numbers(*own), "PyLong_FromLongLong")


def rows_function(call_address: int, table_address: int, array: type[Any]) -> Callable[[Any, Any], int] | None:
    """A function over `inferir_call_rows` at `call_address`, or None where Python, or its `array`s, are not."""
    if not _reads_arrays(array):
        return None
    symbols = "PyLong_FromLongLong", "PyEval_SaveThread", "PyEval_RestoreThread"
    return _function(call_address, _METH_FASTCALL, _ROWS, _numbers(table_address, id(array)), *symbols)


def record_function(call_address: int, form: RecordForm) -> Callable[..., bytes] | None:
    """A function over `inferir_call_record` at `call_address`, or None where this Python is not as expected.

    Raises ValueError where a place has no such number, or the line is longer than compiled code has room for.
    """
    if (list.__basicsize__, float.__basicsize__) != (_LIST_NBYTES, _FLOAT_NBYTES):
        return None
    line, places = form.line, form.places
    if len(line) + len("0.000") > LONGEST_LINE:
        raise ValueError(f"expected a line of at most {LONGEST_LINE - len('0.000')} bytes, got {len(line)}")
    for place in places:
        if place is not None and (place < 0 or line[place : place + len("0.000")] != b"0.000"):
            raise ValueError(f"expected 0.000 at place {place} of {line!r}")
    record_nbytes = 8 * (len(places) + form.n_numbers) + TEXT_NBYTES * form.n_texts
    written = (len(line) if place is None else place for place in places)  # what is behind the line is not returned
    own = _numbers(
        *(len(places), form.n_numbers, form.n_texts, form.count_address, form.records_address, form.capacity),
        *(record_nbytes, len(line), id(float), id(int), *written),
    )
    symbols = (
        *("PyBytes_FromStringAndSize", "PyList_GetItem", "PyFloat_AsDouble", "PyLong_AsDouble"),
        *("PyUnicode_AsUTF8AndSize", "PyErr_Occurred", "PyErr_BadArgument"),
    )
    return _function(call_address, _METH_FASTCALL, _RECORD, own + line, *symbols)


def _function(call_address: int, flags: int, doc: bytes, own: bytes, *symbols: str) -> Callable[..., Any] | None:
    """A function that is made with the addresses of CPython's `symbols` and, behind them, `own`."""
    if bytes.__basicsize__ != HEAD_NBYTES + 1:
        return None
    try:
        python = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]  # None: what the process has
        make_function, *found = (_ctypes.dlsym(python, name) for name in ("PyCFunction_NewEx", *symbols))
    except OSError:
        return None
    definition = _DEFINITIONS.setdefault(call_address, _numbers(_address(_NAME), call_address, flags, _address(doc)))
    made: Any = _MakeFunction(make_function)(
        _Integer(_address(definition)), _Object(_numbers(*found) + own), _Integer(0)
    )
    return cast("Callable[..., Any]", made)


def _reads_arrays(array: type[Any]) -> bool:
    """Whether arrays have their fields where compiled functions read them."""
    from ctypes import string_at  # who has NumPy has it

    probe = array((3, 5), "u1")
    data, rank, lengths = (string_at(id(probe) + place, 8) for place in (ARRAY_DATA, ARRAY_RANK, ARRAY_LENGTHS))
    if data != _numbers(probe.__array_interface__["data"][0]) or rank[:4] != b"\2\0\0\0":
        return False
    return string_at(int.from_bytes(lengths, "little"), 16) == _numbers(3, 5)
