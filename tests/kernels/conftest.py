"""What kernel tests share."""

from __future__ import annotations

import pytest

from inferir.kernels import Kernels, select


@pytest.fixture(params=["jit", "reference"])
def backend(request: pytest.FixtureRequest) -> Kernels:
    """Each backend in turn."""
    return select(request.param)
