"""What is built: which symbols, how large, the same bytes again; the cache; and what is said where it cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from inferir.errors import BackendError
from inferir.kernels.aot import build, manifest
from inferir.kernels.aot.targets import LIBC, TARGETS
from inferir.kernels.signatures import KERNELS
from tests.patience import PATIENCE_S

ELF = [target for target in TARGETS.values() if target.file.endswith(".so")]


def test_libraries_are_those_of_the_sources() -> None:
    """Build them (`python -m inferir.kernels.aot.build`): other tests pass over old ones."""
    assert manifest.problem() is None


@pytest.mark.parametrize("target", ELF, ids=lambda target: target.name)
def test_symbols_and_segments(target: Any, libraries: Path) -> None:
    with (libraries / target.file).open("rb") as file:
        elf = ELFFile(file)
        assert elf.get_machine_arch() == {"x86_64": "x64", "aarch64": "AArch64"}[target.name.partition("_v")[0]]
        symbols = [symbol for symbol in elf.get_section_by_name(".dynsym").iter_symbols() if symbol.name]
        undefined = {symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF"}
        assert undefined <= set(LIBC)
        assert {symbol.name for symbol in symbols} - undefined == {
            *(
                "inferir_abi_version",
                "inferir_digest",
                "inferir_names",
                "inferir_kernel",
                "inferir_run",
                "inferir_rows",
            ),
            *("inferir_call", "inferir_call_rows", "inferir_call_record"),
            *(["inferir_byte_products"] if target.asks else []),
        }
        dynamic = next(section for section in elf.iter_sections() if isinstance(section, DynamicSection))
        tags = [tag.entry.d_tag for tag in dynamic.iter_tags()]
        assert not {"DT_NEEDED", "DT_TEXTREL", "DT_RPATH", "DT_RUNPATH", "DT_INIT", "DT_INIT_ARRAY"} & set(tags)
        for segment in elf.iter_segments():
            assert segment["p_flags"] & 3 != 3, "nothing is both written and executed"
        assert not [section.name for section in elf.iter_sections() if section.name.startswith((".debug", ".symtab"))]


def test_size(libraries: Path) -> None:
    sizes = {target.file: (libraries / target.file).stat().st_size for target in TARGETS.values()}
    assert sum(sizes.values()) < 3_000_000, sizes


def test_manifest(libraries: Path) -> None:
    made = manifest.read(libraries)
    assert made is not None
    assert made["files"] == build._digests(libraries)
    assert set(made["files"]) == {target.file for target in TARGETS.values()}
    assert made["left_out"] == {}
    assert set(made["tools"]) == {"python", *build.TOOLS}


def _emitted(part: int, folder: Path, seed: str) -> bytes:
    """The object file of one kernel for one target, made by new processes."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environ |= {"PYTHONHASHSEED": seed, "NUMBA_OPT": "0", "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    environ |= {"PYTHONPATH": str(manifest.PACKAGE.parent.parent)}
    bitcode = folder / f"{seed}.bc"
    command = [sys.executable, "-m", "inferir.kernels.aot.lower", str(bitcode), str(part), str(len(KERNELS))]
    subprocess.run(command, env=environ, check=True, timeout=10 * PATIENCE_S)
    code = (
        "import sys; from pathlib import Path; from inferir.kernels.aot.emit import emit, TARGETS;"
        "sys.stdout.buffer.write(emit(TARGETS['x86_64_v3'], [Path(sys.argv[1]).read_bytes()]))"
    )
    command = [sys.executable, "-c", code, str(bitcode)]
    return subprocess.run(command, env=environ, check=True, timeout=10 * PATIENCE_S, capture_output=True).stdout


def test_same_bytes_again(tmp_path: Path) -> None:
    part = list(KERNELS).index("svm_vote")
    first, second = (_emitted(part, tmp_path, seed) for seed in ("1", "2"))
    assert first == second
    assert first.startswith(b"\x7fELF")


class _Stages:
    """Stands in for the processes: writes files, counts, fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failing: dict[str, str] = {}

    def __call__(self, module: str, *arguments: object) -> str:
        self.calls.append(module)
        out = arguments[0] if module == "lower" else arguments[1]
        reason = self.failing.get(module) or self.failing.get(str(arguments[0]), "")
        if not reason:
            Path(str(out)).write_bytes(b"made by " + module.encode())
        return reason


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> _Stages:
    made = _Stages()
    monkeypatch.setattr(build, "_stage", made)
    return made


def test_cache(stages: _Stages, tmp_path: Path) -> None:
    folder, cache = tmp_path / "lib", tmp_path / "cache"
    first = build.build(folder, cache=cache)
    assert sorted(stages.calls) == ["emit"] * len(TARGETS) + ["lower"] * 2
    assert {path.name for path in folder.iterdir()} == {manifest.MANIFEST, *(t.file for t in TARGETS.values())}
    stages.calls.clear()
    assert build.build(folder, cache=cache) == first, "up to date"
    assert build.build(tmp_path / "other", cache=cache) == first, "from the cache"
    (folder / "kernels.wasm").write_bytes(b"damaged")
    (folder / "kernels.old.so").touch()
    assert build.build(folder, cache=cache) == first
    assert (folder / "kernels.wasm").read_bytes() == b"made by emit"
    assert not (folder / "kernels.old.so").exists()
    assert not stages.calls
    assert sorted(path.name for path in cache.iterdir()) == sorted([first["inputs"], "lock"])


def test_inputs_change(stages: _Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.build(tmp_path / "lib", cache=tmp_path / "cache")
    monkeypatch.setattr(manifest, "sources_digest", lambda: "other")
    second = build.build(tmp_path / "lib", cache=tmp_path / "cache")
    assert first["inputs"] != second["inputs"]
    assert len(stages.calls) == 2 * (2 + len(TARGETS))
    assert manifest.problem(tmp_path / "lib") is None
    monkeypatch.undo()
    assert "older than their sources" in str(manifest.problem(tmp_path / "lib"))


def test_few_builds_are_kept(stages: _Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(build._KEPT + 2):
        monkeypatch.setattr(manifest, "sources_digest", lambda number=number: str(number))
        build.build(tmp_path / "lib", cache=tmp_path / "cache")
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == build._KEPT


def test_cache_that_cannot_be_written(stages: _Stages, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = build.build(tmp_path / "lib", cache=tmp_path / "file" / "cache")
    assert made["files"] == build._digests(tmp_path / "lib") != {}


def test_a_target_that_fails_is_left_out(stages: _Stages, tmp_path: Path) -> None:
    stages.failing["aarch64"] = "no such target"
    made = build.build(tmp_path / "lib", cache=tmp_path / "cache")
    assert made["left_out"] == {"aarch64": "no such target"}
    assert "kernels.aarch64.so" not in made["files"]
    assert manifest.problem(tmp_path / "lib") is None


@pytest.mark.parametrize("stage", ["lower", "emit"])
def test_kernels_that_do_not_compile(stage: str, stages: _Stages, tmp_path: Path) -> None:
    stages.failing[stage] = "TypingError"
    with pytest.raises(BackendError, match=r"the kernels could not be compiled: .*TypingError"):
        build.build(tmp_path / "lib", cache=tmp_path / "cache")
    assert not (tmp_path / "lib").exists()


def test_a_machine_that_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installer goes on, and the package says later what was missing; or stops, if it was asked to."""
    monkeypatch.setattr(sys, "platform", "darwin")
    reason = build.build_if_possible(tmp_path / "lib")
    assert reason is not None
    assert "kernels are compiled on Linux on x86_64 or aarch64, not on darwin" in reason
    assert str(manifest.problem(tmp_path / "lib")).endswith(reason)
    monkeypatch.setenv("INFERIR_REQUIRE_KERNELS", "1")
    with pytest.raises(
        SystemExit, match="INFERIR_REQUIRE_KERNELS is set, and compiled kernels are missing: kernels are"
    ):
        build.build_if_possible(tmp_path / "lib")


def test_a_tool_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "TOOLS", ("numba", "no-such-tool"))
    with pytest.raises(BackendError, match="expected the packages numba, no-such-tool; no-such-tool is missing"):
        build.build(tmp_path / "lib", cache=tmp_path / "cache")


def test_command_line(
    stages: _Stages, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.main(["--target", "wasm32", "--folder", str(tmp_path / "lib")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'lib' / 'kernels.wasm'}  12 bytes\n"
    stages.failing["aarch64"] = "no such target"
    assert build.main(["--target", "wasm32", "--target", "aarch64", "--folder", str(tmp_path / "lib")]) == 1
    assert capsys.readouterr().err == "aarch64 is left out: no such target\n"


def test_problem_of_folders(tmp_path: Path) -> None:
    assert "they are not built" in str(manifest.problem(tmp_path))
    (tmp_path / manifest.MANIFEST).write_text("{")
    assert "they are not built" in str(manifest.problem(tmp_path))
    (tmp_path / manifest.MANIFEST).write_text(json.dumps({"files": {"kernels.wasm": ""}, "sources": "others"}))
    assert "older than their sources" in str(manifest.problem(tmp_path))
    assert manifest.sources_digest(tmp_path) is None
