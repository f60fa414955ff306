"""Tensors of a request, read from JSON or from bytes; no length in a request is believed before it is checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from inferir.errors import InvalidInputError
from inferir.server.protocols.oip.datatypes import DATATYPES, Datatype, unpack_strings
from inferir.server.protocols.oip.messages import InputBody

__all__ = ["Tensor", "shaped", "tensor_from_bytes", "tensor_from_json"]


class Tensor(msgspec.Struct, frozen=True):
    """`data` is an array of `shape`, or for BYTES the elements as a flat list of str."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: npt.NDArray[Any] | Sequence[str]


def shaped(elements: npt.NDArray[Any], shape: tuple[int, ...], name: str) -> npt.NDArray[Any]:
    """The elements, which are as many as it takes, in a shape. One with a dimension of 0 may have others that are too
    large for any array."""
    try:
        return elements.reshape(shape)
    except ValueError:
        raise InvalidInputError(f"input {name!r}: expected the shape of an array, got {list(shape)}") from None


def tensor_from_bytes(body: InputBody, data: memoryview) -> Tensor:
    """The tensor whose elements are all of `data`; numbers are views of it."""
    datatype, shape = DATATYPES[body.datatype], tuple(body.shape)
    count = math.prod(shape)
    if not datatype.item_bytes:
        return Tensor(body.name, body.datatype, shape, unpack_strings(data, count, body.name))
    expected = count * datatype.item_bytes
    if len(data) != expected:
        raise InvalidInputError(
            f"input {body.name!r}: expected {expected} bytes for {datatype.name} of shape {list(shape)}, "
            f"got {len(data)}"
        )
    return Tensor(body.name, body.datatype, shape, shaped(datatype.from_bytes(data), shape, body.name))


def tensor_from_json(body: InputBody) -> Tensor:
    """The tensor whose elements are in `body.data`, nested as its shape says, or flat."""
    datatype, shape = DATATYPES[body.datatype], tuple(body.shape)
    text = bytes(body.data)
    depth = len(shape) if len(shape) > 1 and text[1:].lstrip()[:1] == b"[" else 1
    try:
        values = _decoder(datatype.name, depth).decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"input {body.name!r}: expected data of datatype {datatype.name}: {error}") from None
    if datatype.name == "BYTES":
        return Tensor(body.name, body.datatype, shape, _strings(values, shape, depth, body.name))
    try:
        array = _array(values, datatype)
    except FloatingPointError:
        raise InvalidInputError(f"input {body.name!r}: a number is too large for {datatype.name}") from None
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"input {body.name!r}: expected data of shape {list(shape)}: {error}") from None
    if array.size != math.prod(shape) or (depth > 1 and array.shape != shape):
        raise InvalidInputError(
            f"input {body.name!r}: expected {math.prod(shape)} elements of shape {list(shape)}, "
            f"got {array.size} of shape {list(array.shape)}"
        )
    return Tensor(body.name, body.datatype, shape, shaped(array, shape, body.name))


@lru_cache(maxsize=len(DATATYPES) * 8)
def _decoder(name: str, depth: int) -> msgspec.json.Decoder[Any]:
    kind: Any = DATATYPES[name].element
    for _ in range(depth):
        kind = list[kind]
    return msgspec.json.Decoder(kind)


def _array(values: Any, datatype: Datatype) -> npt.NDArray[Any]:
    if datatype.dtype.kind != "f":
        return np.array(values, dtype=datatype.dtype)
    array = np.array(values, dtype=np.float64)
    if datatype.dtype.itemsize == 8:
        return array
    with np.errstate(over="raise"):
        return array.astype(datatype.dtype)


def _strings(values: list[Any], shape: tuple[int, ...], depth: int, name: str) -> list[str]:
    if depth == 1:
        if len(values) != math.prod(shape):
            raise InvalidInputError(f"input {name!r}: expected {math.prod(shape)} elements, got {len(values)}")
        return values
    level = [values]
    for axis, dimension in enumerate(shape):
        for part in level:
            if len(part) != dimension:
                raise InvalidInputError(
                    f"input {name!r}: expected lists of {dimension} elements in dimension {axis}, got {len(part)}"
                )
        level = list(chain.from_iterable(level))
    return level  # type: ignore[return-value]  # as deep as it was decoded, the last level holds strings
