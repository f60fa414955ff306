"""A change is made by all workers or by none, also where there are none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from inferir.errors import ModelLoadError
from inferir.formats import apr
from inferir.server.errors import NotReadyError
from inferir.server.models.registry import ModelVersion, Registry
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


class Registrar(Member):
    """A worker that reads what it is given as far as name and version, and says who would answer."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry()
        self.prepared: dict[int, ModelVersion] = {}
        self.by_source: dict[str, ModelVersion] = {}

    async def call(self, name: str, /, **arguments: Any) -> Any:
        if name == "prepare":
            spec, nothing = apr.read(arguments["path"]), None
            made = ModelVersion(spec.name, spec.model_version, nothing, nothing, source=arguments["source"])  # type: ignore[arg-type]
            self.prepared[arguments["token"]] = made
            return {"name": made.name, "version": made.version, "digest": ""}
        if name == "commit":
            made = self.prepared.pop(arguments["token"])
            self.registry.add(made, replaces=self.by_source.get(made.source))
            self.by_source[made.source] = made
        elif name == "unload":
            self.registry.remove(arguments["name"], arguments["version"])
        elif name == "alias":
            self.registry.alias(arguments["alias"], arguments["reference"])
        return None

    def who_answers(self, *references: str | None) -> list[str]:
        return [self.registry.resolve(reference).reference for reference in references]


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


def test_a_worker_that_comes_later_answers_with_the_models_that_the_others_answer_with(tmp_path: Path) -> None:
    async def main() -> None:
        fleet, first, late = Fleet(0), Registrar(), Registrar()
        await fleet.join(first)
        for name, version in (("m", "1"), ("n", "1"), ("n", "1.9"), ("n", "1.10"), ("o", "1"), ("o", "2")):
            await fleet.load(linear_model(tmp_path / f"{name}{version}.apr", name=name, version=version))
        await fleet.alias("champion", "m@1")
        await fleet.alias("latest", "n")
        await fleet.load(linear_model(tmp_path / "m1.apr", name="m", version="2"))  # it takes over what 1 answered
        await fleet.load(linear_model(tmp_path / "o1.apr", name="o", version="3"))
        await fleet.unload("n", "1")  # from now on the highest answers
        await fleet.join(late)
        asked = (None, "m", "champion", "n", "latest", "o")
        assert first.who_answers(*asked) == ["m@2", "m@2", "m@2", "n@1.10", "n@1.10", "o@3"]
        assert late.who_answers(*asked) == first.who_answers(*asked)

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
