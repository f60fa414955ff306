"""Copies of files that nobody can change."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import pytest

from inferir.errors import FileAccessError, FormatError, MemoryLimitError
from inferir.server.models import snapshots
from inferir.server.models.background import PIECE_BYTES
from inferir.server.models.loading import load_version
from inferir.server.models.snapshots import Snapshot
from inferir.server.settings import Settings
from tests.server.serving import linear_model


def bytes_of(snapshot: Snapshot) -> bytes:
    with open(snapshot.path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("n_bytes", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_a_copy_is_what_the_file_was(n_bytes: int, tmp_path: Path) -> None:
    content = os.urandom(n_bytes)
    path = tmp_path / "m.apr"
    path.write_bytes(content)
    snapshot = snapshots.take(str(path))
    path.write_bytes(b"other")
    assert (snapshot.n_bytes, bytes_of(snapshot)) == (n_bytes, content)
    snapshot.close()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only Linux seals files")
def test_a_copy_cannot_be_changed(tmp_path: Path) -> None:
    snapshot = snapshots.take(linear_model(tmp_path / "m.apr"))
    for change in (lambda: os.ftruncate(snapshot.fd, 1), lambda: os.pwrite(snapshot.fd, b"x", 0)):
        with pytest.raises(PermissionError):
            change()
    snapshot.close()


def test_a_file_that_shrinks_while_it_is_copied_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = linear_model(tmp_path / "m.apr", pad_bytes=2 * PIECE_BYTES)
    whole_bytes, fstat = os.path.getsize(path), os.fstat

    def shrink_after(fd: int) -> Any:
        status = fstat(fd)
        if status.st_size == whole_bytes:
            os.truncate(path, PIECE_BYTES)
        return status

    monkeypatch.setattr(os, "fstat", shrink_after)
    snapshot = snapshots.take(path)
    assert snapshot.n_bytes == len(bytes_of(snapshot)) == PIECE_BYTES
    with pytest.raises(FormatError, match="expected"):
        load_version(snapshot, Settings(backend="reference"))
    snapshot.close()


@pytest.mark.skipif(not os.path.exists("/sys/devices/system/cpu/online"), reason="such files are Linux's")
def test_a_file_that_is_shorter_than_it_says_is_no_model() -> None:
    snapshot = snapshots.take("/sys/devices/system/cpu/online")  # a page, it says
    assert 0 < snapshot.n_bytes < mmap.PAGESIZE
    with pytest.raises(FormatError, match="expected"):
        load_version(snapshot, Settings(backend="reference"))
    snapshot.close()


def test_what_is_not_copied(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")
    with pytest.raises(MemoryLimitError, match=f"expected at most 10 bytes, got {os.path.getsize(path)}"):
        snapshots.take(path, limit_bytes=10)
    for other, says in (
        (tmp_path, "expected a regular file"),
        (tmp_path / "none", "expected a file to read"),
        (os.fsdecode(b"\xff.apr"), r"\\xff.apr: expected a file name in UTF-8"),
        ("a\0b", "expected a file to read"),
    ):
        with pytest.raises(FileAccessError, match=says):
            snapshots.take(str(other))


def test_a_name_that_is_not_text_can_be_read() -> None:
    assert snapshots.readable("größe/m.apr") == "größe/m.apr"
    assert snapshots.readable(os.fsdecode(b"a/\xff\xc3\xb6.apr")) == "a/\\xffö.apr"
