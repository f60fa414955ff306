"""Work of low priority."""

from __future__ import annotations

import contextlib
import functools
import gc
import mmap
import os
import sys
import threading
import weakref
from pathlib import Path

import pytest

from inferir.server.models.background import PIECE_BYTES, in_background, unmap


def test_what_is_returned_or_raised() -> None:
    assert in_background(lambda: 3) == 3
    with pytest.raises(KeyError, match="gone"):
        in_background(lambda: {}["gone"])
    with pytest.raises(SystemExit):
        in_background(lambda: sys.exit(2))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_that_thread_alone_steps_back() -> None:
    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = nice()
    assert in_background(nice) == min(before + 10, 19)
    assert nice() == before


def test_a_priority_that_may_not_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    assert in_background(threading.current_thread) is not threading.current_thread()


def test_what_failed_is_held_by_nobody() -> None:
    """A file that is no model may be large, and the collector looks seldom."""

    class Large:
        pass

    def fail(large: Large) -> None:
        raise ValueError(id(large))

    large = Large()
    there = weakref.ref(large)
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            in_background(functools.partial(fail, large))
        del large
        assert there() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("n_bytes", [1, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 5])
def test_a_mapping_is_closed_in_pieces(tmp_path: Path, n_bytes: int) -> None:
    data = os.urandom(n_bytes)
    (tmp_path / "model").write_bytes(data)
    with open(tmp_path / "model", "rb") as file:
        mapping = mmap.mmap(file.fileno(), n_bytes, access=mmap.ACCESS_READ)
    with memoryview(mapping) as view:
        with pytest.raises(BufferError):
            unmap(mapping)
        assert view == data
    unmap(mapping)
    assert mapping.closed
