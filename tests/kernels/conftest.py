"""What kernel tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.kernels.twins import BACKENDS, kernel


class _Kernels:
    def __init__(self, backend: str) -> None:
        self.name = backend

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return kernel(self.name, name)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> _Kernels:
    """Each backend in turn, and of the compiled ones each level."""
    return _Kernels(request.param)
