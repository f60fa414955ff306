"""tests/data/golden: files that every version of Inferir must read, and write again, byte by byte."""

from __future__ import annotations

import hashlib
import runpy
from pathlib import Path

import msgpack
import pytest

from inferir.errors import ChecksumError, FormatError, ModelLoadError, UnsupportedModelError
from inferir.formats.apr import read, to_bytes

DIRECTORY = Path(__file__).parents[2] / "data" / "golden"
MAKE = runpy.run_path(str(DIRECTORY / "make.py"))
NAMES = list(MAKE["MODELS"])
KEYS = {"signed.apr": [MAKE["PUBLIC_KEY"]]}

SHA256 = {
    "forest.apr": "efb4dc72b31aa5e84d163ed9237893f680c7193d65177183792f9fe4f64fef67",
    "linear.apr": "44bb846e95a44cdde42a428b62531cf011c42bae5f781aca09920299d57609e1",
    "signed.apr": "1f76bd99e07e63b2c2cf8c9e26401a4edfa4e458af00aaa2581ebd66b18a37d4",
}

#: linear.apr, written out by hand from docs/reference/apr-format.md.
LINEAR = (
    b"APR\x00"  # magic
    b"\x01\x00"  # version 1
    b"\x01\x00"  # model type 1, LinearRegression
    b"\x00"  # no flags
    b"\x00\x00\x00\x00\x00\x00\x00"  # reserved
    b"\x30\x01\x00\x00\x00\x00\x00\x00"  # 304 bytes of metadata: it ends at 336
    b"\x40\x00\x00\x00\x00\x00\x00\x00"  # 64 bytes of payload: it ends at 400
    b"\x8e"  # a map of 14
    b"\xa4name\xa1t"
    b"\xadmodel_version\xa11"
    b"\xa7created\xa0"
    b"\xa8producer\xa0"
    b"\xa9framework\x80"
    b"\xa4task\xaaregression"
    b"\xa7columns\x92"  # an array of 2
    b"\x82\xa4name\xa1a\xa4kind\xa6number"
    b"\x82\xa4name\xa1b\xa4kind\xa6number"
    b"\xa7classes\x90"
    b"\xa9operators\x91"
    b"\x85\xa2op\xa6linear\xa6inputs\x91\xa5input\xa6output\xaaprediction\xaaattributes\x80"
    b"\xa7tensors\x81\xaccoefficients\xa1w"
    b"\xa7tensors\x91"
    b"\x85\xa4name\xa1w\xa5dtype\xa3f64\xa5shape\x91\x02\xa6offset\x30\xa6nbytes\x10"
    b"\xa8training\x80"
    b"\xa7metrics\x80"
    b"\xa8baseline\x80"
    b"\xa4card\x80"
    + bytes(48)  # zeros up to 384, which 64 divides
    + b"\x00\x00\x00\x00\x00\x00\xf8\x3f"  # 1.5
    + b"\x00\x00\x00\x00\x00\x00\x04\x40"  # 2.5
    + b"\x68\xb8\xe4\x08"  # CRC-32, 08e4b868
)


def test_linear_byte_by_byte() -> None:
    assert (DIRECTORY / "linear.apr").read_bytes() == LINEAR


@pytest.mark.parametrize("name", NAMES)
def test_sha256(name: str) -> None:
    assert hashlib.sha256((DIRECTORY / name).read_bytes()).hexdigest() == SHA256[name]
    assert f"{SHA256[name]}  {name}\n" in (DIRECTORY / "SHA256SUMS").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_writer_still_writes_these_bytes(name: str) -> None:
    model, key = MAKE["MODELS"][name]
    assert to_bytes(model(), private_key=key) == (DIRECTORY / name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_reads_as_the_model_it_was_made_from(name: str) -> None:
    model = MAKE["MODELS"][name][0]()
    got = read(DIRECTORY / name, trusted_keys=KEYS.get(name))
    for field in model.__dataclass_fields__:
        assert getattr(got, field) == getattr(model, field), field
    assert list(got.tensors) == list(model.tensors)


@pytest.mark.parametrize("name", NAMES)
def test_metadata_is_what_the_msgpack_package_packs(name: str) -> None:
    data = (DIRECTORY / name).read_bytes()
    packed = data[32 : 32 + int.from_bytes(data[16:24], "little")]
    assert msgpack.packb(msgpack.unpackb(packed)) == packed


def expected_error(position: int, flipped: bytearray) -> type[FormatError]:
    """What a file must fail with whose byte at `position` changed: the check of that field, or the CRC."""
    if position < 4 or 9 <= position < 32:
        return ModelLoadError
    if position < 6:
        return UnsupportedModelError
    if position < 8:
        known = 1 <= int.from_bytes(flipped[6:8], "little") <= 20
        return ChecksumError if known else UnsupportedModelError
    if position == 8:
        return UnsupportedModelError if flipped[8] & 6 else ModelLoadError
    return ChecksumError


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mask", [0xFF, 0x01, 0x02, 0x04, 0x80])
def test_every_byte_flipped_is_refused(name: str, mask: int) -> None:
    data = (DIRECTORY / name).read_bytes()
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= mask
        with pytest.raises(expected_error(position, flipped)):
            read(flipped, trusted_keys=KEYS.get(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_is_refused(name: str) -> None:
    data = (DIRECTORY / name).read_bytes()
    for nbytes in range(len(data)):
        with pytest.raises(ModelLoadError):
            read(data[:nbytes], trusted_keys=KEYS.get(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_byte_twice_is_refused(name: str) -> None:
    data = (DIRECTORY / name).read_bytes()
    for position in range(len(data)):
        with pytest.raises(FormatError):
            read(data[: position + 1] + data[position:], trusted_keys=KEYS.get(name))
