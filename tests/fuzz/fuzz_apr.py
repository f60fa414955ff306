"""Fuzz the `.apr` reader: `python tests/fuzz/fuzz_apr.py [count] [seed]`, from the root of the project.

The law, for any bytes:
    1. `read` returns a ModelSpec or raises a FormatError, nothing else.
    2. A ModelSpec it returns can be written, and what is written reads as the same bytes again.

Most inputs are golden files with something wrong in them. Lengths and CRC-32 are made right afterwards, because
otherwise no input would come past the first checks. The same count and seed give the same inputs.
"""

from __future__ import annotations

import random
import sys
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # as a script, without installing

from inferir.errors import FormatError  # noqa: E402
from inferir.formats.apr import read, to_bytes  # noqa: E402

GOLDEN = [path.read_bytes() for path in sorted((ROOT / "tests" / "data" / "golden").glob("*.apr"))]
UNSIGNED = [data for data in GOLDEN if not data[8] & 1]
#: RFC 8032, section 7.1, TEST 1: the key of the signed golden file.
TRUSTED = [bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")]

NUMBERS = [
    sign * 2**bits + step for bits in (0, 5, 7, 8, 16, 31, 32, 53, 63) for sign in (1, -1) for step in (-1, 0, 1)
]
NUMBERS = [number for number in NUMBERS if -(2**63) <= number < 2**64] + [2**64 - 1, 3, 24, 48, 64, 128]
WORDS = ["", "input", "prediction", "raw", "name", "category", "number", "f64", "i32", "u8", "\0", "é" * 40, "x" * 300]
VALUES = [None, True, False, 0.5, -0.0, float("inf"), float("nan"), b"", b"\xff" * 20, [], {}, [[]], {"": {}}]
#: Packed, so that each use is a new object: an edit may change it.
PACKED_VALUES = [msgpack.packb(value) for value in VALUES] + [b"\x91" * levels + b"\xc0" for levels in range(11, 17)]

#: MessagePack lead bytes with few followers: what a random byte seldom is.
PIECES = [lead + b"\xff" * 4 for lead in (b"\xdd", b"\xdf", b"\xdb", b"\xc6")]
PIECES += [b"\xc1", b"\x91" * 20, b"\xca\0\0\0\0", b"\xd4\0\0", b"\xc7\xff", b"\xd9\x01a", b"\xcc\x01"]
PIECES += [b"\xa2\xc3\x28", b"\x80", b"\x90", b"\xc0"]


def parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, metadata and payload of a golden file without a signature."""
    end = 32 + int.from_bytes(data[16:24], "little")
    return data[:32], data[32:end], data[end:-4]


def with_crc(body: bytes | bytearray) -> bytes:
    return bytes(body) + zlib.crc32(body).to_bytes(4, "little")


def joined(header: bytes, metadata: bytes, payload: bytes) -> bytes:
    """A file of these parts with the right lengths and CRC-32."""
    lengths = len(metadata).to_bytes(8, "little") + len(payload).to_bytes(8, "little")
    return with_crc(header[:16] + lengths + metadata + payload)


def noise(rng: random.Random) -> bytes:
    """Random bytes, half of them after a good beginning."""
    return rng.choice(GOLDEN)[: rng.choice([0, 0, 4, 6, 8, 32])] + rng.randbytes(rng.randrange(80))


def bent(rng: random.Random, data: bytes) -> bytearray:
    """One to four bytes changed, put in, taken out or said twice."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(out) + 1)
        length = rng.choice([1, 1, 1, 2, 8, 64])
        match rng.randrange(5):
            case 0:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                out[at:at] = rng.choice(PIECES)
            case 2:
                del out[at : at + length]
            case 3:
                out[at:at] = out[at : at + length]
            case 4 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
    return out


def bent_file(rng: random.Random) -> bytes:
    """Anything wrong anywhere, the CRC-32 right in two of three."""
    data = rng.choice(GOLDEN)
    return with_crc(bent(rng, data[:-4])) if rng.randrange(3) else bytes(bent(rng, data))


def bent_header(rng: random.Random) -> bytes:
    data = rng.choice(GOLDEN)
    return with_crc((bent(rng, data[:32]) + bytes(32))[:32] + data[32:-4])


def bent_metadata(rng: random.Random) -> bytes:
    header, metadata, payload = parts(rng.choice(UNSIGNED))
    return joined(header, bytes(bent(rng, metadata)), payload)


def bent_payload(rng: random.Random) -> bytes:
    header, metadata, payload = parts(rng.choice(UNSIGNED))
    return joined(header, metadata, bytes(bent(rng, payload)))


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key or index) in `value`."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        found.append((value, key))
        if isinstance(item, (dict, list)):
            places(item, found)
    return found


def edited_metadata(rng: random.Random) -> bytes:
    """Well-formed metadata with one to three values replaced, moved or dropped."""
    header, packed, payload = parts(rng.choice(UNSIGNED))
    metadata = msgpack.unpackb(packed)
    for _ in range(rng.choice([1, 1, 2, 3])):
        if not (found := places(metadata, [])):
            break
        container, key = rng.choice(found)
        other_container, other_key = rng.choice(found)
        match rng.randrange(8):
            case 0:
                container[key] = msgpack.unpackb(rng.choice(PACKED_VALUES))
            case 1:
                container[key] = rng.choice(WORDS)
            case 2 | 3:
                container[key] = rng.choice(NUMBERS)
            case 4 if isinstance(container[key], int):
                container[key] = max(
                    -(2**63), min(2**64 - 1, container[key] + rng.choice([-64, -8, -1, 1, 8, 64, 128]))
                )
            case 5:
                del container[key]
            case 6 if isinstance(container, list):
                container.insert(rng.randrange(len(container) + 1), container[key])
            case _:
                if not isinstance(other_container[other_key], (dict, list)):  # else it could come to hold itself
                    container[key] = other_container[other_key]
    repacked = msgpack.packb(metadata)
    if rng.randrange(4) and isinstance(metadata, dict):
        repacked = same_length_modulo_64(metadata, len(repacked), len(packed))
    return joined(header, repacked, payload)


def same_length_modulo_64(metadata: dict[str, Any], nbytes: int, wanted: int) -> bytes:
    """Packed with a key that pads it, so that tensors stay aligned and the checks after that are reached."""
    for pad in ((wanted - nbytes - 5) % 64, (wanted - nbytes - 6) % 64, (wanted - nbytes - 7) % 64):
        packed: bytes = msgpack.packb(metadata | {"pad": "x" * pad})
        if len(packed) % 64 == wanted % 64:
            break
    return packed


#: A way of making inputs -> its share.
WAYS: dict[Callable[[random.Random], bytes], int] = {
    noise: 1,
    bent_file: 2,
    bent_header: 1,
    bent_metadata: 3,
    bent_payload: 1,
    edited_metadata: 6,
}


def outcome(data: bytes) -> str:
    """ "accepted" or the code of the FormatError; anything else is the failure that is looked for."""
    signed = len(data) > 8 and data[8] & 1
    try:
        spec = read(data, trusted_keys=TRUSTED if signed else None)
    except FormatError as error:
        return f"{error.code} {error.message}"
    if signed:
        assert data in GOLDEN, "a signed file was accepted that is not the one that was signed"
        return "accepted"
    written = to_bytes(spec)
    assert to_bytes(read(written)) == written
    return "accepted"


def run(count: int, seed: int) -> Counter[str]:
    """How often each outcome came. Raises what broke the law, with the input in the message."""
    rng = random.Random(seed)
    ways, shares = list(WAYS), list(WAYS.values())
    outcomes: Counter[str] = Counter()
    for number in range(count):
        data = rng.choices(ways, shares)[0](rng)
        try:
            outcomes[outcome(data)] += 1
        except BaseException as error:
            raise AssertionError(f"input {number} of seed {seed} broke the law: {data.hex()}") from error
    return outcomes


def main() -> int:
    count, seed = (int(text) for text in (sys.argv[1:] + ["200000", "0"][len(sys.argv) - 1 :])[:2])
    start = time.perf_counter()
    try:
        outcomes = run(count, seed)
    except AssertionError:
        traceback.print_exc()
        return 1
    seconds = time.perf_counter() - start
    by_code = Counter(dict.fromkeys(("accepted", "E001", "E002", "E004", "E007"), 0))
    for text, times in outcomes.items():
        by_code[text.partition(" ")[0]] += times
    counts = ", ".join(f"{code} {times}" for code, times in by_code.items())
    sys.stdout.write(f"{count} inputs in {seconds:.1f} s: {counts}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
