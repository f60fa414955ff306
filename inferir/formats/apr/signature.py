"""Signatures of `.apr` files: sign, verify, strip.

A signature covers all bytes before it, the header with its SIGNED flag included, so a signed file cannot pass for an
unsigned one of the same model. Keys and the signature itself are the matter of `keys`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from inferir.errors import SignatureError
from inferir.formats.apr import layout, reader, writer
from inferir.formats.apr.keys import KEY_ID_NBYTES, PrivateKey, key_id, load_private_key
from inferir.formats.apr.source import Key, Source, open_source

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["sign", "strip", "verify"]

_FLAGS_OFFSET = 8


def sign(path: str | os.PathLike[str], private_key: PrivateKey, *, output: str | os.PathLike[str] | None = None) -> str:
    """Sign the unsigned file at `path`, which is checked first, in place or to `output`. Returns the key id in hex.

    Raises as `reader.read`; SignatureError (E007) if the file is signed already.
    """
    private = load_private_key(private_key)
    view, header = _checked(path)
    if header.signed:
        raise SignatureError(f"{path}: expected a file without a signature, got a signed one: strip it first")
    _rewrite(view, header, header.flags | layout.SIGNED, path if output is None else output, private)
    return key_id(private.public_key().public_bytes_raw()).hex()


def strip(path: str | os.PathLike[str], *, output: str | os.PathLike[str] | None = None) -> None:
    """Take the signature off the file at `path`, in place or to `output`. The file is checked, the signature is not.

    Raises as `reader.read`; SignatureError (E007) if the file is not signed.
    """
    view, header = _checked(path)
    if not header.signed:
        raise SignatureError(f"{path}: expected a signed file, got one without a signature")
    _rewrite(view, header, header.flags & ~layout.SIGNED, path if output is None else output, None)


def verify(source: Source, trusted_keys: Iterable[Key]) -> str:
    """Check the whole file and its signature. Returns the key id of the signer in hex; raises as `reader.read`."""
    view = open_source(source)
    reader.read(view, trusted_keys=trusted_keys)
    return reader.signature_block(view, reader.read_header(view))[:KEY_ID_NBYTES].hex()


def _checked(path: str | os.PathLike[str]) -> tuple[memoryview, reader.Header]:
    """A file of the current version that has passed every check but its signature's."""
    view = open_source(path)
    reader.version_of(view)
    header = reader.read_header(view)
    reader.check_crc(view)
    reader.read_model(view, header, reader.read_metadata(view, header))
    return view, header


def _rewrite(
    view: memoryview,
    header: reader.Header,
    flags: int,
    path: str | os.PathLike[str],
    private_key: Ed25519PrivateKey | None,
) -> None:
    pieces: list[bytes | memoryview] = [
        view[:_FLAGS_OFFSET],
        bytes([flags]),
        view[_FLAGS_OFFSET + 1 : header.payload_end],
    ]
    writer.store(pieces, path, private_key)
