"""Datatypes of the Open Inference Protocol: their NumPy dtypes, and their elements in JSON and in bytes.

    name        bytes   JSON                            NumPy
    BOOL        1       true, false                     bool
    UINT8 ...   1-8     integers in the type's range    uint8 ...
    INT8 ...    1-8     integers in the type's range    int8 ...
    FP16 ...    2-8     numbers, null for missing       float16 ...
    BF16        2       numbers, null for missing       float32, the upper half of which it is
    BYTES       -       strings                         list of str

In bytes everything is little-endian and row-major; an element of BYTES is its length (4 bytes, unsigned) and the bytes,
which have to be UTF-8: what a model takes as text is a category. BF16 is Triton's addition to the protocol's own list.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md, "Tensor Data Types"; Triton Inference
Server, docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from inferir.errors import InvalidInputError

__all__ = ["DATATYPES", "Datatype", "DatatypeName", "datatype_of", "pack_strings", "unpack_strings"]

DatatypeName: TypeAlias = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "BF16",
    "FP32",
    "FP64",
    "BYTES",
]

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Datatype:
    """`dtype` is that of the array, `wire` that of the bytes, `element` what an element is in JSON, for msgspec.

    `item_bytes` is 0 for BYTES, whose elements have no common size.
    """

    name: str
    dtype: np.dtype[Any]
    wire: np.dtype[Any]
    element: Any

    @property
    def item_bytes(self) -> int:
        return 0 if self.name == "BYTES" else self.wire.itemsize

    def from_bytes(self, data: memoryview) -> npt.NDArray[Any]:
        """The numbers in `data`, a whole number of elements; a view of it wherever bytes and array agree."""
        array: npt.NDArray[Any]
        if self.name == "BOOL":
            array = np.frombuffer(data, np.uint8) != 0  # any other byte as a bool is undefined behaviour in C
        elif self.name == "BF16":
            array = (np.frombuffer(data, self.wire).astype("<u4") << np.uint32(16)).view("<f4")
        else:
            array = np.frombuffer(data, self.wire)
        return array

    def to_wire(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array whose memory is what is sent: the same one where it is so."""
        return np.ascontiguousarray(array, self.wire)

    def to_bytes(self, array: npt.NDArray[Any]) -> bytes:
        return self.to_wire(array).tobytes()


def _integer(bits: int, signed: bool) -> Any:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    # Bounds of msgspec have to fit in 64 bits with a sign; UINT64 is held by NumPy's own check.
    return Annotated[int, Meta(ge=low, le=high)] if high < 1 << 63 else Annotated[int, Meta(ge=low)]


def _numbers() -> list[Datatype]:
    integers = [(signed, bits) for signed in (False, True) for bits in (8, 16, 32, 64)]
    made = [
        Datatype(f"{'INT' if signed else 'UINT'}{bits}", np.dtype(wire), np.dtype(wire), _integer(bits, signed))
        for signed, bits in integers
        for wire in [f"<{'i' if signed else 'u'}{bits // 8}"]
    ]
    made += [
        Datatype(f"FP{bits}", np.dtype(f"<f{bits // 8}"), np.dtype(f"<f{bits // 8}"), float | None)
        for bits in (16, 32, 64)
    ]
    return made


#: Name -> datatype.
DATATYPES: dict[str, Datatype] = {
    datatype.name: datatype
    for datatype in [
        Datatype("BOOL", np.dtype(np.bool_), np.dtype(np.uint8), bool),
        *_numbers(),
        Datatype("BF16", np.dtype("<f4"), np.dtype("<u2"), float | None),
        Datatype("BYTES", np.dtype(object), np.dtype(object), str),
    ]
}

_BY_DTYPE = {datatype.dtype: name for name, datatype in DATATYPES.items() if name not in ("BF16", "BYTES")}


def datatype_of(array: npt.NDArray[Any] | Sequence[str]) -> str:
    """Name of the datatype of an array, or BYTES for a sequence of str."""
    return _BY_DTYPE.get(array.dtype, "BYTES") if isinstance(array, np.ndarray) else "BYTES"


def pack_strings(values: Sequence[str]) -> bytes:
    """Elements of BYTES, one after another."""
    encoded = [value.encode() for value in values]
    return b"".join([part for value in encoded for part in (_LENGTH.pack(len(value)), value)])


def unpack_strings(data: memoryview, count: int, name: str) -> list[str]:
    """`count` elements of BYTES, which fill `data` exactly. Raises InvalidInputError, which calls the tensor `name`."""
    values: list[str] = []
    position, end = 0, len(data)
    if count > end // _LENGTH.size:  # before anything is made by that number
        raise InvalidInputError(
            f"input {name!r}: expected {count} BYTES elements of at least {_LENGTH.size} bytes each, got {end} bytes"
        )
    for number in range(count):
        start = position + _LENGTH.size
        length = _LENGTH.unpack_from(data, position)[0] if start <= end else 0
        position = start + length
        if position > end:
            raise InvalidInputError(
                f"input {name!r}: element {number} ends {position - end} bytes behind the tensor's {end} bytes"
            )
        try:
            values.append(str(data[start:position], "utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"input {name!r}: element {number}: expected UTF-8, got {error}") from None
    if position != end:
        raise InvalidInputError(
            f"input {name!r}: expected {count} BYTES elements to fill {end} bytes, they take {position}"
        )
    return values
