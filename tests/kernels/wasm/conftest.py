"""The module is one of the libraries."""

from __future__ import annotations

from tests.kernels.aot.conftest import libraries

__all__ = ["libraries"]
