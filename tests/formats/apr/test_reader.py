"""Sources, mapping, file errors, imports. What a wrong file ends in is in test_hostile.py and test_golden.py."""

from __future__ import annotations

import ast
import gc
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

import inferir
from inferir.errors import FileAccessError, FormatError, InvalidInputError, ModelLoadError, SignatureError
from inferir.formats.apr import layout, read, reader, to_bytes
from inferir.formats.apr import source as sources
from inferir.formats.spec import ModelSpec
from tests.patience import PATIENCE_S

ROOT = Path(next(iter(inferir.__path__))).parent


class PathLike:
    def __init__(self, path: object) -> None:
        self.path = path

    def __fspath__(self) -> object:
        return self.path


def test_every_kind_of_source(spec: ModelSpec, file: Path) -> None:
    data = file.read_bytes()
    rows = memoryview(data).cast("B", (len(data) // 4, 4)) if len(data) % 4 == 0 else memoryview(data)
    for source in (data, bytearray(data), memoryview(data), memoryview(data).cast("c"), rows, str(file), file):
        assert read(source) == spec


@pytest.mark.parametrize("shift", range(8))
def test_bytes_at_any_address(spec: ModelSpec, file: Path, shift: int) -> None:
    buffer = bytearray(shift) + file.read_bytes()
    assert read(memoryview(buffer)[shift:]) == spec


@pytest.mark.parametrize("source", [3, None, 1.5, ["model.apr"], object(), PathLike(b"model.apr")])
def test_other_sources_are_refused(source: object) -> None:
    with pytest.raises(InvalidInputError, match="expected bytes or a path, got"):
        read(source)  # type: ignore[arg-type]


def test_scattered_bytes_are_refused(file: Path) -> None:
    with pytest.raises(InvalidInputError, match="contiguous"):
        read(memoryview(file.read_bytes() * 2)[::2])


def test_tensors_are_views_of_the_source(file: Path) -> None:
    data = file.read_bytes()
    for tensor in read(data).tensors.values():
        assert tensor.data.obj is data


def test_tensors_are_read_only(file: Path) -> None:
    for source in (bytearray(file.read_bytes()), file):
        for tensor in read(source).tensors.values():
            assert tensor.data.readonly
            with pytest.raises(TypeError, match="read-only"):
                tensor.data[0] = 1


# Files


def test_large_files_are_mapped(spec: ModelSpec, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAP_ABOVE_BYTES", file.stat().st_size - 1)
    model = read(file)
    for tensor in model.tensors.values():
        assert isinstance(tensor.data.obj, mmap.mmap)
    assert model == spec


def test_files_up_to_the_limit_are_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAP_ABOVE_BYTES", file.stat().st_size)
    assert all(isinstance(tensor.data.obj, bytes) for tensor in read(file).tensors.values())


def test_map_lives_as_long_as_a_tensor(spec: ModelSpec, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAP_ABOVE_BYTES", 0)
    data = read(file).tensors["w"].data
    file.unlink()
    gc.collect()
    assert data == spec.tensors["w"].data


def test_no_file_stays_open(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    for limit in (0, 2**30):
        monkeypatch.setattr(layout, "MAP_ABOVE_BYTES", limit)
        read(file)
    gc.collect()
    assert (os.listdir("/proc/self/fd") if before else []) == before


@pytest.mark.parametrize("limit", [0, 2**30])
def test_wrong_files_are_refused_mapped_or_not(file: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(layout, "MAP_ABOVE_BYTES", limit)
    data = file.read_bytes()
    for position in (0, 4, 6, 8, 9, 16, 24, 40, len(data) - 1):
        file.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        with pytest.raises(FormatError):
            read(file)


@pytest.mark.parametrize("limit", [-1, 0, 2**30])
def test_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(layout, "MAP_ABOVE_BYTES", max(limit, 0))
    (tmp_path / "empty.apr").touch()
    with pytest.raises(ModelLoadError, match="got an empty one"):
        read(tmp_path / "empty.apr")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match=r"none\.apr: expected a file to read, got: No such file"):
        read(tmp_path / "none.apr")


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="Is a directory") as caught:
        read(tmp_path)
    assert str(tmp_path) in caught.value.message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_rights(file: Path) -> None:
    file.chmod(0)
    with pytest.raises(FileAccessError, match="Permission denied"):
        read(file)


def test_no_rights_as_the_system_says_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(sources, "_open_without_waiting", refuse)
    with pytest.raises(FileAccessError, match=r"model\.apr: expected a file to read, got: Permission denied"):
        read(file)


def test_path_no_system_has(tmp_path: Path) -> None:
    for path in ("a\0b", "\ud800", "x" * 10_000):
        with pytest.raises(FileAccessError, match="expected a file to read"):
            read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileAccessError, match="expected a regular file"):
        read(tmp_path / "pipe")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="the system has no /dev/zero")
def test_device_is_not_read() -> None:
    with pytest.raises(FileAccessError, match="expected a regular file"):
        read("/dev/zero")


def test_file_that_shrinks_before_it_is_mapped(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_long(*_: object, **__: object) -> None:
        raise ValueError("mmap length is greater than file size")

    monkeypatch.setattr(layout, "MAP_ABOVE_BYTES", 0)
    monkeypatch.setattr(mmap, "mmap", too_long)
    with pytest.raises(FileAccessError, match="greater than file size"):
        read(file)


# Order of the checks


def test_crc_comes_before_signature_and_metadata(spec: ModelSpec) -> None:
    data = bytearray(to_bytes(spec))
    data[40] ^= 1
    with pytest.raises(FormatError) as caught:
        read(data, trusted_keys=[])
    assert caught.value.code == "E002"


def test_signature_comes_before_metadata(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[32] = 0xC1
    data[-4:] = reader.zlib.crc32(data[:-4]).to_bytes(4, "little")
    with pytest.raises(SignatureError):
        read(data, trusted_keys=[])
    with pytest.raises(ModelLoadError, match="lead byte 0xc1"):
        read(data)


def test_readers_by_version() -> None:
    assert set(reader.READERS) == {layout.VERSION}


# What a Lambda start pays for

CHEAP = {"__future__", "collections.abc", "dataclasses", "mmap", "os", "stat", "struct", "typing", "zlib"}
HEAVY = {
    *(
        "aiohttp",
        "asyncio",
        "cryptography",
        "hashlib",
        "http",
        "json",
        "logging",
        "msgpack",
        "numba",
        "numpy",
        "pandas",
    ),
    *(
        "multiprocessing",
        "random",
        "shutil",
        "sklearn",
        "socket",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "urllib",
    ),
}


@pytest.mark.parametrize(
    "name", ["apr/reader.py", "apr/_msgpack.py", "apr/layout.py", "apr/metadata.py", "apr/source.py", "spec.py"]
)
def test_imports_the_cheap_standard_library_only(name: str) -> None:
    for node in ast.walk(ast.parse((ROOT / "inferir" / "formats" / name).read_text())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        assert all(module in CHEAP or module.startswith("inferir.") for module in modules), modules


def test_reading_imports_nothing_heavy(file: Path) -> None:
    code = "import sys; before = set(sys.modules); from inferir.formats.apr.reader import read; read(sys.argv[1]); "
    code += "print(*set(sys.modules) - before)"
    command = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=PATIENCE_S)
    loaded = {module.partition(".")[0] for module in done.stdout.split()}
    assert "inferir" in loaded
    assert not loaded & HEAVY
