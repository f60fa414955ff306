"""Kernels compiled ahead of time: one library for each target, with a C ABI and nothing of Python in it.

    targets.py    what libraries are built for
    lower.py      Numba's front end: bodies of kernels/jit to LLVM IR for no CPU in particular
    abi.py        the exported functions, and how kernels take their arguments
    emit.py       LLVM's back end and the linker, for one target
    build.py      all of it, cached: `python -m inferir.kernels.aot.build`
    manifest.py   what libraries were made of, and whether that is still there
    library.py    loads a library and calls it
    arrays.py     calls single kernels on NumPy arrays, as other backends do

A program runs without a Python call for each kernel (`inferir.program`); single kernels are for tests and benchmarks.
"""

from __future__ import annotations

TYPE_CHECKING = False  # a start on AWS Lambda imports this package
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from inferir.kernels.aot.library import Library


def native() -> Library:
    """The library for this CPU. Raises BackendError where there is none, or one of another table of kernels."""
    from inferir.errors import BackendError
    from inferir.kernels.aot import library, manifest

    found = library.load()
    if found.digest != manifest.signatures_digest():
        raise BackendError(f"{found.path} was built from another table of kernels; build it anew")
    return found


def load(name: str) -> Callable[..., Any]:
    """The kernel `name` of `signatures.KERNELS`, for NumPy arrays."""
    from inferir.kernels.aot.arrays import Call
    from inferir.kernels.signatures import KERNELS

    return Call(native(), KERNELS[name])


def problem() -> str | None:
    """Why compiled kernels cannot be used here; None where they can."""
    import os

    from inferir.errors import BackendError
    from inferir.kernels.aot import manifest

    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "NUMBA_DISABLE_JIT asks for kernels as plain Python"
    reason = manifest.problem()
    if reason is None:
        try:
            native()
        except BackendError as error:
            reason = error.message
    return reason
