"""What a request or a version held goes with it, and does not wait for the garbage collector.

A server has the collector look seldom. A reference cycle then keeps what it holds for thousands of requests: the body
of a request that was too large, the tensors of a version that was replaced.
"""

from __future__ import annotations

import asyncio
import gc
import io
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from inferir.errors import InferirError
from inferir.kernels import available
from inferir.server.request.exchange import Exchange
from tests.server.request.test_gate import slow
from tests.server.serving import eventually, linear_model, serving

BIG = 2**20


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def exchanges() -> int:
    return sum(type(each) is Exchange for each in gc.get_objects())


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(40):
        yield b"x" * (BIG // 16)


#: Requests that are answered by an error -> its status.
FAILING = {
    "no JSON": ({"data": b"[" * 5000}, 400),
    "too many features": ({"json": {"features": [0] * 9}}, 400),
    "deep": ({"data": b"[" * 100_000}, 400),
    "too large": ({"data": lambda: io.BytesIO(b"x" * (2 * BIG))}, 413),
    "too large, in chunks": ({"data": chunks}, 413),
    "no such path": ({"path": "/nowhere"}, 404),
    "other method": ({"path": "/health"}, 405),
    "no such model": ({"json": {"features": [0, 0], "model_id": "none"}}, 404),
    "deadline that is none": ({"json": {"features": [0, 0]}, "headers": {"X-Request-Timeout-Ms": "soon"}}, 400),
    "deadline that passed": ({"json": {"features": [0, 0]}, "headers": {"X-Request-Timeout-Ms": "0"}}, 504),
}


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", FAILING)
def test_a_request_that_failed_is_gone(name: str, tmp_path: Path) -> None:
    asked, expected = FAILING[name]
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        async with serving(path, max_body_bytes=BIG) as (_, url), aiohttp.ClientSession(url) as client:
            for _ in range(5):
                options = {key: value() if callable(value) else value for key, value in asked.items()}
                where = options.pop("path", "/predict")
                async with client.post(where, **options) as response:
                    assert response.status == expected
                    await response.read()
            await eventually(lambda: exchanges() <= 1)  # a connection may still hold its last one

    asyncio.run(main())


@pytest.mark.usefixtures("uncollected")
def test_a_request_that_waited_in_vain_is_gone(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        async with (
            serving(path, max_concurrency=1, timeout_s=3600.0) as (app, url),
            aiohttp.ClientSession(url) as client,
        ):
            model = slow(app)

            async def ask(timeout_ms: str) -> int:
                headers = {"X-Request-Timeout-Ms": timeout_ms}
                async with client.post("/predict", json={"features": [0, 0]}, headers=headers) as response:
                    await response.read()
                    return response.status

            first = asyncio.ensure_future(ask("3600000"))
            await eventually(lambda: app.admission.in_work == 1)
            assert await asyncio.gather(*[ask("30") for _ in range(5)]) == [504] * 5
            await eventually(lambda: exchanges() <= 2)
            model.let.set()
            assert await first == 200

    asyncio.run(main())


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("batching", ["on", "off"])
@pytest.mark.parametrize("backend", ["aot", "reference"])
def test_a_version_that_was_replaced_is_gone(batching: str, backend: str, tmp_path: Path) -> None:
    if backend not in available():
        pytest.skip("there are no compiled kernels")
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        async with (
            serving(path, backend=backend, batching=batching) as (app, url),
            aiohttp.ClientSession(url) as client,
        ):
            models = []
            for _ in range(3):
                models.append(weakref.ref(app.registry.resolve(None).model))
                for rows in (1, 3):
                    instances = {"instances": [[1, 1]] * rows}
                    async with client.post("/predict/batch", json=instances) as response:
                        assert response.status == 200
                with pytest.raises(InferirError):
                    await app.library.load(str(tmp_path / "none.apr"))
                await app.library.load(path)
                await eventually(lambda: models[-1]() is None)

    asyncio.run(main())
