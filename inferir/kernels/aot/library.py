"""Finds the compiled kernels for this CPU, loads them when first asked, and calls them.

Loading costs 0.3 ms and imports `os` and `_ctypes` alone: a start on AWS Lambda counts them, and the `ctypes` package
would cost more than all the rest.

    kernels = load()                             # the best level that this CPU has; BackendError where there is none
    kernels.address("softmax_f64")               # an int: address of the machine code
    ask = kernels.bind(steps_address, n_steps)   # once for a program
    ask()                                        # -1, or the number of the step that stopped

What steps and blocks look like is written in docs/reference/kernel-abi.md.

Of the ways to run steps, a bound call costs about 0.25 us: its arguments are converted once, and it keeps the
interpreter's lock, whose release and return would cost 0.1 us more. One that takes a row (`bind_row`) is a built-in
function and costs 0.05 us; one that takes arrays of rows (`bind_rows`) too, and it releases the lock, so that other
threads go on. All are safe to use from several threads at once, as long as each has its own blocks.

INFERIR_CPU_LEVEL (v2, v3, v4) asks for a lower level than the CPU's, to compare them or to have the same bits on all
machines.
"""

from __future__ import annotations

import _ctypes
import os
import sys
from _functools import partial  # type: ignore[import-not-found]  # functools costs more than it

from inferir.errors import BackendError

TYPE_CHECKING = False  # typing would be the dearest import of this file
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from inferir.kernels.aot.builtin import RecordForm

__all__ = ["ABI_VERSION", "FOLDER", "LEVELS", "Library", "cpu_flags", "levels", "load"]

#: As signatures.ABI_VERSION, whose import costs more than loading the library; a test compares them.
ABI_VERSION = 12

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")

#: Machine -> levels, best first: name, file, and what /proc/cpuinfo must list beside what lower levels need.
LEVELS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "x86_64": (
        ("v4", "kernels.x86_64_v4.so", "avx512f avx512bw avx512cd avx512dq avx512vl"),
        ("v3", "kernels.x86_64_v3.so", "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"),
        ("v2", "kernels.x86_64_v2.so", "cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_2"),
    ),
    "aarch64": (("neoverse-n1", "kernels.aarch64.so", "asimd atomics asimdhp asimdrdm lrcpc asimddp crc32"),),
}


#: Level -> what /proc/cpuinfo lists where the CPU has byte products (docs/reference/kernel-abi.md).
BYTE_PRODUCTS = {"v4": "avx512_vnni"}


class _Integer(_ctypes._SimpleCData):  # type: ignore[type-arg]  # it is generic for type checkers alone
    _type_ = "q"


class _Text(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "z"


class _Function(_ctypes.CFuncPtr):
    """Releases the interpreter's lock while it runs."""

    _flags_ = _ctypes.FUNCFLAG_CDECL
    _restype_ = _Integer


class _HoldingFunction(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_PYTHONAPI
    _restype_ = _Integer


class _TextFunction(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL
    _restype_ = _Text


class Library:
    """A loaded library: `path`, `level`, `abi_version`, `digest` (of the table it was built from).

    Raises OSError where `path` cannot be loaded or is no such library.
    """

    def __init__(self, path: str, level: str = "") -> None:
        handle = _ctypes.dlopen(path, os.RTLD_NOW | os.RTLD_LOCAL)
        self.path, self.level = path, level
        self.abi_version: int = _Function(_ctypes.dlsym(handle, "inferir_abi_version"))()
        self.digest: int = _Function(_ctypes.dlsym(handle, "inferir_digest"))()
        self._names = _TextFunction(_ctypes.dlsym(handle, "inferir_names"))
        self._kernel = _Function(_ctypes.dlsym(handle, "inferir_kernel"))
        run = _ctypes.dlsym(handle, "inferir_run")
        self._run, self._run_holding = _Function(run), _HoldingFunction(run)
        self._handle: int = handle
        self._places: dict[str, int] = {}

    def use_byte_products(self) -> None:
        """Tell the library that this CPU has them."""
        _Integer.from_address(_ctypes.dlsym(self._handle, "inferir_byte_products")).value = 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the kernels, in the order of the table."""
        if not self._places:
            names: bytes = self._names()
            self._places = {name: place for place, name in enumerate(names.decode().split())}
        return tuple(self._places)

    def address(self, kernel: str) -> int:
        """Where the machine code of a kernel is. Raises BackendError for a name that the library does not have."""
        place = self._places.get(kernel) if self._places or self.names else None
        if place is None:
            raise BackendError(f"there is no kernel {kernel!r} in {self.path}")
        return self.address_at(place)

    def address_at(self, place: int) -> int:
        """The same by the kernel's place in the table, for whoever knows that the digests agree. 0 beyond the table."""
        address: int = self._kernel(_Integer(place))
        return address

    def bind(self, steps_address: int, n_steps: int, *, release_lock: bool = False) -> Callable[[], int]:
        """A call that runs `n_steps` steps, by default with the interpreter's lock. It answers as `run` does."""
        run = self._run if release_lock else self._run_holding
        bound: Callable[[], int] = partial(run, _Integer(steps_address), _Integer(n_steps))
        return bound

    def bind_row(self, steps_address: int, n_steps: int, row_address: int, row_nbytes: int) -> Callable[[bytes], int]:
        """A call that copies a row's bytes to `row_address` and runs `n_steps` steps, with the interpreter's lock.

        It answers as `run` does; -2 where it is given anything but `row_nbytes` bytes.
        """
        from inferir.kernels.aot.builtin import row_function  # a start on Lambda does without

        call = _ctypes.dlsym(self._handle, "inferir_call")
        made = row_function(call, steps_address, n_steps, row_address, row_nbytes)
        return made or self._row_by_ctypes(self.bind(steps_address, n_steps), row_address, row_nbytes)

    @staticmethod
    def _row_by_ctypes(run: Callable[[], int], row_address: int, row_nbytes: int) -> Callable[[bytes], int]:
        from ctypes import memmove

        def ask(row: bytes) -> int:
            if type(row) is not bytes or len(row) != row_nbytes:
                return -2
            memmove(row_address, row, row_nbytes)
            return run()

        return ask

    def bind_rows(self, table_address: int, array: type[Any]) -> Callable[[Any, Any], int]:
        """A call that runs steps over rows and into their answer, without the interpreter's lock.

        Both are C-contiguous NumPy arrays (`array` is their type) of what the table says (`Frame.rows_table`). It
        returns -1, or where the run stopped: the first row of those that were run together times the number of steps,
        plus the number of the step. -2 where it is given something else than two arrays of as many rows.
        """
        from inferir.kernels.aot.builtin import rows_function

        made = rows_function(_ctypes.dlsym(self._handle, "inferir_call_rows"), table_address, array)
        return made or self._rows_by_ctypes(table_address, array)

    def _rows_by_ctypes(self, table_address: int, array: type[Any]) -> Callable[[Any, Any], int]:
        run, table = _Function(_ctypes.dlsym(self._handle, "inferir_rows")), _Integer(table_address)

        def ask(rows: Any, answer: Any) -> int:
            if type(rows) is not array or type(answer) is not array or rows.shape[:1] != answer.shape[:1]:
                return -2
            places = (_Integer(given.__array_interface__["data"][0]) for given in (rows, answer))
            stopped: int = run(table, *places, _Integer(rows.shape[0]))
            return stopped

        return ask

    def bind_record(self, form: RecordForm) -> Callable[..., bytes] | None:
        """A call that appends records, and prints; None where Python is not as expected.

        It takes a list with a number for each of `form.places`, then `n_numbers` more, then `n_texts` strings, and
        writes them to the next record: doubles, then the texts in UTF-8, each cut or filled with zeros to TEXT_NBYTES
        (`builtin.py`). Once there are `capacity` records, the one behind them is overwritten.

        It returns `line`, in which "0.000" at each place is 1000 times that number of the list, to the nearest
        thousandth, as `round` does. No bytes: a number is not from 0 to 9.999, or the last record is full now. The
        record is kept all the same. What is no list raises SystemError, other things TypeError, too few numbers
        IndexError: nothing is kept then. Of a longer list the rest is ignored.

        Raises ValueError for a place without "0.000", and for a line that is too long.
        """
        from inferir.kernels.aot.builtin import record_function

        return record_function(_ctypes.dlsym(self._handle, "inferir_call_record"), form)

    def __repr__(self) -> str:
        return f"Library({self.path!r})"


def cpu_flags(path: str = "/proc/cpuinfo") -> frozenset[str]:
    """What Linux says the first CPU can do; nothing where that cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return frozenset()
    try:
        text = b""
        while chunk := os.read(file, 4096):
            text += chunk
            if b"\n\n" in text:  # the end of the first CPU
                break
    finally:
        os.close(file)
    for line in text.decode("ascii", "replace").splitlines():
        key, _, values = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(values.split())
    return frozenset()


def levels(machine: str, flags: frozenset[str]) -> list[tuple[str, str]]:
    """Levels that a CPU has, best first: name and file."""
    found: list[tuple[str, str]] = []
    for name, file, needs in reversed(LEVELS.get(machine, ())):
        if not flags.issuperset(needs.split()):
            break
        found.insert(0, (name, file))
    return found


_LOADED: dict[str, Library] = {}


def load(level: str | None = None, folder: str = FOLDER) -> Library:
    """The library of the best level that this CPU has, or of `level` or the one below it that is there.

    `level` is by default what INFERIR_CPU_LEVEL says. Raises BackendError, with every path tried and why not.
    """
    wanted = os.environ.get("INFERIR_CPU_LEVEL", "") if level is None else level
    known = os.path.join(folder, wanted)
    if known not in _LOADED:
        _LOADED[known] = _search(wanted, folder)
    return _LOADED[known]


def _search(wanted: str, folder: str) -> Library:
    machine = os.uname().machine if sys.platform == "linux" else ""
    if machine not in LEVELS:
        raise BackendError(
            f"there are compiled kernels for Linux on {' and '.join(LEVELS)}, not for {sys.platform} {machine}".rstrip()
        )
    flags = cpu_flags()
    found = levels(machine, flags)
    names = [name for name, _ in found]
    if wanted and wanted not in names:
        raise BackendError(f"expected INFERIR_CPU_LEVEL to be a level of this CPU ({', '.join(names)}), got {wanted!r}")
    if not found:
        raise BackendError(
            f"this CPU has no level that there are compiled kernels for; the lowest is {LEVELS[machine][-1][0]}"
        )
    tried = []
    for name, file in found[names.index(wanted) if wanted else 0 :]:
        path = os.path.join(folder, file)
        try:
            library = Library(path, name)
        except OSError as error:
            tried.append(f"{path}: {error}")
            continue
        if library.abi_version == ABI_VERSION:
            if BYTE_PRODUCTS.get(name) in flags:
                library.use_byte_products()
            return library
        tried.append(f"{path}: expected ABI version {ABI_VERSION}, got {library.abi_version}")
    raise BackendError("there are no compiled kernels that could be loaded; tried:\n  " + "\n  ".join(tried))
