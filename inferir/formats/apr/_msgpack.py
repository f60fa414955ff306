"""MessagePack for the metadata of an .apr file: small, strict, one encoding per value.

Why our own and not a package: the metadata comes from files we do not trust, and is read when a Lambda starts.
    1. Every length is checked against the bytes that remain before anything is allocated for it.
    2. Nesting and the number of values are limited, so a few bytes cannot become a deep or a huge object.
    3. What the metadata never holds is refused: extension types, float32, map keys that are not strings, keys that come
       twice, forms longer than needed, bytes after the value.
    4. It imports only `struct`: a package would cost more to import than the metadata takes to decode.

Python types: dict, list, str, int (-2**63 to 2**64-1), float, bool, None, bytes. Lists and tuples are written as arrays
and come back as lists. Maps are written in the order given. The format: https://github.com/msgpack/msgpack (spec.md).
"""

from __future__ import annotations

import struct

from inferir.errors import InvalidInputError, ModelLoadError
from inferir.formats.apr.layout import METADATA_VALUE_LIMIT, NESTING_LIMIT

__all__ = ["decode", "encode"]

_FLOAT64 = struct.Struct(">d")
_FLOAT64_LEAD = 0xCB
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}

#: What carries a number or a length: kind -> (lead byte of the one-byte form, how many numbers that form holds,
#: (lead byte, width in bytes) of the longer forms, shortest first). Negative integers have a rule of their own.
_FORMS = {
    "map": (0x80, 16, ((0xDE, 2), (0xDF, 4))),
    "array": (0x90, 16, ((0xDC, 2), (0xDD, 4))),
    "string": (0xA0, 32, ((0xD9, 1), (0xDA, 2), (0xDB, 4))),
    "binary": (0, 0, ((0xC4, 1), (0xC5, 2), (0xC6, 4))),
    "integer": (0x00, 128, ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8))),
}
_NEGATIVE = (32, ((0xD0, 1), (0xD1, 2), (0xD2, 4), (0xD3, 8)))


def _one_byte_forms() -> dict[int, tuple[str, int]]:
    return {base + n: (kind, n) for kind, (base, count, _) in _FORMS.items() for n in range(count)}


def _longer_forms() -> dict[int, tuple[str, int, int]]:
    table = {}
    for kind, (_, count, forms) in _FORMS.items():
        least = count
        for lead, width in forms:
            table[lead] = (kind, width, least)
            least = 256**width
    return table


def _negative_forms() -> dict[int, tuple[int, int]]:
    least, forms = _NEGATIVE
    table = {}
    for lead, width in forms:
        table[lead] = (width, -1 - least)
        least = 256**width // 2
    return table


#: lead byte -> (kind, number)
_SHORT = _one_byte_forms()
#: lead byte -> (kind, width in bytes, least number that needs this form)
_LONG = _longer_forms()
#: lead byte -> (width in bytes, greatest number that needs this form)
_LONG_NEGATIVE = _negative_forms()


def decode(data: bytes) -> object:
    """The one value that `data` holds. Raises ModelLoadError, naming the offset, for anything but well-formed data."""
    decoder = _Decoder(data)
    value = decoder.value(NESTING_LIMIT)
    if decoder.at != len(data):
        raise decoder.error(decoder.at, f"expected the end, got {len(data) - decoder.at} more bytes")
    return value


def encode(value: object) -> bytes:
    """`value` in its shortest form. Raises InvalidInputError for what the metadata cannot hold."""
    out = bytearray()
    _encode(value, out, NESTING_LIMIT)
    return bytes(out)


class _Decoder:
    """A position in `data`, and how many more values may come."""

    __slots__ = ("at", "data", "values_left")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.values_left = METADATA_VALUE_LIMIT

    def error(self, at: int, what: str) -> ModelLoadError:
        return ModelLoadError(f"metadata byte {at}: {what}")

    def take(self, nbytes: int, what: str) -> bytes:
        at, end = self.at, self.at + nbytes
        if end > len(self.data):
            raise self.error(at, f"expected {nbytes} bytes of {what}, got {len(self.data) - at}")
        self.at = end
        return self.data[at:end]

    def value(self, depth_left: int) -> object:
        at = self.at
        if at == len(self.data):
            raise self.error(at, "expected a value, got the end")
        lead = self.data[at]
        self.at = at + 1
        if lead in _SHORT:
            kind, number = _SHORT[lead]
        elif lead in _LONG:
            kind, width, least = _LONG[lead]
            number = int.from_bytes(self.take(width, kind), "big")
            if number < least:
                raise self.error(at, f"expected the shortest form, got {kind} {number} in {width} bytes")
        elif lead >= 0xE0:
            return lead - 0x100
        elif lead in _CONSTANTS:
            return _CONSTANTS[lead]
        elif lead == _FLOAT64_LEAD:
            return float(_FLOAT64.unpack(self.take(8, "float64"))[0])
        elif lead in _LONG_NEGATIVE:
            width, greatest = _LONG_NEGATIVE[lead]
            number = int.from_bytes(self.take(width, "integer"), "big", signed=True)
            if number > greatest:
                raise self.error(at, f"expected the shortest form, got integer {number} in {width} signed bytes")
            return number
        else:
            raise self.error(at, f"expected a value, got lead byte 0x{lead:02x} (float32, extension or unused)")

        if kind == "integer":
            return number
        if kind == "string":
            return self.string(number)
        if kind == "binary":
            return self.take(number, "binary")
        return self.container(kind, number, at, depth_left - 1)

    def string(self, nbytes: int) -> str:
        at = self.at
        try:
            return self.take(nbytes, "string").decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error(at + error.start, f"expected UTF-8, got {error.reason}") from None

    def container(self, kind: str, count: int, at: int, depth_left: int) -> object:
        if depth_left < 0:
            raise self.error(at, f"expected at most {NESTING_LIMIT} levels of maps and arrays, got one more")
        values = count * 2 if kind == "map" else count
        bytes_left = len(self.data) - self.at
        if values > bytes_left:
            raise self.error(at, f"expected bytes for the {values} values of this {kind}, got {bytes_left}")
        self.values_left -= values
        if self.values_left < 0:
            raise self.error(at, f"expected at most {METADATA_VALUE_LIMIT} values, got more")
        if kind == "array":
            return [self.value(depth_left) for _ in range(count)]
        return self.map(count, depth_left)

    def map(self, count: int, depth_left: int) -> dict[str, object]:
        result: dict[str, object] = {}
        for _ in range(count):
            at = self.at
            key = self.value(depth_left)
            if type(key) is not str:
                raise self.error(at, f"expected a string as map key, got {type(key).__name__}")
            if key in result:
                raise self.error(at, f"expected each key once, got {key!r:.80} again")
            result[key] = self.value(depth_left)
        return result


def _encode(value: object, out: bytearray, depth_left: int) -> None:
    if value is None or isinstance(value, bool):
        out.append({None: 0xC0, False: 0xC2, True: 0xC3}[value])
    elif isinstance(value, str):
        try:
            text = value.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidInputError(f"expected text that UTF-8 can hold, got {value!r:.80}") from None
        _encode_number("string", len(text), out)
        out += text
    elif isinstance(value, int):
        _encode_integer(value, out)
    elif isinstance(value, float):
        out.append(_FLOAT64_LEAD)
        out += _FLOAT64.pack(value)
    elif isinstance(value, (bytes, bytearray)):
        _encode_number("binary", len(value), out)
        out += value
    elif isinstance(value, (list, tuple, dict)):
        _encode_container(value, out, depth_left - 1)
    else:
        raise InvalidInputError(
            "metadata holds maps, arrays, strings, integers, floats, booleans, None and bytes; "
            f"got {type(value).__name__}"
        )


def _encode_container(
    value: list[object] | tuple[object, ...] | dict[object, object], out: bytearray, depth_left: int
) -> None:
    if depth_left < 0:
        raise InvalidInputError(f"metadata has at most {NESTING_LIMIT} levels of maps and arrays, got one more")
    if not isinstance(value, dict):
        _encode_number("array", len(value), out)
        for item in value:
            _encode(item, out, depth_left)
        return
    _encode_number("map", len(value), out)
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidInputError(f"metadata maps have strings as keys, got {type(key).__name__}")
        _encode(key, out, 0)
        _encode(item, out, depth_left)


def _encode_number(kind: str, number: int, out: bytearray) -> None:
    base, count, forms = _FORMS[kind]
    if number < count:
        out.append(base + number)
        return
    for lead, width in forms:
        if number < 256**width:
            out.append(lead)
            out += number.to_bytes(width, "big")
            return
    raise InvalidInputError(f"metadata holds no {kind} beyond 64 bits (32 for a length), got {number.bit_length()}")


def _encode_integer(value: int, out: bytearray) -> None:
    count, forms = _NEGATIVE
    if value >= 0:
        _encode_number("integer", value, out)
        return
    if value >= -count:
        out.append(0x100 + value)
        return
    for lead, width in forms:
        if value >= -(256**width // 2):
            out.append(lead)
            out += value.to_bytes(width, "big", signed=True)
            return
    raise InvalidInputError(f"metadata holds integers from -2**63 to 2**64-1, got one of {value.bit_length()} bits")
