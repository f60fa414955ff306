"""UBJSON as XGBoost writes it: bytes -> dicts, lists, numbers, text, and NumPy arrays where all elements have one type.

https://ubjson.org, draft 12. A value is a marker and what follows it; numbers are big-endian. A file is not trusted:

- a length is held against the bytes that are left before anything is made of that length, and every element takes at
  least one byte, so memory grows with the file and with nothing that the file only claims
- containers are at most MAX_DEPTH deep
- what XGBoost does not write is refused: no-op, high-precision number, character, object of one type, array of one type
  that is not a number
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.errors import ModelLoadError

__all__ = ["MAX_DEPTH", "loads"]

#: XGBoost's own documents are eight deep.
MAX_DEPTH = 32

_NUMBERS: dict[str, np.dtype[Any]] = {
    "i": np.dtype(">i1"),
    "U": np.dtype(">u1"),
    "I": np.dtype(">i2"),
    "l": np.dtype(">i4"),
    "L": np.dtype(">i8"),
    "d": np.dtype(">f4"),
    "D": np.dtype(">f8"),
}
_CONSTANTS = {"Z": None, "T": True, "F": False}


def loads(data: bytes) -> Any:
    """The value that `data` holds. Raises ModelLoadError (E001) with the byte at which the data went wrong."""
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise reader.error(f"expected the end, got {len(data) - reader.at} more bytes")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def error(self, text: str) -> ModelLoadError:
        return ModelLoadError(f"UBJSON, byte {self.at}: {text}")

    def take(self, n_bytes: int) -> bytes:
        left = len(self.data) - self.at
        if n_bytes > left:
            raise self.error(f"expected {n_bytes} more bytes, got {left}")
        self.at += n_bytes
        return self.data[self.at - n_bytes : self.at]

    def marker(self) -> str:
        return self.take(1).decode("latin-1")

    def peek(self) -> str:
        return self.data[self.at : self.at + 1].decode("latin-1")

    def number(self, marker: str) -> int | float:
        dtype = _NUMBERS[marker]
        value: int | float = np.frombuffer(self.take(dtype.itemsize), dtype)[0].item()
        return value

    def length(self) -> int:
        """A length: a number of any integer type."""
        marker = self.marker()
        if marker not in _NUMBERS or _NUMBERS[marker].kind == "f":
            raise self.error(f"expected the type of a length (i, U, I, l or L), got {marker!r}")
        n = int(self.number(marker))
        if n < 0:
            raise self.error(f"expected a length, got {n}")
        return n

    def text(self) -> str:
        raw = self.take(self.length())
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.error(f"expected text in UTF-8, got {raw[:20]!r}") from None

    def value(self, depth: int) -> Any:
        marker = self.marker()
        if marker == "{":
            return self.object(depth + 1)
        if marker == "[":
            return self.array(depth + 1)
        if marker == "S":
            return self.text()
        if marker in _NUMBERS:
            return self.number(marker)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        raise self.error(f"expected the type of a value, got {marker!r}")

    def object(self, depth: int) -> dict[str, Any]:
        self.check_depth(depth)
        if self.peek() in ("$", "#"):
            raise self.error("expected an object that ends with '}', got one with a type or a count")
        members: dict[str, Any] = {}
        while self.peek() != "}":
            key = self.text()
            if key in members:
                raise self.error(f"expected a key once, got {key!r} again")
            members[key] = self.value(depth)
        self.at += 1
        return members

    def array(self, depth: int) -> Any:
        self.check_depth(depth)
        if self.peek() == "$":
            return self.typed_array()
        elements: list[Any] = []
        if self.peek() == "#":
            self.at += 1
            n = self.length()
            if n > len(self.data) - self.at:
                raise self.error(f"expected {n} elements, got {len(self.data) - self.at} bytes")
            for _ in range(n):
                elements.append(self.value(depth))
            return elements
        while self.peek() != "]":
            elements.append(self.value(depth))
        self.at += 1
        return elements

    def typed_array(self) -> Any:
        """$ type # length, then the numbers without their markers."""
        self.at += 1
        marker = self.marker()
        if marker not in _NUMBERS:
            raise self.error(f"expected an array of numbers ({', '.join(_NUMBERS)}), got type {marker!r}")
        dtype = _NUMBERS[marker]
        if self.marker() != "#":
            raise self.error("expected '#' and a length after the type of an array")
        raw = self.take(self.length() * dtype.itemsize)
        return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))

    def check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self.error(f"expected containers at most {MAX_DEPTH} deep")
