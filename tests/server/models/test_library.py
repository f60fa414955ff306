"""Loading, replacing and evicting in one process, and what is answered meanwhile."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inferir.errors import ChecksumError, FileAccessError, MemoryLimitError, ModelLoadError, UnknownModelError
from inferir.server.models.watcher import Watcher
from tests.server.serving import eventually, linear_model, serving

ZERO = {"features": [0, 0]}


async def predict(client: aiohttp.ClientSession, model_id: str | None = None) -> Any:
    body = ZERO if model_id is None else {**ZERO, "model_id": model_id}
    async with client.post("/predict", json=body) as response:
        answer = await response.json()
        return answer["prediction"] if response.status == 200 else answer["code"]


def test_a_version_that_does_not_load_leaves_the_old_one(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr", intercept=1)

    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            good = Path(path).read_bytes()
            for bad, error in (
                (b"", ModelLoadError),
                (b"rubbish", ModelLoadError),
                (good[:-9], ModelLoadError),
                (good[:80] + b"\xff" + good[81:], ChecksumError),
            ):
                Path(path).write_bytes(bad)  # in place: nothing that is served may be a view of the file
                with pytest.raises(error):
                    await app.library.load(path)
                assert await predict(client) == 1.0
                assert app.registry.failures[path].code == error.code
            os.unlink(path)
            with pytest.raises(FileAccessError):
                await app.library.load(path)
            assert await predict(client) == 1.0
            linear_model(tmp_path / "m.apr", intercept=2)
            await app.library.load(path)
            assert await predict(client) == 2.0
            assert not app.registry.failures

    asyncio.run(main())


def test_swaps_under_load_lose_nothing(tmp_path: Path) -> None:
    """Requests all the time while versions change places: each is answered, by the version it names."""
    path = linear_model(tmp_path / "m.apr", version="0", intercept=0, pad_bytes=2**20)

    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            live, swapping, answered = {"0"}, True, 0

            async def ask() -> None:
                nonlocal answered
                while swapping:
                    before = set(live)
                    async with client.post("/predict", json=ZERO) as response:
                        answer = await response.json()
                        assert response.status == 200, answer
                    assert answer["prediction"] == float(answer["model_version"])
                    assert answer["model_version"] in before | live
                    answered += 1

            asking = [asyncio.ensure_future(ask()) for _ in range(4)]
            number = 0
            while number < 10 or answered <= 50:
                assert not any(each.done() for each in asking)
                number += 1
                linear_model(tmp_path / "m.apr", version=str(number), intercept=number, pad_bytes=2**20)
                live.add(str(number))
                await app.library.load(path)
                live.discard(str(number - 1))
            swapping = False
            await asyncio.gather(*asking)

    asyncio.run(main())


def test_the_one_unused_longest_goes(tmp_path: Path) -> None:
    paths = [linear_model(tmp_path / f"{name}.apr", name=name, pad_bytes=40_000) for name in "abc"]
    limit = os.path.getsize(paths[0]) * 2 + 1000

    async def main() -> None:
        async with serving(*paths[:2], memory_limit_bytes=limit) as (app, url), aiohttp.ClientSession(url) as client:
            assert [await predict(client, name) for name in "ba"] == [0.0, 0.0]
            await app.library.load(paths[2])
            assert [await predict(client, name) for name in "abc"] == [0.0, "NOT_READY", 0.0]
            await app.library.reload("b")
            assert await predict(client, "b") == 0.0
            large = linear_model(tmp_path / "large.apr", name="large", pad_bytes=limit)
            with pytest.raises(MemoryLimitError):
                await app.library.load(large)
            assert len(app.registry) == 2

    asyncio.run(main())


def test_unload_and_reload(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            await app.library.unload("linear")
            assert await predict(client) == "E011"  # none is there to answer for no name
            assert await predict(client, "linear") == "NOT_READY"
            with pytest.raises(UnknownModelError):
                await app.library.unload("linear")
            assert app.library.sources() == {"linear": path}
            await app.library.reload("linear")
            assert await predict(client) == 0.0
            with pytest.raises(UnknownModelError):
                await app.library.reload("other")

    asyncio.run(main())


def test_a_watched_folder(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    linear_model(folder / "a.apr", name="a")
    (folder / "notes.txt").write_text("not a model")

    async def main() -> None:
        async with serving() as (app, url), aiohttp.ClientSession(url) as client:
            watcher = Watcher([str(folder)], app.library.load, app.library.forget)
            await watcher.first()
            assert await predict(client, "a") == 0.0
            watching = asyncio.ensure_future(watcher.run(0.02))

            async def says(name: str, wanted: Any) -> None:
                async def condition() -> bool:
                    return bool(await predict(client, name) == wanted)

                await eventually(condition)

            linear_model(folder / "b.apr", name="b", intercept=3)
            await says("b", 3.0)
            linear_model(folder / "a.apr", name="a", intercept=4)
            await says("a", 4.0)
            (folder / "a.apr").write_bytes(b"rubbish")
            await eventually(lambda: app.registry.failures)
            assert await predict(client, "a") == 4.0
            (folder / "b.apr").unlink()
            await says("b", "NOT_READY")
            assert await predict(client, "a") == 4.0
            shutil.rmtree(folder)
            await says("a", "NOT_READY")
            watching.cancel()

    asyncio.run(main())


def test_a_file_moved_over_another_keeps_the_new_one(tmp_path: Path) -> None:
    """Two files of one model: when one goes, the version that came from the other stays."""
    first = linear_model(tmp_path / "a.apr", intercept=1)
    second = linear_model(tmp_path / "b.apr", intercept=2)

    async def main() -> None:
        async with serving(first, second) as (app, url), aiohttp.ClientSession(url) as client:
            await app.library.forget(first)
            assert await predict(client) == 2.0

    asyncio.run(main())


def test_answers_that_are_kept_are_those_of_the_model_that_holds(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr", intercept=1)

    async def main() -> None:
        async with serving(path, cache_answers=10) as (app, url), aiohttp.ClientSession(url) as client:
            assert [await predict(client) for _ in range(3)] == [1.0, 1.0, 1.0]
            linear_model(tmp_path / "m.apr", intercept=2)
            await app.library.load(path)
            assert [await predict(client) for _ in range(2)] == [2.0, 2.0]

    asyncio.run(main())
