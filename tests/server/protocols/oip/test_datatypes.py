"""Elements of tensors as bytes: exact, and whatever the bytes are."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inferir.errors import InvalidInputError
from inferir.server.protocols.oip.datatypes import DATATYPES, datatype_of, pack_strings, unpack_strings

#: Name -> format of `struct`, which knows nothing of NumPy.
FORMATS = {
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}


@pytest.mark.parametrize("name", FORMATS)
def test_numbers_are_little_endian(name: str) -> None:
    values = [0, 1, 2, 100]
    data = struct.pack(f"<4{FORMATS[name]}", *values)
    datatype = DATATYPES[name]
    assert datatype.item_bytes == struct.calcsize(FORMATS[name])
    array = datatype.from_bytes(memoryview(data))
    assert array.tolist() == values
    assert datatype.to_bytes(array) == data
    assert datatype_of(array) == name


@pytest.mark.parametrize("name", FORMATS)
def test_numbers_are_views_of_the_body(name: str) -> None:
    body = bytearray(DATATYPES[name].item_bytes * 3)
    array = DATATYPES[name].from_bytes(memoryview(body))
    body[:] = b"\x01" * len(body)
    assert all(array != 0), "a copy would still be zero"


def test_a_bool_is_any_byte_that_is_not_zero() -> None:
    array = DATATYPES["BOOL"].from_bytes(memoryview(b"\x00\x01\x02\xff"))
    assert array.tolist() == [False, True, True, True]
    assert DATATYPES["BOOL"].to_bytes(array) == b"\x00\x01\x01\x01"


def test_bf16_is_the_upper_half_of_fp32() -> None:
    values = [1.0, -2.5, 3.140625, float("inf")]
    data = b"".join(struct.pack("<f", value)[2:] for value in values)
    assert DATATYPES["BF16"].from_bytes(memoryview(data)).tolist() == values


def test_strings_have_their_length_before_them() -> None:
    assert pack_strings(["red", "", "grün"]) == b"\x03\0\0\0red\0\0\0\0\x05\0\0\0gr\xc3\xbcn"


@given(st.lists(st.text()))
def test_strings_come_back(values: list[str]) -> None:
    assert unpack_strings(memoryview(pack_strings(values)), len(values), "x") == values


@given(st.binary(max_size=64), st.integers(0, 2**63))
def test_hostile_strings_are_refused_or_exact(data: bytes, count: int) -> None:
    try:
        values = unpack_strings(memoryview(data), count, "x")
    except InvalidInputError:
        return
    assert len(values) == count
    assert pack_strings(values) == data


@given(hnp.arrays(st.sampled_from(["f4", "f8", "i8", "u8"]), st.integers(0, 8)))
def test_numbers_come_back(array: np.ndarray) -> None:
    datatype = DATATYPES[datatype_of(array)]
    assert datatype.from_bytes(memoryview(datatype.to_bytes(array))).tobytes() == array.tobytes()
