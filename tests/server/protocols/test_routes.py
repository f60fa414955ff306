"""Routes of the protocols on a running server: statuses, bodies of errors, who may do what, pages."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

import inferir
from inferir.demo import FOLDER
from inferir.server.protocols.oip.handlers import EXTENSIONS
from inferir.server.request.auth import parse_keys
from tests.server.serving import linear_model, serving

PENGUINS, CANCER = str(FOLDER / "penguins.apr"), str(FOLDER / "breast_cancer.apr")
PENGUIN = ["Adelie", "Dream", 39.1, 18.7, 181, 3750]


def ask(test: Callable[[aiohttp.ClientSession, Any], Awaitable[None]], *models: str, **settings: Any) -> None:
    """Run a test against a server on the same event loop."""

    async def main() -> None:
        async with serving(*models, **settings) as (app, url), aiohttp.ClientSession(url) as client:
            await test(client, app)

    asyncio.run(main())


async def get(client: aiohttp.ClientSession, path: str, **options: Any) -> tuple[int, Any]:
    async with client.get(path, **options) as response:
        body = await response.read()
        return response.status, json.loads(body) if response.content_type == "application/json" and body else body


async def post(client: aiohttp.ClientSession, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **options.pop("headers", {})}
    async with client.post(path, data=data, headers=headers, **options) as response:
        said = await response.read()
        return response.status, json.loads(said) if response.content_type == "application/json" and said else said


def infer(rows: Any, **more: Any) -> dict[str, Any]:
    tensor = {"name": "input", "shape": list(np.shape(rows)), "datatype": "FP64", "data": np.ravel(rows).tolist()}
    return {"inputs": [tensor], **more}


class TestOpenInferenceProtocol:
    def test_metadata_and_health(self, tmp_path: Path) -> None:
        linear_model(tmp_path / "one.apr", version="1")
        linear_model(tmp_path / "two.apr", version="2")

        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            for path in ("/v2", "/v2/"):
                status, server = await get(client, path)
                assert (status, server["name"], server["extensions"]) == (200, "inferir", EXTENSIONS)
            for path in ("live", "ready"):
                assert await get(client, f"/v2/health/{path}") == (200, {"live": True, "ready": True})
            status, model = await get(client, "/v2/models/linear")
            assert (status, model["name"], model["versions"]) == (200, "linear", ["1", "2"])
            assert model["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]
            assert model["outputs"] == [{"name": "prediction", "datatype": "FP64", "shape": [-1]}]
            assert await get(client, "/v2/models/linear/versions/2/ready") == (200, {"name": "linear", "ready": True})
            app.loaded = False
            assert await get(client, "/v2/health/live") == (200, {"live": True, "ready": False})
            assert await get(client, "/v2/health/ready") == (503, {"live": True, "ready": False})
            assert (await get(client, "/ping"))[0] == 503

        ask(test, str(tmp_path / "one.apr"), str(tmp_path / "two.apr"))

    def test_versions_answer_for_themselves(self, tmp_path: Path) -> None:
        linear_model(tmp_path / "one.apr", version="1")
        linear_model(tmp_path / "two.apr", version="2", intercept=100)

        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            for path, version, expected in (("", "1", 5.0), ("/versions/1", "1", 5.0), ("/versions/2", "2", 105.0)):
                status, answer = await post(client, f"/v2/models/linear{path}/infer", infer([[2.0, 1.0]], id="x"))
                assert status == 200
                assert answer == {
                    "model_name": "linear",
                    "model_version": version,
                    "id": "x",
                    "outputs": [{"name": "prediction", "datatype": "FP64", "shape": [1], "data": [expected]}],
                }

        ask(test, str(tmp_path / "one.apr"), str(tmp_path / "two.apr"))

    def test_errors_are_in_the_key_that_clients_read(self) -> None:
        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            cases: list[tuple[str, Any, int, str]] = [
                ("/v2/models/lions/infer", infer([[1.0]]), 404, "unknown model 'lions'"),
                ("/v2/models/penguins/versions/7/infer", infer([[1.0]]), 404, "unknown model 'penguins@7'"),
                ("/v2/models/penguins/infer", infer([[1.0]]), 400, "expected shape [-1, 6], got [1, 1]"),
                ("/v2/models/penguins/infer", b"{", 400, "expected an inference request in JSON"),
                ("/v2/models/penguins/infer", infer([[1.0]], outputs=[{"name": "x"}]), 400, "expected outputs among"),
                ("/v2/repository/index", b"[", 400, "expected an object in JSON"),
                ("/v2/repository/index", b"[" * 100_000, 400, "expected an object"),
                ("/v2/repository/models/lions/load", None, 404, "unknown model 'lions'"),
                ("/v2/repository/models/penguins/load", {"parameters": {"config": "{}"}}, 400, "no parameters"),
            ]
            for path, body, status, says in cases:
                found, answer = await post(client, path, body)
                assert found == status, (path, answer)
                assert says in answer["error"]
                assert answer["error"] == answer["message"]
                assert answer["code"]
                assert answer["request_id"]
            async with client.post("/v2/models/lions/infer", data=b"{}") as response:
                assert response.headers["Content-Type"] == "application/json"

        ask(test, PENGUINS)

    def test_unloaded_and_loaded_again(self) -> None:
        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            assert (await post(client, "/v2/repository/models/penguins/unload"))[0] == 200
            assert (await get(client, "/v2/models/penguins/ready"))[0] == 503
            status, answer = await post(client, "/v2/models/penguins/infer", infer([[1.0]]))
            assert (status, answer["error"]) == (503, "model 'penguins' is not loaded")
            _, models = await post(client, "/v2/repository/index")
            assert models == [{"name": "penguins", "version": "", "state": "UNAVAILABLE", "reason": "unloaded"}]
            assert (await post(client, "/v2/repository/index", {"ready": True}))[1] == []
            assert (await post(client, "/v2/repository/models/penguins/load", {}))[0] == 200
            assert (await get(client, "/v2/models/penguins/ready"))[0] == 200

        ask(test, PENGUINS)

    def test_a_deadline_in_the_body(self) -> None:
        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            rows = np.zeros((2000, 30))
            status, answer = await post(
                client, "/v2/models/breast_cancer/infer", infer(rows, parameters={"timeout": 1})
            )
            assert (status, answer["code"]) == (504, "DEADLINE_EXCEEDED")

        ask(test, CANCER)

    def test_statistics(self) -> None:
        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            rows = np.zeros((3, 30))
            assert (await post(client, "/v2/models/breast_cancer/infer", infer(rows)))[0] == 200
            assert (await post(client, "/v2/models/breast_cancer/infer", infer(rows[:, :2])))[0] == 400
            for path in ("/v2/models/stats", "/v2/models/breast_cancer/versions/1/stats"):
                _, found = await get(client, path)
                (stats,) = found["model_stats"]
                assert (stats["name"], stats["inference_count"], stats["execution_count"]) == ("breast_cancer", 3, 1)
                assert stats["inference_stats"]["success"]["count"] == 1
                assert stats["inference_stats"]["fail"]["count"] == 1
                assert stats["inference_stats"]["compute_infer"]["ns"] > 0
                assert abs(stats["last_inference"] / 1000 - time.time()) < 60
                (size,) = stats["batch_stats"]  # one batch of 3 rows, in the bucket of up to 4
                assert size["batch_size"] == 4
                assert {size[part]["count"] for part in ("compute_input", "compute_infer", "compute_output")} == {1}
                assert size["compute_infer"] == stats["inference_stats"]["compute_infer"]
            assert (await get(client, "/v2/models/lions/stats"))[0] == 404

        ask(test, CANCER)


class TestContainers:
    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            ({}, json.dumps({"instances": [PENGUIN, PENGUIN]}).encode()),
            ({"Content-Type": "text/csv"}, b"Adelie,Dream,39.1,18.7,181,3750\n" * 2),
            ({"Content-Type": "application/jsonlines"}, (json.dumps(PENGUIN) + "\n").encode() * 2),
        ],
    )
    def test_invocations(self, headers: dict[str, str], body: bytes) -> None:
        expected = inferir.load(PENGUINS).predict([PENGUIN] * 2).tolist()

        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            assert await post(client, "/invocations", body, headers=headers) == (200, {"predictions": expected})
            target = {**headers, "X-Amzn-SageMaker-Target-Model": "penguins.apr"}
            assert (await post(client, "/invocations", body, headers=target))[0] == 200
            status, text = await post(client, "/invocations", body, headers={**headers, "Accept": "text/csv"})
            assert (status, text.decode().split()) == (200, expected)

        ask(test, PENGUINS, CANCER)

    def test_refused(self) -> None:
        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            cases: list[tuple[Any, dict[str, str], int, str]] = [
                (b"x", {"Content-Type": "application/x-npy"}, 415, "UNSUPPORTED_MEDIA"),
                (b"{}", {"Accept": "image/png"}, 415, "UNSUPPORTED_MEDIA"),
                (b"{}", {}, 400, "E006"),
                ({"instances": [[1]]}, {}, 400, "E003"),
                ({"instances": []}, {}, 400, "E006"),
                (b"{}", {"X-Amzn-SageMaker-Target-Model": "lions"}, 404, "E011"),
            ]
            for body, headers, status, code in cases:
                found, answer = await post(client, "/invocations", body, headers=headers)
                assert (found, answer["code"]) == (status, code)

        ask(test, PENGUINS)

    def test_ping_and_version(self) -> None:
        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            assert await get(client, "/ping") == (200, b"")
            assert await get(client, "/version") == (200, inferir.__version__.encode())

        ask(test, PENGUINS)


class TestKeys:
    keys = parse_keys(["INFER infer robot", "READ read human", "ADMIN admin boss"], "keys")

    def test_who_may_do_what(self) -> None:
        routes = [
            ("GET", "/v2/health/live", "open"),
            ("GET", "/ping", "open"),
            ("GET", "/", "open"),
            ("GET", "/docs", "open"),
            ("GET", "/openapi.json", "open"),
            ("GET", "/page/page.js", "open"),
            ("GET", "/v2/models/penguins", "infer"),
            ("POST", "/v2/models/penguins/infer", "infer"),
            ("POST", "/invocations", "infer"),
            ("POST", "/v2/repository/index", "read"),
            ("GET", "/v2/models/stats", "read"),
            ("GET", "/page/live", "read"),
            ("GET", "/page/models", "read"),
            ("POST", "/v2/repository/models/penguins/load", "admin"),
            ("POST", "/v2/repository/models/penguins/unload", "admin"),
        ]

        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            for method, path, scope in routes:
                for key in (None, "INFER", "READ", "wrong"):
                    headers = {"X-API-Key": key} if key else {}
                    async with client.request(method, path, headers=headers, data=b"{}") as response:
                        if scope == "open" or (key or "").lower() == scope:
                            assert response.status not in (401, 403), (path, key)
                        else:
                            assert response.status == (403 if key in ("INFER", "READ") else 401), (path, key)
            async with client.post(routes[-2][1], headers={"Authorization": "Bearer ADMIN"}) as response:
                assert response.status == 200

        ask(test, PENGUINS, keys=self.keys)

    def test_the_page_shows_nothing_to_strangers(self) -> None:
        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            assert b"penguins" not in (await get(client, "/"))[1]
            _, fragment = await get(client, "/page/models", headers={"X-API-Key": "READ"})
            assert b"penguins@1" in fragment

        ask(test, PENGUINS, keys=self.keys, api_keys="READ read human")


class TestPages:
    def test_names_of_models_are_escaped(self, tmp_path: Path) -> None:
        name = '<script>alert("1")</script>'
        linear_model(tmp_path / "model.apr", name=name)

        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            for path in ("/", "/page/models"):
                status, text = await get(client, path)
                assert status == 200
                assert name.encode() not in text
                assert b"&lt;script&gt;" in text

        ask(test, str(tmp_path / "model.apr"))

    def test_live_numbers(self) -> None:
        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            assert (await post(client, "/predict", {"features": PENGUIN}))[0] == 200
            assert (await post(client, "/predict", {"features": [1]}))[0] == 400
            _, live = await get(client, "/page/live")
            (model,) = live["models"]
            assert (model["name"], model["rows"], sum(model["buckets"]), live["errors"]) == ("penguins", 1, 1, 1)
            assert len(model["buckets"]) == len(live["bounds_s"]) + 1
            assert b"ms</td>" in (await get(client, "/"))[1]

        ask(test, PENGUINS)

    def test_a_server_without_models(self) -> None:
        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            status, text = await get(client, "/")
            assert (status, b"No model is loaded" in text) == (200, True)
            assert (await get(client, "/page/live"))[1]["models"] == []

        ask(test)

    def test_they_can_be_off(self) -> None:
        async def test(client: aiohttp.ClientSession, app: Any) -> None:
            for path in ("/", "/docs", "/openapi.json", "/page/live"):
                assert (await get(client, path))[0] == 404

        ask(test, docs=False)
