"""The libraries on recorded arguments: here, and for aarch64 under qemu-user.

qemu-aarch64 runs the program of run_image.c, which zig compiles, with Debian's C library for aarch64 (qemu-user,
libc6-arm64-cross): the library is loaded as a process on such a machine would load it.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inferir.kernels.aot import library, manifest
from tests.kernels.aot.recorded import record
from tests.kernels.twins import LEVELS
from tests.patience import PATIENCE_S

ROOT = Path("/usr/aarch64-linux-gnu")
EMULATED = shutil.which("qemu-aarch64") is not None and ROOT.exists()
BASE = 0x2_0000_0000


@pytest.mark.parametrize("level", LEVELS)
def test_here(level: str) -> None:
    """The recording itself: this CPU's libraries answer as the reference."""
    loaded = library.load(level)
    size = len(record(0).memory) + 64
    memory = (ctypes.c_byte * size)()
    image = record(ctypes.addressof(memory))
    ctypes.memmove(memory, image.memory, len(image.memory))
    numbers = np.frombuffer(memory, np.int64, 1 + 3 * len(image.records))
    steps = numbers[1:].reshape(-1, 3)
    steps[:, 0] = [loaded.address_at(place) for place in steps[:, 0]]
    assert loaded.bind(steps.ctypes.data, len(steps))() == -1
    image.check(bytes(memory)[: len(image.memory)])


@pytest.mark.skipif(not EMULATED, reason="needs qemu-aarch64 and libc6-arm64-cross (apt-get install)")
def test_aarch64_under_qemu(libraries: Path, tmp_path: Path) -> None:
    program, source = tmp_path / "run_image", Path(__file__).with_name("run_image.c")
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu", "-O1", "-o", str(program)]
    subprocess.run([*compiler, str(source)], check=True, timeout=10 * PATIENCE_S)
    image, path = record(BASE), tmp_path / "image"
    path.write_bytes(image.memory)
    arguments = [str(program), str(libraries / "kernels.aarch64.so"), str(path), hex(BASE)]
    command = ["qemu-aarch64", "-L", str(ROOT), "-cpu", "neoverse-n1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10 * PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert [int(number) for number in done.stdout.split()] == [library.ABI_VERSION, manifest.signatures_digest(), -1]
    image.check(path.read_bytes())
