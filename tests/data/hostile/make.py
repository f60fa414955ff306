"""Files that a reader must refuse, one for each thing that can be wrong; run it to make them.

They are put together here without Inferir's writer, with the `msgpack` package for the metadata. All have the right
CRC-32 unless that is what is wrong, so that each reaches the check it is named after. `CASES` has, for each, the code
and the words of the error it must end in.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DIRECTORY = Path(__file__).parent

SIGNED, ENCRYPTED, COMPRESSED = 1, 2, 4
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER_PUBLIC = SIGNER.public_key().public_bytes_raw()
STRANGER_PUBLIC = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()

Edit = Callable[[dict[str, Any]], object]


class Case(NamedTuple):
    """`data` read with `trusted_keys` ends in an error with `code` whose message has `says` in it."""

    code: str
    says: str
    data: bytes
    trusted_keys: tuple[bytes, ...] | None = None


def assemble(
    metadata: bytes,
    payload: bytes = b"",
    *,
    magic: bytes = b"APR\x00",
    version: int = 1,
    model_type: int = 1,
    flags: int = 0,
    reserved: bytes = bytes(7),
    metadata_nbytes: int | None = None,
    payload_nbytes: int | None = None,
    sign: Callable[[bytes], bytes] | None = None,
    tail: bytes = b"",
) -> bytes:
    """A file of these parts, with the right lengths (unless given) and the right CRC-32."""
    header = struct.pack(
        "<4sHHB7sQQ",
        magic,
        version,
        model_type,
        flags,
        reserved,
        len(metadata) if metadata_nbytes is None else metadata_nbytes,
        len(payload) if payload_nbytes is None else payload_nbytes,
    )
    body = header + metadata + payload
    body += sign(body) if sign else b""
    body += tail
    return body + struct.pack("<I", zlib.crc32(body))


def base(first: int) -> dict[str, Any]:
    """Metadata of a model with two tensors, the first `first` bytes into the payload."""
    return {
        "name": "model",
        "model_version": "1",
        "created": "2026-01-31T12:00:00Z",
        "producer": "",
        "framework": {"name": "none", "version": "0"},
        "task": "classification",
        "columns": [{"name": "a", "kind": "number"}, {"name": "b", "kind": "category", "categories": ["x", "y"]}],
        "classes": ["no", "yes"],
        "operators": [
            {"op": "scale", "inputs": ["input"], "output": "scaled", "attributes": {}, "tensors": {"scale": "s"}},
            {"op": "linear", "inputs": ["scaled"], "output": "raw", "attributes": {"c": 1}, "tensors": {"weight": "w"}},
        ],
        "tensors": [
            {"name": "s", "dtype": "f64", "shape": [2], "offset": first, "nbytes": 16},
            {"name": "w", "dtype": "i32", "shape": [3, 1], "offset": first + 64, "nbytes": 12},
        ],
        "training": {},
        "metrics": {},
        "baseline": {},
        "card": {},
    }


def build(
    edit: Edit = lambda _: None, *, payload: Callable[[bytearray], object] = lambda _: None, **parts: Any
) -> bytes:
    """The file of `base` after `edit`, with its first tensor where the length of the metadata puts it."""
    for first in range(256):
        metadata = base(first)
        edit(metadata)
        packed = msgpack.packb(metadata)
        if (32 + len(packed) + first) % 64 == 0:
            break
    body = bytearray(first) + struct.pack("<2d", 1.0, 2.0) + bytes(48) + struct.pack("<3i", 1, 2, 3)
    payload(body)
    return assemble(packed, bytes(body), **parts)


def put(*path: str | int, value: Any) -> Edit:
    """An edit that sets the value at `path`."""

    def edit(metadata: dict[str, Any]) -> None:
        at: Any = metadata
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return edit


def drop(*path: str | int) -> Edit:
    def edit(metadata: dict[str, Any]) -> None:
        at: Any = metadata
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]

    return edit


def move(index: int, by: int) -> Edit:
    """An edit that moves a tensor without moving its bytes."""

    def edit(metadata: dict[str, Any]) -> None:
        metadata["tensors"][index]["offset"] += by

    return edit


def key_id(public: bytes) -> bytes:
    return hashlib.sha256(public).digest()


def signed(signature: Callable[[bytes], bytes] = SIGNER.sign) -> bytes:
    return build(flags=SIGNED, sign=lambda body: key_id(SIGNER_PUBLIC) + signature(body))


def deep(levels: int) -> bytes:
    """One-item arrays in each other, in a map."""
    return b"\x81\xa1a" + b"\x91" * (levels - 1) + b"\xc0"


GOOD = build()
E001, E002, E004, E007 = "E001", "E002", "E004", "E007"

CASES = {
    # The header, in file order
    "empty": Case(E001, "got an empty one", b""),
    "magic_only": Case(E001, "truncated", GOOD[:4]),
    "magic_truncated": Case(E001, "truncated", GOOD[:3]),
    "magic_wrong": Case(E001, "begins with", build(magic=b"APR2")),
    "pickle": Case(E001, "begins with", b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00K\x01."),
    "version_0": Case(E004, "format version", build(version=0)),
    "version_2": Case(E004, "format version", build(version=2)),
    "header_truncated": Case(E001, "header of 32 bytes", GOOD[:31]),
    "model_type_0": Case(E004, "model type", build(model_type=0)),
    "model_type_65535": Case(E004, "model type", build(model_type=65535)),
    "flag_encrypted": Case(E004, "an encrypted one", build(flags=ENCRYPTED)),
    "flag_compressed": Case(E004, "a compressed one", build(flags=COMPRESSED)),
    "flag_unknown": Case(E001, "no flag but SIGNED", build(flags=0x80)),
    "flag_signed_without_block": Case(E001, "truncated", build(flags=SIGNED)),
    "reserved_not_zero": Case(E001, "reserved bytes", build(reserved=bytes(6) + b"\x01")),
    "metadata_over_limit": Case(E001, "bytes of metadata", build(metadata_nbytes=64 * 2**20 + 1)),
    "metadata_length_huge": Case(E001, "bytes of metadata", build(metadata_nbytes=2**64 - 1)),
    "payload_length_huge": Case(E001, "truncated", build(payload_nbytes=2**64 - 1)),
    "lengths_swap_bytes": Case(E001, "after its end", build(payload_nbytes=0)),
    "truncated": Case(E001, "truncated", GOOD[:-1]),
    "bytes_after_end": Case(E001, "after its end", GOOD + b"\x00"),
    "bytes_before_crc": Case(E001, "after its end", build(tail=b"hidden")),
    # Checksum and signature
    "crc_wrong": Case(E002, "CRC-32", GOOD[:-4] + bytes(4)),
    "payload_bit_flipped": Case(E002, "CRC-32", GOOD[:-6] + bytes([GOOD[-6] ^ 1]) + GOOD[-5:]),
    "signed_no_key_given": Case(E007, "give the public key", signed()),
    "signed_key_not_trusted": Case(E007, "one of 1 trusted keys", signed(), (STRANGER_PUBLIC,)),
    "signed_no_key_trusted": Case(E007, "one of 0 trusted keys", signed(), ()),
    "signature_wrong": Case(E007, "got a wrong one", signed(lambda body: bytes(64)), (SIGNER_PUBLIC,)),
    "signature_of_other_bytes": Case(E007, "got a wrong one", signed(lambda _: SIGNER.sign(b"")), (SIGNER_PUBLIC,)),
    "unsigned_but_key_given": Case(E007, "without a signature", GOOD, (SIGNER_PUBLIC,)),
    # MessagePack
    "metadata_empty": Case(E001, "got the end", assemble(b"")),
    "metadata_not_a_map": Case(E001, "expected a map, got an array", assemble(b"\x90")),
    "metadata_trailing_byte": Case(E001, "1 more bytes", assemble(msgpack.packb(base(0)) + b"\xc0")),
    "msgpack_array_count_huge": Case(E001, "values of this array", assemble(b"\xdd\xff\xff\xff\xff")),
    "msgpack_binary_length_huge": Case(E001, "bytes of binary", assemble(b"\xc6\xff\xff\xff\xff")),
    "msgpack_duplicate_key": Case(E001, "'name' again", assemble(b"\x82\xa4name\xa1a\xa4name\xa1b")),
    "msgpack_extension": Case(E001, "lead byte 0xd4", assemble(b"\xd4\x01\x00")),
    "msgpack_float32": Case(E001, "lead byte 0xca", assemble(b"\xca\x3f\x80\x00\x00")),
    "msgpack_key_is_integer": Case(E001, "a string as map key", assemble(b"\x81\x01\xc0")),
    "msgpack_key_is_map": Case(E001, "a string as map key", assemble(b"\x81\x80\xc0")),
    "msgpack_length_not_shortest": Case(E001, "the shortest form", assemble(b"\xd9\x01a")),
    "msgpack_integer_not_shortest": Case(E001, "the shortest form", assemble(b"\xcd\x00\xff")),
    "msgpack_negative_not_shortest": Case(E001, "the shortest form", assemble(b"\xd0\x01")),
    "msgpack_map_count_huge": Case(E001, "values of this map", assemble(b"\xdf\xff\xff\xff\xff")),
    "msgpack_nesting_17": Case(E001, "16 levels", assemble(deep(17))),
    "msgpack_nesting_10000": Case(E001, "16 levels", assemble(b"\x91" * 10000)),
    "msgpack_not_utf8": Case(E001, "expected UTF-8", assemble(b"\xa2\xc3\x28")),
    "msgpack_string_length_huge": Case(E001, "bytes of string", assemble(b"\xdb\xff\xff\xff\xff")),
    "msgpack_surrogate": Case(E001, "expected UTF-8", assemble(b"\xa3\xed\xa0\x80")),
    "msgpack_truncated": Case(E001, "got the end", assemble(b"\x81\xa1a")),
    "msgpack_unused_lead_byte": Case(E001, "lead byte 0xc1", assemble(b"\xc1")),
    # Metadata fields
    "name_missing": Case(E001, "expected the key 'name'", build(drop("name"))),
    "name_not_text": Case(E001, "metadata.name: expected a string", build(put("name", value=1))),
    "version_not_text": Case(E001, "metadata.model_version", build(put("model_version", value=1.0))),
    "created_not_utc": Case(E001, "metadata.created", build(put("created", value="2026-01-31T12:00:00+01:00"))),
    "created_no_such_day": Case(E001, "a day of the calendar", build(put("created", value="2026-02-29T12:00:00Z"))),
    "created_no_such_time": Case(E001, "a time of the day", build(put("created", value="2026-01-31T24:00:00Z"))),
    "producer_not_text": Case(E001, "metadata.producer", build(put("producer", value=None))),
    "framework_not_text": Case(E001, "metadata.framework.name", build(put("framework", "name", value=[]))),
    "task_unknown": Case(E001, "metadata.task: expected one of", build(put("task", value="generation"))),
    "columns_not_array": Case(E001, "metadata.columns: expected an array", build(put("columns", value={}))),
    "column_kind_unknown": Case(E001, "columns[0].kind", build(put("columns", 0, "kind", value="image"))),
    "column_name_twice": Case(E001, "each of them once", build(put("columns", 0, "name", value="b"))),
    "column_key_unknown": Case(E001, "columns[0]: expected only", build(put("columns", 0, "x", value=1))),
    "category_without_categories": Case(E001, "categories for a category", build(drop("columns", 1, "categories"))),
    "number_with_categories": Case(E001, "categories for a category", build(put("columns", 0, "categories", value=[]))),
    "category_twice": Case(E001, "each of them once", build(put("columns", 1, "categories", value=["x", "x"]))),
    "class_twice": Case(E001, "metadata.classes: expected each", build(put("classes", value=[1, 1]))),
    "class_is_boolean": Case(E001, "classes[0]: expected an integer", build(put("classes", value=[True]))),
    "class_beyond_int64": Case(E001, "metadata.classes[0]", build(put("classes", value=[2**63]))),
    "classes_mixed_depth": Case(E001, "metadata.classes[1]", build(put("classes", value=[["a"], "b"]))),
    "operator_key_missing": Case(E001, "expected the key 'op'", build(drop("operators", 0, "op"))),
    "operator_key_unknown": Case(E001, "operators[0]: expected only", build(put("operators", 0, "x", value=1))),
    "operator_without_input": Case(E001, "at least one input", build(put("operators", 0, "inputs", value=[]))),
    "operator_input_unknown": Case(E001, "operators[1].inputs", build(put("operators", 1, "inputs", value=["none"]))),
    "operator_input_later": Case(E001, "operators[0].inputs", build(put("operators", 0, "inputs", value=["raw"]))),
    "operator_input_itself": Case(E001, "operators[1].inputs", build(put("operators", 1, "inputs", value=["raw"]))),
    "operator_output_twice": Case(E001, "operators[1].output", build(put("operators", 1, "output", value="scaled"))),
    "operator_output_is_input": Case(E001, "operators[0].output", build(put("operators", 0, "output", value="input"))),
    "operator_tensor_unknown": Case(E001, "tensors.weight", build(put("operators", 1, "tensors", "weight", value="x"))),
    "operator_tensor_not_text": Case(E001, "tensors.weight", build(put("operators", 1, "tensors", "weight", value=0))),
    "attributes_not_map": Case(E001, "operators[0].attributes", build(put("operators", 0, "attributes", value=[]))),
    "training_not_map": Case(E001, "metadata.training", build(put("training", value=[]))),
    # Tensors
    "tensor_name_twice": Case(E001, "each of them once", build(put("tensors", 0, "name", value="w"))),
    "tensor_name_empty": Case(E001, "expected a name", build(put("tensors", 0, "name", value=""))),
    "tensor_key_missing": Case(E001, "the key 'nbytes'", build(drop("tensors", 0, "nbytes"))),
    "tensor_key_unknown": Case(E001, "tensors[0]: expected only", build(put("tensors", 0, "x", value=1))),
    "tensor_dtype_object": Case(E001, "tensors[0].dtype", build(put("tensors", 0, "dtype", value="object"))),
    "tensor_rank_9": Case(E001, "at most 8 items", build(put("tensors", 0, "shape", value=[1] * 8 + [2]))),
    "tensor_shape_negative": Case(E001, "tensors[0].shape[0]", build(put("tensors", 0, "shape", value=[-2]))),
    "tensor_shape_boolean": Case(E001, "tensors[0].shape[0]", build(put("tensors", 0, "shape", value=[True]))),
    "tensor_shape_float": Case(E001, "tensors[0].shape[0]", build(put("tensors", 0, "shape", value=[2.0]))),
    "tensor_shape_overflow": Case(E001, "2**63 bytes", build(put("tensors", 0, "shape", value=[2**31, 2**31, 2]))),
    "tensor_shape_wraps_to_16": Case(
        E001,
        "2**63 bytes",
        build(put("tensors", 0, "shape", value=[2**61 + 1, 2])),  # x 8 bytes is 16 modulo 2**64
    ),
    "tensor_shape_empty_and_huge": Case(
        E001, "2**63 bytes", build(put("tensors", 0, "shape", value=[0, 2**62, 2**62]))
    ),
    "tensor_nbytes_short": Case(E001, "16 bytes for f64", build(put("tensors", 0, "nbytes", value=8))),
    "tensor_nbytes_huge": Case(E001, "tensors[0].nbytes", build(put("tensors", 0, "nbytes", value=2**64 - 1))),
    "tensor_offset_huge": Case(E001, "tensors[0].offset", build(put("tensors", 0, "offset", value=2**64 - 1))),
    "tensor_offset_negative": Case(E001, "tensors[0].offset", build(put("tensors", 0, "offset", value=-64))),
    "tensor_not_aligned": Case(E001, "divisible by 64", build(move(1, -8))),
    "tensor_outside": Case(E001, "within the payload", build(move(1, 64))),
    "tensors_overlap": Case(E001, "they overlap", build(move(1, -64))),
    "tensor_gap_not_zero": Case(E001, "expected zeros", build(payload=lambda data: data.__setitem__(-13, 1))),
    "tensor_lead_not_zero": Case(E001, "expected zeros", build(payload=lambda data: data.__setitem__(0, 1))),
    "payload_after_last_tensor": Case(E001, "a payload of", build(payload=lambda data: data.extend(b"hidden"))),
    "payload_without_tensors": Case(E001, "a payload of 0", build(lambda one: one.update(tensors=[], operators=[]))),
}


def files() -> dict[str, bytes]:
    """File name -> bytes."""
    return {f"{name}.apr": case.data for name, case in CASES.items()}


if __name__ == "__main__":
    for name, data in files().items():
        (DIRECTORY / name).write_bytes(data)
