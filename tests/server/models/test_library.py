"""Loading, replacing and evicting in one process, and what is answered meanwhile."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inferir.errors import ChecksumError, FileAccessError, MemoryLimitError, ModelLoadError, UnknownModelError
from inferir.server.errors import ConflictError
from inferir.server.models.library import Library
from inferir.server.models.registry import Registry
from inferir.server.models.watcher import Watcher
from inferir.server.settings import Settings
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


def test_a_model_that_has_the_name_of_an_alias_is_one_that_did_not_load(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "c.apr", name="c", intercept=1)
    taken = linear_model(tmp_path / "prod.apr", name="prod", intercept=2)

    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            await app.library.alias("prod", "c")
            with pytest.raises(ConflictError, match="got 'prod', an alias of 'c'"):
                await app.library.load(taken)
            assert await predict(client, "prod") == 1.0
            async with client.get("/models") as response:
                loaded, failed = (await response.json())["models"]
            assert (loaded["name"], loaded["aliases"]) == ("c", ["prod"])
            assert (failed["source"], failed["state"], failed["code"]) == (taken, "failed", "CONFLICT")
            async with client.get("/metrics") as response:
                assert 'result="CONFLICT"' in await response.text()
            linear_model(tmp_path / "c.apr", name="prod", intercept=3)  # no file becomes such a model, either
            async with client.post("/v2/repository/models/c/load") as response:
                assert (response.status, (await response.json())["code"]) == (409, "CONFLICT")
            assert await predict(client, "c") == 1.0
            await app.library.alias("prod", "")
            await app.library.reload("c")
            assert await predict(client, "prod") == 3.0

    asyncio.run(main())


def test_the_one_unused_longest_goes(tmp_path: Path) -> None:
    paths = [linear_model(tmp_path / f"{name}.apr", name=name, pad_bytes=40_000) for name in "abc"]
    limit = os.path.getsize(paths[0]) * 2 + 1000

    async def main() -> None:
        async with serving(*paths[:2], memory_limit_bytes=limit) as (app, url), aiohttp.ClientSession(url) as client:
            assert [await predict(client, name) for name in "ba"] == [0.0, 0.0]
            await app.library.load(paths[2])
            assert [await predict(client, name) for name in "abc"] == [0.0, "NOT_READY", 0.0]
            await app.library.unload("c")
            async with client.post("/v2/repository/index") as response:
                index = {each["name"]: (each["state"], each["reason"]) for each in await response.json()}
            assert index == {"a": ("READY", ""), "b": ("UNAVAILABLE", "evicted"), "c": ("UNAVAILABLE", "unloaded")}
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
            assert await predict(client) == "NOT_READY"
            assert await predict(client, "linear") == "NOT_READY"
            with pytest.raises(UnknownModelError):
                await app.library.unload("linear")
            assert app.library.sources() == {"linear": path}
            await app.library.reload("linear")
            assert await predict(client) == 0.0
            with pytest.raises(UnknownModelError):
                await app.library.reload("other")

    asyncio.run(main())


def test_no_other_model_answers_for_the_one_that_is_meant(tmp_path: Path) -> None:
    paths = [linear_model(tmp_path / f"{name}.apr", name=name, intercept=k) for k, name in enumerate("ab")]

    async def main() -> None:
        async with serving(*paths) as (app, url), aiohttp.ClientSession(url) as client:

            async def default_model() -> Any:
                async with client.get("/models") as response:
                    return (await response.json())["default_model"]

            assert (await predict(client), await default_model()) == (0.0, "a")
            await app.library.unload("a")
            assert [await predict(client), await predict(client, "b")] == ["NOT_READY", 1.0]
            assert await default_model() == "a"
            async with client.post("/predict", json=ZERO) as response:
                assert (await response.json())["message"] == "model 'a' is not loaded"
            await app.library.reload("b")
            await app.library.reload("a")
            assert (await predict(client), await default_model()) == (0.0, "a")
        async with serving() as (_, url), aiohttp.ClientSession(url) as client:
            assert (await predict(client), await default_model()) == ("E011", "")

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


def test_a_file_that_is_gone_goes_after_its_alias(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    linear_model(tmp_path / "m.apr", name="m")

    async def main() -> None:
        async with serving() as (app, _):
            watcher = Watcher([str(tmp_path)], app.library.load, app.library.forget)
            await watcher.first()
            await app.library.alias("champion", "m@1")
            (tmp_path / "m.apr").unlink()
            for _ in range(6):
                await watcher.refresh()
            assert app.registry.resolve("champion").reference == "m@1"
            await watcher.refresh(at_once=True)
            assert caplog.text.count("expected a version that no alias points to") == 1
            await app.library.alias("champion", "")
            await watcher.refresh()
            assert len(app.registry) == 0

    asyncio.run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_not_text_is_one_that_did_not_load(tmp_path: Path) -> None:
    model = Path(linear_model(tmp_path / "m.apr", name="m")).read_bytes()
    with open(os.fsencode(tmp_path) + b"/\xff.apr", "wb") as file:
        file.write(model)

    async def main() -> None:
        async with serving() as (app, url), aiohttp.ClientSession(url) as client:
            watcher = Watcher([str(tmp_path)], app.library.load, app.library.forget)
            await watcher.first()
            assert await predict(client, "m") == 0.0
            async with client.get("/models") as response:
                loaded, failed = (await response.json())["models"]
            assert (loaded["name"], failed["code"]) == ("m", "E010")
            assert failed["source"] == f"{tmp_path}/\\xff.apr"
            assert failed["message"] == f"{tmp_path}/\\xff.apr: expected a file name in UTF-8, got other bytes"
            os.unlink(os.fsencode(tmp_path) + b"/\xff.apr")
            await watcher.refresh(at_once=True)
            assert not app.registry.failures

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


class Recorder:
    """Keeps what it is told of models, as an observer does that has a value for each."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.n_bytes: dict[tuple[str, str], int] = {}

    def batch_run(self, model: str, version: str, rows: int, requests: int, seconds: float) -> None: ...

    def model_failed(self, model: str, code: str) -> None: ...

    def model_loaded(self, model: str, version: str, stages: dict[str, float], n_bytes: int) -> None:
        self.told.append(("loaded", model, version))
        self.n_bytes[model, version] = n_bytes

    def model_unloaded(self, model: str, version: str, reason: str) -> None:
        self.told.append((reason, model, version))
        self.n_bytes.pop((model, version), None)


def test_observers_of_a_version_that_replaces_itself_know_it_as_loaded(tmp_path: Path) -> None:
    path, observer = linear_model(tmp_path / "m.apr", name="m"), Recorder()

    async def main() -> None:
        settings = Settings(backend="reference")
        library = Library(settings, Registry(), observer)
        await library.load(path)
        await library.reload("m")
        assert observer.told == [("loaded", "m", "1"), ("replaced", "m", "1"), ("loaded", "m", "1")]
        assert observer.n_bytes == {("m", "1"): os.path.getsize(path)}
        linear_model(tmp_path / "m.apr", name="m", version="2")
        await library.load(path)
        assert list(observer.n_bytes) == [("m", "2")]
        await library.unload("m")
        assert observer.told[-1] == ("unloaded", "m", "2")
        assert not observer.n_bytes
        library.close()

    asyncio.run(main())


def test_metrics_know_the_bytes_of_a_version_that_was_loaded_again(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr", name="m")

    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            await app.library.reload("m")
            async with client.get("/metrics") as response:
                assert re.search(r'^inferir_model_bytes\{.*"m".*\} [1-9]', await response.text(), re.MULTILINE)

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
