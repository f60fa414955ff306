"""The one place that compiles. Kernel files say `@kernel` and `@scalar`, never njit.

What holds for every kernel, and why:

error_model="numpy"  a division by zero gives inf or NaN, as in the libraries we answer for; Python's check is a branch that
                     also keeps loops from being vectorised
nogil                threads split rows; a kernel touches no Python object
no NRT               nothing is allocated, and reference counts of arrays handed to a helper, which Numba does not prune
                     from an inner loop, made a tree walk eight times slower
forceinline          of helpers, for the same loops
no fastmath          it assumes that there is no NaN, and NaN is how a missing value travels; `reassociate` lets a plain
                     sum be split over vector lanes, where the numerical contract gives a tolerance instead of bits
no parallel          Numba's default threading layer aborts when two threads call it at once (numba #8563)
lazy                 a signature is compiled when it is first asked for, and kept in a cache on disk

The cache must never be the reason that an import fails, nor answer with another machine's code. Its folder is the first
that can be written of NUMBA_CACHE_DIR, the package's own, the user's; where none can, nothing is kept. Numba's key
holds the triple, the CPU and its features; ours adds a digest of this whole folder, as Numba looks at one file only and
would keep a kernel whose helper in another file has changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import caching, config

from inferir.kernels.signatures import Argument

__all__ = ["cache_folder", "compile_kernel", "kernel", "kernel_reassociated", "scalar"]

Body = TypeVar("Body", bound=Callable[..., Any])

_FOLDER = Path(__file__).parent
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _user_folder(environ: os._Environ[str] | dict[str, str]) -> Path:
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


def cache_folder(environ: os._Environ[str] | dict[str, str] = os.environ) -> Path | None:
    """The folder compiled kernels are kept in, or None where no candidate can be written."""
    named = environ.get("NUMBA_CACHE_DIR")
    candidates = [Path(named) / "inferir"] if named else []
    candidates.append(_FOLDER / "__pycache__")
    try:
        candidates.append(_user_folder(environ))
    except RuntimeError:  # Path.home() of a user without a home
        pass
    return next((folder for folder in candidates if _writable(folder)), None)


class _Locator(caching._CacheLocator):  # type: ignore[misc]
    """Tells Numba where to keep a function, and what makes what it kept stale."""

    folder: Path | None = None
    stamp = ""

    def __init__(self, py_func: Callable[..., Any]) -> None:
        self._py_file = py_func.__code__.co_filename

    def get_cache_path(self) -> str:
        return str(self.folder)

    def get_source_stamp(self) -> str:
        return self.stamp

    def get_disambiguator(self) -> str:
        return self.stamp

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator:
        return cls(py_func)


class _CacheImpl(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    """Numba's cache, except that a full or vanished disk costs the cache entry and not the answer."""

    _impl_class = _CacheImpl

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            self.disable()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged entry raises whatever unpickling it raises: compile instead
            return None


def _with_cache(dispatcher: Any) -> Any:
    if config.DISABLE_JIT:
        return dispatcher
    if not _Locator.stamp:
        _Locator.stamp, _Locator.folder = _digest(_FOLDER), cache_folder()
    if _Locator.folder is not None:
        dispatcher._cache = _Cache(dispatcher.py_func)
    return dispatcher


def kernel(body: Body) -> Body:
    """Mark a function of `signatures.KERNELS`: compiled for the types in its line, cached on disk."""
    return _with_cache(numba.njit(**_OPTIONS)(body))  # type: ignore[no-any-return]


def kernel_reassociated(body: Body) -> Body:
    """A kernel whose sums may be split over vector lanes and use fused multiply-adds: a tolerance holds, not bits."""
    return _with_cache(numba.njit(**_OPTIONS, fastmath={"reassoc", "contract", "nsz"})(body))  # type: ignore[no-any-return]


def scalar(body: Body) -> Body:
    """Mark a helper that kernels call: one number or one row at a time."""
    return numba.njit(**_OPTIONS, forceinline=True)(body)  # type: ignore[no-any-return]


_TYPES = {
    "u8": numba.uint8,
    "i32": numba.int32,
    "u32": numba.uint32,
    "i64": numba.int64,
    "f32": numba.float32,
    "f64": numba.float64,
}


def compile_kernel(dispatcher: Any, arguments: Sequence[Argument]) -> Callable[..., Any]:
    """The machine code for one line of `signatures.KERNELS`.

    It is called without the dispatcher in between, which would look at the type of every argument on every call. So it
    trusts its arguments: right dtype, right rank, C-contiguous.
    """
    if config.DISABLE_JIT:
        return dispatcher  # type: ignore[no-any-return]
    types = tuple(
        numba.types.Array(_TYPES[a.dtype], len(a.dims), "C") if a.dims else _TYPES[a.dtype] for a in arguments
    )
    dispatcher.compile(types)
    return dispatcher.overloads[types].entry_point  # type: ignore[no-any-return]
