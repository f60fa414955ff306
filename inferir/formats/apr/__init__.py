"""The `.apr` file: one model, checked before use, mapped and used in place (docs/reference/apr-format.md)."""

from inferir.formats.apr.reader import read
from inferir.formats.apr.writer import to_bytes, write

__all__ = ["read", "to_bytes", "write"]
