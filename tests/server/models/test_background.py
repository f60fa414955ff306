"""Work of low priority."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import sys
import threading
import weakref

import pytest

from inferir.server.models.background import in_background


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
