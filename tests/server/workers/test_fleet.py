"""A change is made by all workers or by none, also where there are none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from inferir.errors import ModelLoadError
from inferir.server.errors import NotReadyError
from inferir.server.models.watcher import Watcher
from inferir.server.request.auth import Keys
from inferir.server.settings import Settings
from inferir.server.workers.fleet import Fleet
from inferir.server.workers.link import LostError
from inferir.server.workers.supervisor import Supervisor
from tests.server.serving import linear_model

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")


class Member:
    """A worker that does what it is told, or fails as `fails` says: call -> error."""

    def __init__(self, **fails: Exception) -> None:
        self.fails = fails
        self.calls: list[str] = []

    async def call(self, name: str, /, **arguments: Any) -> Any:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]
        return {"name": "m", "version": "1", "digest": "d"} if name == "prepare" else None


def copies() -> int:
    """Copies of models that this process holds open."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            found += "inferir-model" in os.readlink(f"/proc/self/fd/{fd}")
        except OSError:  # it was the listing's own
            continue
    return found


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ([], NotReadyError),
        ([Member(prepare=LostError("gone"))], NotReadyError),
        ([Member(), Member(prepare=ModelLoadError("rubbish"))], ModelLoadError),
    ],
    ids=["none", "all die", "one cannot"],
)
def test_a_change_that_is_not_made_leaves_nothing(
    members: list[Member], error: type[Exception], tmp_path: Path
) -> None:
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        fleet, before = Fleet(0), copies()
        for member in members:
            await fleet.join(member)
        with pytest.raises(error):
            await fleet.load(path)
        assert copies() == before
        assert all("commit" not in member.calls for member in members)
        late = Member()
        await fleet.join(late)
        assert late.calls == []

    asyncio.run(main())


def test_a_worker_that_comes_later_is_given_what_is_loaded(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        fleet, before = Fleet(0), copies()
        dies = Member(commit=LostError("gone"))
        for member in (Member(), dies):
            await fleet.join(member)
        await fleet.load(path)
        await fleet.load(path)
        assert copies() == before + 1
        late = Member()
        await fleet.join(late)
        assert late.calls == ["prepare", "commit"]
        await fleet.unload("m")
        assert copies() == before

    asyncio.run(main())


def test_a_file_that_nobody_could_load_is_tried_again(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        fleet = Fleet(0)
        watcher = Watcher([path], fleet.load, fleet.forget)
        await watcher.refresh(at_once=True)
        member = Member()
        await fleet.join(member)
        assert member.calls == []
        await watcher.refresh(at_once=True)
        await watcher.refresh(at_once=True)
        assert member.calls == ["prepare", "commit"]

    asyncio.run(main())


def test_who_is_only_starting_answers_for_nobody() -> None:
    async def main() -> None:
        supervisor = Supervisor(Settings(workers=3), Keys({}))
        dead, starting, serving = supervisor._slots
        links = {slot: Member() for slot in (starting, serving)}
        for slot, link in links.items():
            slot.link = link  # type: ignore[assignment]
            slot.running = asyncio.get_running_loop().create_future()
        serving.answers = True
        assert await supervisor._deputise(dead) is serving.link
        serving.answers = False
        assert await supervisor._deputise(dead) is None
        assert links[starting].calls == []

    asyncio.run(main())
