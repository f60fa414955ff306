"""The libraries that stand beside the sources, or why there are none to test."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferir.kernels.aot import library, manifest


@pytest.fixture(scope="session")
def libraries() -> Path:
    """Their folder. Where they are older than their sources `test_build.py` fails, and says so once."""
    reason = manifest.problem()
    if reason is not None:
        pytest.skip(reason)
    return Path(library.FOLDER)
