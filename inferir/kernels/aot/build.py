"""Builds the compiled kernels: `python -m inferir.kernels.aot.build [--target NAME]... [--folder FOLDER]`.

    bodies in kernels/jit  --lower-->  LLVM IR for no CPU  --emit, for each target-->  lib/kernels.*

Any Linux on x86-64 or aarch64 makes all targets, with the packages numba, llvmlite and ziglang and no compiler. Equal
inputs (sources, versions of these packages and of Python, host) give equal bytes. So what was built is kept by a digest
of the inputs in the user's cache, where wheels, editable installs and test environments find it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from inferir.errors import BackendError
from inferir.kernels.aot import manifest
from inferir.kernels.aot.library import FOLDER
from inferir.kernels.aot.targets import TARGETS

__all__ = ["HOSTS", "TOOLS", "build", "build_if_possible", "main"]

TOOLS = ("numba", "llvmlite", "ziglang")
HOSTS = ("x86_64", "aarch64")

#: Processes at a time, and parts of the front end's work. A constant, as the parts decide the order of functions.
_PROCESSES = 2

#: Builds that are kept: those of a few branches, or of a few versions of Python.
_KEPT = 8


def build(
    folder: Path = Path(FOLDER), targets: Sequence[str] = tuple(TARGETS), cache: Path | None = None
) -> dict[str, Any]:
    """Put the libraries of `targets` and their manifest into `folder`, and nothing else. Returns the manifest.

    A target that cannot be built is named there with the reason (`left_out`). Raises BackendError where none can.
    """
    inputs = _inputs(targets)
    made = manifest.read(folder)
    if made is None or made.get("inputs") != inputs["inputs"] or made.get("files") != _digests(folder):
        cache = _cache_folder() if cache is None else cache
        with _kept(cache, inputs["inputs"]) as entry:
            if manifest.read(entry) is None:
                _build_into(entry, inputs, targets)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(entry, folder)
        made = json.loads((folder / manifest.MANIFEST).read_text(encoding="utf-8"))
    return dict(made)


def build_if_possible(folder: Path) -> str | None:
    """`build`, for an installer: where it cannot be done, leave the reason in `folder` and return it.

    The package works without compiled kernels. INFERIR_REQUIRE_KERNELS=1 makes that an error, for wheels to give away.
    """
    try:
        left_out = build(folder)["left_out"]
        reason = "; ".join(f"{target}: {why}" for target, why in left_out.items()) or None
    except (BackendError, OSError) as error:
        reason = error.message if isinstance(error, BackendError) else str(error)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / manifest.MANIFEST).write_text(json.dumps({"files": {}, "reason": reason}) + "\n", encoding="utf-8")
    if reason and os.environ.get("INFERIR_REQUIRE_KERNELS", "0") not in ("", "0"):
        raise SystemExit(f"INFERIR_REQUIRE_KERNELS is set, and compiled kernels are missing: {reason}")
    return reason


def _inputs(targets: Sequence[str]) -> dict[str, Any]:
    """The manifest's part that is known beforehand."""
    if sys.platform != "linux" or platform.machine() not in HOSTS:
        raise BackendError(
            f"kernels are compiled on Linux on {' or '.join(HOSTS)}, not on {sys.platform} {platform.machine()}"
        )
    tools = {"python": f"{platform.python_implementation()} {'.'.join(platform.python_version_tuple()[:2])}"}
    missing = []
    for name in TOOLS:
        try:
            tools[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise BackendError(
            f"to compile kernels, expected the packages {', '.join(TOOLS)}; {', '.join(missing)} is missing"
        )
    sources = manifest.sources_digest()
    inputs = [str(sources), platform.machine(), *(f"{k} {v}" for k, v in tools.items()), *targets]
    return {"inputs": hashlib.sha256("\n".join(inputs).encode()).hexdigest(), "sources": sources, "tools": tools}


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("kernels.*"))}


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "inferir" / "aot"


@contextlib.contextmanager
def _kept(cache: Path, inputs: str) -> Iterator[Path]:
    """The folder in the cache for these inputs, held by one process at a time; a temporary one if there is no cache."""
    import fcntl

    entry = cache / inputs
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = open(cache / "lock", "w")  # noqa: SIM115 - closed by the with below
    except OSError:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch) / inputs
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield entry
        os.utime(entry)
        builds = sorted((path for path in cache.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for old in builds[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def _build_into(entry: Path, inputs: dict[str, Any], targets: Sequence[str]) -> None:
    """Build all in a folder beside `entry`, then rename it: an entry is whole or not there."""
    # All targets at once: of five tasks that are as long, two cores would have one left over.
    processes = max(_PROCESSES, len(targets))
    with tempfile.TemporaryDirectory(dir=_existing(entry.parent)) as scratch, ThreadPoolExecutor(processes) as pool:
        work, done = Path(scratch) / "work", Path(scratch) / "done"
        work.mkdir()
        done.mkdir()
        parts = [work / f"{part}.bc" for part in range(_PROCESSES)]
        for failure in pool.map(lambda p: _stage("lower", parts[p], p, _PROCESSES), range(_PROCESSES)):
            if failure:
                raise BackendError(f"the kernels could not be compiled: {failure}")
        failures = pool.map(lambda name: _stage("emit", name, done / TARGETS[name].file, *parts), targets)
        left_out = {name: failure for name, failure in zip(targets, failures, strict=True) if failure}
        if len(left_out) == len(targets):
            raise BackendError(f"the kernels could not be compiled: {left_out}")
        text = json.dumps(inputs | {"files": _digests(done), "left_out": left_out}, indent=1, sort_keys=True)
        (done / manifest.MANIFEST).write_text(text + "\n", encoding="utf-8")
        shutil.rmtree(entry, ignore_errors=True)
        done.rename(entry)


def _existing(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _stage(module: str, *arguments: object) -> str:
    """Run a stage in a process of its own, without settings of Numba's around. Returns what went wrong, or ""."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    path = [str(manifest.PACKAGE.parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environ |= {"PYTHONPATH": os.pathsep.join(path), "PYTHONHASHSEED": "0"}
    if module == "lower":
        # Numba's own passes would choose vector widths for this CPU; what is left of them inlines and no more.
        environ |= {"NUMBA_OPT": "0", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, "-m", f"inferir.kernels.aot.{module}", *map(str, arguments)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m inferir.kernels.aot.build", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="only this one; may be given again")
    parser.add_argument("--folder", type=Path, default=Path(FOLDER), help="where to (default: inside the package)")
    options = parser.parse_args(arguments)
    try:
        made = build(options.folder, options.target or tuple(TARGETS))
    except BackendError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name in made["files"]:
        sys.stdout.write(f"{options.folder / name}  {(options.folder / name).stat().st_size:,} bytes\n")
    for target, reason in made["left_out"].items():
        sys.stderr.write(f"{target} is left out: {reason}\n")
    return 1 if made["left_out"] else 0


if __name__ == "__main__":
    sys.exit(main())
