"""What the event loop's thread asks of Linux, read back from it."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from inferir.server import slices
from inferir.server.slices import SLICE_NS, ask_for_short_slices, slice_ns

T = TypeVar("T")

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has slices that one can ask for")


def elsewhere(work: Callable[[], T]) -> T:
    """Done by a thread of its own: this one keeps its slices."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@linux
def test_slices_are_short_afterwards_and_nothing_else_changes() -> None:
    def what() -> tuple[int, int]:
        return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def ask() -> tuple[bool, int | None, bool]:
        before = what()
        return ask_for_short_slices(), slice_ns(), what() == before

    mine = slice_ns()
    asked, now_ns, unchanged = elsewhere(ask)
    if not asked:
        pytest.skip("this system has no sched_setattr, or forbids it")
    assert now_ns in (SLICE_NS, 0)  # 0: before Linux 6.12
    assert unchanged
    assert slice_ns() == mine


@linux
def test_a_thread_of_another_policy_is_left_alone() -> None:
    def ask() -> tuple[bool, int]:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return ask_for_short_slices(), os.sched_getscheduler(0)

    assert elsewhere(ask) == (False, os.SCHED_BATCH)


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "riscv64")])
def test_elsewhere_nothing_is_called(monkeypatch: pytest.MonkeyPatch, system: str, machine: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("called"))
    assert not ask_for_short_slices()
    assert slice_ns() is None


def test_what_is_forbidden_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_call", lambda *arguments: False)
    assert not ask_for_short_slices()
    assert slice_ns() is None
