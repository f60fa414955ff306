"""Overload, deadlines and clients that go, with a model that takes as long as a test wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from inferir.server.models.registry import Cost
from tests.patience import PATIENCE_S
from tests.server.serving import eventually, linear_model, serving


class Slow:
    """A model that answers when it is let, and counts its calls."""

    faces = ("prediction",)
    classes = ()

    def __init__(self) -> None:
        self.let = threading.Event()
        self.calls: list[int] = []

    def answers(self, rows: Any, faces: Any, *, encoded: bool) -> Any:
        self.calls.append(len(rows))
        assert self.let.wait(PATIENCE_S)
        return dict.fromkeys(faces, np.asarray(rows)[:, 0])


@pytest.fixture
def path(tmp_path: Path) -> str:
    return linear_model(tmp_path / "m.apr")


Served = Callable[..., AbstractAsyncContextManager[Any]]


def slow(app: Any) -> Slow:
    """Put a slow model in the place of the one that is loaded; it is taken for one that belongs in a thread."""
    version = app.registry.resolve(None)
    version.model = Slow()
    version.cost = Cost(fixed_s=0.01)
    version.batcher = None  # whether there is one was measured, which on a busy machine may come out either way
    return version.model  # type: ignore[no-any-return]


async def predict(client: aiohttp.ClientSession, value: float = 1.0, **headers: str) -> tuple[int, Any, Any]:
    async with client.post("/predict", json={"features": [value, 0]}, headers=headers) as response:
        return response.status, await response.json(), response.headers


def test_places_queue_and_refusal(path: str) -> None:
    async def main() -> None:
        async with serving(path, max_concurrency=2, max_queue=1) as (app, url), aiohttp.ClientSession(url) as client:
            model = slow(app)
            asked = [asyncio.ensure_future(predict(client)) for _ in range(3)]
            await eventually(lambda: app.admission.in_work == 2 and app.admission.queue_depth == 1)
            status, body, headers = await predict(client)
            assert status == 503
            assert body == {
                "error": "service_overloaded",
                "message": "Server at capacity, please retry",
                "retry_after_ms": 100,
            }
            assert headers["Retry-After"] == "1"
            for probe in ("/health", "/ready", "/metrics"):  # never shed
                async with client.get(probe) as response:
                    assert response.status == 200
                    text = await response.text()
            assert 'reason="queue_full"' in text
            model.let.set()
            assert [status for status, _, _ in await asyncio.gather(*asked)] == [200, 200, 200]
            assert (app.admission.in_work, app.admission.queue_depth) == (0, 0)

    asyncio.run(main())


def test_a_deadline_that_passes_in_the_queue(path: str) -> None:
    async def main() -> None:
        async with serving(path, max_concurrency=1) as (app, url), aiohttp.ClientSession(url) as client:
            model = slow(app)
            first = asyncio.ensure_future(predict(client))
            await eventually(lambda: app.admission.in_work == 1)
            status, body, _ = await predict(client, **{"X-Request-Timeout-Ms": "50"})
            assert (status, body["code"]) == (504, "DEADLINE_EXCEEDED")
            assert app.admission.queue_depth == 0
            model.let.set()
            assert (await first)[0] == 200
            assert len(model.calls) == 1  # the other was never run

    asyncio.run(main())


def test_a_deadline_that_cannot_be_met(path: str) -> None:
    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            model = slow(app)
            for timeout_ms in ("0", "5"):  # passed already; less than the 10 ms that the model was measured to take
                status, body, _ = await predict(client, **{"X-Request-Timeout-Ms": timeout_ms})
                assert (status, body["code"]) == (504, "DEADLINE_EXCEEDED")
            assert model.calls == []
            status, body, _ = await predict(client, **{"X-Request-Timeout-Ms": "soon"})
            assert (status, body["code"]) == (400, "E006")

    asyncio.run(main())


def test_a_client_that_goes_gives_its_place_back(path: str) -> None:
    async def main() -> None:
        async with serving(path, max_concurrency=1) as (app, url), aiohttp.ClientSession(url) as client:
            model = slow(app)
            asked = [asyncio.ensure_future(predict(client)) for _ in range(3)]
            await eventually(lambda: app.admission.in_work == 1 and app.admission.queue_depth == 2)
            for each in asked:
                each.cancel()
            await eventually(lambda: app.admission.in_work == 0 and app.admission.queue_depth == 0)
            model.let.set()
            assert (await predict(client))[0] == 200

    asyncio.run(main())


def test_a_bug_is_a_500_without_a_trace(path: str) -> None:
    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            app.registry.resolve(None).model = None
            status, body, _ = await predict(client)
            assert status == 500
            assert body["code"] == "INTERNAL"
            assert "NoneType" not in str(body)
            assert app.admission.in_work == 0

    asyncio.run(main())


def test_request_ids_cannot_write_headers(path: str) -> None:
    async def main() -> None:
        async with serving(path) as (_, url), aiohttp.ClientSession(url) as client:
            _, body, headers = await predict(client, **{"X-Request-Id": "a b\xe9" + "c" * 500})
            assert headers["X-Request-Id"] == body["request_id"] == "ab" + "c" * 124

    asyncio.run(main())


def test_what_is_in_work_is_answered_before_the_end(path: str) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as client:
            async with serving(path) as (app, url):
                model = slow(app)
                body = {"features": [1.0, 0]}
                asked = [asyncio.ensure_future(client.post(url + "/predict", json=body)) for _ in range(5)]
                await eventually(lambda: app.admission.in_work == 5)

                async def let_go() -> None:
                    await eventually(lambda: app.admission.draining)  # the server is told to stop, and waits
                    model.let.set()

                letting_go = asyncio.ensure_future(let_go())
            await letting_go
            answers = await asyncio.gather(*asked)  # the server is gone
            assert [answer.status for answer in answers] == [200] * 5
            assert all(answer.headers["Connection"] == "close" for answer in answers)

    asyncio.run(main())
