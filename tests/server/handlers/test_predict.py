"""POST /predict: one row goes a way of its own, without NumPy; it has to say what the same row in a batch is told."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

import inferir
from inferir.kernels import available
from inferir.server.request.exchange import STAGES
from tests.server.serving import serving

ROWS, LABELS = load_wine(return_X_y=True)
NAMES = np.array(["red", "white", "rosé"])[LABELS]
BOTH = np.column_stack([LABELS, LABELS % 2])

#: Name -> a fitted model, and whether it has probabilities.
MODELS: dict[str, tuple[Any, bool]] = {
    "whole numbers": (RandomForestClassifier(5, random_state=0).fit(ROWS, LABELS), True),
    "text": (LogisticRegression(max_iter=50, tol=1).fit(ROWS, NAMES), True),
    "truth values": (LogisticRegression(max_iter=50, tol=1).fit(ROWS, LABELS == 1), True),
    "two outputs of classes": (RandomForestClassifier(3, random_state=0).fit(ROWS, BOTH), True),
    "number": (LinearRegression().fit(ROWS, LABELS), False),
    "two numbers": (RandomForestRegressor(3, random_state=0).fit(ROWS, BOTH), False),
    "clusters": (KMeans(3, n_init=1, random_state=0).fit(ROWS), False),
    "outliers": (IsolationForest(n_estimators=5, random_state=0).fit(ROWS), False),
    "one component": (make_pipeline(StandardScaler(), PCA(1)).fit(ROWS), False),
}

pytestmark = pytest.mark.skipif("aot" not in available(), reason="there are no compiled kernels")


@pytest.mark.parametrize("name", MODELS)
def test_one_row_alone_is_answered_as_in_a_batch(name: str, tmp_path: Path) -> None:
    estimator, has_probabilities = MODELS[name]
    path = tmp_path / "m.apr"
    inferir.convert(estimator, name="m").save(path)
    options = {"return_probabilities": True, "top_k": 2} if has_probabilities else {}

    async def main() -> None:
        async with serving(str(path), backend="aot") as (app, url), aiohttp.ClientSession(url) as client:
            version = app.registry.resolve(None)
            assert set(version.plain) == set(version.asked)
            rows = [*ROWS[::40].tolist(), [1, 0, *ROWS[3, 2:].tolist()]]  # whole numbers too
            for asked in ({}, options):
                body = {"instances": rows, "options": asked}
                async with client.post("/predict/batch", json=body) as response:
                    together = (await response.json())["predictions"]
                for row, expected in zip(rows, together, strict=True):
                    async with client.post("/predict", json={"features": row, "options": asked}) as response:
                        alone = await response.json()
                        stages = re.findall(r"(\w+);dur=\d+\.\d{3}", response.headers["Server-Timing"])
                    assert stages == [stage for stage in STAGES if stage != "queue"]
                    assert {key: alone[key] for key in expected} == expected
                    assert set(alone) - set(expected) == {"latency_ms", "model_id", "model_version", "request_id"}

    asyncio.run(main())


def test_a_bad_row_alone_says_so(tmp_path: Path) -> None:
    path = tmp_path / "m.apr"
    encoded = make_pipeline(OrdinalEncoder(), LogisticRegression(max_iter=5, tol=1))
    inferir.convert(encoded.fit([["a"], ["b"]] * 5, [0, 1] * 5), name="m").save(path)

    async def main() -> None:
        async with serving(str(path), backend="aot") as (_, url), aiohttp.ClientSession(url) as client:
            for value, status in (("a", 200), ("c", 400), ([1], 400), ("b", 200)):
                async with client.post("/predict", json={"features": [value]}) as response:
                    assert response.status == status
                    answer = await response.json()
                assert status == 200 or answer["code"] == "E006"
            async with client.post("/predict", json={"features": ["c"], "options": {"top_k": 1}}) as response:
                assert response.status == 400
            deadline = {"X-Request-Timeout-Ms": "0"}
            async with client.post("/predict", json={"features": ["a"]}, headers=deadline) as response:
                assert response.status == 504

    asyncio.run(main())
