"""Data frames that offer only the DataFrame interchange protocol
(https://data-apis.org/dataframe-protocol/latest/API.html): modin, cuDF on the host, vaex and older versions of others.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import InferirError, InvalidInputError
from inferir.rows.values import Values

__all__ = ["from_interchange"]

# DtypeKind and ColumnNullType of the protocol.
_INT, _UINT, _FLOAT, _BOOL, _STRING, _DATETIME, _CATEGORICAL = 0, 1, 2, 20, 21, 22, 23
_NON_NULLABLE, _NAN, _SENTINEL, _BITMASK, _BYTEMASK = range(5)

_KIND_LETTERS = {_INT: "i", _UINT: "u", _FLOAT: "f"}
_KIND_NAMES = {_DATETIME: "datetime"}


def from_interchange(frame: Any, match: Callable[[list[str]], list[int]], names: Sequence[str]) -> list[list[Values]]:
    """The model's columns of a frame: one batch per chunk."""
    positions = match([str(name) for name in frame.column_names()])
    return [
        [_exported(chunk, position, name) for position, name in zip(positions, names, strict=True)]
        for chunk in frame.get_chunks()
    ]


def _exported(chunk: Any, position: int, name: str) -> Values:
    try:
        return _column(chunk.get_column(position), name)
    except InferirError:
        raise
    except Exception as error:  # whatever its library raises for data that the protocol cannot hold
        raise InvalidInputError(f"column {name!r}: expected numbers or text: {error}") from error


def _column(column: Any, name: str) -> Values:
    kind, bits, _, _ = column.dtype
    kind = int(kind)
    length, offset = int(column.size()), int(column.offset)
    buffers = column.get_buffers()
    if kind == _STRING:
        return Values(_texts(column, buffers, offset, length))
    if kind in _KIND_LETTERS or kind == _BOOL:
        data = _numbers(buffers["data"], offset, length)
    elif kind == _CATEGORICAL:
        description = column.describe_categorical
        if not description["is_dictionary"]:
            raise InvalidInputError(f"column {name!r}: expected categories in a dictionary, got none")
        data = _numbers(buffers["data"], offset, length)
        missing = _missing(column, buffers, offset, length, data)
        return Values(data, missing, _column(description["categories"], name))
    else:
        raise InvalidInputError(
            f"column {name!r}: expected numbers or text, got {_KIND_NAMES.get(kind, f'kind {kind}')} of {bits} bits"
        )
    return Values(data, _missing(column, buffers, offset, length, data))


def _numbers(buffer_and_dtype: Any, offset: int, length: int) -> npt.NDArray[Any]:
    buffer, (kind, bits, _, byte_order) = buffer_and_dtype
    if bits == 1:
        return _bits(buffer, offset, length)
    if int(kind) == _BOOL:
        return _bytes(buffer, offset, length)
    order = byte_order if byte_order in ("<", ">") else "="
    return _copied(buffer, np.dtype(f"{order}{_KIND_LETTERS[int(kind)]}{bits // 8}"), offset, length)


def _missing(
    column: Any, buffers: Any, offset: int, length: int, data: npt.NDArray[Any] | None
) -> npt.NDArray[np.bool_] | None:
    null, value = column.describe_null
    null = int(null)
    if null == _SENTINEL and data is not None:
        return np.asarray(data == value)
    if null in (_BITMASK, _BYTEMASK) and buffers["validity"] is not None:
        buffer, _ = buffers["validity"]
        read = _bits if null == _BITMASK else _bytes
        return np.asarray(read(buffer, offset, length) == bool(value))
    return None  # not nullable, or NaN, which is missing anyway


def _texts(column: Any, buffers: Any, offset: int, length: int) -> list[Any]:
    buffer, (_, bits, _, _) = buffers["offsets"]
    bounds = _copied(buffer, np.dtype(f"=i{bits // 8}"), offset, length + 1).tolist()
    data = _copied(buffers["data"][0], np.dtype(np.uint8), 0, bounds[-1]).tobytes()
    texts: list[Any] = [str(data[low:high], "utf-8") for low, high in pairwise(bounds)]
    missing = _missing(column, buffers, offset, length, None)
    if missing is not None:
        for position in np.flatnonzero(missing).tolist():
            texts[position] = None
    return texts


def _bits(buffer: Any, offset: int, length: int) -> npt.NDArray[np.bool_]:
    packed = _copied(buffer, np.dtype(np.uint8), 0, (offset + length + 7) // 8)
    return np.unpackbits(packed, count=offset + length, bitorder="little")[offset:].view(bool)


def _bytes(buffer: Any, offset: int, length: int) -> npt.NDArray[np.bool_]:
    return _copied(buffer, np.dtype(np.uint8), offset, length).astype(bool)


def _copied(buffer: Any, dtype: np.dtype[Any], offset: int, length: int) -> npt.NDArray[Any]:
    """`length` items from item `offset` on. Copied, because nothing but `buffer` keeps its memory alive."""
    if length == 0:
        return np.empty(0, dtype)
    if (offset + length) * dtype.itemsize > buffer.bufsize:
        raise InvalidInputError(
            f"expected a buffer of {(offset + length) * dtype.itemsize} bytes, got one of {buffer.bufsize}"
        )
    memory = (ctypes.c_char * (length * dtype.itemsize)).from_address(buffer.ptr + offset * dtype.itemsize)
    copied: npt.NDArray[Any] = np.frombuffer(memoryview(memory), dtype).copy()
    return copied
