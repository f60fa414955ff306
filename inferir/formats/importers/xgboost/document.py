"""What `save_model` writes, as fields: each is checked for its type as it is taken, and named by its path if wrong.

XGBoost writes numbers as numbers, as text ("num_feature":"28") and, in UBJSON, as arrays of one type; which one has
changed between versions, so `integer` and `array` take any. Arrays become the dtype asked for if no value changes by it
but for the rounding of a float to float32, in which XGBoost holds every number of a model.
"""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import ModelLoadError
from inferir.formats.importers.xgboost import ubjson

__all__ = ["Fields", "parse"]

Array = npt.NDArray[Any]


def parse(data: bytes) -> Fields:
    """The document in `data`, JSON or UBJSON. Raises FormatError."""
    document = ubjson.loads(data) if data[1:2] in (b"i", b"U", b"I", b"l", b"L") else _json(data)
    if not isinstance(document, dict):
        raise ModelLoadError(f"XGBoost model: expected an object, got {type(document).__name__}")
    return Fields(document, "")


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError:
        raise ModelLoadError("XGBoost model: expected JSON of some ten levels, got far more") from None
    except ValueError as error:
        raise ModelLoadError(f"XGBoost model: expected JSON, got {error}") from None


class Fields:
    """An object of the document. Each getter raises ModelLoadError (E001) that names the field and what it held."""

    def __init__(self, members: dict[str, Any], path: str) -> None:
        self.members, self.path = members, path

    def __contains__(self, key: str) -> bool:
        return key in self.members

    def error(self, key: str, expected: str) -> ModelLoadError:
        got = _summary(self.members[key]) if key in self.members else f"only {', '.join(self.members) or 'nothing'}"
        return ModelLoadError(f"XGBoost model, {self._path(key)}: expected {expected}, got {got}")

    def _path(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def object(self, key: str) -> Fields:
        value = self.members.get(key)
        if not isinstance(value, dict):
            raise self.error(key, "an object")
        return Fields(value, self._path(key))

    def objects(self, key: str) -> list[Fields]:
        value = self.members.get(key)
        if not isinstance(value, list) or not all(isinstance(member, dict) for member in value):
            raise self.error(key, "an array of objects")
        return [Fields(member, f"{self._path(key)}[{i}]") for i, member in enumerate(value)]

    def text(self, key: str) -> str:
        value = self.members.get(key)
        if not isinstance(value, str):
            raise self.error(key, "text")
        return value

    def texts(self, key: str) -> list[str]:
        value = self.members.get(key)
        if isinstance(value, np.ndarray) and not value.size:
            return []
        if not isinstance(value, list) or not all(isinstance(member, str) for member in value):
            raise self.error(key, "an array of text")
        return value

    def integer(self, key: str, least: int, most: int) -> int:
        value = self.members.get(key)
        if isinstance(value, str) and len(value) < 20:
            with contextlib.suppress(ValueError):
                value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.error(key, f"a whole number from {least} to {most}")
        return value

    def numbers(self, key: str) -> Array:
        """One number or several in text, as "5E-1" or "[5E-1,1E0]": float32."""
        try:
            value = json.loads(self.text(key))
        except (ValueError, RecursionError):
            raise self.error(key, "a number, or numbers in brackets") from None
        return Fields({key: value if isinstance(value, list) else [value]}, self.path).array(key, np.float32)

    def array(self, key: str, dtype: Any, length: int | None = None) -> Array:
        """Numbers, shape (n,)."""
        value = self.members.get(key)
        wanted = np.dtype(dtype)
        kind = "whole numbers" if wanted.kind in "iu" else "numbers"
        expected = f"an array of {kind}" if length is None else f"an array of {length} {kind}"
        if isinstance(value, list) and set(map(type, value)) <= {int, float, bool}:
            try:
                came = np.array(value, wanted if not value else None)
            except OverflowError:
                raise self.error(key, expected) from None
        elif isinstance(value, np.ndarray):
            came = value
        else:
            raise self.error(key, expected)
        if came.dtype.kind not in ("biu" if wanted.kind in "iu" else "biuf"):
            raise self.error(key, expected)
        if length is not None and len(came) != length:
            raise self.error(key, expected)
        with np.errstate(over="ignore", invalid="ignore"):
            array = came.astype(wanted)
            same = wanted.kind == "f" or np.array_equal(array, came)
        if not same:
            raise self.error(key, f"{expected} within {wanted.name}")
        return array


def _summary(value: Any) -> str:
    if isinstance(value, (list, np.ndarray)):
        first = next(iter(value), None)
        return f"{len(value)} elements" + (f", the first {_summary(first)}" if len(value) else "")
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and abs(value) > 2**64:
        return f"a number of {int(value.bit_length() * math.log10(2)) + 1} digits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
