"""Aliases that move by request."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from yarl import URL

from inferir.server.request.auth import parse_keys
from tests.server.serving import linear_model, serving

ADMIN, INFER = {"X-API-Key": "a"}, {"X-API-Key": "i"}


def test_an_alias_moves(tmp_path: Path) -> None:
    paths = [linear_model(tmp_path / f"{n}.apr", name="m", version=str(n), intercept=n) for n in (1, 2)]
    keys = parse_keys(["a admin x", "i infer y"], "keys")

    async def main() -> None:
        async with serving(*paths, keys=keys) as (_, url), aiohttp.ClientSession(url) as client:

            async def call(
                method: str, body: object = None, headers: dict[str, str] = ADMIN, alias: str = "champion"
            ) -> tuple[int, str]:
                path = URL(f"/models/aliases/{alias}", encoded=True)
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
            for wrong in ({"model": "m@3"}, {"model_id": ""}, {"model_id": "m" * 513}, {"model_id": None}):
                assert await call("PUT", wrong) == (400, "E006")
            for bad in ("a%0d%0ab", "%00", "a" * 5000, "a@b", "%ff%00"):
                assert await call("PUT", {"model_id": "m"}, alias=bad) == (400, "E006")
                assert await call("DELETE", alias=bad) == (404, "E011")
            assert await call("PUT", {"model_id": "m"}, alias="m") == (409, "CONFLICT")
            async with client.post("/v2/repository/models/m/unload", headers=ADMIN) as response:
                assert (response.status, (await response.json())["code"]) == (409, "CONFLICT")
            assert await call("PUT", {"model_id": "m@2"}, INFER) == (403, "FORBIDDEN")
            assert await predict() == 1.0
            assert await call("DELETE") == (200, "")
            assert await call("DELETE") == (404, "E011")
            assert await predict() == "E011"

    asyncio.run(main())
