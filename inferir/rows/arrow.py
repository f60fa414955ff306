"""Arrow tables -> columns, through the Arrow C data interface (polars, pyarrow, DuckDB, ...).

nanoarrow imports the C structures, checks the sizes of their buffers, keeps them alive and shows them as Python
buffers; what they say is read here (https://arrow.apache.org/docs/format/Columnar.html), without a loop over numbers.
Nothing goes through nanoarrow's `Array`, `to_pylist` or iterators: they export arrays once more, and nanoarrow 0.9 then
crashes on string views, which is what polars sends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inferir.errors import DimensionError, InvalidInputError
from inferir.rows.sequences import ONE_DIMENSIONAL
from inferir.rows.values import Values

if TYPE_CHECKING:
    from nanoarrow.c_array import CArrayView
    from nanoarrow.c_schema import CSchema

__all__ = ["from_arrow", "from_arrow_array", "is_arrow"]

#: Format string -> dtype of fixed-width numbers (https://arrow.apache.org/docs/format/CDataInterface.html).
_NUMBERS = {
    "c": np.int8,
    "C": np.uint8,
    "s": np.int16,
    "S": np.uint16,
    "i": np.int32,
    "I": np.uint32,
    "l": np.int64,
    "L": np.uint64,
    "e": np.float16,
    "f": np.float32,
    "g": np.float64,
}

#: Format string -> dtype of the offsets into the text.
_TEXT_OFFSETS = {"u": np.int32, "U": np.int64}

#: Texts up to so many bytes are in the view itself, after the length.
_INLINE_BYTES = 12


def is_arrow(rows: Any) -> bool:
    """Whether `rows` offers itself through the Arrow C data interface."""
    return hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__")


def from_arrow(rows: Any, match: Callable[[list[str]], list[int]], names: Sequence[str]) -> list[list[Values]] | None:
    """The model's columns of an Arrow table, record batch or stream: one batch per record batch.

    None where `rows` needs a library that is not installed for its export.
    """
    from nanoarrow import c_array, c_array_stream

    # A single array is asked for first: c_array_stream would export it once more.
    importer = c_array if hasattr(rows, "__arrow_c_array__") else c_array_stream
    try:
        imported = importer(rows)
    except ImportError:
        return None
    except Exception as error:  # whatever its library raises for data that Arrow cannot hold
        raise InvalidInputError(f"expected a table that can be exported to Arrow: {error}") from error
    if importer is c_array:
        schema = imported.schema
        return [_batch(imported.view(), schema, _positions(schema, match), names)]
    with imported as stream:
        schema = stream.get_schema()
        positions = _positions(schema, match)
        return [_batch(array.view(), schema, positions, names) for array in stream]


def from_arrow_array(array: Any, name: str) -> Values:
    """One Arrow array."""
    from nanoarrow import c_array

    imported = c_array(array)
    view = imported.view()
    return _column(view, imported.schema, view.offset, view.length, name)


def _positions(schema: CSchema, match: Callable[[list[str]], list[int]]) -> list[int]:
    if schema.format != "+s":
        raise DimensionError(ONE_DIMENSIONAL)
    return match([str(child.name) for child in schema.children])


def _batch(view: CArrayView, schema: CSchema, positions: Sequence[int], names: Sequence[str]) -> list[Values]:
    if view.null_count > 0:
        raise InvalidInputError(f"expected rows, got a struct array in which {view.null_count} rows are null")
    batch = []
    for position, name in zip(positions, names, strict=True):
        child = view.child(position)
        batch.append(_column(child, schema.child(position), view.offset + child.offset, view.length, name))
    return batch


def _column(view: CArrayView, schema: CSchema, offset: int, length: int, name: str) -> Values:
    """`length` values from `offset` on, which counts from the start of the buffers."""
    code = schema.format
    if code == "n":
        return Values(np.zeros(length, np.float32), np.ones(length, bool))
    if code not in _NUMBERS and code not in _TEXT_OFFSETS and code not in ("b", "vu"):
        raise InvalidInputError(f"column {name!r}: expected numbers or text, got {_type_name(schema)}")
    if length == 0:  # its buffers may be absent
        return Values(np.zeros(0, _NUMBERS[code])) if code in _NUMBERS else Values([])
    missing = _missing(view, offset, length)
    if code in _NUMBERS:
        data = np.frombuffer(view.buffer(1), _NUMBERS[code], length, offset * np.dtype(_NUMBERS[code]).itemsize)
        if schema.dictionary is None:
            return Values(data, missing)
        entries = view.dictionary
        return Values(data, missing, _column(entries, schema.dictionary, entries.offset, entries.length, name))
    if code == "b":
        return Values(_bits(view.buffer(1), offset, length), missing)
    try:
        texts = _viewed(view, offset, length, missing) if code == "vu" else _texts(view, code, offset, length)
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"column {name!r}: expected UTF-8 text, got {error.object!r}") from error
    if missing is not None:
        for position in np.flatnonzero(missing).tolist():
            texts[position] = None
    return Values(texts)


def _missing(view: CArrayView, offset: int, length: int) -> npt.NDArray[np.bool_] | None:
    if view.null_count == 0 or view.buffer(0).size_bytes == 0:
        return None
    return ~_bits(view.buffer(0), offset, length)


def _bits(buffer: Any, offset: int, length: int) -> npt.NDArray[np.bool_]:
    first, skipped = divmod(offset, 8)
    packed = np.frombuffer(buffer, np.uint8)[first : (offset + length + 7) // 8]
    return np.unpackbits(packed, count=skipped + length, bitorder="little")[skipped:].view(bool)


def _texts(view: CArrayView, code: str, offset: int, length: int) -> list[Any]:
    """Text as offsets into one buffer of UTF-8."""
    dtype = _TEXT_OFFSETS[code]
    offsets = np.frombuffer(view.buffer(1), dtype, length + 1, offset * np.dtype(dtype).itemsize)
    return _cut(view.buffer(2), offsets[:-1], offsets[1:])


def _viewed(view: CArrayView, offset: int, length: int, missing: npt.NDArray[np.bool_] | None) -> list[Any]:
    """Text as views of 16 bytes: the length, then the text itself or (prefix, buffer number, offset)."""
    raw = np.frombuffer(view.buffer(1), np.uint8)[offset * 16 : (offset + length) * 16].reshape(-1, 16)
    fields = raw.view(np.int32)
    sizes = fields[:, 0] if missing is None else np.where(missing, 0, fields[:, 0])  # a missing view may be anything
    outside = sizes > _INLINE_BYTES
    inside = raw[:, 4:].copy()
    inside[outside] = 0
    starts = np.arange(0, _INLINE_BYTES * length, _INLINE_BYTES)
    texts = _cut(inside, starts, starts + np.where(outside, 0, sizes))
    for number in np.unique(fields[outside, 2]).tolist():
        positions = np.flatnonzero(outside & (fields[:, 2] == number))
        lows = fields[positions, 3].view(np.uint32).astype(np.int64)  # signed by the standard; polars goes on to 4 GiB
        for position, text in zip(
            positions.tolist(), _cut(view.buffer(2 + number), lows, lows + sizes[positions]), strict=True
        ):
            texts[position] = text
    return texts


def _cut(buffer: Any, lows: npt.NDArray[Any], highs: npt.NDArray[Any]) -> list[Any]:
    """The texts in `buffer` between bytes `lows[i]` and `highs[i]`."""
    start, end = int(lows.min()), int(highs.max())
    memory = memoryview(buffer).cast("B")
    if start < 0 or end > memory.nbytes:
        raise InvalidInputError(f"expected text within {memory.nbytes} bytes, got offsets from {start} to {end}")
    data = memory[start:end].tobytes()
    bounds = zip((lows - start).tolist(), (highs - start).tolist(), strict=True)
    if data.isascii():  # then bytes and characters are at the same places
        text = data.decode("ascii")
        return [text[low:high] for low, high in bounds]
    return [str(data[low:high], "utf-8") for low, high in bounds]


def _type_name(schema: CSchema) -> str:
    from nanoarrow.c_schema import c_schema_view

    view = c_schema_view(schema)
    return f"{view.type} (cast it to double)" if view.type.startswith("decimal") else str(view.type)
