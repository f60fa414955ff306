"""Ed25519 keys, and signature blocks: the key id, which is SHA-256 of the raw public key, and the signature.

Key formats are RFC 8410's: PKCS #8 for private keys, SubjectPublicKeyInfo for public ones, both as PEM.

The package `cryptography` does the arithmetic (`pip install inferir[signing]`). It is imported when needed; without it
all but key ids is a BackendError.
"""

from __future__ import annotations

import binascii
import hashlib
import os
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from inferir.errors import BackendError, FileAccessError, InvalidInputError, SignatureError
from inferir.formats.apr.source import Key, open_source

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["PrivateKey", "block", "check", "key_id", "keygen", "load_private_key", "load_public_key"]

PrivateKey: TypeAlias = "bytes | str | os.PathLike[str] | Ed25519PrivateKey"

KEY_NBYTES = 32
KEY_ID_NBYTES = 32
_KEY_FILE_LIMIT_BYTES = 65536
_PEM_BEGIN = b"-----BEGIN "
_PEM_PUBLIC = (b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----")
#: RFC 8410: all that comes before the 32 bytes of the key; the encoding has no other form.
_PUBLIC_DER_PREFIX = bytes.fromhex("302a300506032b6570032100")


def keygen(private_path: str | os.PathLike[str], public_path: str | os.PathLike[str]) -> str:
    """Make a key pair in two new PEM files, the private one readable by its owner only. Returns the key id in hex.

    Raises FileAccessError (E010) if one of the files is there already: a key is never overwritten.
    """
    serialization = _cryptography("serialization")
    private = _cryptography("asymmetric.ed25519").Ed25519PrivateKey.generate()
    private_pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write_new(public_path, public_pem, 0o644)
    try:
        _write_new(private_path, private_pem, 0o600)
    except FileAccessError:
        os.unlink(public_path)
        raise
    return key_id(public_pem).hex()


def key_id(public_key: Key) -> bytes:
    """SHA-256 of the raw public key: 32 bytes, the first half of a signature block."""
    return hashlib.sha256(load_public_key(public_key)).digest()


def load_public_key(key: Key) -> bytes:
    """The 32 raw bytes of a public key given as raw bytes, base64, PEM, or the path of a file with one of them.

    A string of 44 characters that is base64 of 32 bytes is taken as a key, not as a path. Raises InvalidInputError
    (E006) if it is no Ed25519 public key and FileAccessError (E010) if its file cannot be read.
    """
    material = _material(key)
    if len(material) == KEY_NBYTES:
        return material
    begin, end = _PEM_PUBLIC
    text = material.strip()
    if text.startswith(begin) and text.endswith(end):
        der = _base64(text[len(begin) : -len(end)])
        prefix_nbytes = len(_PUBLIC_DER_PREFIX)
        if der.startswith(_PUBLIC_DER_PREFIX) and len(der) == prefix_nbytes + KEY_NBYTES:
            return der[prefix_nbytes:]
    raise InvalidInputError("expected an Ed25519 public key (32 bytes, base64, PEM, or a path), got something else")


def load_private_key(key: PrivateKey) -> Ed25519PrivateKey:
    """A private key given as an Ed25519PrivateKey, 32 raw bytes, base64, PKCS #8 PEM without a password, or a path.

    Raises as `load_public_key`, and BackendError (E009) without `cryptography`.
    """
    ed25519 = _cryptography("asymmetric.ed25519")
    serialization = _cryptography("serialization")
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key  # type: ignore[no-any-return]  # the module came through import_module
    material = _material(key)  # type: ignore[arg-type]
    if len(material) == KEY_NBYTES:
        return ed25519.Ed25519PrivateKey.from_private_bytes(material)  # type: ignore[no-any-return]
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        private = serialization.load_pem_private_key(material, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):  # TypeError: it has a password
        private = None
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise InvalidInputError(
            "expected an Ed25519 private key without a password (32 bytes, base64, PEM, or a path), got something else"
        )
    return private  # type: ignore[no-any-return]


def block(body: memoryview, private_key: PrivateKey) -> bytes:
    """The signature block of a file whose bytes before the block are `body`."""
    private = load_private_key(private_key)
    return hashlib.sha256(private.public_key().public_bytes_raw()).digest() + private.sign(body)


def check(body: memoryview, signature_block: bytes, trusted_keys: Iterable[Key]) -> None:
    """Raises SignatureError (E007) unless the block has the signature of one of `trusted_keys` over `body`."""
    if isinstance(trusted_keys, (str, bytes, bytearray, os.PathLike)):
        raise InvalidInputError(f"trusted_keys: expected a list of keys, got one {type(trusted_keys).__name__}")
    trusted = {hashlib.sha256(key).digest(): key for key in map(load_public_key, trusted_keys)}
    signer = signature_block[:KEY_ID_NBYTES]
    if signer not in trusted:
        raise SignatureError(f"expected a signature of one of {len(trusted)} trusted keys, got one of {signer.hex()}")
    ed25519 = _cryptography("asymmetric.ed25519")
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(trusted[signer]).verify(signature_block[KEY_ID_NBYTES:], body)
    except (InvalidSignature, ValueError):
        raise SignatureError(f"expected the signature of key {signer.hex()} over this file, got a wrong one") from None


def _material(key: Key) -> bytes:
    """32 raw bytes, or PEM."""
    if isinstance(key, (bytes, bytearray, memoryview)):
        material = bytes(key)
    elif isinstance(key, (str, os.PathLike)):
        text = os.fspath(key)
        if isinstance(text, str) and not (_PEM_BEGIN.decode() in text or _is_base64_key(text.encode(errors="replace"))):
            return _material(_read_key_file(text))
        material = text.encode() if isinstance(text, str) else text
    else:
        raise InvalidInputError(f"expected a key as bytes, text or a path, got {type(key).__name__}")
    return _base64(material) if _is_base64_key(material) else material


def _is_base64_key(text: bytes) -> bool:
    return len(text.strip()) == 44 and len(_base64(text)) == KEY_NBYTES


def _base64(text: bytes) -> bytes:
    """Strict base64 with line ends; empty if it is not that. (a2b_base64 skips what it does not know before 3.11.)"""
    joined = b"".join(text.split())
    try:
        decoded = binascii.a2b_base64(joined)
    except binascii.Error:
        return b""
    return decoded if binascii.b2a_base64(decoded, newline=False) == joined else b""


def _read_key_file(path: str) -> bytes:
    view = open_source(path)
    if len(view) > _KEY_FILE_LIMIT_BYTES:
        raise InvalidInputError(f"{path}: expected a key of at most {_KEY_FILE_LIMIT_BYTES} bytes, got {len(view)}")
    return bytes(view)


def _write_new(path: str | os.PathLike[str], data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise FileAccessError(f"{path}: expected to make a new file, got: {error}") from error


def _cryptography(module: str) -> ModuleType:
    """`cryptography.hazmat.primitives.<module>`, the one place that says what to do without it."""
    from importlib import import_module

    try:
        return import_module(f"cryptography.hazmat.primitives.{module}")
    except ImportError as error:
        raise BackendError("signatures need the package cryptography: pip install inferir[signing]") from error
