"""Where compiled kernels are kept, and that whatever happens there, an answer is given and it is right.

Each case that depends on how a process starts is a process of its own, on a copy of the kernels where files change.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inferir
from inferir.kernels.jit import _compile
from inferir.kernels.signatures import KERNELS
from tests.kernels.twins import INTERPRETED
from tests.patience import PATIENCE_S

compiled_only = pytest.mark.skipif(INTERPRETED, reason="about compilation, which NUMBA_DISABLE_JIT turns off")

#: A process that runs a kernel whose answer is known, and says how often it came from the cache.
PROBE = """
import json, sys
import numpy as np
from inferir.kernels import select
from inferir.kernels.jit import _compile, activation

x, out = np.array([[0.0, 3.0, -1.0]]), np.zeros((1, 3))
select("jit")["relu_f64"](x, out)
hits = sum(activation.relu.stats.cache_hits.values()) if hasattr(activation.relu, "stats") else None
print(json.dumps([out.tolist(), hits, str(_compile.cache_folder())]))
"""
ANSWER = [[0.0, 3.0, 0.0]]


def clean(**more: str) -> dict[str, str]:
    """An environment without the variables that choose a folder or a CPU."""
    chosen = ("NUMBA_", "XDG_CACHE_HOME", "LOCALAPPDATA", "PYTHONPATH", "COVERAGE")
    return {k: v for k, v in os.environ.items() if not k.startswith(chosen)} | {"PYTHONDONTWRITEBYTECODE": "1"} | more


def start(package: Path, **environ: str) -> subprocess.Popen[str]:
    """A fresh process that imports the package from its folder."""
    return subprocess.Popen(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", PROBE],
        env=clean(PYTHONPATH=str(package), **environ),
        cwd=package,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[Any, str]:
    """How often it found its kernel in the cache, and the cache's folder; that it answered right is checked."""
    stdout, stderr = process.communicate(timeout=10 * PATIENCE_S)
    assert process.returncode == 0, stderr
    answer, hits, folder = json.loads(stdout)
    assert answer == ANSWER
    return hits, folder


def probe(package: Path, **environ: str) -> tuple[Any, str]:
    return end(start(package, **environ))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of a copy of the package, without anything compiled."""
    ignored = shutil.ignore_patterns("__pycache__")
    source, copy = Path(inferir.__file__).parent, tmp_path / "site" / "inferir"
    copy.mkdir(parents=True)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(source / name, copy / name)
    (copy / "__init__.py").write_text("")  # the rest of the package is no part of this
    shutil.copytree(source / "kernels", copy / "kernels", ignore=ignored)
    return copy.parent


def jit(package: Path) -> Path:
    return package / "inferir" / "kernels" / "jit"


# The choice of the folder.


def test_named_folder_comes_first(tmp_path: Path) -> None:
    environ = {"NUMBA_CACHE_DIR": str(tmp_path / "named"), "XDG_CACHE_HOME": str(tmp_path / "user")}
    assert _compile.cache_folder(environ) == tmp_path / "named" / "inferir"
    assert list((tmp_path / "named" / "inferir").iterdir()) == []


def test_package_comes_second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_compile, "_FOLDER", tmp_path / "package")
    assert _compile.cache_folder({"XDG_CACHE_HOME": str(tmp_path / "user")}) == tmp_path / "package" / "__pycache__"


def test_user_comes_third(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    user = tmp_path / "user"
    monkeypatch.setattr(_compile, "_writable", lambda folder: folder.is_relative_to(user))
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        assert _compile.cache_folder({variable: str(user)}) == user / "inferir"
    monkeypatch.setattr(Path, "home", lambda: user)
    assert _compile.cache_folder({}) == user / ".cache" / "inferir"
    assert _compile.cache_folder({"NUMBA_CACHE_DIR": "elsewhere", "XDG_CACHE_HOME": str(user)}) == user / "inferir"


def test_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(_compile, "_writable", lambda folder: False)
    assert _compile.cache_folder({"NUMBA_CACHE_DIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}) is None
    monkeypatch.setattr(Path, "home", homeless)
    assert _compile.cache_folder({}) is None


def test_file_in_the_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Real ones: a file where a folder should be stops every user, root too."""
    monkeypatch.setattr(_compile, "_FOLDER", tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "__pycache__").touch()
    environ = {"NUMBA_CACHE_DIR": str(tmp_path / "file"), "XDG_CACHE_HOME": str(tmp_path / "file")}
    assert _compile.cache_folder(environ) is None
    assert _compile.cache_folder(environ | {"XDG_CACHE_HOME": str(tmp_path / "user")}) == tmp_path / "user" / "inferir"


def test_no_file_is_left_by_looking(tmp_path: Path) -> None:
    assert _compile._writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


# Whole processes.


@compiled_only
def test_package_then_user_then_nothing(package: Path, tmp_path: Path) -> None:
    user, cache = {"XDG_CACHE_HOME": str(tmp_path / "user")}, jit(package) / "__pycache__"
    assert probe(package, **user) == (0, str(cache))
    assert not (tmp_path / "user").exists()

    shutil.rmtree(cache)
    cache.touch()  # a package that cannot be written to
    assert probe(package, **user) == (0, str(tmp_path / "user" / "inferir"))
    assert probe(package, **user) == (1, str(tmp_path / "user" / "inferir"))

    (tmp_path / "file").touch()
    nowhere = {name: str(tmp_path / "file") for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    assert probe(package, **nowhere) == (0, "None")


@compiled_only
def test_change_of_a_helper_file(package: Path) -> None:
    """relu is in another file; a kernel is kept only as long as no file of the folder changes."""
    assert probe(package)[0] == 0
    first = set((jit(package) / "__pycache__").iterdir())
    helpers = jit(package) / "_math.py"
    helpers.write_text(helpers.read_text() + "\n# changed\n")
    assert probe(package)[0] == 0
    second = set((jit(package) / "__pycache__").iterdir())
    assert len(second) == len(first) == 1
    assert not first & second, "entries of another source are cleared away"
    assert probe(package)[0] == 1


@compiled_only
def test_processes_that_compile_at_once(package: Path) -> None:
    for process in [start(package) for _ in range(3)]:
        end(process)
    assert probe(package)[0] == 1
    assert {path.suffix for path in (jit(package) / "__pycache__").iterdir()} == {".nbc"}


@compiled_only
def test_another_cpu(package: Path) -> None:
    """Neither CPU takes the other's code, and neither loses its own."""
    other = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse4.2"}
    if not sys.platform.startswith("linux") or os.uname().machine != "x86_64":
        other = {"NUMBA_CPU_NAME": "generic"}
    assert probe(package)[0] == 0
    assert probe(package, **other)[0] == 0
    assert probe(package)[0] == 1
    assert probe(package, **other)[0] == 1


@compiled_only
@pytest.mark.parametrize("damage", ["empty", "short", "bit", "rubbish", "folder"])
def test_damaged_entry(damage: str, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = jit(package) / "__pycache__"
    kept = compile_into(cache, monkeypatch)
    path = entry(cache)
    whole = path.read_bytes()
    damaged = {
        "empty": b"",
        "short": whole[:-1],
        "bit": whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:],
        "rubbish": b"\x80\x04" + bytes(range(250)) * 2,
        "folder": None,
    }[damage]
    path.unlink()
    if damaged is None:
        path.mkdir()
    else:
        path.write_bytes(damaged)
    assert kept.stats.cache_hits == {}
    again = compile_into(cache, monkeypatch)
    assert not again.stats.cache_hits
    if damaged is not None:
        assert sum(compile_into(cache, monkeypatch).stats.cache_hits.values()) == 1
    assert not [p for p in cache.iterdir() if p.suffix != ".nbc"]


def compile_into(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A kernel as a fresh process makes it, kept in `cache`; its answer is checked."""
    monkeypatch.setattr(_compile, "_place", lambda: (cache, "stamp"))
    cache.mkdir(parents=True, exist_ok=True)
    dispatcher = _compile.kernel(shifted)
    kernel = _compile.compile_kernel(dispatcher, KERNELS["relu_f64"].arguments)
    out = np.zeros((1, 2))
    kernel(np.array([[1.0, 2.0]]), out)
    assert out.tolist() == [[2.0, 3.0]]
    return dispatcher


def shifted(x: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] + 1.0


def entry(cache: Path) -> Path:
    (path,) = cache.glob("*.shifted-*.nbc")
    return path


@compiled_only
@pytest.mark.parametrize("method", ["write_bytes", "replace"])
def test_full_disk(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is given, the next process compiles anew, and nothing is left behind."""

    def fails(path: Path, *arguments: Any) -> None:
        if method == "write_bytes":
            path.touch()  # a disk fills up in the middle of a file
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, method, fails)
        compile_into(tmp_path, patch)
    assert list(tmp_path.iterdir()) == []
    assert not compile_into(tmp_path, monkeypatch).stats.cache_hits
    assert sum(compile_into(tmp_path, monkeypatch).stats.cache_hits.values()) == 1


@compiled_only
def test_folder_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    compile_into(cache, monkeypatch)
    shutil.rmtree(cache)
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)
    compile_into(cache, monkeypatch)
    assert not cache.exists()


@compiled_only
def test_entries_of_other_types_and_python_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_compile, "_place", lambda: (tmp_path, "stamp"))
    for name in ("relu_f32", "relu_f64"):
        _compile.compile_kernel(_compile.kernel(shifted), KERNELS[name].arguments)
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr(_compile.numba, "__version__", "0.0")
    again = _compile.kernel(shifted)
    _compile.compile_kernel(again, KERNELS["relu_f64"].arguments)
    assert not again.stats.cache_hits
    assert len(list(tmp_path.iterdir())) == 3


def test_interpreted(package: Path) -> None:
    """NUMBA_DISABLE_JIT=1 runs the bodies as Python: slow, the same answers, nothing kept."""
    assert probe(package, NUMBA_DISABLE_JIT="1")[0] is None
    assert not list(jit(package).rglob("*.nbc"))


def lost_and_found(x: Any) -> Any:
    """0 or 2 for 1, as doubles are; 1 where sums may be taken in another order."""
    return (x + 1e16) - 1e16


@compiled_only
def test_helper_keeps_its_own_arithmetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper that a reassociated kernel compiles first must not take over its flags, and lend them to others."""
    monkeypatch.setattr(_compile, "_place", lambda: (tmp_path, "stamp"))
    helper, loose_helper = _compile.scalar(lost_and_found), _compile.scalar_reassociated(lost_and_found)

    def through(x: Any, out: Any) -> None:
        for i in range(x.shape[0]):
            out[i, 0] = helper(x[i, 0])
            out[i, 1] = loose_helper(x[i, 1])

    for mark in (_compile.kernel_reassociated, _compile.kernel):
        kernel = _compile.compile_kernel(mark(through), KERNELS["relu_f64"].arguments)
        out = np.zeros((1, 2))
        kernel(np.ones((1, 2)), out)
        assert out.tolist() == [[0.0, 1.0]]
