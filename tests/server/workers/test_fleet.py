"""A change is made by all workers or by none, also where there are none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inferir.errors import ModelLoadError, UnknownModelError
from inferir.formats import apr
from inferir.server.errors import ConflictError, NotReadyError
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
            self.registry.check_name(made.name)
            self.prepared[arguments["token"]] = made
            return {"name": made.name, "version": made.version, "digest": ""}
        if name == "commit":
            made = self.prepared.pop(arguments["token"])
            self.registry.add(made, replaces=self.by_source.get(made.source))
            self.by_source[made.source] = made
        elif name == "unload":
            self.registry.remove(**arguments)
        elif name == "restore":
            self.registry.restore(**arguments)
        elif name == "failed":
            self.registry.fail(**arguments)
        elif name == "forgotten":
            self.registry.failures.pop(arguments["source"], None)
        elif name == "alias":
            self.registry.alias(arguments["alias"], arguments["reference"])
        return None

    def who_answers(self, *references: str | None) -> list[str]:
        return [self.registry.resolve(reference).reference for reference in references]


class Evictor(Registrar):
    """One that also says what could go, and refuses what is no model."""

    async def call(self, name: str, /, **arguments: Any) -> Any:
        if name == "least_used":
            return [[version.name, version.version] for version in self.registry.by_use()]
        return await super().call(name, **arguments)


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
        ([Member(prepare=RuntimeError("a bug")), Member()], RuntimeError),
    ],
    ids=["none", "all die", "one cannot", "one has a bug"],
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
        assert late.calls == ["restore"]

    asyncio.run(main())


@pytest.mark.parametrize("error", [ModelLoadError("rubbish"), RuntimeError("a bug")])
def test_whatever_kept_one_worker_from_a_change_the_others_let_go_of_it(error: Exception, tmp_path: Path) -> None:
    async def main() -> None:
        fleet, members = Fleet(0), [Member(prepare=error), Member()]
        for member in members:
            await fleet.join(member)
        with pytest.raises(type(error)):
            await fleet.load(linear_model(tmp_path / "m.apr"))
        assert all("discard" in member.calls for member in members)

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
        assert late.calls == ["prepare", "commit", "restore"]
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


def test_a_worker_that_comes_later_knows_what_is_not_loaded(tmp_path: Path) -> None:
    async def main() -> None:
        paths = [linear_model(tmp_path / f"{name}.apr", name=name, pad_bytes=40_000) for name in "abcd"]
        fleet, first, late = Fleet(3 * os.path.getsize(paths[0]) + 1000), Evictor(), Registrar()
        await fleet.join(first)
        for path in paths:
            await fleet.load(path)
        await fleet.unload("c")
        (tmp_path / "b.apr").write_bytes(b"rubbish")
        (tmp_path / "d.apr").write_bytes(b"rubbish")
        for path in paths[1::2]:
            with pytest.raises(ModelLoadError):
                await fleet.load(path)
        await fleet.forget(paths[1])
        await fleet.join(late)
        assert late.registry.away == {paths[0]: "evicted", paths[1]: "unloaded", paths[2]: "unloaded"}
        assert late.registry.notes() == first.registry.notes()
        (failure,) = late.registry.failures.values()
        assert (failure.name, failure.version, failure.source, failure.code) == ("d", "1", paths[3], "E001")
        with pytest.raises(UnknownModelError, match="unknown model 'a'"):
            late.who_answers(None)  # the first, and not whichever is left

    asyncio.run(main())


def test_what_an_alias_points_to_is_unloaded_by_no_worker(tmp_path: Path) -> None:
    async def main() -> None:
        fleet, members = Fleet(0), [Registrar(), Registrar()]
        for member in members:
            await fleet.join(member)
        await fleet.load(linear_model(tmp_path / "m.apr", name="m", version="1"))
        await fleet.alias("champion", "m@1")
        with pytest.raises(ConflictError, match="champion"):
            await fleet.unload("m")
        fleet.check("champion")
        assert [member.who_answers("champion") for member in members] == [["m@1"]] * 2

    asyncio.run(main())


def test_a_model_that_has_the_name_of_an_alias_is_refused_by_all(tmp_path: Path) -> None:
    async def main() -> None:
        fleet, members, late = Fleet(0), [Registrar(), Registrar()], Registrar()
        for member in members:
            await fleet.join(member)
        await fleet.load(linear_model(tmp_path / "c.apr", name="c", version="1"))
        await fleet.alias("prod", "c")
        await fleet.alias("next", "c@1")
        with pytest.raises(ConflictError, match="got 'prod', an alias of 'c'"):
            await fleet.load(linear_model(tmp_path / "prod.apr", name="prod", version="1"))
        await fleet.join(late)
        for member in (*members, late):
            assert member.who_answers("prod", "next") == ["c@1", "c@1"]
            assert [failure.code for failure in member.registry.failures.values()] == ["CONFLICT"]

    asyncio.run(main())


def test_workers_are_told_of_a_file_whose_name_is_not_text(tmp_path: Path) -> None:
    """What they are told goes over a link, which has text only."""
    with open(os.fsencode(tmp_path) + b"/\xff.apr", "wb") as file:
        file.write(b"rubbish")

    class Strict(Member):
        async def call(self, name: str, /, **arguments: Any) -> Any:
            msgspec.json.encode(arguments)
            return await super().call(name, **arguments)

    async def main() -> None:
        fleet, member = Fleet(0), Strict()
        await fleet.join(member)
        watcher = Watcher([str(tmp_path)], fleet.load, fleet.forget)
        await watcher.first()
        assert member.calls[-1] == "failed"
        os.unlink(os.fsencode(tmp_path) + b"/\xff.apr")
        await watcher.refresh(at_once=True)
        assert member.calls[-1] == "forgotten"

    asyncio.run(main())


def test_a_file_that_nobody_could_load_is_tried_again(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        fleet = Fleet(0)
        watcher = Watcher([path], fleet.load, fleet.forget)
        await watcher.refresh(at_once=True)
        member = Member()
        await fleet.join(member)
        assert member.calls == ["restore"]
        await watcher.refresh(at_once=True)
        await watcher.refresh(at_once=True)
        assert member.calls == ["restore", "prepare", "commit"]

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
