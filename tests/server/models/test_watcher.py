"""What is loaded is what is in the files, in one process and in several."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from inferir.server.models.registry import ModelVersion
from inferir.server.models.watcher import Watcher
from inferir.server.workers.fleet import Fleet
from tests.server.serving import linear_model, serving
from tests.server.workers.test_fleet import Registrar


def test_a_file_answers_again_when_the_one_that_took_its_place_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = (str(tmp_path / name) for name in ("a.apr", "b.apr"))
    linear_model(tmp_path / "a.apr", name="m", version="1", intercept=1)

    async def main() -> None:
        async with serving() as (app, _):
            answering = []

            async def load(source: str) -> ModelVersion:
                answering.append(len(app.registry))
                return await app.library.load(source)

            watcher = Watcher([str(tmp_path)], load, app.library.forget)
            await watcher.first()
            linear_model(tmp_path / "b.apr", name="m", version="1", intercept=2)
            await watcher.refresh(at_once=True)
            assert app.registry.resolve("m").source == b
            assert f"{b} takes the place of {a}: both are m@1" in caplog.text
            os.unlink(b)
            for _ in range(2):
                await watcher.refresh()
            assert app.registry.resolve("m").source == b  # it may be there again at the next look
            await watcher.refresh()
            assert app.registry.resolve("m").source == app.registry.source_of("m") == a
            assert answering == [0, 1, 1], "one was let go before the other was there"
            linear_model(tmp_path / "b.apr", name="m", version="1", intercept=2)
            await watcher.refresh(at_once=True)
            linear_model(tmp_path / "b.apr", name="m", version="2", intercept=2)
            await watcher.refresh(at_once=True)
            assert [app.registry.resolve(f"m@{number}").source for number in "12"] == [a, b]
            assert caplog.text.count("takes the place") == 2

    asyncio.run(main())


def test_a_file_answers_again_in_all_workers(tmp_path: Path) -> None:
    for name in "ab":
        linear_model(tmp_path / f"{name}.apr", name="m", version="1")

    async def main() -> None:
        fleet, members = Fleet(0), [Registrar(), Registrar()]
        for member in members:
            await fleet.join(member)
        watcher = Watcher([str(tmp_path)], fleet.load, fleet.forget)
        await watcher.first()
        assert [member.registry.resolve("m").source for member in members] == [str(tmp_path / "b.apr")] * 2
        await fleet.alias("champion", "m@1")
        os.unlink(tmp_path / "b.apr")
        await watcher.refresh(at_once=True)
        late = Registrar()
        await fleet.join(late)
        for member in (*members, late):
            assert member.registry.resolve("champion").source == str(tmp_path / "a.apr")

    asyncio.run(main())


def test_a_file_that_was_renamed_takes_nobodys_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    linear_model(tmp_path / "a.apr", name="m")

    async def main() -> None:
        async with serving() as (app, _):
            watcher = Watcher([str(tmp_path)], app.library.load, app.library.forget)
            await watcher.first()
            os.rename(tmp_path / "a.apr", tmp_path / "z.apr")
            await watcher.refresh(at_once=True)
            assert app.registry.resolve("m").source == str(tmp_path / "z.apr")
            assert "takes the place" not in caplog.text

    asyncio.run(main())


def test_a_model_comes_when_the_alias_that_had_its_name_is_gone(tmp_path: Path) -> None:
    linear_model(tmp_path / "c.apr", name="c")

    async def main() -> None:
        async with serving() as (app, _):
            watcher = Watcher([str(tmp_path)], app.library.load, app.library.forget)
            await watcher.first()
            await app.library.alias("prod", "c")
            path = linear_model(tmp_path / "prod.apr", name="prod")
            await watcher.refresh(at_once=True)
            assert app.registry.failures[path].code == "CONFLICT"
            await app.library.alias("prod", "")
            await watcher.refresh(at_once=True)
            assert app.registry.resolve("prod").source == path
            assert not app.registry.failures

    asyncio.run(main())
