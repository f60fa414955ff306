"""Kernels: arithmetic on arrays, in several backends with the same names and arguments (`signatures.KERNELS`).

    aot         the Numba bodies compiled ahead of time; needs neither Numba nor NumPy
    jit         Numba, compiled when first used and cached on disk
    reference   plain NumPy, slow and obvious: it defines what is right

A backend is reached through this module alone, so that nothing pays for the import of another.
"""

from __future__ import annotations

from inferir.errors import BackendError

TYPE_CHECKING = False  # a start on AWS Lambda imports this package
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["BACKENDS", "Kernels", "available", "select", "why_not"]

#: In the order in which "auto" tries them.
BACKENDS = ("aot", "jit", "reference")

#: Packages that backends import, and what brings them.
_NEEDS = {"jit": ("numba", "pip install 'inferir[jit]'"), "reference": ("numpy", "pip install numpy")}


class Kernels:
    """The kernels of one backend; each is loaded, and where need be compiled, when it is first asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        import importlib

        backend = importlib.import_module(f"inferir.kernels.{name}")
        self._load: Callable[[str], Callable[..., Any]] = backend.load
        #: Compiled kernels that run a whole program in one call; None where each is a Python call.
        self.library: Any = backend.native() if hasattr(backend, "native") else None
        self._loaded: dict[str, Callable[..., Any]] = {}

    def __getitem__(self, name: str) -> Callable[..., Any]:
        kernel = self._loaded.get(name)
        if kernel is None:
            from inferir.kernels.signatures import KERNELS

            if name not in KERNELS:
                raise BackendError(f"there is no kernel {name!r}")
            kernel = self._loaded.setdefault(name, self._load(name))
        return kernel

    def __repr__(self) -> str:
        return f"Kernels({self.name!r})"


_SELECTED: dict[str, Kernels] = {}
_REASONS: dict[str, str | None] = {}


def why_not(backend: str) -> str | None:
    """Why a backend cannot be used here; None where it can. Looked up once."""
    if backend not in _REASONS:
        _REASONS[backend] = _reason(backend)
    return _REASONS[backend]


def _reason(backend: str) -> str | None:
    import importlib.util

    if backend == "aot":
        from inferir.kernels import aot

        return aot.problem()
    needed = _NEEDS.get(backend)
    if needed is None:
        return "there is none of that name"
    package, command = needed
    return None if importlib.util.find_spec(package) else f"the package {package} is not installed ({command})"


def available() -> tuple[str, ...]:
    """Backends that can be used here, best first."""
    return tuple(name for name in BACKENDS if why_not(name) is None)


def select(backend: str = "auto") -> Kernels:
    """Kernels of `backend`, or of the best one there is for "auto". Raises BackendError with the reason.

    Warns where "auto" is left with `reference`, which is for comparing: a hundred times slower, or more.
    """
    name = next(iter(available()), backend) if backend == "auto" else backend
    reason = "there is none at all" if name == "auto" else why_not(name)
    if reason is not None:
        raise BackendError(
            f"backend {name!r} is not available: {reason}; expected auto or one of {', '.join(available()) or 'none'}"
        )
    if name not in _SELECTED:
        if backend == "auto" and available() == ("reference",):
            _warn()
        _SELECTED[name] = Kernels(name)
    return _SELECTED[name]


def _warn() -> None:
    import warnings

    reasons = "; ".join(f"{name}: {why_not(name)}" for name in BACKENDS if why_not(name))
    warnings.warn(f"only the slow reference kernels are available ({reasons})", RuntimeWarning, stacklevel=4)
