from __future__ import annotations

from tests.fuzz.fuzz_server import run


def test_a_slice_of_the_fuzz() -> None:
    """`python tests/fuzz/fuzz_server.py 100000` runs more of it."""
    found = run(1500, 5)
    assert found["200"] > 100
    assert found["400"] > 100
    assert found["socket 200"] > 2
