"""A slice of the protocols' fuzzer."""

from __future__ import annotations

from tests.fuzz.fuzz_protocols import run


def test_a_slice_of_the_fuzz() -> None:
    """`python tests/fuzz/fuzz_protocols.py 100000` runs more of it."""
    found = run(2000, 5)
    assert found["200"] > 100
    assert found["400"] > 100
