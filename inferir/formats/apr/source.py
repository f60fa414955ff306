"""Where bytes come from: memory, or a file that is read or mapped."""

from __future__ import annotations

import mmap
import os
import stat
from typing import TypeAlias

from inferir.errors import FileAccessError, InvalidInputError
from inferir.formats.apr import layout

__all__ = ["Key", "Source", "open_source"]

Source: TypeAlias = "bytes | bytearray | memoryview | str | os.PathLike[str]"
Key: TypeAlias = "bytes | str | os.PathLike[str]"


def open_source(source: Source) -> memoryview:
    """All bytes of `source` as a flat read-only view. Raises FileAccessError or InvalidInputError."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        view = memoryview(source)
        try:
            return (view.cast("B") if view.nbytes else memoryview(b"")).toreadonly()
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"expected contiguous bytes, got format {view.format!r}: {error}") from None
    try:
        path = os.fspath(source)
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise InvalidInputError(f"expected bytes or a path, got {type(source).__name__}")
    return _open_file(path)


def _open_file(path: str) -> memoryview:
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileAccessError(f"{path}: expected a regular file, got a device or a pipe")
            if status.st_size > layout.MAP_ABOVE_BYTES:
                return memoryview(mmap.mmap(file.fileno(), status.st_size, access=mmap.ACCESS_READ))
            return memoryview(file.read(status.st_size))
    except FileAccessError:
        raise
    except OSError as error:
        raise FileAccessError(f"{path}: expected a file to read, got: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path, or a file that shrank before it was mapped
        raise FileAccessError(f"{path!r}: expected a file to read, got: {error}") from error


def _open_without_waiting(path: str, flags: int) -> int:
    """A pipe without a writer would block `open` for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
