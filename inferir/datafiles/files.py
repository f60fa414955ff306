"""The files themselves: input that knows how far it is, output that appears only when it is complete."""

from __future__ import annotations

import errno
import gzip
import io
import os
import secrets
import shutil
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from inferir.errors import FileAccessError, InvalidInputError

__all__ = ["LONGEST_TEXT", "STANDARD", "Source", "Target", "access_error"]

#: The path that means standard input or output.
STANDARD = "-"

#: Characters in the longest line or JSON value that is read: memory stays bounded whatever the file holds.
LONGEST_TEXT = 16 * 2**20


def access_error(path: str, error: OSError) -> FileAccessError:
    """What the operating system said, with the path."""
    return FileAccessError(f"{path}: {error.strerror or error}")


class _Counting(io.BufferedReader):
    """Counts what has been read through it: the offset of a byte that cannot be decoded is found from the end."""

    count = 0

    def read1(self, size: int = -1, /) -> bytes:
        data = super().read1(size)
        self.count += len(data)
        return data

    def close(self) -> None:
        """The file below is for its owner to close: when this object goes, standard input stays open."""


class Source:
    """A file or standard input, opened for reading.

    path   as given. name is what errors call it.
    total  its size in bytes, None where there is no telling (standard input, a pipe).
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.standard = path == STANDARD
        self.name = "standard input" if self.standard else path
        self._counting: _Counting | None = None
        self._layers: list[Any] = []
        try:
            self.file: IO[bytes] = sys.stdin.buffer if self.standard else open(path, "rb")  # noqa: SIM115
            status = os.fstat(self.file.fileno())
        except io.UnsupportedOperation:  # standard input that was replaced by an object without a file
            status = None
        except OSError as error:
            raise access_error(path, error) from error
        self.total = status.st_size if status is not None and stat.S_ISREG(status.st_mode) else None
        if self.total == 0:
            self.close()
            raise self.empty()

    @property
    def done(self) -> int:
        """Bytes read so far (of a compressed file: compressed bytes)."""
        try:
            return self.file.tell()
        except (OSError, ValueError):  # a pipe, or closed
            return self._counting.count if self._counting is not None else 0

    def text(self) -> io.TextIOWrapper:
        """The file as UTF-8 text, with or without a byte order mark, unzipped if it ends in .gz. Line ends are kept."""
        binary: Any = self.file
        if self.path.lower().endswith(".gz"):
            binary = gzip.GzipFile(fileobj=self.file, mode="rb")
        self._counting = _Counting(binary)
        text = io.TextIOWrapper(self._counting, encoding="utf-8-sig", newline="")
        self._layers = [text, binary]  # alive until `close`, or they would warn of a file that is open
        return text

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turns what reading may raise into our errors."""
        try:
            yield
        except UnicodeDecodeError as error:
            # The decoder was given what is in `error.object`, and that is the last that was read.
            end = self._counting.count if self._counting is not None else len(error.object)
            offset = end - len(error.object) + error.start
            raise InvalidInputError(
                f"{self.name}: expected UTF-8 text, got the byte {error.object[error.start]:#04x} at offset {offset}"
            ) from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InvalidInputError(f"{self.name}: expected a complete gzip file: {error}") from error
        except FileAccessError:
            raise
        except OSError as error:
            raise access_error(self.name, error) from error

    def empty(self) -> InvalidInputError:
        """The error for a file with nothing in it."""
        return InvalidInputError(f"{self.name}: expected rows, got an empty file")

    def close(self) -> None:
        """Closes the file, but never standard input."""
        if not self.standard:
            for layer in [*self._layers, self.file]:
                layer.close()


class _Stream(io.RawIOBase):
    """Standard output, or a pipe, as a file that says where it is, which pyarrow asks for."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._stream.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        if not self._stream.closed:  # asked once more when this object goes
            self._stream.flush()


class Target:
    """A file or standard output, opened for writing. `stream` takes the bytes.

    Bytes go to a new file in the same directory; `commit` gives it the real name, `abandon` removes it. What is not a
    regular file (a pipe, /dev/stdout) is written to as it is.
    """

    def __init__(self, path: str) -> None:
        self.name = "standard output" if path == STANDARD else path
        self._final = os.path.realpath(path)  # a link stays a link
        self._temporary: str | None = None
        self._file: IO[bytes] | None = None
        with self.writing():
            if path == STANDARD:
                raw: IO[bytes] = _Stream(sys.stdout.buffer)  # type: ignore[assignment]
            elif os.path.exists(path) and not os.path.isfile(path):
                self._file = open(path, "wb")  # noqa: SIM115
                raw = _Stream(self._file)  # type: ignore[assignment]
            else:
                raw = self._file = self._create()
        self.stream: IO[bytes] = raw
        if path.lower().endswith(".gz"):
            # No name and no time in the header: the same rows give the same bytes.
            self.stream = gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0)  # type: ignore[assignment]
        self._raw = raw

    def _create(self) -> IO[bytes]:
        directory, base = os.path.split(self._final)
        if os.path.exists(self._final) and not os.access(self._final, os.W_OK):
            # Replacing a file needs no right to write to it; asking for it is what a caller expects.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        while True:
            temporary = os.path.join(directory, f".{base}.{secrets.token_hex(4)}.tmp")
            with suppress(FileExistsError):
                descriptor = os.open(
                    temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
                )
                self._temporary = temporary
                return os.fdopen(descriptor, "wb")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turns what writing may raise into our errors. A closed pipe stays what it is: nobody reads on."""
        try:
            yield
        except (FileAccessError, BrokenPipeError):
            raise
        except OSError as error:
            raise access_error(self.name, error) from error
        except UnicodeEncodeError as error:
            raise InvalidInputError(f"{self.name}: expected text that UTF-8 can write, got {error.object!r}") from error

    def commit(self) -> None:
        """Everything is written: the file appears under its name, with the rights of the file that it replaces."""
        with self.writing():
            if self.stream is not self._raw:
                self.stream.close()
            self._raw.flush()
            if self._file is None:
                return
            if self._temporary is not None:
                os.fsync(self._file.fileno())
            self._file.close()
            if self._temporary is not None:
                with suppress(FileNotFoundError):
                    shutil.copymode(self._final, self._temporary)
                os.replace(self._temporary, self._final)
                self._temporary = None

    def abandon(self) -> None:
        """Leaves nothing behind."""
        if self.stream is not self._raw:
            with suppress(OSError, ValueError):
                self.stream.close()
        if self._file is not None:
            with suppress(OSError):  # a full disk is refused once more when what is buffered goes out
                self._file.close()
        if self._temporary is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary)
            self._temporary = None
