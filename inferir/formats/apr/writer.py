"""ModelSpec -> bytes of an `.apr` file. Same model, same bytes.

1. Metadata keys in the order of `metadata.FIELDS`, then `extra` by name; maps inside keep the order they have.
2. Tensors in the order of `spec.tensors`, each at the next file offset divisible by 64, zeros before it.
3. Whatever `reader` would refuse is refused here with the same error, before a byte is written: the metadata just
   encoded goes through the reader's own checks.
4. A file is written beside its target under another name, synced, and renamed over it; then its directory is
   synced. Whoever opens the target, at any time, finds the old file or the new one, whole.
5. Tensors are written from where they lie. Only `to_bytes` copies them, once (twice if signed).
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from inferir.errors import FileAccessError, InvalidInputError
from inferir.formats.apr import _msgpack, layout, metadata, reader
from inferir.formats.spec import DTYPES, ModelSpec, TensorSpec

if TYPE_CHECKING:
    from inferir.formats.apr.keys import PrivateKey

__all__ = ["created_now", "to_bytes", "write"]

#: 9999-12-31T23:59:59Z in seconds since 1970: the last moment that RFC 3339 can write.
_YEAR_9999_ENDS_S = 253402300799

#: First letter of a dtype -> the buffer formats its items may have. Raw bytes ("B") may be any dtype.
_BUFFER_FORMATS = {"u": "BHILQ?", "i": "bhilq", "f": "fd"}


def to_bytes(spec: ModelSpec, *, private_key: PrivateKey | None = None) -> bytes:
    """The file as bytes; with `private_key` (see `keys.load_private_key`) it is signed.

    Raises what `reader.read` would raise for the file, or InvalidInputError (E006) for values no file can hold.
    """
    pieces = _pieces(spec, signed=private_key is not None)
    if private_key is not None:
        from inferir.formats.apr import keys

        body = b"".join(pieces)
        pieces = [body, keys.block(memoryview(body), private_key)]
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
    return b"".join([*pieces, _crc_bytes(crc)])


def write(spec: ModelSpec, path: str | os.PathLike[str], *, private_key: PrivateKey | None = None) -> None:
    """Write the file, in place of the one at `path` if there is one; a link is followed.

    Raises as `to_bytes` does, and FileAccessError (E010) if it cannot be written; the old file is then untouched,
    unless only the last step failed, the sync of the directory.
    """
    store(_pieces(spec, signed=private_key is not None), path, private_key)


def created_now() -> str:
    """The time for `ModelSpec.created`, RFC 3339 in UTC.

    SOURCE_DATE_EPOCH (seconds since 1970), if set, replaces the clock, for builds that can be repeated bit by bit.
    Raises InvalidInputError (E006) if it is no such number.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch and not (epoch.isascii() and epoch.isdigit() and len(epoch) <= 12 and int(epoch) <= _YEAR_9999_ENDS_S):
        raise InvalidInputError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, to year 9999, got {epoch!r:.80}")
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(epoch) if epoch else None))


def store(pieces: Iterable[bytes | memoryview], path: str | os.PathLike[str], private_key: PrivateKey | None) -> None:
    """Write `pieces`, then the signature if there is a key, then the CRC-32."""
    if private_key is not None:
        from inferir.formats.apr import keys

        private_key = keys.load_private_key(private_key)  # before anything is written, as it may be no key
    with _replacing(path) as file:
        crc = 0
        for piece in pieces:
            file.write(piece)
            crc = zlib.crc32(piece, crc)
        if private_key is not None:
            block = _sign_written(file, private_key)
            file.write(block)
            crc = zlib.crc32(block, crc)
        file.write(_crc_bytes(crc))


def _crc_bytes(crc: int) -> bytes:
    return crc.to_bytes(layout.CRC_NBYTES, "little")


def _sign_written(file: BinaryIO, private_key: PrivateKey) -> bytes:
    """Ed25519 needs the whole message at once: it is mapped, not held."""
    from inferir.formats.apr import keys

    file.flush()
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as body:
        return keys.block(body, private_key)


def _pieces(spec: ModelSpec, *, signed: bool) -> list[bytes | memoryview]:
    """The file up to its signature: header, metadata, and the tensors with the zeros before them."""
    views = [_bytes_of(key, tensor) for key, tensor in spec.tensors.items()]
    encoded, entries = _encode_metadata(spec, views)
    payload_nbytes = entries[-1].offset + entries[-1].nbytes if entries else 0
    try:
        flags = layout.SIGNED if signed else 0
        packed = struct.pack(
            layout.HEADER_FORMAT,
            layout.MAGIC,
            layout.VERSION,
            spec.model_type,
            flags,
            bytes(7),
            len(encoded),
            payload_nbytes,
        )
    except struct.error:
        raise InvalidInputError(f"model_type: expected a number of 16 bits, got {spec.model_type!r:.80}") from None
    header = reader.parse_header(packed)
    gaps = reader.place_tensors(metadata.check(_msgpack.decode(encoded)).tensors, header)
    pieces: list[bytes | memoryview] = [packed, encoded]
    for view, (start, end) in zip(views, gaps, strict=True):
        pieces += [bytes(end - start), view]
    return pieces


def _encode_metadata(spec: ModelSpec, views: Sequence[memoryview]) -> tuple[bytes, list[metadata.TensorEntry]]:
    """The metadata, and where its tensors lie.

    Offsets count from the payload, which begins where the metadata ends, so the first one depends on the length of the
    metadata it is part of. Encoding twice is enough: an integer takes more bytes from 2**7, 2**8, 2**16 and 2**32 on,
    all divisible by 64, so moving the tensors from multiples of 64 by less than 64 changes no length.
    """
    length = len(_msgpack.encode(metadata.from_spec(spec, _lay_out(spec, views, 0))))
    entries = _lay_out(spec, views, -(layout.HEADER_NBYTES + length) % layout.ALIGNMENT_BYTES)
    return _msgpack.encode(metadata.from_spec(spec, entries)), entries


def _lay_out(spec: ModelSpec, views: Sequence[memoryview], first: int) -> list[metadata.TensorEntry]:
    """Tensors one after the other, each a multiple of the alignment after `first`."""
    entries = []
    end = 0
    for tensor, view in zip(spec.tensors.values(), views, strict=True):
        start = end + -end % layout.ALIGNMENT_BYTES
        entries.append(metadata.TensorEntry(tensor.name, tensor.dtype, tensor.shape, first + start, view.nbytes))
        end = start + view.nbytes
    return entries


def _bytes_of(key: str, tensor: TensorSpec) -> memoryview:
    """The tensor's bytes, in place. An array of another dtype than the tensor says is refused, not reinterpreted."""
    if key != tensor.name:
        raise InvalidInputError(f"tensors: expected each under its own name, got {tensor.name!r:.80} under {key!r:.80}")
    view = memoryview(tensor.data)
    formats = _BUFFER_FORMATS.get(tensor.dtype[:1], "")
    same = view.format in formats and view.itemsize == DTYPES.get(tensor.dtype)
    if not view.c_contiguous or not (same or view.format == "B"):
        raise InvalidInputError(
            f"tensor {key!r:.80}: expected contiguous bytes or {tensor.dtype}, got format {view.format!r} "
            f"with strides {view.strides}"
        )
    return view.cast("B") if view.nbytes else memoryview(b"")


@contextmanager
def _replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well, and leaves no trace when it does not."""
    temporary = ""
    try:
        target = os.path.realpath(path)
        if os.path.exists(target) and not os.path.isfile(target):
            raise OSError(errno.EINVAL, "not a regular file, which a new one could take the place of")
        directory = os.path.dirname(target)
        candidate = os.path.join(directory, f".apr-{os.urandom(8).hex()}.tmp")
        with open(candidate, "x+b") as file:
            temporary = candidate
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        temporary = ""
        _sync_directory(directory)
    except (OSError, ValueError) as error:
        raise FileAccessError(f"{path}: expected a file to write, got: {error}") from error
    finally:
        if temporary:
            with suppress(OSError):  # the first error is the one to tell
                os.unlink(temporary)


def _sync_directory(directory: str) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows has no such call
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a network file system without it
            raise
    finally:
        os.close(descriptor)
