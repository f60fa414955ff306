"""The metadata codec against the `msgpack` package, both ways, and against what is not well formed."""

from __future__ import annotations

import ast
import math
import struct
import sys
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import InvalidInputError, ModelLoadError
from inferir.formats.apr import _msgpack

integers = st.integers(-(2**63), 2**64 - 1) | st.sampled_from(
    [sign * 2**bits + step for bits in (5, 7, 8, 15, 16, 31, 32, 63) for sign in (1, -1) for step in (-1, 0, 1)]
).filter(lambda number: -(2**63) <= number < 2**64)
scalars = st.none() | st.booleans() | integers | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=40)


def same(left: object, right: object) -> bool:
    """Equal, and of equal types: 1, 1.0 and True are three values here, -0.0 and 0.0 two."""
    return repr(left) == repr(right)


@given(values)
def test_encodes_as_the_package_does(value: object) -> None:
    assert _msgpack.encode(value) == msgpack.packb(value)


@given(values)
def test_decodes_what_the_package_encodes(value: object) -> None:
    assert same(_msgpack.decode(msgpack.packb(value)), value)


@given(st.binary(max_size=60))
def test_what_it_accepts_has_one_encoding(data: bytes) -> None:
    """Any bytes: refused, or decoded as the package does and encoded to the same bytes again."""
    try:
        value = _msgpack.decode(data)
    except ModelLoadError:
        return
    assert same(msgpack.unpackb(data), value)
    assert "nan" in repr(value) or _msgpack.encode(value) == data


@given(values, st.data())
def test_every_prefix_is_refused(value: object, data: st.DataObject) -> None:
    encoded = _msgpack.encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(ModelLoadError, match="metadata byte"):
        _msgpack.decode(encoded[:cut])


@pytest.mark.parametrize("count", [0, 15, 16, 65535, 65536])
def test_container_sizes(count: int) -> None:
    for value in ([None] * count, {str(n): n for n in range(count)}):
        encoded = _msgpack.encode(value)
        assert encoded == msgpack.packb(value)
        assert _msgpack.decode(encoded) == value


@pytest.mark.parametrize("nbytes", [0, 31, 32, 255, 256, 65535, 65536])
def test_text_and_binary_sizes(nbytes: int) -> None:
    for value in ("x" * nbytes, b"x" * nbytes):
        encoded = _msgpack.encode(value)
        assert encoded == msgpack.packb(value)
        assert _msgpack.decode(encoded) == value


def test_not_a_number_keeps_its_bits() -> None:
    encoded = b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01"
    value = _msgpack.decode(encoded)
    assert isinstance(value, float)
    assert math.isnan(value)
    assert struct.pack(">d", value) == encoded[1:]


def test_order_of_keys_is_kept() -> None:
    assert _msgpack.encode({"b": 1, "a": 2}) == b"\x82\xa1b\x01\xa1a\x02"
    decoded = _msgpack.decode(b"\x82\xa1b\x01\xa1a\x02")
    assert isinstance(decoded, dict)
    assert list(decoded) == ["b", "a"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "byte 0: expected a value, got the end"),
        (b"\xc0\xc0", "byte 1: expected the end, got 1 more bytes"),
        (b"\x92\xc0", "byte 0: expected bytes for the 2 values of this array, got 1"),
        (b"\x81\xa1a", "byte 3: expected a value, got the end"),
        (b"\xdd\xff\xff\xff\xff\xc0", "byte 0: expected bytes for the 4294967295 values of this array, got 1"),
        (b"\xdf\x7f\xff\xff\xff\xc0", "byte 0: expected bytes for the 4294967294 values of this map, got 1"),
        (b"\xdb\xff\xff\xff\xffab", "byte 5: expected 4294967295 bytes of string, got 2"),
        (b"\xc6\xff\xff\xff\xff", "byte 5: expected 4294967295 bytes of binary, got 0"),
        (b"\xcf\x00", "byte 1: expected 8 bytes of integer, got 1"),
        (b"\xcb\x00", "byte 1: expected 8 bytes of float64, got 1"),
        (b"\xa2\xc3\x28", "byte 1: expected UTF-8"),
        (b"\x82\xa1a\x01\xa1a\x02", "byte 4: expected each key once, got 'a' again"),
        (b"\x81\xc0\xc0", "byte 1: expected a string as map key, got NoneType"),
        (b"\x81\x80\xc0", "byte 1: expected a string as map key, got dict"),
        (b"\x81\xc4\x01a\xc0", "byte 1: expected a string as map key, got bytes"),
        (b"\x81", "byte 0: expected bytes for the 2 values of this map, got 0"),
    ],
)
def test_error_names_the_offset(data: bytes, says: str) -> None:
    with pytest.raises(ModelLoadError) as caught:
        _msgpack.decode(data)
    assert says in caught.value.message


@pytest.mark.parametrize("lead", [0xC1, 0xC7, 0xC8, 0xC9, 0xCA, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8])
def test_extensions_float32_and_unused_are_refused(lead: int) -> None:
    with pytest.raises(ModelLoadError, match=f"lead byte 0x{lead:02x}"):
        _msgpack.decode(bytes([lead]) + bytes(20))


def test_all_other_lead_bytes_are_known() -> None:
    unknown = []
    for lead in range(256):
        try:
            _msgpack.decode(bytes([lead]) + bytes(70000))
        except ModelLoadError as error:
            if "lead byte" in error.message:
                unknown.append(lead)
    assert unknown == [0xC1, 0xC7, 0xC8, 0xC9, 0xCA, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8]


@pytest.mark.parametrize(
    ("lead", "width", "least"),
    [
        *[(0xCC, 1, 2**7), (0xCD, 2, 2**8), (0xCE, 4, 2**16), (0xCF, 8, 2**32)],  # uint
        *[(0xD9, 1, 2**5), (0xDA, 2, 2**8), (0xDB, 4, 2**16)],  # str
        *[(0xC5, 2, 2**8), (0xC6, 4, 2**16)],  # bin
        *[(0xDC, 2, 2**4), (0xDD, 4, 2**16)],  # array
        *[(0xDE, 2, 2**4), (0xDF, 4, 2**16)],  # map
    ],
)
def test_only_the_shortest_form(lead: int, width: int, least: int) -> None:
    with pytest.raises(ModelLoadError, match="shortest"):
        _msgpack.decode(bytes([lead]) + (least - 1).to_bytes(width, "big") + bytes(2**17))
    shortest = bytes([lead]) + least.to_bytes(width, "big")
    if 0xCC <= lead <= 0xCF:
        assert _msgpack.decode(shortest) == least
    else:  # a length without what is as long
        with pytest.raises(ModelLoadError, match=r"expected (bytes for|[0-9]+ bytes of)"):
            _msgpack.decode(shortest)


@pytest.mark.parametrize(
    ("lead", "width", "greatest"), [(0xD0, 1, -33), (0xD1, 2, -129), (0xD2, 4, -32769), (0xD3, 8, -(2**31) - 1)]
)
def test_only_the_shortest_form_of_negative_numbers(lead: int, width: int, greatest: int) -> None:
    assert _msgpack.decode(bytes([lead]) + greatest.to_bytes(width, "big", signed=True)) == greatest
    for number in (greatest + 1, 0, 1):
        with pytest.raises(ModelLoadError, match="shortest"):
            _msgpack.decode(bytes([lead]) + number.to_bytes(width, "big", signed=True))


def test_nesting_limit_both_ways() -> None:
    value: object = None
    for _ in range(16):
        value = [value]
    assert _msgpack.decode(_msgpack.encode(value)) == value
    with pytest.raises(InvalidInputError, match="16 levels"):
        _msgpack.encode([value])
    with pytest.raises(ModelLoadError, match="16 levels"):
        _msgpack.decode(b"\x91" + _msgpack.encode(value))


def test_a_list_in_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(InvalidInputError, match="16 levels"):
        _msgpack.encode(value)


def test_number_of_values_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_msgpack, "METADATA_VALUE_LIMIT", 8)
    assert _msgpack.decode(b"\x92\x92\x00\x00\x82\xa1a\x00\xa1b\x00") == [[0, 0], {"a": 0, "b": 0}]
    with pytest.raises(ModelLoadError, match="at most 8 values"):
        _msgpack.decode(b"\x92\x93\x00\x00\x00\x82\xa1a\x00\xa1b\x00")


def repr_briefly(value: object) -> str:
    return "10**5000" if value == 10**5000 else ascii(value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (2**64, "got one of|beyond 64 bits"),
        (-(2**63) - 1, "got one of 64 bits"),
        (10**5000, "beyond 64 bits"),
        ("\ud800", "UTF-8"),
        ({1: 2}, "strings as keys, got int"),
        pytest.param({"a": object()}, "got object", id="object"),
        (1j, "got complex"),
        ({1}, "got set"),
    ],
    ids=repr_briefly,
)
def test_what_metadata_cannot_hold(value: object, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        _msgpack.encode(value)


def test_it_imports_struct_and_no_more() -> None:
    tree = ast.walk(ast.parse(Path(sys.modules[_msgpack.__name__].__file__ or "").read_text()))
    modules = set()
    for node in tree:
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules.add(str(node.module))
    assert modules == {"__future__", "struct", "inferir.errors", "inferir.formats.apr.layout"}
