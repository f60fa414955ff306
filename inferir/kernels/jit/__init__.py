"""Numba bodies of the kernels, one family a file, compiled when first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from inferir.kernels.jit._compile import compile_kernel
from inferir.kernels.signatures import KERNELS


def load(name: str) -> Callable[..., Any]:
    """The kernel `name` of `signatures.KERNELS`, compiled for its arguments."""
    signature = KERNELS[name]
    family = importlib.import_module(f"inferir.kernels.jit.{signature.family}")
    return compile_kernel(getattr(family, signature.body), signature.arguments)
