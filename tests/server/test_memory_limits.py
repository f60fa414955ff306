"""The memory that a control group leaves us."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferir.server.memory import memory_limits, memory_mib


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "268435456\n"}, [268435456]),
        ("0::/\n", {"memory.max": "max\n"}, []),
        ("0::/\n", {}, []),
        (
            "0::/system.slice/inferir.service\n",
            {"system.slice/inferir.service/memory.max": "1000", "system.slice/memory.max": "5000"},
            [1000, 5000],
        ),
        ("0::/of/the/machine\n", {"memory.max": "7"}, [7]),
        ("0::/../../beyond\n", {"memory.max": "7"}, [7]),
        (
            "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n1:name=systemd:/docker/x\n",
            {"memory/docker/x/memory.limit_in_bytes": "123", "memory/memory.limit_in_bytes": "9223372036854771712"},
            [123, 9223372036854771712],
        ),
        ("12:pids,memory:/\n0::/\n", {"memory/memory.limit_in_bytes": "5", "memory.max": "max"}, [5]),
    ],
)
def test_memory_limits(tmp_path: Path, own: str, files: dict[str, str], expected: list[int]) -> None:
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert list(memory_limits(tmp_path / "groups", tmp_path / "own")) == expected


def test_without_control_groups(tmp_path: Path) -> None:
    assert list(memory_limits(tmp_path, tmp_path / "missing")) == []


def test_this_machine() -> None:
    assert memory_mib() > 100
