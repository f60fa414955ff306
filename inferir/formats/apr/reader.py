"""Bytes of an `.apr` file -> ModelSpec. The checks, in the order of the file; no option skips one:

    1. magic E001, version E004                                   `version_of`
    2. model type E004, flags E004 or E001, reserved bytes E001   `parse_header`
    3. lengths against the size of the file E001                  `read_header`
    4. CRC-32 of everything before it E002                        `check_crc`
    5. signature against the caller's trusted keys E007           `check_signature`
    6. metadata: encoding, then field by field E001               `_msgpack.decode`, `metadata.check`
    7. tensors: aligned, inside, apart, zeros between them E001   `place_tensors`

Nothing is allocated by a length that was not checked, nothing is executed, no tensor is copied: `TensorSpec.data` are
views of the source. What comes out is a ModelSpec or a FormatError, whatever the bytes (tests/fuzz/fuzz_apr.py); a file
that cannot be opened is a FileAccessError, and a signature without the package to verify it a BackendError.

This file, `_msgpack`, `layout`, `metadata`, `source` and `spec` import the cheap part of the standard library only: a
Lambda start pays for each import.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from inferir.errors import ChecksumError, ModelLoadError, SignatureError, UnsupportedModelError
from inferir.formats.apr import _msgpack, layout, metadata
from inferir.formats.apr.source import Key, Source, open_source
from inferir.formats.spec import ModelSpec, TensorSpec

__all__ = ["READERS", "Header", "read"]

_HEADER = struct.Struct(layout.HEADER_FORMAT)
_ZERO_CHUNK_BYTES = 2**20


class Header(NamedTuple):
    """The first 32 bytes, checked. Offsets and sizes in bytes, from the start of the file."""

    version: int
    model_type: int
    flags: int
    metadata_nbytes: int
    payload_nbytes: int

    @property
    def signed(self) -> bool:
        return bool(self.flags & layout.SIGNED)

    @property
    def payload_offset(self) -> int:
        return layout.HEADER_NBYTES + self.metadata_nbytes

    @property
    def payload_end(self) -> int:
        """Also where the signature begins, and where what it signs ends."""
        return self.payload_offset + self.payload_nbytes

    @property
    def file_nbytes(self) -> int:
        return self.payload_end + self.signed * layout.SIGNATURE_NBYTES + layout.CRC_NBYTES


def read(source: Source, *, trusted_keys: Iterable[Key] | None = None) -> ModelSpec:
    """The model in `source`: the bytes of a file, or the path of one.

    Files above `layout.MAP_ABOVE_BYTES` are mapped read-only and stay mapped as long as a tensor is in use: such a file
    must not be changed in place (`write` never does; it renames a new one over it). A bytearray must not be changed
    either.

    `trusted_keys` are Ed25519 public keys: 32 raw bytes, base64, PEM, or the path of a file with one of them. A signed
    file is accepted only with the signature of one of them; with keys given, an unsigned file is refused.

    Raises ModelLoadError (E001), ChecksumError (E002), UnsupportedModelError (E004), SignatureError (E007), all of them
    FormatErrors; FileAccessError (E010) when the file cannot be opened; InvalidInputError (E006) for a `source` or key
    of another kind; BackendError (E009) when a signature is to be verified and `cryptography` is not installed.
    """
    view = open_source(source)
    return READERS[version_of(view)](view, trusted_keys)


def version_of(view: memoryview) -> int:
    """The version of the format, one of READERS."""
    magic = layout.MAGIC
    if not view:
        raise ModelLoadError("expected an .apr file, got an empty one")
    if view[: len(magic)] != magic[: len(view)]:
        raise ModelLoadError(f"expected an .apr file, which begins with {magic!r}, got {bytes(view[: len(magic)])!r}")
    if len(view) < len(magic) + 2:
        raise ModelLoadError(f"expected a header of {layout.HEADER_NBYTES} bytes, got a file of {len(view)}: truncated")
    version = int.from_bytes(view[len(magic) : len(magic) + 2], "little")
    if version not in READERS:
        known = ", ".join(map(str, READERS))
        raise UnsupportedModelError(f"expected format version {known}, which this build reads, got {version}")
    return version


def parse_header(data: bytes | memoryview) -> Header:
    """The fixed part of a file of version 1. The two lengths are compared with the file by `read_header`."""
    _, version, model_type, flags, reserved, metadata_nbytes, payload_nbytes = _HEADER.unpack(data)
    if model_type not in layout.MODEL_TYPES:
        raise UnsupportedModelError(f"expected a model type from 1 to {max(layout.MODEL_TYPES)}, got {model_type}")
    for bit, word in ((layout.ENCRYPTED, "an encrypted"), (layout.COMPRESSED, "a compressed")):
        if flags & bit:
            raise UnsupportedModelError(f"expected a plain file, got {word} one, which this build cannot read")
    if flags & ~layout.SIGNED:
        raise ModelLoadError(f"expected no flag but SIGNED (0x01), got 0x{flags:02x}")
    if any(reserved):
        raise ModelLoadError(f"expected zeros in the reserved bytes 9 to 15, got {reserved.hex(' ')}")
    if metadata_nbytes > layout.METADATA_LIMIT_BYTES:
        raise ModelLoadError(f"expected at most {layout.METADATA_LIMIT_BYTES} bytes of metadata, got {metadata_nbytes}")
    return Header(version, model_type, flags, metadata_nbytes, payload_nbytes)


def read_header(view: memoryview) -> Header:
    """The header of a file of version 1, with lengths that add up to exactly the file."""
    if len(view) < layout.HEADER_NBYTES:
        raise ModelLoadError(f"expected a header of {layout.HEADER_NBYTES} bytes, got a file of {len(view)}: truncated")
    header = parse_header(view[: layout.HEADER_NBYTES])
    if len(view) != header.file_nbytes:
        word = "truncated" if len(view) < header.file_nbytes else "bytes after its end"
        raise ModelLoadError(f"expected {header.file_nbytes} bytes by the header, got {len(view)}: {word}")
    return header


def check_crc(view: memoryview) -> int:
    """The CRC-32 of the file, which is also its last four bytes."""
    body_nbytes = len(view) - layout.CRC_NBYTES
    stored = int.from_bytes(view[body_nbytes:], "little")
    computed = zlib.crc32(view[:body_nbytes])
    if stored != computed:
        raise ChecksumError(f"expected CRC-32 {stored:08x}, as stored, got {computed:08x}: the bytes changed")
    return computed


def check_signature(view: memoryview, header: Header, trusted_keys: Iterable[Key] | None) -> None:
    """A signed file has the signature of a trusted key; an unsigned one is accepted if no keys are given."""
    if trusted_keys is None:
        if header.signed:
            raise SignatureError("expected trusted_keys, as the file is signed, got none: give the public key to trust")
        return
    if not header.signed:
        raise SignatureError("expected a signed file, as trusted_keys were given, got one without a signature")
    from inferir.formats.apr import keys  # only signed files pay for it

    keys.check(view[: header.payload_end], signature_block(view, header), trusted_keys)


def signature_block(view: memoryview, header: Header) -> bytes:
    """Key id and signature; empty if the file is not signed."""
    return bytes(view[header.payload_end : len(view) - layout.CRC_NBYTES])


def read_metadata(view: memoryview, header: Header) -> metadata.Metadata:
    return metadata.check(_msgpack.decode(bytes(view[layout.HEADER_NBYTES : header.payload_offset])))


def place_tensors(tensors: Sequence[metadata.TensorEntry], header: Header) -> list[tuple[int, int]]:
    """Check where tensors lie, and return the gaps around them: [start, end) from the start of the payload."""
    gaps = []
    end, before = 0, "the start of the payload"
    for tensor in sorted(tensors, key=lambda tensor: (tensor.offset, tensor.nbytes)):
        position = header.payload_offset + tensor.offset
        if position % layout.ALIGNMENT_BYTES:
            raise ModelLoadError(
                f"tensor {tensor.name!r:.80}: expected a file offset divisible by {layout.ALIGNMENT_BYTES}, "
                f"got {position}"
            )
        if tensor.offset + tensor.nbytes > header.payload_nbytes:
            raise ModelLoadError(
                f"tensor {tensor.name!r:.80}: expected its end within the payload of {header.payload_nbytes} bytes, "
                f"got {tensor.offset + tensor.nbytes}"
            )
        if tensor.offset < end:
            raise ModelLoadError(
                f"tensor {tensor.name!r:.80}: expected its start at or after {end}, the end of {before}, "
                f"got {tensor.offset}: they overlap"
            )
        gaps.append((end, tensor.offset))
        end, before = tensor.offset + tensor.nbytes, f"tensor {tensor.name!r:.80}"
    if end != header.payload_nbytes:
        raise ModelLoadError(f"expected a payload of {end} bytes, to the end of {before}, got {header.payload_nbytes}")
    return gaps


def _check_zeros(payload: memoryview, gaps: Iterable[tuple[int, int]]) -> None:
    for start, end in gaps:
        for at in range(start, end, _ZERO_CHUNK_BYTES):
            chunk = bytes(payload[at : min(at + _ZERO_CHUNK_BYTES, end)])
            if chunk.count(0) != len(chunk):
                raise ModelLoadError(f"payload bytes {start} to {end}, between tensors: expected zeros, got others")


def read_model(view: memoryview, header: Header, checked: metadata.Metadata) -> ModelSpec:
    """The model, its tensors as views of the payload. `view` has passed `check_crc`."""
    payload = view[header.payload_offset : header.payload_end]
    _check_zeros(payload, place_tensors(checked.tensors, header))
    tensors = {
        name: TensorSpec(name, dtype, shape, payload[offset : offset + nbytes])
        for name, dtype, shape, offset, nbytes in checked.tensors
    }
    return ModelSpec(model_type=header.model_type, tensors=tensors, **checked.fields)


def _read_v1(view: memoryview, trusted_keys: Iterable[Key] | None) -> ModelSpec:
    header = read_header(view)
    check_crc(view)
    check_signature(view, header, trusted_keys)
    return read_model(view, header, read_metadata(view, header))


#: Version of the format -> its reader. layout.py says what to do for a new one.
READERS: Mapping[int, Callable[[memoryview, Iterable[Key] | None], ModelSpec]] = {1: _read_v1}
