"""Truths that come later, by request: counted once, for the version that answered, or refused with a reason."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier

import inferir
from inferir.kernels import available
from inferir.server.handlers.feedback import TRUTH_LIMIT
from inferir.server.request.auth import parse_keys
from tests.server.monitoring.test_monitor import predict, scraped
from tests.server.serving import linear_model, serving

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(200, 2))
SIGN = np.where(ROWS[:, 0] > 0, "plus", "minus")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "sign.apr"
    model = LogisticRegression().fit(ROWS, SIGN)
    inferir.convert(model, name="sign", version="1", backend="reference").save(path)
    return str(path)


async def told(client: aiohttp.ClientSession, body: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    async with client.post("/feedback", json=body, **more) as response:
        return response.status, await response.json()


def test_pairs(classifier: str) -> None:
    async def main() -> None:
        async with serving(classifier) as (_, url), aiohttp.ClientSession(url) as client:
            assert ("model_accuracy", "sign", "1") not in await scraped(client)
            status, body = await told(client, {"prediction": "plus", "truth": "plus"})
            assert (status, body) == (200, {"model_id": "sign", "model_version": "1", "truths": 1})
            await told(client, {"model_id": "sign@1", "prediction": ["plus", "minus"], "truth": ["minus", "other"]})
            found = await scraped(client)
            assert found["model_accuracy", "sign", "1"] == pytest.approx(1 / 3)
            assert found["inferir_truths_total", "sign", "1"] == 3
            assert not [key for key in found if key[0] == "model_absolute_error"]

    asyncio.run(main())


@pytest.mark.parametrize("backend", ["aot", "reference"])
@pytest.mark.parametrize("batching", ["on", "off"])
def test_remembered_predictions(backend: str, batching: str, classifier: str) -> None:
    if backend not in available():
        pytest.skip("there are no compiled kernels")

    async def main() -> None:
        async with (
            serving(classifier, backend=backend, batching=batching, remember=100) as (_, url),
            aiohttp.ClientSession(url) as client,
        ):
            right = 0
            for k in range(20):
                _, answer = await predict(client, ROWS[k : k + 1])
                truth = "plus" if k % 3 else "minus"
                right += answer["prediction"] == truth
                assert (await told(client, {"request_id": answer["request_id"], "truth": truth}))[0] == 200
                status, body = await told(client, {"request_id": answer["request_id"], "truth": truth})
                assert (status, body["code"]) == (404, "NOT_REMEMBERED"), "a truth counts once"
            _, answer = await predict(client, ROWS[:5])
            truths = [each["prediction"] for each in answer["predictions"]]
            assert (await told(client, {"request_id": answer["request_id"], "truth": truths}))[1]["truths"] == 5
            async with client.post(
                "/v2/models/sign/infer",
                json={"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [1, 1]}]},
                headers={"X-Request-Id": "my-own"},
            ) as response:
                assert response.status == 200, await response.text()
            assert (await told(client, {"request_id": "my-own", "truth": "plus"}))[0] == 200
            found = await scraped(client)
            assert found["model_accuracy", "sign", "1"] == pytest.approx((right + 5 + 1) / 26)

    asyncio.run(main())


def test_a_truth_that_is_refused_may_come_again(classifier: str) -> None:
    async def main() -> None:
        async with serving(classifier, remember=100) as (_, url), aiohttp.ClientSession(url) as client:
            _, answer = await predict(client, ROWS[:1])
            said = {"request_id": answer["request_id"]}
            for wrong in (1, ["plus", "plus"], [["plus"]], 1.5):
                status, body = await told(client, {**said, "truth": wrong})
                assert status == 400
                assert body["code"] in ("E003", "E006")
            assert (await told(client, {**said, "truth": "plus"}))[0] == 200

    asyncio.run(main())


def test_remembering_is_no_part_of_inference(classifier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with (
            serving(classifier, remember=10, batching="off", backend="auto") as (app, url),
            aiohttp.ClientSession(url) as client,
        ):
            monkeypatch.setattr(app.monitor.memory, "put", lambda *_: time.sleep(0.2))
            async with client.post("/predict", json={"features": [1.0, 2.0]}) as response:
                assert response.status == 200
                said = response.headers["Server-Timing"]
        took_ms = {name: float(ms) for name, ms in (entry.split(";dur=") for entry in said.split(", "))}
        assert took_ms["postprocess"] >= 200 > took_ms["inference"]

    asyncio.run(main())


def test_only_the_latest_are_remembered(classifier: str) -> None:
    async def main() -> None:
        async with serving(classifier, remember=10) as (app, url), aiohttp.ClientSession(url) as client:
            ids = [(await predict(client, ROWS[:3]))[1]["request_id"] for _ in range(8)]
            assert len(app.monitor.memory) <= 10
            big = (await predict(client, ROWS[:50]))[1]["request_id"]
            statuses = [(await told(client, {"request_id": one, "truth": ["plus"] * 3}))[0] for one in ids]
            assert statuses == [404] * 5 + [200] * 3
            assert (await told(client, {"request_id": big, "truth": ["plus"] * 50}))[0] == 404

    asyncio.run(main())


def test_a_server_that_does_not_remember_says_so(classifier: str) -> None:
    async def main() -> None:
        async with serving(classifier) as (app, url), aiohttp.ClientSession(url) as client:
            _, answer = await predict(client, ROWS[:1])
            status, body = await told(client, {"request_id": answer["request_id"], "truth": "plus"})
            assert (status, body["code"]) == (404, "NOT_REMEMBERED")
            assert "this server remembers no predictions" in body["message"]
            assert len(app.monitor.memory) == 0

    asyncio.run(main())


def test_numbers_have_an_error_and_no_accuracy(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.apr", name="m", intercept=1)

    async def main() -> None:
        async with serving(path, remember=10, truth_window=2) as (_, url), aiohttp.ClientSession(url) as client:
            await told(client, {"prediction": 0.0, "truth": 1e6})
            _, answer = await predict(client, [[1, 1]])
            assert answer["prediction"] == 4.0
            await told(client, {"request_id": answer["request_id"], "truth": 4.5})
            await told(client, {"prediction": [2.0], "truth": [0]})
            found = await scraped(client)
            assert found["model_absolute_error", "m", "1"] == pytest.approx((0.5 + 2.0) / 2), "of the last two"
            assert found["inferir_truths_total", "m", "1"] == 3
            assert not [key for key in found if key[0] == "model_accuracy"]

    asyncio.run(main())


def test_several_outputs(tmp_path: Path) -> None:
    targets = np.stack([ROWS[:, 0] > 0, ROWS[:, 1] > 0], axis=1).astype(int)
    model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(ROWS, targets)
    inferir.convert(model, name="two", backend="reference").save(tmp_path / "two.apr")
    numbers = LinearRegression().fit(ROWS, ROWS * 2)
    inferir.convert(numbers, name="numbers", backend="reference").save(tmp_path / "numbers.apr")
    backend = "aot" if "aot" in available() else "reference"

    async def main() -> None:
        paths = [str(tmp_path / "two.apr"), str(tmp_path / "numbers.apr")]
        async with (
            serving(*paths, remember=100, backend=backend) as (_, url),
            aiohttp.ClientSession(url) as client,
        ):
            for rows in (ROWS[:1], ROWS[:4]):
                _, answer = await predict(client, rows, model_id="two")
                said = answer["prediction"] if len(rows) == 1 else [one["prediction"] for one in answer["predictions"]]
                status, body = await told(client, {"request_id": answer["request_id"], "truth": said})
                assert (status, body.get("truths")) == (200, len(rows)), body
            assert (await told(client, {"model_id": "two", "prediction": [0, 1], "truth": [1, 1]}))[0] == 200
            assert (await told(client, {"model_id": "two", "prediction": [0, 1], "truth": 1}))[0] == 400
            _, answer = await predict(client, [[1, 1]], model_id="numbers")
            assert (await told(client, {"request_id": answer["request_id"], "truth": [2, 4]}))[0] == 200
            found = await scraped(client)
            assert found["model_accuracy", "two", "1"] == pytest.approx(5 / 6)
            assert found["model_absolute_error", "numbers", "1"] == pytest.approx(1.0)

    asyncio.run(main())


def test_a_truth_never_counts_for_another_version(tmp_path: Path) -> None:
    """The file is replaced between prediction and truth: by another version, and by other bytes of the same one."""
    path = linear_model(tmp_path / "m.apr", name="m", version="1", intercept=1)

    async def main() -> None:
        async with serving(path, remember=100, watch_s=0) as (app, url), aiohttp.ClientSession(url) as client:
            for version, intercept in (("2", 2), ("2", 3)):
                _, answer = await predict(client, [[0, 0]])
                linear_model(tmp_path / "m.apr", name="m", version=version, intercept=intercept)
                await app.library.load(path)
                status, body = await told(client, {"request_id": answer["request_id"], "truth": 0})
                assert (status, body["code"]) == (404, "NOT_REMEMBERED")
                assert "is not loaded any more" in body["message"]
            _, answer = await predict(client, [[0, 0]])
            await app.library.load(path)  # the same bytes again
            assert (await told(client, {"request_id": answer["request_id"], "truth": 0}))[0] == 200
            found = await scraped(client)
            assert found["model_absolute_error", "m", "2"] == 3.0
            assert ("model_absolute_error", "m", "1") not in found

    asyncio.run(main())


HOSTILE = {
    "no JSON": (b"[" * 5000, 400, "E006"),
    "deep": (b'{"truth": ' + b"[" * 100_000, 400, "E006"),
    "empty": (b"", 400, "E006"),
    "nothing": (b"{}", 400, "E006"),
    "a list": (b"[]", 400, "E006"),
    "no truth": (b'{"prediction": "plus"}', 400, "E006"),
    "null": (b'{"prediction": null, "truth": null}', 400, "E006"),
    "a truth alone": (b'{"truth": "plus"}', 400, "E006"),
    "both": (b'{"request_id": "a", "prediction": "plus", "truth": "plus"}', 400, "E006"),
    "both names": (b'{"request_id": "a", "model_id": "sign", "truth": "plus"}', 400, "E006"),
    "long id": (b'{"request_id": "%s", "truth": "plus"}' % (b"a" * 200), 400, "E006"),
    "true": (b'{"prediction": "plus", "truth": true}', 400, "E006"),
    "an object": (b'{"prediction": "plus", "truth": {"a": 1}}', 400, "E006"),
    "not a label": (b'{"prediction": "zero", "truth": "plus"}', 400, "E006"),
    "a number": (b'{"prediction": 1, "truth": 1}', 400, "E006"),
    "huge": (b'{"prediction": "plus", "truth": 1e999}', 400, "E006"),
    "not UTF-8": (b'{"prediction": "\xff", "truth": "plus"}', 400, "E006"),
    "lengths": (b'{"prediction": ["plus"], "truth": ["plus", "plus"]}', 400, "E003"),
    "none": (b'{"prediction": [], "truth": []}', 400, "E003"),
    "nested": (b'{"prediction": [["plus"]], "truth": [["plus"]]}', 400, "E003"),
    "no such model": (b'{"model_id": "none", "prediction": 1, "truth": 1}', 404, "E011"),
    "no such request": (b'{"request_id": "never", "truth": "plus"}', 404, "NOT_REMEMBERED"),
    "too many": (
        b'{"prediction": [%s], "truth": [%s]}' % ((b",".join([b'"plus"'] * (TRUTH_LIMIT + 1)),) * 2),
        413,
        "TOO_LARGE",
    ),
}


@pytest.fixture(scope="module")
def hostile_answers(classifier: str) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        answers = {}
        async with serving(classifier, remember=10) as (_, url), aiohttp.ClientSession(url) as client:
            for name, (body, _, _) in HOSTILE.items():
                async with client.post(
                    "/feedback", data=body, headers={"Content-Type": "application/json"}
                ) as response:
                    answers[name] = response.status, (await response.json())["code"]
            assert not [key for key in await scraped(client) if key[0] == "model_accuracy"], "nothing was counted"
        return answers

    return asyncio.run(main())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str, hostile_answers: dict[str, Any]) -> None:
    assert hostile_answers[name] == HOSTILE[name][1:]


def test_clusters_have_no_truth(tmp_path: Path) -> None:
    model = KMeans(2, n_init=1, random_state=0).fit(ROWS)
    inferir.convert(model, name="k", backend="reference").save(tmp_path / "k.apr")

    async def main() -> None:
        async with serving(str(tmp_path / "k.apr")) as (_, url), aiohttp.ClientSession(url) as client:
            status, body = await told(client, {"prediction": 1, "truth": 1})
            assert (status, body["code"]) == (400, "E008")

    asyncio.run(main())


def test_it_takes_a_key_that_may_infer(classifier: str) -> None:
    keys = parse_keys(["i infer x", "r read y"], "keys")
    body = {"prediction": "plus", "truth": "plus"}

    async def main() -> None:
        async with serving(classifier, keys=keys) as (_, url), aiohttp.ClientSession(url) as client:
            assert (await told(client, body))[0] == 401
            assert (await told(client, body, headers={"X-API-Key": "r"}))[0] == 403
            assert (await told(client, body, headers={"X-API-Key": "i"}))[0] == 200

    asyncio.run(main())


def test_without_metrics_there_is_no_such_path(classifier: str) -> None:
    async def main() -> None:
        async with serving(classifier, metrics=False) as (_, url), aiohttp.ClientSession(url) as client:
            assert (await told(client, {"prediction": "plus", "truth": "plus"}))[0] == 404

    asyncio.run(main())
