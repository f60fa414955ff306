"""Kernels: arithmetic on arrays, in several backends with the same names and arguments (`signatures.KERNELS`).

    reference   plain NumPy, slow and obvious: it defines what is right
    jit         Numba, compiled when first used and cached on disk

A backend is reached through this module alone, so that nothing pays for the import of another.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from inferir.errors import BackendError
from inferir.kernels.signatures import KERNELS

__all__ = ["BACKENDS", "Kernels", "available", "select"]

#: Backend -> the package it needs; in the order in which "auto" tries them.
BACKENDS = {"jit": "numba", "reference": "numpy"}


class Kernels:
    """The kernels of one backend; each is loaded, and where need be compiled, when it is first asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        backend = importlib.import_module(f"inferir.kernels.{name}")
        self._load: Callable[[str], Callable[..., Any]] = backend.load
        #: Compiled kernels that run a whole program in one call; None where each is a Python call.
        self.library: Any = backend.native() if hasattr(backend, "native") else None
        self._loaded: dict[str, Callable[..., Any]] = {}

    def __getitem__(self, name: str) -> Callable[..., Any]:
        kernel = self._loaded.get(name)
        if kernel is None:
            if name not in KERNELS:
                raise BackendError(f"there is no kernel {name!r}")
            kernel = self._loaded.setdefault(name, self._load(name))
        return kernel

    def __repr__(self) -> str:
        return f"Kernels({self.name!r})"


_SELECTED: dict[str, Kernels] = {}


def available() -> tuple[str, ...]:
    """Backends that can be used here, best first."""
    return tuple(name for name, needs in BACKENDS.items() if importlib.util.find_spec(needs) is not None)


def select(backend: str = "auto") -> Kernels:
    """Kernels of `backend`, or of the best one there is for "auto"."""
    found = available()
    name = found[0] if backend == "auto" and found else backend
    if name not in found:
        raise BackendError(
            f"backend {backend!r} is not available; expected auto or one of {', '.join(found) or 'none'}"
        )
    if name not in _SELECTED:
        _SELECTED[name] = Kernels(name)
    return _SELECTED[name]
