"""Loading a library: which, from where, what is said where there is none; and running steps."""

from __future__ import annotations

import gc
import json
import os
import platform
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from types import BuiltinFunctionType
from typing import Any

import numpy as np
import pytest

from inferir import kernels
from inferir.errors import BackendError
from inferir.kernels import aot
from inferir.kernels.aot import builtin, library, manifest, targets
from inferir.kernels.aot.arrays import Call
from inferir.kernels.signatures import ABI_VERSION, KERNELS

V2, V3, V4 = (needs for _, _, needs in reversed(library.LEVELS["x86_64"]))


def test_one_abi() -> None:
    assert library.ABI_VERSION == ABI_VERSION


def test_every_level_is_a_target() -> None:
    files = {file for levels in library.LEVELS.values() for _, file, _ in levels}
    assert files == {target.file for target in targets.TARGETS.values() if target.file.endswith(".so")}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (f"{V2} {V3} {V4}", ["v4", "v3", "v2"]),
        (f"{V2} {V3}", ["v3", "v2"]),
        (f"{V2} {V4}", ["v2"]),  # AVX-512 without AVX2, if there were such a thing
        (V2, ["v2"]),
        (V3, []),
        ("", []),
    ],
)
def test_levels_of_a_cpu(flags: str, expected: list[str]) -> None:
    assert [name for name, _ in library.levels("x86_64", frozenset(flags.split()))] == expected


def test_levels_of_other_machines() -> None:
    graviton = "fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs"
    assert library.levels("aarch64", frozenset(graviton.split())) == [("neoverse-n1", "kernels.aarch64.so")]
    assert library.levels("aarch64", frozenset({"fp", "asimd", "crc32"})) == []  # Cortex-A72
    assert library.levels("riscv64", frozenset()) == []


@pytest.mark.parametrize("key", ["flags\t\t", "Features\t"])
def test_cpu_flags(key: str, tmp_path: Path) -> None:
    first = f"processor\t: 0\n{key}: fpu avx2 fma\nvmx flags\t: other\n\n"
    (tmp_path / "cpuinfo").write_text(first + "processor\t: 1\n" * 5000)
    assert library.cpu_flags(str(tmp_path / "cpuinfo")) == {"fpu", "avx2", "fma"}
    (tmp_path / "empty").touch()
    assert library.cpu_flags(str(tmp_path / "empty")) == frozenset()
    assert library.cpu_flags(str(tmp_path / "missing")) == frozenset()


def test_failure_lists_every_path_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "cpu_flags", lambda: frozenset(f"{V2} {V3} {V4}".split()))
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "x86_64")))
    (tmp_path / "kernels.x86_64_v3.so").write_bytes(b"no library")
    with pytest.raises(BackendError) as caught:
        library.load("", str(tmp_path))
    lines = caught.value.message.splitlines()[1:]
    assert [line.partition(": ")[0].strip() for line in lines] == [
        str(tmp_path / f"kernels.x86_64_{level}.so") for level in ("v4", "v3", "v2")
    ]
    assert "No such file" in lines[0]
    assert "file too short" in lines[1] or "invalid ELF header" in lines[1]
    with pytest.raises(BackendError) as caught:
        library.load("v2", str(tmp_path))
    assert len(caught.value.message.splitlines()) == 2


def test_machines_without_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BackendError, match="for Linux on x86_64 and aarch64, not for darwin"):
        library.load("", str(tmp_path))
    monkeypatch.undo()
    monkeypatch.setattr(library, "cpu_flags", frozenset)
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", "x86_64")))
    with pytest.raises(BackendError, match="the lowest is v2"):
        library.load("", str(tmp_path))


def test_level_that_the_cpu_has_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFERIR_CPU_LEVEL", "v5")
    with pytest.raises(BackendError, match=r"expected INFERIR_CPU_LEVEL to be a level of this CPU \(.*\), got 'v5'"):
        library.load(folder=str(tmp_path))


def test_another_abi(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "ABI_VERSION", ABI_VERSION + 1)
    with pytest.raises(BackendError, match=f"expected ABI version {ABI_VERSION + 1}, got {ABI_VERSION}"):
        library.load("", os.path.join(str(libraries), "."))  # a folder that nothing was loaded from yet


def test_another_table(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "KERNELS", dict(list(KERNELS.items())[1:]))
    with pytest.raises(BackendError, match="another table of kernels"):
        aot.native()


# What a library does.


@pytest.fixture(scope="module")
def loaded(libraries: Path) -> library.Library:
    return library.load()


def test_environment_chooses_the_level(libraries: Path) -> None:
    for level, file in library.levels(platform.machine(), library.cpu_flags()):
        code = (
            "from inferir.kernels.aot import builtin, library; found = library.load(); print(found.level, found.path)"
        )
        environ = {**os.environ, "INFERIR_CPU_LEVEL": level}
        done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [level, str(libraries / file)]


def test_names_and_addresses(loaded: library.Library) -> None:
    assert loaded.names == tuple(KERNELS)
    addresses = [loaded.address(name) for name in KERNELS]
    assert addresses == [loaded.address_at(place) for place in range(len(KERNELS))]
    assert len(set(addresses)) > len(KERNELS) // 2
    assert all(addresses)
    assert loaded.address_at(len(KERNELS)) == loaded.address_at(-1) == 0
    with pytest.raises(BackendError, match="there is no kernel 'no_kernel' in "):
        loaded.address("no_kernel")


def test_byte_products_are_asked_of_the_cpu(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {level: target for level, *_ in library.LEVELS["x86_64"] for target in [f"x86_64_{level}"]}
    assert [level for level, target in asked.items() if targets.TARGETS[target].asks] == list(library.BYTE_PRODUCTS)
    flags = library.cpu_flags()
    told: list[str] = []
    monkeypatch.setattr(library.Library, "use_byte_products", lambda found: told.append(found.level))
    for level, _ in library.levels(platform.machine(), flags):
        for has in (False, True):
            told.clear()
            given = flags | {"avx512_vnni"} if has else flags - {"avx512_vnni"}
            monkeypatch.setattr(library, "cpu_flags", lambda given=given: given)
            library.load(level, os.path.join(str(libraries), *["."] * (1 + has)))
            assert told == ([level] if has and level in library.BYTE_PRODUCTS else [])


class _Steps:
    """relu, check_finite of its result, then the complement of its first column."""

    def __init__(self, loaded: library.Library, x: Any) -> None:
        self.x, self.relu, self.complement = x, np.zeros_like(x), np.full((len(x), 2), 7.0)
        self.problem = np.zeros(1, np.int64)
        n, d = x.shape
        arrays = [self.x.ctypes.data, n, d, self.relu.ctypes.data, n, d]
        check = [self.relu.ctypes.data, n, d, 0, self.problem.ctypes.data, 1]
        last = [self.relu.ctypes.data, n, 1, self.complement.ctypes.data, n, 2]
        self.blocks = np.array([arrays, check, last], np.int64)
        address = [self.blocks[i].ctypes.data for i in range(3)]
        self.steps = np.array(
            [
                [loaded.address("relu_f64"), address[0], 0],
                [loaded.address("check_finite_f64"), address[1], self.problem.ctypes.data],
                [loaded.address("complement_f64"), address[2], 0],
            ],
            np.int64,
        )


@pytest.mark.parametrize("release_lock", [False, True])
def test_steps_run_in_order_until_one_has_a_problem(loaded: library.Library, release_lock: bool) -> None:
    good = _Steps(loaded, np.array([[0.25], [-3.0]]))
    run = loaded.bind(good.steps.ctypes.data, 3, release_lock=release_lock)
    assert run() == -1
    assert good.relu.tolist() == [[0.25], [0.0]]
    assert good.complement.tolist() == [[0.75, 0.25], [1.0, 0.0]]
    assert good.problem[0] == -1
    good.x[1] = np.inf
    good.complement[:] = 7.0
    assert run() == 1
    assert good.problem[0] == 1
    assert good.complement.tolist() == [[7.0, 7.0]] * 2, "what follows is not run"
    assert loaded.bind(good.steps.ctypes.data, 0, release_lock=release_lock)() == -1


@pytest.mark.parametrize("built_in", [True, False])
def test_a_row_is_copied_to_its_place_before_steps_run(
    loaded: library.Library, built_in: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not built_in:
        monkeypatch.setattr(builtin, "HEAD_NBYTES", 48)  # as a CPython of other heads would have it
    steps = _Steps(loaded, np.array([[0.25]]))
    ask = loaded.bind_row(steps.steps.ctypes.data, 3, steps.x.ctypes.data, steps.x.nbytes)
    assert isinstance(ask, BuiltinFunctionType) == built_in
    assert ask(np.array([[0.75]]).tobytes()) == -1
    assert steps.complement.tolist() == [[0.25, 0.75]]
    assert ask(np.array([[np.inf]]).tobytes()) == 1
    for other in (b"", bytes(7), bytes(9), bytearray(8), memoryview(bytes(8)), None, "12345678", 8, [0.5]):
        steps.x[:] = 0.125
        assert ask(other) == -2  # type: ignore[arg-type]
        assert steps.x[0, 0] == 0.125
    references = sys.getrefcount(ask)
    for _ in range(10_000):
        ask(bytes(8))
    assert sys.getrefcount(ask) == references


def _table(steps: _Steps, most: int) -> Any:
    """For rows of one double and answers of two."""
    relu, check, last = (steps.blocks[i].ctypes.data for i in range(3))
    lengths = [relu + 8, relu + 32, check + 8, last + 8, last + 32]
    numbers = [steps.steps.ctypes.data, 3, most, 256, 8, 16, len(lengths), 0, 1, 1, *lengths, relu, last + 24]
    return np.array(numbers, np.int64)


@pytest.mark.parametrize("built_in", [True, False])
@pytest.mark.parametrize("other", ["head", "arrays"])
def test_rows_are_run_a_number_at_a_time_where_they_lie(
    loaded: library.Library, built_in: bool, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not built_in:  # as a CPython, or a NumPy, of other fields would have it
        monkeypatch.setattr(builtin, "HEAD_NBYTES" if other == "head" else "ARRAY_LENGTHS", 40)
    steps = _Steps(loaded, np.zeros((2, 1)))
    table = _table(steps, 2)
    ask = loaded.bind_rows(table.ctypes.data, np.ndarray)
    assert isinstance(ask, BuiltinFunctionType) == built_in
    for n in (5, 1, 2, 0, 3):
        rows, answer = np.linspace(0.125, 0.5, n)[:, None], np.full((n + 1, 2), 7.0)
        assert ask(rows, answer[:n]) == -1
        assert answer.tolist() == [*np.hstack([1 - rows, rows]).tolist(), [7.0, 7.0]]
    rows = np.zeros((5, 1))
    rows[3] = np.inf
    assert ask(rows, np.empty((5, 2))) == 2 * 3 + 1, "the first of the rows together, and the step"
    assert steps.problem[0] == 1
    many = np.empty((5, 2))
    for given in ((rows, many[:4]), (rows.tolist(), many), (rows, None), (np.ma.masked_array(rows), many)):
        assert ask(*given) == -2
    references = sys.getrefcount(rows), sys.getrefcount(many)
    for _ in range(1000):
        ask(rows, many)
    assert (sys.getrefcount(rows), sys.getrefcount(many)) == references


def test_other_threads_go_on_while_rows_are_answered(loaded: library.Library) -> None:
    steps = _Steps(loaded, np.zeros((1_000_000, 1)))
    table, answer = _table(steps, 1_000_000), np.empty((1_000_000, 2))
    ask = loaded.bind_rows(table.ctypes.data, np.ndarray)
    asked, counted = threading.Event(), []

    def count() -> None:
        while not asked.is_set():
            counted.append(1)
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    switch = sys.getswitchinterval()
    sys.setswitchinterval(60)  # nobody is made to let the other go on
    try:
        counted.clear()
        for _ in range(5):
            assert ask(steps.x, answer) == -1
        assert counted
    finally:
        sys.setswitchinterval(switch)
        asked.set()
        thread.join()


def test_a_function_keeps_what_it_needs(loaded: library.Library) -> None:
    steps = _Steps(loaded, np.array([[0.25]]))
    asks = [loaded.bind_row(steps.steps.ctypes.data, 3, steps.x.ctypes.data, 8) for _ in range(1000)]
    gc.collect()
    scattered = [bytes(range(48, 48 + k % 50)) for k in range(10_000)]  # takes what was freed
    for ask in (*asks[:10], *asks[-10:]):
        assert ask(np.array([0.5]).tobytes()) == -1
    del asks, ask
    gc.collect()
    assert steps.complement.tolist() == [[0.5, 0.5]]
    assert len(scattered) == 10_000


def test_threads(loaded: library.Library) -> None:
    """Each thread has its own block, though the kernel is one."""
    softmax = Call(loaded, KERNELS["softmax_f64"])
    wrong: list[int] = []

    def ask(seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=(50, 8))
        right, out = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), np.empty_like(x)
        for _ in range(200):
            softmax(x, out)
            if not np.allclose(out, right, rtol=1e-12):
                wrong.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_loading_imports(libraries: Path) -> None:
    """A start on AWS Lambda pays for every module; ctypes, typing, collections and json are among the dearest."""
    code = "import sys; was = set(sys.modules); from inferir.kernels.aot import library; library.load()\n"
    code += "import json; print(json.dumps(sorted(set(sys.modules) - was - {'json'})))"
    environ = {**os.environ, "PYTHONPATH": str(Path(aot.__file__).parents[3])}
    done = subprocess.run([sys.executable, "-S", "-c", code], env=environ, capture_output=True, text=True, check=True)
    ours = [name for name in json.loads(done.stdout) if not name.startswith("json")]
    assert {name for name in ours if name.startswith("inferir")} == {
        *("inferir", "inferir.errors", "inferir.kernels", "inferir.kernels.aot", "inferir.kernels.aot.library"),
    }
    heavy = {"ctypes", "typing", "dataclasses", "numpy", "numba", "inspect", "pathlib", "hashlib", "importlib.util"}
    assert not heavy & set(ours)


# The choice of a backend.


def test_fallback_and_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_REASONS", {})
    monkeypatch.setattr(aot, "problem", lambda: "the moon is full")
    assert kernels.available() == ("jit", "reference")
    assert kernels.select().name == "jit"
    assert kernels.why_not("aot") == "the moon is full"
    with pytest.raises(BackendError, match=r"'aot' is not available: the moon is full; expected auto or one of jit, "):
        kernels.select("aot")


def test_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_REASONS", dict.fromkeys(kernels.BACKENDS, "gone"))
    with pytest.raises(BackendError, match="there is none at all; expected auto or one of none"):
        kernels.select()


def test_left_with_the_slow_kernels_auto_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"aot": "no clang", "jit": "no numba", "reference": None}
    monkeypatch.setattr(kernels, "_REASONS", reasons)
    monkeypatch.setattr(kernels, "_SELECTED", {})
    with pytest.warns(RuntimeWarning, match=r"only the slow reference kernels .* \(aot: no clang; jit: no numba\)"):
        assert kernels.select().name == "reference"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernels.select()  # said once
        kernels.select("reference")  # asked for


def test_interpreted_kernels_are_not_compiled_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert aot.problem() == "NUMBA_DISABLE_JIT asks for kernels as plain Python"
