"""The one place that compiles. Kernel files say `@kernel` and `@scalar`, never njit.

What holds for every kernel, and why:

error_model="numpy"  a division by zero gives inf or NaN, as in the libraries we answer for; Python's check is a branch
                     that also keeps loops from being vectorised
nogil                threads split rows; a kernel touches no Python object
no NRT               nothing is allocated, and reference counts of arrays handed to a helper, which Numba does not prune
                     from an inner loop, made a tree walk eight times slower
forceinline          of helpers, for the same loops
no fastmath          it assumes that there is no NaN, and NaN is how a missing value travels; `reassociated` lets a
                     plain sum be split over vector lanes, where the numerical contract gives a tolerance, not bits.
                     Every mark says which: a helper that did not would take over the flags of the kernel that is
                     compiled first and keep them for all others, exp and log without their compensations
no parallel          Numba's default threading layer aborts when two threads call it at once (numba #8563)
lazy                 a signature is compiled when it is first asked for, and kept in a cache on disk

The cache must never be the reason that an import or an answer fails, nor answer with another machine's code. Its folder
is the first that can be written of NUMBA_CACHE_DIR, the package's own, the user's; where none can, nothing is kept. An
entry is one file, named by all that its machine code depends on: types, triple, CPU and its features, Python, Numba,
and a digest of this whole folder, as a kernel is made of helpers in other files. It starts with a digest of the rest.
Numba's own cache has an index instead, in which two processes that compile at once can exchange each other's code
(both pick the file name that is next, one writes the index last and the other the file), which raises where it is
damaged, and which NUMBA_CACHE_LOCATOR_CLASSES moves.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import caching, compiler, config, serialize

from inferir.kernels.signatures import Argument

__all__ = ["apart", "cache_folder", "compile_kernel", "kernel", "kernel_reassociated", "scalar", "scalar_reassociated"]

Body = TypeVar("Body", bound=Callable[..., Any])

_FOLDER = Path(__file__).parent
_DISABLED: bool = config.DISABLE_JIT  # type: ignore[attr-defined]  # made from NUMBA_DISABLE_JIT
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False, "fastmath": False}
_REASSOCIATED = _OPTIONS | {"fastmath": {"reassoc", "contract", "nsz"}}


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _user_folder(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME") or environ.get("LOCALAPPDATA") or os.path.join(Path.home(), ".cache")
    return Path(base) / "inferir"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The folder compiled kernels are kept in, or None where no candidate can be written."""
    named = environ.get("NUMBA_CACHE_DIR")
    candidates = [Path(named) / "inferir"] if named else []
    candidates.append(_FOLDER / "__pycache__")
    with contextlib.suppress(RuntimeError):  # Path.home() of a user without a home
        candidates.append(_user_folder(environ))
    return next((folder for folder in candidates if _writable(folder)), None)


@functools.cache
def _place() -> tuple[Path | None, str]:
    return cache_folder(), _digest(_FOLDER)


class _Cache(caching._Cache):
    """What was compiled of one kernel, in files of `folder`; `stamp` changes with the source."""

    def __init__(self, body: Callable[..., Any], folder: Path, stamp: str) -> None:
        self._name = f"{body.__module__.rpartition('.')[2]}.{body.__qualname__}"
        self._folder, self._stamp = folder, stamp

    @property
    def cache_path(self) -> str:
        return str(self._folder)

    def enable(self) -> None:
        """Never off: the folder is asked each time."""

    disable = flush = enable

    def _path(self, types: Any, codegen: Any) -> Path:
        tag = f"{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"
        variant = repr((str(types), codegen.magic_tuple(), tag, numba.__version__))
        return self._folder / f"{self._name}-{hashlib.sha256(variant.encode()).hexdigest()[:16]}-{self._stamp}.nbc"

    def load_overload(self, types: Any, target_context: Any) -> Any:
        target_context.refresh()
        try:
            entry = self._path(types, target_context.codegen()).read_bytes()
        except OSError:
            return None
        digest, reduced = entry[:32], entry[32:]
        if hashlib.sha256(reduced).digest() != digest:
            return None
        parts = pickle.loads(reduced)  # noqa: S301 - whoever can write this folder can write the package as well
        return compiler.CompileResult._rebuild(target_context, *parts)

    def save_overload(self, types: Any, result: Any) -> None:
        reduced = serialize.dumps(result._reduce())
        path = self._path(types, result.codegen)
        scratch = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            scratch.write_bytes(hashlib.sha256(reduced).digest() + reduced)
            scratch.replace(path)  # a reader sees all of an entry or none
            if self._folder == _FOLDER / "__pycache__":  # one source lives here, so other stamps are of the past
                for stale in self._folder.glob(f"{path.stem.rpartition('-')[0]}-*.nbc"):
                    if stale != path:
                        stale.unlink(missing_ok=True)
        except OSError:  # a full or vanished disk costs the entry, not the answer
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)


def _with_cache(dispatcher: Any) -> Any:
    if _DISABLED:
        return dispatcher
    folder, stamp = _place()
    if folder is not None:
        dispatcher._cache = _Cache(dispatcher.py_func, folder, stamp)
    return dispatcher


def kernel(body: Body) -> Body:
    """Mark a function of `signatures.KERNELS`: compiled for the types in its line, cached on disk."""
    return _with_cache(numba.njit(**_OPTIONS)(body))  # type: ignore[no-any-return]


def kernel_reassociated(body: Body) -> Body:
    """A kernel whose sums may be split over vector lanes and use fused multiply-adds: a tolerance holds, not bits."""
    return _with_cache(numba.njit(**_REASSOCIATED)(body))  # type: ignore[no-any-return]


def scalar(body: Body) -> Body:
    """Mark a helper that kernels call: one number or one row at a time."""
    return numba.njit(**_OPTIONS, forceinline=True)(body)  # type: ignore[no-any-return]


def apart(body: Body) -> Body:
    """A helper that stays a function of its own in compiled libraries (`kernels/aot/lower.py`).

    What a loop needs is made ready before the outermost one. So a kernel for one row would begin with the vectors of
    64 bytes that batches need, which slow down the code around them where a CPU lowers its clock for those.
    """
    return numba.njit(**_OPTIONS)(body)  # type: ignore[no-any-return]


def scalar_reassociated(body: Body) -> Body:
    """A helper that is nothing but a sum, for which the same holds as for `kernel_reassociated`."""
    return numba.njit(**_REASSOCIATED, forceinline=True)(body)  # type: ignore[no-any-return]


_TYPES = {
    "u8": numba.uint8,
    "i32": numba.int32,
    "u32": numba.uint32,
    "i64": numba.int64,
    "f32": numba.float32,
    "f64": numba.float64,
}


def numba_types(arguments: Sequence[Argument]) -> tuple[Any, ...]:
    """Numba's types of a line's arguments."""
    return tuple(numba.types.Array(_TYPES[a.dtype], len(a.dims), "C") if a.dims else _TYPES[a.dtype] for a in arguments)


def compile_kernel(dispatcher: Any, arguments: Sequence[Argument]) -> Callable[..., Any]:
    """The machine code for one line of `signatures.KERNELS`.

    It is called without the dispatcher in between, which would look at the type of every argument on every call. So it
    trusts its arguments: right dtype, right rank, C-contiguous.
    """
    if _DISABLED:
        return dispatcher  # type: ignore[no-any-return]
    types = numba_types(arguments)
    dispatcher.compile(types)
    return dispatcher.overloads[types].entry_point  # type: ignore[no-any-return]
