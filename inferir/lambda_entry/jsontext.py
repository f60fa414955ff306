"""JSON through the interpreter's own C scanner and encoder.

The `json` package adds a regular expression and two classes around them, and with `re` and `enum` seven milliseconds to
a start: as much as the interpreter itself. What it adds for us is refused here in a few lines.

Read is strict JSON: NaN and Infinity are not. Written is ASCII, which every reader of UTF-8 takes; a number that is not
finite is an error, since by then it should be None.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["dumps", "loads"]

_SPACE = " \t\n\r"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"expected JSON, which has no {name}")


class _Context:
    """What the scanner asks a `json.JSONDecoder` for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_no_constant)
    memo: dict[str, str] = {}  # noqa: RUF012 - the scanner wants the attribute, and keeps a memo of its own


_scan = make_scanner(_Context())  # type: ignore[arg-type]  # the stub says that it takes itself


def loads(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, also where it is nested too deeply."""
    if not isinstance(text, str):
        text = text.decode("utf-8")
    stripped = text.strip(_SPACE)
    try:
        try:
            value, end = _scan(stripped, 0)
        except SystemError:  # before 3.12 the scanner finds its exception only where json.decoder was imported
            import json.decoder  # noqa: F401

            value, end = _scan(stripped, 0)
    except StopIteration as stop:
        raise ValueError(f"expected JSON, got {stripped[stop.value : stop.value + 20]!r}") from None
    except RecursionError:
        raise ValueError("expected JSON that is not nested so deeply") from None
    if end != len(stripped):
        raise ValueError(f"expected the end of the JSON text, got {stripped[end : end + 20]!r}")
    return value


def _refuse(value: Any) -> NoReturn:
    raise TypeError(f"expected a value that JSON has, got {type(value).__name__}")


#: markers, default, encoder, indent, separators, sort_keys, skipkeys, allow_nan: as `json.dumps` passes them.
_encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, False)


def dumps(value: Any) -> str:
    """The JSON text of a value. Raises ValueError for NaN and infinities, TypeError for what JSON has not."""
    if type(value) is dict:
        return "".join(_encode(value, 0))
    return "".join(_encode((value,), 0))[1:-1]  # a float alone would be written by `repr`, NaN included
