"""What `describe` says of a file, against the bytes, and that it can be JSON."""

from __future__ import annotations

import json
import runpy
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from inferir.errors import ChecksumError, FileAccessError, SignatureError
from inferir.formats.apr import layout, to_bytes
from inferir.formats.apr.inspect import describe
from inferir.formats.apr.keys import key_id
from inferir.formats.spec import ModelSpec

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
MAKE = runpy.run_path(str(GOLDEN / "make.py"))


def test_linear() -> None:
    data = (GOLDEN / "linear.apr").read_bytes()
    assert describe(GOLDEN / "linear.apr") == {
        "file": {
            "format_version": 1,
            "model_type": {"number": 1, "name": "LinearRegression"},
            "bytes": 404,
            "metadata_bytes": 304,
            "payload_bytes": 64,
            "prepared_bytes": 0,
            "crc32": f"{zlib.crc32(data[:-4]):08x}",
        },
        "signature": None,
        "model": {
            "name": "t",
            "model_version": "1",
            "created": "",
            "producer": "",
            "framework": {},
            "task": "regression",
            "classes": [],
            "columns": [{"name": "a", "kind": "number"}, {"name": "b", "kind": "number"}],
            "training": {},
            "metrics": {},
            "baseline": {},
            "card": {},
            "extra": {},
        },
        "operators": [
            {
                "op": "linear",
                "inputs": ["input"],
                "output": "prediction",
                "attributes": {},
                "tensors": {"coefficients": "w"},
            }
        ],
        "tensors": [{"name": "w", "dtype": "f64", "shape": [2], "offset": 384, "bytes": 16}],
    }


@pytest.mark.parametrize("name", list(MAKE["MODELS"]))
def test_strict_json_of_every_golden_file(name: str) -> None:
    described = describe(GOLDEN / name)
    assert json.loads(json.dumps(described, allow_nan=False)) == described


def test_what_json_lacks(spec: ModelSpec) -> None:
    values = {"a": float("nan"), "b": [float("inf"), float("-inf")], "c": b"\x00\xff", "d": {"e": (1, None, True)}}
    described = describe(to_bytes(replace(spec, metrics=values)))["model"]["metrics"]
    assert described == {"a": "NaN", "b": ["Infinity", "-Infinity"], "c": "00ff", "d": {"e": [1, None, True]}}


def test_offsets_find_the_tensors(spec: ModelSpec, file: Path) -> None:
    data = file.read_bytes()
    described = describe(file)["tensors"]
    assert [one["name"] for one in described] == list(spec.tensors)
    for one in described:
        assert one["offset"] % layout.ALIGNMENT_BYTES == 0
        assert data[one["offset"] : one["offset"] + one["bytes"]] == spec.tensors[one["name"]].data


def test_categories_and_several_outputs(spec: ModelSpec) -> None:
    described = describe(GOLDEN / "forest.apr")["model"]
    assert described["columns"][0] == {"name": "colour", "kind": "category", "categories": ["red", "grün", "蓝"]}
    assert describe(to_bytes(replace(spec, classes=((0, 1), ("a",)))))["model"]["classes"] == [[0, 1], ["a"]]


def test_signature_is_shown_without_a_key_and_verified_with_one() -> None:
    signer = key_id(MAKE["PUBLIC_KEY"]).hex()
    path = GOLDEN / "signed.apr"
    assert describe(path)["signature"] == {"key_id": signer, "verified": False}
    assert describe(path, trusted_keys=[MAKE["PUBLIC_KEY"]])["signature"] == {"key_id": signer, "verified": True}
    with pytest.raises(SignatureError):
        describe(path, trusted_keys=[bytes(32)])
    with pytest.raises(SignatureError):
        describe(GOLDEN / "linear.apr", trusted_keys=[bytes(32)])


def test_the_crc_is_checked(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-8] ^= 1
    with pytest.raises(ChecksumError):
        describe(data)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError):
        describe(tmp_path / "none.apr")
