"""UBJSON against bytes written by hand after the specification, and against an encoder that shares nothing with it."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferir.errors import ModelLoadError
from inferir.formats.importers.xgboost.ubjson import MAX_DEPTH, loads
from tests.formats.importers.xgboost.zoo import booster


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"Z", None),
        (b"T", True),
        (b"F", False),
        (b"i\xff", -1),
        (b"U\xff", 255),
        (b"I\xff\xfe", -2),
        (b"l\x00\x01\x00\x00", 65536),
        (b"L\x80" + bytes(7), -(2**63)),
        (b"d\x3f\x80\x00\x00", 1.0),
        (b"D\x40\x09\x21\xfb\x54\x44\x2d\x18", 3.141592653589793),
        (b"Si\x03a\xc3\xa9", "aé"),
        (b"SU\x00", ""),
        (b"[]", []),
        (b"[i\x01[T]Z]", [1, [True], None]),
        (b"[#i\x02TF", [True, False]),
        (b"{}", {}),
        (b"{i\x01ai\x01L" + bytes(7) + b"\x01b{}}", {"a": 1, "b": {}}),
    ],
)
def test_values(data: bytes, value: Any) -> None:
    got = loads(data)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("marker", "dtype"), [("i", "i1"), ("U", "u1"), ("I", "i2"), ("l", "i4"), ("L", "i8"), ("d", "f4"), ("D", "f8")]
)
def test_arrays_of_one_type(marker: str, dtype: str) -> None:
    numbers = np.array([0, 1, 100, 7], dtype)
    data = b"[$" + marker.encode() + b"#i\x04" + numbers.astype(f">{dtype}").tobytes()
    got = loads(data)
    assert got.dtype == np.dtype(dtype)
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, numbers)
    assert loads(b"[$" + marker.encode() + b"#i\x00").shape == (0,)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "byte 0: expected 1 more bytes, got 0"),
        (b"TT", "byte 1: expected the end, got 1 more bytes"),
        (b"N", "expected the type of a value, got 'N'"),
        (b"Ca", "got 'C'"),
        (b"Hi\x011", "got 'H'"),
        (b"L\x00", "expected 8 more bytes, got 1"),
        (b"Si\xff", "expected a length, got -1"),
        (b"Sd\x00\x00\x00\x00", "expected the type of a length"),
        (b"SL\x7f" + b"\xff" * 7, "expected 9223372036854775807 more bytes, got 0"),
        (b"Si\x02\xff\xfe", "expected text in UTF-8"),
        (b"[$d#L\x00\x00\x00\x10" + bytes(4), "expected 274877906944 more bytes, got 0"),
        (b"[$Z#L\x00\x00\x00\x10" + bytes(4), "expected an array of numbers"),
        (b"[$T#i\x7f", "expected an array of numbers"),
        (b"[$[#i\x02", "expected an array of numbers"),
        (b"[$i]", "expected '#'"),
        (b"[#L\x00\x00\x00\x10" + bytes(4), "expected 68719476736 elements, got 0 bytes"),
        (b"[T", "expected 1 more bytes"),
        (b"{i\x01a", "expected 1 more bytes"),
        (b"{i\x01aTi\x01aF}", "expected a key once, got 'a' again"),
        (b"{$i#i\x01i\x01a\x05", "expected an object that ends with '}'"),
        (b"[" * (MAX_DEPTH + 1), f"at most {MAX_DEPTH} deep"),
        (b"{i\x01a" * 100_000, "deep"),
        (b"[#i\x01" * 100_000, "deep"),
    ],
)
def test_refused(data: bytes, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        loads(data)


def dumps(value: Any) -> bytes:
    if value is None or isinstance(value, bool):
        return {None: b"Z", True: b"T", False: b"F"}[value]
    if isinstance(value, int):
        return b"L" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"D" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"S" + dumps(len(value.encode())) + value.encode()
    if isinstance(value, list):
        return b"[" + b"".join(map(dumps, value)) + b"]"
    return b"{" + b"".join(dumps(key)[1:] + dumps(member) for key, member in value.items()) + b"}"


_SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@given(_VALUES)
def test_values_survive(value: Any) -> None:
    assert loads(dumps(value)) == value


@given(_VALUES, st.data())
def test_a_cut_is_noticed(value: Any, data: st.DataObject) -> None:
    whole = dumps(value)
    with pytest.raises(ModelLoadError):
        loads(whole[: data.draw(st.integers(0, len(whole) - 1))])


#: Bytes that mean something more often than others do.
_TELLING = st.lists(st.sampled_from(b"{}[]$#ZTFiUIlLdDS\x00\x01\x02\x7f\xff")).map(bytes)


@given(st.binary(max_size=60) | _TELLING)
@settings(max_examples=500)
def test_any_bytes_give_a_value_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ModelLoadError):
        loads(data)


@pytest.mark.parametrize("name", ["binary", "dart classes", "vector leaves", "partition", "linear", "quantiles"])
def test_says_what_json_says(name: str) -> None:
    """XGBoost writes the same document in both forms, but for the arrays."""
    ubj, text = loads(bytes(booster(name).save_raw("ubj"))), json.loads(booster(name).save_raw("json"))
    assert _plain(ubj) == _plain(text)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, np.ndarray) or (isinstance(value, list) and value and isinstance(value[0], (int, float))):
        return [float(np.float32(number)) for number in value]
    return [_plain(member) for member in value] if isinstance(value, list) else value
