"""A model's file, copied to where nobody can change it.

A server maps the tensors of a model instead of reading them, and watched files are replaced while it runs. A file that
is truncated under a mapping kills the process that touches the missing page. So what is loaded is a copy: an anonymous
file in memory, sealed against every change (Linux), or an unlinked temporary file (elsewhere). All workers map the same
copy, so there is one of it however many they are.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from dataclasses import dataclass

from inferir.errors import FileAccessError, MemoryLimitError
from inferir.server.models.background import PIECE_BYTES, in_background

if sys.platform == "linux":
    import fcntl

__all__ = ["Snapshot", "readable", "take"]


@dataclass
class Snapshot:
    """A copy of `source`, open as `fd` until `close`; this process and its children can open it as `path`."""

    source: str
    fd: int
    n_bytes: int
    path: str

    def close(self) -> None:
        """What is mapped stays mapped."""
        os.close(self.fd)


def stamp_of(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file does."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def readable(path: str) -> str:
    """A path as text that can be written everywhere: what is not UTF-8 in it as \\xff."""
    return os.fsencode(path).decode(errors="backslashreplace")


def take(source: str, limit_bytes: int = 0) -> Snapshot:
    """Copy a file. Blocks: not for the event loop.

    limit_bytes  0, or the size above which a file is not even copied.

    Raises FileAccessError (E010), also where the name is not text or there is no room for the copy, and
    MemoryLimitError (E005).
    """
    if readable(source) != source:  # it could be read, and not be named: not in JSON, in no label
        raise FileAccessError(f"{readable(source)}: expected a file name in UTF-8, got other bytes")
    try:
        file = os.open(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError) as error:
        raise FileAccessError(f"{source}: expected a file to read, got: {getattr(error, 'strerror', error)}") from error
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise FileAccessError(f"{source}: expected a regular file, got a folder, a device or a pipe")
        if limit_bytes and status.st_size > limit_bytes:
            raise MemoryLimitError(f"{source}: expected at most {limit_bytes} bytes, got {status.st_size}")
        copy = in_background(lambda: _copy(file, status.st_size))
        path = f"/proc/{os.getpid()}/fd/{copy}" if sys.platform == "linux" else f"/dev/fd/{copy}"
        return Snapshot(source, copy, os.fstat(copy).st_size, path)  # the file may have become shorter meanwhile
    except OSError as error:
        if isinstance(error, FileAccessError):
            raise
        raise FileAccessError(f"{source}: expected room for a copy, got: {error.strerror or error}") from error
    finally:
        os.close(file)


def _copy(file: int, n_bytes: int) -> int:
    copy = _anonymous()
    try:
        # One buffer, used again and again: to give a large one back keeps the interpreter for milliseconds.
        left, buffer = n_bytes, memoryview(bytearray(PIECE_BYTES))
        with open(file, "rb", buffering=0, closefd=False) as source, open(copy, "wb", closefd=False) as target:
            while left and (count := source.readinto(buffer[:left])):  # 0: it is shorter than it said
                if target.write(buffer[:count]) != count:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                left -= count
        if sys.platform == "linux":
            seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
            fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(copy)
        raise
    return copy


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("inferir-model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
