"""Drift scores of a server that is asked by a client: the right rows, of the right version, and no more than that."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import subprocess
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from inferir.formats import apr
from inferir.formats.spec import ColumnSpec, ModelSpec
from inferir.kernels import available
from inferir.model import Model
from inferir.rows.baseline import ColumnBins, read, record
from inferir.server import app as app_module
from inferir.server.models.registry import ModelVersion, Registry
from inferir.server.monitoring.drift import ALERT, WARN, psi
from inferir.server.monitoring.monitor import Monitor
from inferir.server.settings import Settings
from inferir.server.telemetry.families import MODEL_LIMIT
from tests.server.serving import eventually, linear_spec, serving

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(name not in available(), reason="there are no compiled kernels"))
    for name in ("aot", "reference")
]
REFERENCE = np.random.default_rng(0).normal(size=(2000, 2))


def with_baseline(path: Path, rows: Any = REFERENCE, **spec: Any) -> str:
    made = linear_spec(**spec)
    apr.write(replace(made, baseline=record(made.columns, np.asarray(rows, np.float64))), path)
    return str(path)


async def scraped(client: aiohttp.ClientSession) -> dict[tuple[str, ...], float]:
    """Name of a metric and the values of its labels -> value."""
    async with client.get("/metrics") as response:
        text = await response.text()
    return {
        (sample.name, *[value for _, value in sorted(sample.labels.items())]): sample.value
        for family in parse(text)
        for sample in family.samples
        if sample.name.startswith(("model_", "inferir_drift", "inferir_truths"))
    }


async def predict(client: aiohttp.ClientSession, rows: Any, **more: Any) -> Any:
    if len(rows) == 1:
        path, body = "/predict", {"features": list(rows[0])}
    else:
        path, body = "/predict/batch", {"instances": [list(row) for row in rows]}
    async with client.post(path, json={**body, **more}) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batching", ["on", "off"])
@pytest.mark.parametrize("size", [1, 50])
def test_scores_are_those_of_the_rows_that_were_sent(backend: str, batching: str, size: int, tmp_path: Path) -> None:
    path = with_baseline(tmp_path / "m.apr", name="m")
    rng = np.random.default_rng(1)
    rows = np.stack([rng.normal(size=600), rng.normal(1.0, 1.0, size=600)], axis=1)
    bins = read(record(linear_spec().columns, REFERENCE), linear_spec().columns)
    expected = [psi(each.reference.tolist(), each.count(rows[:, k]).tolist()) for k, each in enumerate(bins)]

    async def main() -> None:
        settings = {"backend": backend, "batching": batching, "drift_rows_per_s": 10_000}
        async with serving(path, **settings) as (app, url), aiohttp.ClientSession(url) as client:
            for start in range(0, len(rows), size):
                assert (await predict(client, rows[start : start + size]))[0] == 200
            app.monitor.look()
            found = await scraped(client)
            assert found["inferir_drift_rows", "m", "1"] == 600
            assert found["model_drift_score", "a", "m", "1"] == pytest.approx(expected[0])
            assert found["model_drift_score", "b", "m", "1"] == pytest.approx(expected[1])
            assert expected[0] < WARN < ALERT < expected[1]

    asyncio.run(main())


def test_a_failure_to_look_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_baseline(tmp_path / "m.apr", name="m")
    monkeypatch.setattr(app_module, "LOOK_EVERY_S", 0.01)

    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            looks = []

            def look() -> None:
                looks.append(1)
                raise ZeroDivisionError

            app.monitor.look = look  # type: ignore[method-assign]
            await eventually(lambda: len(looks) > 2)
            assert (await predict(client, [[1.0, 2.0]]))[0] == 200

    asyncio.run(main())
    assert "ZeroDivisionError" in caplog.text


def test_every_protocol_is_looked_at_and_a_refused_row_is_not(tmp_path: Path) -> None:
    path = with_baseline(tmp_path / "m.apr", name="m")

    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            tensor = {"name": "input", "shape": [3, 2], "datatype": "FP64", "data": [1.0] * 6}
            async with client.get("/v2/models/m") as response:
                tensor["name"] = (await response.json())["inputs"][0]["name"]
            async with client.post("/v2/models/m/infer", json={"inputs": [tensor]}) as response:
                assert response.status == 200, await response.text()
            async with client.post("/invocations", json={"instances": [[1, 2], [3, 4]]}) as response:
                assert response.status == 200
            assert (await predict(client, [["a", 0]]))[0] == 400
            assert (await predict(client, [[0, 0, 0]]))[0] == 400
            app.monitor.look()
            assert (await scraped(client))["inferir_drift_rows", "m", "1"] == 5

    asyncio.run(main())


def test_a_model_without_a_baseline_is_not_touched(tmp_path: Path) -> None:
    apr.write(linear_spec(name="plain"), tmp_path / "plain.apr")
    path = with_baseline(tmp_path / "m.apr", name="m")

    async def main() -> None:
        backend = "aot" if "aot" in available() else "reference"
        async with (
            serving(str(tmp_path / "plain.apr"), path, backend=backend) as (app, url),
            aiohttp.ClientSession(url) as client,
        ):
            plain, watched = app.registry.resolve("plain"), app.registry.resolve("m")
            assert plain.drift is None
            assert watched.drift is not None
            async with client.get("/models") as response:
                listed = (await response.json())["models"]
            assert {each["name"]: each["baseline"] for each in listed} == {"plain": False, "m": True}
            for version, same in ((plain, True), (watched, False)):
                for faces, way in version.plain.items():
                    own: Any = version.model.plain(*faces)
                    assert (getattr(way, "__code__", None) is own.__code__) == same
            for _ in range(5):
                await predict(client, [[1.0, 2.0]], model_id="plain")
            app.monitor.look()
            assert not [key for key in await scraped(client) if key[0] == "model_drift_score" and "plain" in key]

    asyncio.run(main())


@pytest.mark.parametrize("setting", [{"drift_rows_per_s": 0}, {"metrics": False}])
def test_it_can_be_off(setting: dict[str, Any], tmp_path: Path) -> None:
    path = with_baseline(tmp_path / "m.apr", name="m")

    async def main() -> None:
        async with serving(path, **setting) as (app, url), aiohttp.ClientSession(url) as client:
            assert app.registry.resolve("m").drift is None
            assert (await predict(client, [[1.0, 2.0]]))[0] == 200
            assert not [key for key in await scraped(client) if "drift" in key[0]]

    asyncio.run(main())


def test_a_baseline_that_cannot_be_read_keeps_no_model_from_answering(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = linear_spec(name="m")
    apr.write(replace(made, baseline={"columns": [{"name": "a", "edges": "none"}, 7]}), tmp_path / "m.apr")

    async def main() -> None:
        async with serving(str(tmp_path / "m.apr")) as (app, url), aiohttp.ClientSession(url) as client:
            assert app.registry.resolve("m").drift is None
            assert (await predict(client, [[1.0, 2.0]]))[0] == 200

    asyncio.run(main())
    assert "no drift scores: baseline, column 'a': expected lists edges and counts" in caplog.text


def test_a_swap_under_load_keeps_windows_apart(tmp_path: Path) -> None:
    """Each version has the rows that it answered: version 1 saw rows as in its reference, version 2 others."""
    path = with_baseline(tmp_path / "m.apr", name="m", version="1", intercept=1)
    rng = np.random.default_rng(2)

    async def main() -> None:
        async with (
            serving(path, drift_rows_per_s=10_000, watch_s=0) as (app, url),
            aiohttp.ClientSession(url) as client,
        ):
            stop, answered = asyncio.Event(), {"1": 0, "2": 0}
            shift = 0.0

            async def ask() -> None:
                while not stop.is_set():
                    status, body = await predict(client, rng.normal(shift, 1, size=(1, 2)))
                    assert status == 200
                    answered[body["model_version"]] += 1

            asking = [asyncio.ensure_future(ask()) for _ in range(4)]
            await eventually(lambda: answered["1"] >= 700)
            old = app.registry.resolve("m")
            with_baseline(tmp_path / "m.apr", name="m", version="2", intercept=2)
            await app.library.load(path)
            assert old.drift is not None
            old.drift.look(asyncio.get_running_loop().time())
            before = answered["1"]
            shift = 3.0
            await eventually(lambda: answered["2"] >= 700)
            stop.set()
            await asyncio.gather(*asking)
            app.monitor.look()
            found = await scraped(client)
            assert "2" in {key[3] for key in found if key[0] == "model_drift_score"}
            assert "1" not in {key[3] for key in found if key[0] == "model_drift_score"}, "it is gone"
            assert found["model_drift_score", "a", "m", "2"] > 1.0
            # What the old one counted is what it answered, not a row of the new one's.
            assert old.drift.rows(asyncio.get_running_loop().time()) <= answered["1"]
            assert abs(old.drift.rows(asyncio.get_running_loop().time()) - before) <= 8
            assert found["inferir_drift_rows", "m", "2"] <= answered["2"]

    asyncio.run(main())


def test_side_by_side_versions_have_windows_of_their_own(tmp_path: Path) -> None:
    paths = [with_baseline(tmp_path / f"{k}.apr", name="m", version=k) for k in ("1", "2")]

    async def main() -> None:
        async with serving(*paths) as (app, url), aiohttp.ClientSession(url) as client:
            for _ in range(3):
                await predict(client, [[1.0, 2.0]], model_id="m@2")
            app.monitor.look()
            found = await scraped(client)
            assert found["inferir_drift_rows", "m", "1"] == 0
            assert found["inferir_drift_rows", "m", "2"] == 3

    asyncio.run(main())


def test_a_version_that_is_gone_takes_its_window_with_it(tmp_path: Path) -> None:
    path = with_baseline(tmp_path / "m.apr", name="m")
    gc.collect()
    gc.disable()

    async def main() -> None:
        async with serving(path) as (app, url), aiohttp.ClientSession(url) as client:
            for _ in range(3):
                await predict(client, [[1.0, 2.0]])
            version = weakref.ref(app.registry.resolve("m"))
            drift = weakref.ref(version().drift)  # type: ignore[union-attr, arg-type]
            await app.library.load(path)
            await predict(client, [[1.0, 2.0]])
            await eventually(lambda: version() is None and drift() is None)

    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_the_text_of_metrics_is_right(tmp_path: Path) -> None:
    """Names of columns are whatever a file says; promtool reads them all the same, where it is installed."""
    columns = (ColumnSpec('a "quoted"\n\\ name'), ColumnSpec("Größe"))
    made = linear_spec(name="m")
    spec = replace(made, columns=columns, baseline=record(columns, REFERENCE))
    apr.write(spec, tmp_path / "m.apr")

    async def main() -> bytes:
        async with serving(str(tmp_path / "m.apr")) as (app, url), aiohttp.ClientSession(url) as client:
            await predict(client, REFERENCE[:1000])
            for _ in range(10):
                app.monitor.look()
                await predict(client, REFERENCE[:1000])
            await client.post("/feedback", json={"prediction": 1.0, "truth": 3.0})
            app.monitor.look()
            async with client.get("/metrics") as response:
                return await response.read()

    text = asyncio.run(main())
    features = {
        sample.labels["feature"]
        for family in parse(text.decode())
        for sample in family.samples
        if sample.name == "model_drift_score"
    }
    assert features == {column.name for column in columns}
    assert b"model_absolute_error{" in text
    promtool = shutil.which("promtool")
    if promtool is not None:
        checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr.decode()


def test_labels_are_bounded_over_the_life_of_a_process() -> None:
    registry = Registry()
    monitor = Monitor(Settings(), registry)
    bins = [ColumnBins("a", np.array([0.0]), None, np.array([1, 1, 0]))]
    nothing: Any = None
    names = set()
    for k in range(MODEL_LIMIT + 20):
        version = ModelVersion("m", str(k), nothing, nothing, dtype=np.dtype("f8"), source="m.apr", baseline=bins)
        monitor.watch(version)
        registry.add(version, replaces=registry.table.models.get("m", {}).get(str(k - 1)))
        names |= {tuple(labels) for labels, _ in monitor.lines().get("model_drift_score", ())}
    assert len(names) == MODEL_LIMIT


def test_what_a_worker_says_goes_through_a_pipe() -> None:
    spec: ModelSpec = linear_spec(name="m")
    registry = Registry()
    monitor = Monitor(Settings(), registry)
    nothing: Any = None
    version = ModelVersion(
        "m",
        "1",
        Model(spec, backend="reference"),
        nothing,
        dtype=np.dtype("f8"),
        baseline=read(record(spec.columns, REFERENCE), spec.columns),
    )
    monitor.watch(version)
    registry.add(version)
    monitor.truths(version).add([0.5])
    assert json.loads(json.dumps(monitor.lines())) == {
        name: [[labels, values] for labels, values in lines] for name, lines in monitor.lines().items()
    }
