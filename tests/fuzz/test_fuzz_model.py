from __future__ import annotations

import pytest

from inferir.kernels import available
from tests.fuzz.fuzz_model import run


@pytest.mark.parametrize("backend", available())
def test_a_slice_of_the_fuzz(backend: str) -> None:
    """`python tests/fuzz/fuzz_model.py 20000` runs more of it."""
    found = run(400 if backend == "jit" else 100, 3, backend)
    assert any(outcome.startswith("refused") for outcome in found)
    assert any(outcome.startswith("answered") for outcome in found)
