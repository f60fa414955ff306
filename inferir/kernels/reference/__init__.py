"""NumPy twins of the kernels: written from the definition, sharing nothing with `jit`. They say what is right."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from inferir.kernels.signatures import KERNELS


def load(name: str) -> Callable[..., Any]:
    """The kernel `name` of `signatures.KERNELS`: same arguments, written to `out` in place."""
    signature = KERNELS[name]
    family = importlib.import_module(f"inferir.kernels.reference.{signature.family}")
    return getattr(family, signature.body)  # type: ignore[no-any-return]
