"""The six routes over real sockets: what they answer, and what they say where there is no answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

import inferir
from inferir.demo import FOLDER
from inferir.server.models.watcher import Watcher
from inferir.server.request.auth import parse_keys
from tests.patience import PATIENCE_S
from tests.server.serving import eventually, linear_model, read_raw, serving

PENGUINS, CANCER = str(FOLDER / "penguins.apr"), str(FOLDER / "breast_cancer.apr")


@pytest.fixture
def linear(tmp_path: Path) -> str:
    return linear_model(tmp_path / "linear.apr")


def ask(test: Callable[[aiohttp.ClientSession, Any], Awaitable[None]], *models: str, **settings: Any) -> None:
    """Run a test against a server on the same event loop."""

    async def main() -> None:
        async with serving(*models, **settings) as (app, url), aiohttp.ClientSession(url) as client:
            await test(client, app)

    asyncio.run(main())


async def post(client: aiohttp.ClientSession, path: str, body: Any, **options: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post(path, data=data, **options) as response:
        assert response.headers["Content-Type"] == "application/json"
        return response.status, await response.json()


RUBBISH = (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /predict HTTP/1.1\r\nX\r\n\r\n")


# -- predictions


def test_one_prediction(linear: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        async with client.post("/predict", json={"features": [3, 0.5]}, headers={"X-Request-Id": "mine"}) as response:
            body = await response.json()
            assert response.status == 200
            assert response.headers["X-Request-Id"] == "mine"
            assert "inference;dur=" in response.headers["Server-Timing"]
        latency_ms = body.pop("latency_ms")
        assert 0 < latency_ms < 1000 * PATIENCE_S
        assert body == {"prediction": 6.5, "model_id": "linear", "model_version": "1", "request_id": "mine"}

    ask(test, linear)


def test_answers_are_those_of_the_model() -> None:
    model = inferir.load(CANCER)
    rows = np.random.default_rng(0).uniform(0, 30, (20, 30))

    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        body = {
            "instances": [{"features": row} for row in rows.tolist()],
            "options": {"return_probabilities": True, "top_k": 1},
        }
        status, answer = await post(client, "/predict/batch", body)
        assert status == 200
        labels, probabilities = model.predict(rows), np.asarray(model.predict_proba(rows))
        assert [one["prediction"] for one in answer["predictions"]] == labels.tolist()
        assert [one["probabilities"] for one in answer["predictions"]] == probabilities.tolist()
        best = probabilities.argmax(axis=1)
        assert [one["top"][0]["class"] for one in answer["predictions"]] == [model.classes[k] for k in best]

    ask(test, CANCER)


def test_rows_by_name_and_missing_values(linear: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        assert (await post(client, "/predict", {"features": {"b": 1, "a": 2}}))[1]["prediction"] == 5.0
        status, answer = await post(client, "/predict", {"features": [None, 1]})
        assert (status, answer["prediction"]) == (200, None)  # NaN has no JSON

    ask(test, linear)


def test_what_json_has_beside_numbers(linear: str) -> None:
    """As http-api.md says: truth values are 1 and 0, keys that are not ours are left alone."""

    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        for body, prediction in (
            ({"features": [True, 1]}, 3.0),
            ({"features": {"b": False, "a": 2, "c": "x"}}, 4.0),
            ({"features": [1, 1], "option": {"top_k": 3}, "options": {"topk": 3}}, 3.0),
        ):
            status, answer = await post(client, "/predict", body)
            assert (status, answer["prediction"], "top" in answer) == (200, prediction, False)

    ask(test, linear)


def test_models_by_reference(tmp_path: Path) -> None:
    first = linear_model(tmp_path / "a.apr", name="m", version="1", intercept=10)
    second = linear_model(tmp_path / "b.apr", name="m", version="2", intercept=20)

    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        async def predict(model_id: str) -> tuple[int, Any]:
            return await post(client, "/predict", {"model_id": model_id, "features": [0, 0]})

        assert (await predict("m"))[1]["prediction"] == 10.0  # the one that was there first
        assert (await predict("m@2"))[1]["prediction"] == 20.0
        await app.library.alias("champion", "m@2")
        status, answer = await predict("champion")
        assert (answer["prediction"], answer["model_version"]) == (20.0, "2")
        status, answer = await predict("other")
        assert status == 404
        assert answer["code"] == "E011"
        assert "unknown model 'other'" in answer["message"]

    ask(test, first, second)


# -- refusals


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "says"),
    [
        ("/predict", b"{", 400, "E006", "expected JSON"),
        ("/predict", b"", 400, "E006", "expected JSON"),
        ("/predict", b"[" * 100_000, 400, "E006", "nested"),
        ("/predict", b'{"features": [NaN, 1]}', 400, "E006", "expected JSON"),
        ("/predict", {"features": [1]}, 400, "E003", "expected 2 features, got 1"),
        ("/predict", {"features": ["x", 1]}, 400, "E006", "expected a number"),
        ("/predict", {"features": [1, 2], "instances": []}, 400, "E006", "either"),
        ("/predict", {"features": [1, 2], "options": {"top_k": 0}}, 400, "E006", "top_k"),
        ("/predict", {"features": [1, 2], "options": {"return_probabilities": True}}, 400, "E008", "probabilities"),
        ("/predict/batch", {"instances": [{"features": [1, 2]}, {"features": [1]}]}, 400, "E003", "instance 1"),
        ("/predict/batch", {"instances": []}, 400, "E003", "instances"),
        ("/nowhere", {}, 404, "NOT_FOUND", "no such path"),
    ],
)
def test_bad_input_has_its_status(linear: str, path: str, body: Any, status: int, code: str, says: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        got, answer = await post(client, path, body)
        assert (got, answer["code"]) == (status, code)
        assert says in answer["message"]
        assert answer["error"]
        assert answer["request_id"]
        assert (await post(client, "/predict", {"features": [1, 2]}))[0] == 200

    ask(test, linear)


def test_methods_and_media_types(linear: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        async with client.put("/predict") as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
        body = b'{"features": [1, 2]}'
        assert (await post(client, "/predict", body, headers={"Content-Type": "image/png"}))[0] == 415
        for accepted in ("application/json; charset=utf-8", "application/x-www-form-urlencoded"):  # the latter is curl
            assert (await post(client, "/predict", body, headers={"Content-Type": accepted}))[0] == 200
        async with client.head("/health") as response:
            assert (response.status, await response.read()) == (200, b"")

    ask(test, linear)


def test_bodies_over_the_limit(linear: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        async def chunks() -> Any:
            for _ in range(100):
                yield b" " * 100

        for data in (b" " * 5000, chunks()):
            async with client.post("/predict", data=data) as response:
                assert (response.status, (await response.json())["code"]) == (413, "TOO_LARGE")
        rows = [{"features": [1, 2]}] * 11
        assert (await post(client, "/predict/batch", {"instances": rows}))[1]["code"] == "E003"

    ask(test, linear, max_body_bytes=1000, max_batch_rows=10)


def test_a_body_that_does_not_come(linear: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        for begun in (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{", b"POST /predict HT"):
            reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)
            writer.write(begun)
            status, lines, body = read_raw(await asyncio.wait_for(reader.read(), PATIENCE_S))
            assert (status, json.loads(body)["code"]) == (408, "BODY_TIMEOUT")
            assert "Connection: close" in lines
            writer.close()

    ask(test, linear, body_timeout_s=0.2)


def test_what_is_not_http(linear: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        for rubbish in RUBBISH:
            reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)
            writer.write(rubbish)
            status, lines, body = read_raw(await asyncio.wait_for(reader.read(), PATIENCE_S))
            assert status == 400
            assert "Content-Type: application/json" in lines
            assert json.loads(body)["code"] == "BAD_REQUEST"
            writer.close()

    ask(test, linear)


# -- what it says of itself


def test_health_ready_models_metrics(linear: str, tmp_path: Path) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        async with client.get("/health") as response:
            assert (response.status, (await response.json())["live"]) == (200, True)
        async with client.get("/ready") as response:
            assert (response.status, (await response.json())["ready"]) == (200, True)
        app.loaded = False
        async with client.get("/ready") as response:
            assert (response.status, (await response.json())["code"]) == (503, "NOT_READY")
        (tmp_path / "bad.apr").write_bytes(b"rubbish")
        with pytest.raises(inferir.errors.ModelLoadError):
            await app.library.load(str(tmp_path / "bad.apr"))
        async with client.get("/models") as response:
            loaded, failed = (await response.json())["models"]
        assert (loaded["name"], loaded["version"], loaded["state"], loaded["default"]) == ("linear", "1", "ready", True)
        assert [column["name"] for column in loaded["columns"]] == ["a", "b"]
        assert (failed["state"], failed["code"]) == ("failed", "E001")
        await post(client, "/predict", {"features": [1, 2]})
        async with client.get("/metrics") as response:
            text = await response.text()
        assert 'http_route="/predict"' in text

    ask(test, linear)


def test_a_server_without_a_model_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "bad.apr").write_bytes(b"rubbish")

    async def main() -> None:
        async with serving() as (app, url), aiohttp.ClientSession(url) as client:
            watcher = Watcher([str(tmp_path)], app.library.load, app.library.forget)
            await watcher.first()

            async def statuses() -> list[int]:
                return [(await client.get(path)).status for path in ("/health", "/ready", "/v2/health/ready", "/ping")]

            async def page() -> str:
                async with client.get("/") as response:
                    return await response.text()

            why = f"{tmp_path / 'bad.apr'}: E001: "
            assert await statuses() == [200, 503, 503, 503]
            assert why in await page()
            linear_model(tmp_path / "good.apr")
            await watcher.refresh(at_once=True)
            assert why in await page()
            assert await statuses() == [200, 200, 200, 200]  # what does not load keeps the others from nothing
            await app.library.unload("linear")
            assert await statuses() == [200, 200, 200, 200]  # somebody asked for that; the server is as it should be

    asyncio.run(main())


def test_keys_guard_routes(linear: str) -> None:
    keys = parse_keys(["one infer alice", "two read bob", "three admin carol"], "keys")

    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        async def predict(**headers: str) -> int:
            return (await post(client, "/predict", {"features": [1, 2]}, headers=headers))[0]

        assert await predict() == 401
        assert await predict(Authorization="Bearer wrong") == 401
        assert await predict(Authorization="Bearer one") == 200
        assert await predict(**{"X-API-Key": "one"}) == 200
        assert await predict(Authorization="Bearer two") == 403
        assert await predict(Authorization="Bearer three") == 200
        for path, expected in (("/health", 200), ("/ready", 200), ("/models", 401), ("/metrics", 401)):
            async with client.get(path) as response:
                assert response.status == expected, path
        async with client.get("/models", headers={"Authorization": "Bearer two"}) as response:
            assert response.status == 200

    ask(test, linear, keys=keys)


# -- connections


def test_pipelined_requests_are_answered_in_order(linear: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)
        for k in range(10):
            body = json.dumps({"features": [k, 0]}).encode()
            close = b"Connection: close\r\n" if k == 9 else b""
            writer.write(
                b"POST /predict HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (close, len(body), body)
            )
        answers = (await asyncio.wait_for(reader.read(), PATIENCE_S)).split(b"HTTP/1.1 ")[1:]
        said = [json.loads(answer.partition(b"\r\n\r\n")[2])["prediction"] for answer in answers]
        assert said == [2.0 * k for k in range(10)]
        writer.close()

    ask(test, linear)


def test_a_request_in_pieces_and_one_in_chunks(linear: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)
        whole = (
            b'POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{"features": [1, 2]}'
        )
        for k in range(0, len(whole), 7):
            writer.write(whole[k : k + 7])
            await asyncio.sleep(0.001)
        status, _, body = read_raw(await asyncio.wait_for(reader.read(), PATIENCE_S))
        assert (status, json.loads(body)["prediction"]) == (200, 4.0)
        writer.close()

        async def chunks() -> Any:
            yield b'{"features": '
            yield b"[1, 2]}"

        async with client.post("/predict", data=chunks()) as response:
            assert (await response.json())["prediction"] == 4.0

    ask(test, linear)


def test_old_http_and_100_continue(linear: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", client._base_url.port)
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        status, lines, _ = read_raw(await asyncio.wait_for(reader.read(), PATIENCE_S))
        assert status == 200
        assert "Connection: close" in lines
        writer.close()
        body = json.dumps({"features": [1, 2]}).encode()
        async with client.post("/predict", data=body, expect100=True) as response:
            assert response.status == 200

    ask(test, linear)


def test_connections_over_the_limit_are_closed(linear: str) -> None:
    async def test(client: aiohttp.ClientSession, app: Any) -> None:
        port = client._base_url.port
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]  # they are taken in this order
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            said = await asyncio.wait_for(reader.read(), PATIENCE_S)
        except ConnectionResetError:
            said = b""
        assert said == b""
        for _, each in [*held, (reader, writer)]:
            each.close()

    ask(test, linear, max_connections=3)


def test_many_connections_at_once_on_uvloop(tmp_path: Path) -> None:
    """uvloop takes one connection in each round: hundreds that come together, each busy, must not wait for seconds."""
    uvloop = pytest.importorskip("uvloop")
    path = linear_model(tmp_path / "m.apr")

    async def main() -> None:
        async with serving(path) as (app, url):
            port = int(url.rpartition(":")[2])
            opened = await asyncio.gather(*[asyncio.open_connection("127.0.0.1", port) for _ in range(300)])
            for _ in range(2):
                for _, writer in opened:
                    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                heads = [await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE_S) for reader, _ in opened]
                assert all(head.startswith(b"HTTP/1.1 200") for head in heads)
            for _, writer in opened:
                writer.close()
            await app.release(0)  # every copy of the socket is closed with it
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)

    uvloop.run(main())


# -- the end


def test_all_that_is_waited_for_at_the_end_has_one_deadline(linear: str) -> None:
    """Half a body over HTTP, which has a minute to come, and calls over gRPC."""
    shutdown_s = 4.0

    class Grpc:
        async def stop(self, grace_s: float) -> None:
            await asyncio.sleep(grace_s)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with serving(linear, shutdown_s=shutdown_s, body_timeout_s=10 * PATIENCE_S) as (app, url):
            app._grpc = Grpc()  # type: ignore[assignment]
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{")
            await eventually(app._runner.server.busy)  # type: ignore[union-attr]
            begin_s = loop.time()
        seconds = loop.time() - begin_s
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()
        return seconds

    assert shutdown_s * 0.9 < asyncio.run(main()) < shutdown_s * 1.7


def test_no_time_at_the_end_is_none(linear: str) -> None:
    """And not all the time in the world, as 0 is to aiohttp."""

    async def main() -> None:
        async with serving(linear, shutdown_s=0, body_timeout_s=10 * PATIENCE_S) as (app, url):
            _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{")
            await eventually(app._runner.server.busy)  # type: ignore[union-attr]
        writer.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
