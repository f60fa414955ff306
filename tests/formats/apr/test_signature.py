"""Signatures: keys in every form, files signed and stripped, and everything that must not pass."""

from __future__ import annotations

import base64
import hashlib
import os
import runpy
import stat
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

import inferir
from inferir.errors import (
    BackendError,
    ChecksumError,
    FileAccessError,
    FormatError,
    InvalidInputError,
    SignatureError,
)
from inferir.formats.apr import keys, layout, read, signature, to_bytes, write
from inferir.formats.spec import ModelSpec
from tests.patience import PATIENCE_S

PEM, RAW = serialization.Encoding.PEM, serialization.Encoding.Raw
PKCS8, SPKI = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo

#: RFC 8032, section 7.1, TEST 1
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
KEY_ID = hashlib.sha256(PUBLIC).digest()
PRIVATE = Ed25519PrivateKey.from_private_bytes(SEED)
PRIVATE_PEM = PRIVATE.private_bytes(PEM, PKCS8, serialization.NoEncryption())
PUBLIC_PEM = PRIVATE.public_key().public_bytes(PEM, SPKI)
OTHER_PUBLIC = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
CURVE = ec.derive_private_key(1, ec.SECP256R1())


@pytest.fixture
def signed(spec: ModelSpec) -> bytes:
    return to_bytes(spec, private_key=SEED)


def with_crc(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


# The block


def test_block_is_key_id_and_ed25519_signature(spec: ModelSpec, signed: bytes) -> None:
    """By the format's page alone, with `cryptography` alone."""
    plain = to_bytes(spec)
    body, block, crc = signed[:-100], signed[-100:-4], signed[-4:]
    assert body == plain[:8] + b"\x01" + plain[9:-4]
    assert block[:32] == KEY_ID
    Ed25519PublicKey.from_public_bytes(PUBLIC).verify(block[32:], body)
    assert crc == zlib.crc32(signed[:-4]).to_bytes(4, "little")


def test_signed_model_is_the_model(spec: ModelSpec, signed: bytes) -> None:
    assert read(signed, trusted_keys=[PUBLIC]) == spec


def test_write_signs_the_same_bytes(spec: ModelSpec, signed: bytes, tmp_path: Path) -> None:
    write(spec, tmp_path / "signed.apr", private_key=SEED)
    assert (tmp_path / "signed.apr").read_bytes() == signed
    assert list(tmp_path.iterdir()) == [tmp_path / "signed.apr"]


def test_mapped_file_is_verified(
    spec: ModelSpec, signed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MAP_ABOVE_BYTES", 0)
    (tmp_path / "signed.apr").write_bytes(signed)
    assert read(tmp_path / "signed.apr", trusted_keys=[PUBLIC]) == spec


# What must not pass


def test_every_byte_flipped_with_the_crc_made_right(signed: bytes) -> None:
    for position in range(len(signed) - 4):
        body = bytearray(signed[:-4])
        body[position] ^= 1
        with pytest.raises(FormatError) as caught:
            read(with_crc(body), trusted_keys=[PUBLIC])
        assert caught.value.code == "E007" or position < layout.HEADER_NBYTES


def test_crc_comes_first(signed: bytes) -> None:
    flipped = bytearray(signed)
    flipped[-50] ^= 1
    with pytest.raises(ChecksumError):
        read(flipped, trusted_keys=[PUBLIC])


def test_no_key_given(signed: bytes) -> None:
    with pytest.raises(SignatureError, match="give the public key to trust"):
        read(signed)


@pytest.mark.parametrize("keys", [[], [OTHER_PUBLIC], iter([OTHER_PUBLIC])])
def test_key_not_among_them(signed: bytes, keys: Any) -> None:
    with pytest.raises(SignatureError, match=f"got one of {KEY_ID.hex()}"):
        read(signed, trusted_keys=keys)


def test_stripped_file_is_refused_by_who_asks_for_a_signature(spec: ModelSpec) -> None:
    with pytest.raises(SignatureError, match="expected a signed file"):
        read(to_bytes(spec), trusted_keys=[PUBLIC])
    with pytest.raises(SignatureError, match="expected a signed file"):
        read(to_bytes(spec), trusted_keys=[])


def test_signature_of_another_key_under_a_trusted_id(signed: bytes) -> None:
    forged = KEY_ID + Ed25519PrivateKey.from_private_bytes(bytes(32)).sign(signed[:-100])
    with pytest.raises(SignatureError, match="got a wrong one"):
        read(with_crc(signed[:-100] + forged), trusted_keys=[PUBLIC, OTHER_PUBLIC])


def test_signature_without_the_flag_is_no_signature(spec: ModelSpec, signed: bytes) -> None:
    """The flag is inside the signed bytes: clearing it leaves a file whose length is wrong."""
    cleared = signed[:8] + b"\x00" + signed[9:-4]
    with pytest.raises(FormatError) as caught:
        read(with_crc(cleared))
    assert caught.value.code == "E001"


# Keys


def forms(raw: bytes, pem: bytes, directory: Path) -> dict[str, Any]:
    contents = {"raw": raw, "base64": base64.b64encode(raw) + b"\n", "pem": pem, "crlf": pem.replace(b"\n", b"\r\n")}
    paths = {}
    for name, content in contents.items():
        paths[f"path of {name}"] = directory / name
        paths[f"path of {name} as text"] = str(directory / name)
        (directory / name).write_bytes(content)
    return paths | {
        "raw": raw,
        "raw bytearray": bytearray(raw),
        "base64": base64.b64encode(raw),
        "base64 text": base64.b64encode(raw).decode(),
        "pem": pem,
        "pem text": pem.decode(),
    }


FORMS = [
    *(f"path of {name}{text}" for name in ("raw", "base64", "pem", "crlf") for text in ("", " as text")),
    *("raw", "raw bytearray", "base64", "base64 text", "pem", "pem text"),
]


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_key(signed: bytes, spec: ModelSpec, tmp_path: Path, form: str) -> None:
    public = forms(PUBLIC, PUBLIC_PEM, tmp_path)[form]
    assert keys.load_public_key(public) == PUBLIC
    assert keys.key_id(public) == KEY_ID
    assert read(signed, trusted_keys=[OTHER_PUBLIC, public]) == spec
    private = forms(SEED, PRIVATE_PEM, tmp_path)[form]
    assert to_bytes(spec, private_key=private) == signed


@pytest.mark.parametrize("key", [bytes(31), "none.pem", PUBLIC_PEM])
def test_nothing_is_written_without_the_key(spec: ModelSpec, tmp_path: Path, key: Any) -> None:
    with pytest.raises((InvalidInputError, FileAccessError)):
        write(spec, tmp_path / "signed.apr", private_key=key)
    assert list(tmp_path.iterdir()) == []


def test_private_key_object(signed: bytes, spec: ModelSpec) -> None:
    assert to_bytes(spec, private_key=PRIVATE) == signed


@pytest.mark.parametrize(
    "key",
    [
        b"",
        bytes(31),
        bytes(33),
        PRIVATE_PEM,
        PUBLIC_PEM[:-30],
        PUBLIC_PEM.replace(b"MCow", b"MCoX"),
        PUBLIC_PEM.replace(b"MCow", b"MC!w"),
        CURVE.public_key().public_bytes(PEM, SPKI),
        base64.b64encode(bytes(31)),
        "-----BEGIN PUBLIC KEY-----",
        3,
        None,
    ],
)
def test_no_public_key(signed: bytes, key: Any) -> None:
    with pytest.raises(InvalidInputError):
        keys.load_public_key(key)
    with pytest.raises(InvalidInputError):
        read(signed, trusted_keys=[key])


@pytest.mark.parametrize(
    "key",
    [
        b"",
        bytes(31),
        PUBLIC_PEM,
        PRIVATE_PEM[:-40],
        PRIVATE.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"secret")),
        CURVE.private_bytes(PEM, PKCS8, serialization.NoEncryption()),
        3,
        None,
    ],
)
def test_no_private_key(key: Any) -> None:
    with pytest.raises(InvalidInputError):
        keys.load_private_key(key)


def test_key_file_that_is_not_there(signed: bytes, tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match=r"none\.pem"):
        read(signed, trusted_keys=[tmp_path / "none.pem"])


def test_key_file_that_is_no_key(signed: bytes, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(65537))
    with pytest.raises(InvalidInputError, match="at most 65536 bytes"):
        read(signed, trusted_keys=[tmp_path / "big"])


@pytest.mark.parametrize("keys", [PUBLIC, base64.b64encode(PUBLIC).decode(), Path("key.pem")])
def test_one_key_is_not_a_list_of_keys(signed: bytes, keys: Any) -> None:
    with pytest.raises(InvalidInputError, match="trusted_keys: expected a list of keys"):
        read(signed, trusted_keys=keys)


def test_keygen(spec: ModelSpec, tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    old_mask = os.umask(0)
    try:
        key_id = keys.keygen(private, public)
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert keys.key_id(public).hex() == key_id
    loaded = serialization.load_pem_private_key(private.read_bytes(), None)
    assert isinstance(loaded, Ed25519PrivateKey)
    assert loaded.public_key() == serialization.load_pem_public_key(public.read_bytes())
    assert read(to_bytes(spec, private_key=private), trusted_keys=[public]) == spec


@pytest.mark.parametrize("taken", ["private.pem", "public.pem"])
def test_keygen_never_overwrites(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(FileAccessError, match="File exists"):
        keys.keygen(tmp_path / "private.pem", tmp_path / "public.pem")
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "precious"


def test_two_keys_are_two(tmp_path: Path) -> None:
    first = keys.keygen(tmp_path / "a", tmp_path / "a.pub")
    assert first != keys.keygen(tmp_path / "b", tmp_path / "b.pub")


# Files


def test_sign_and_strip_in_place(spec: ModelSpec, file: Path, signed: bytes) -> None:
    plain = file.read_bytes()
    assert signature.sign(file, SEED) == KEY_ID.hex()
    assert file.read_bytes() == signed
    assert signature.verify(file, [PUBLIC]) == KEY_ID.hex()
    signature.strip(file)
    assert file.read_bytes() == plain


def test_sign_and_strip_to_another_file(file: Path, signed: bytes, tmp_path: Path) -> None:
    plain = file.read_bytes()
    signature.sign(file, PRIVATE_PEM, output=tmp_path / "signed.apr")
    signature.strip(tmp_path / "signed.apr", output=tmp_path / "stripped.apr")
    assert file.read_bytes() == (tmp_path / "stripped.apr").read_bytes() == plain
    assert (tmp_path / "signed.apr").read_bytes() == signed


def test_sign_in_place_while_mapped(file: Path, signed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAP_ABOVE_BYTES", 0)
    signature.sign(file, SEED)
    assert file.read_bytes() == signed


def test_the_bytes_are_signed_not_what_we_make_of_them(file: Path) -> None:
    """A file that our writer would write otherwise (its keys are in another order) keeps its bytes."""
    hostile = runpy.run_path(str(Path(__file__).parents[2] / "data" / "hostile" / "make.py"))
    data = hostile["build"](lambda metadata: metadata.update(name=metadata.pop("name")))
    assert to_bytes(read(data)) != data
    file.write_bytes(data)
    signature.sign(file, SEED)
    assert file.read_bytes()[:-100] == data[:8] + b"\x01" + data[9:-4]
    signature.strip(file)
    assert file.read_bytes() == data


def test_signed_twice_or_stripped_twice(file: Path) -> None:
    with pytest.raises(SignatureError, match="expected a signed file"):
        signature.strip(file)
    signature.sign(file, SEED)
    with pytest.raises(SignatureError, match="strip it first"):
        signature.sign(file, bytes(32))
    assert signature.verify(file, [PUBLIC]) == KEY_ID.hex()


def test_broken_file_is_not_signed(file: Path) -> None:
    broken = bytearray(file.read_bytes())
    broken[-6] ^= 1
    file.write_bytes(broken)
    with pytest.raises(ChecksumError):
        signature.sign(file, SEED)
    assert file.read_bytes() == broken


def test_verify_checks_the_whole_file(file: Path) -> None:
    signature.sign(file, SEED)
    with pytest.raises(SignatureError):
        signature.verify(file, [OTHER_PUBLIC])
    with pytest.raises(FormatError):
        signature.verify(file.read_bytes()[:-1], [PUBLIC])


# Without the package


def test_without_cryptography(signed: bytes, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, module, None)
    says = r"pip install inferir\[signing\]"
    with pytest.raises(BackendError, match=says):
        read(signed, trusted_keys=[PUBLIC])
    with pytest.raises(BackendError, match=says):
        to_bytes(spec, private_key=SEED)
    with pytest.raises(SignatureError):
        read(signed, trusted_keys=[OTHER_PUBLIC])
    with pytest.raises(SignatureError):
        read(signed)
    assert keys.key_id(PUBLIC_PEM) == KEY_ID
    assert read(to_bytes(spec)) == spec


def test_cryptography_is_imported_to_verify_only() -> None:
    code = "import sys; import inferir.formats.apr.keys as s; s.key_id(bytes(32)); print(*sys.modules)"
    root = Path(next(iter(inferir.__path__))).parent
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True, timeout=PATIENCE_S
    )
    assert "inferir.formats.apr.keys" in done.stdout.split()
    assert "cryptography" not in done.stdout.split()
