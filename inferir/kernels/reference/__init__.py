"""NumPy twins of the kernels: written from the definition, sharing nothing with `jit`. They say what is right."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from inferir.kernels.signatures import KERNELS


def load(name: str) -> Callable[..., Any]:
    """The kernel `name` of `signatures.KERNELS`: same arguments, written to `out` in place.

    An overflow or an operation on NaN is an answer here, infinity or NaN, and not worth a warning.
    """
    signature = KERNELS[name]
    family = importlib.import_module(f"inferir.kernels.reference.{signature.family}")
    kernel: Callable[..., Any] = np.errstate(all="ignore")(getattr(family, signature.body))
    return kernel
