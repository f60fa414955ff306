"""Aliases that move by request."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from inferir.server.request.auth import parse_keys
from tests.server.serving import linear_model, serving

ADMIN, INFER = {"X-API-Key": "a"}, {"X-API-Key": "i"}


def test_an_alias_moves(tmp_path: Path) -> None:
    paths = [linear_model(tmp_path / f"{n}.apr", name="m", version=str(n), intercept=n) for n in (1, 2)]
    keys = parse_keys(["a admin x", "i infer y"], "keys")

    async def main() -> None:
        async with serving(*paths, keys=keys) as (_, url), aiohttp.ClientSession(url) as client:

            async def call(method: str, body: object = None, headers: dict[str, str] = ADMIN) -> tuple[int, str]:
                path = "/models/aliases/champion"
                async with client.request(method, path, json=body, headers=headers) as response:
                    answer = await response.json()
                    return response.status, answer.get("model_id", answer.get("code"))

            async def predict() -> object:
                body = {"model_id": "champion", "features": [0, 0]}
                async with client.post("/predict", json=body, headers=INFER) as response:
                    answer = await response.json()
                    return answer.get("prediction", answer.get("code"))

            assert await call("PUT", {"model_id": "m@2"}) == (200, "m@2")
            assert await predict() == 2.0
            assert await call("PUT", {"model_id": "m@1"}) == (200, "m@1")
            assert await predict() == 1.0
            assert await call("PUT", {"model_id": "m@3"}) == (404, "E011")
            assert await call("PUT", {"model": "m@3"}) == (400, "E006")
            assert await call("PUT", {"model_id": "m@2"}, INFER) == (403, "FORBIDDEN")
            assert await predict() == 1.0
            assert await call("DELETE") == (200, "")
            assert await call("DELETE") == (404, "E011")
            assert await predict() == "E011"

    asyncio.run(main())
