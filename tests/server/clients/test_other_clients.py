"""Clients that need an environment of their own, as they and we ask for other versions of the same packages.

`tox -e clients` makes the environments and runs these tests; elsewhere they are skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.patience import PATIENCE_S
from tests.server.clients.conftest import Served

PROGRAMS = Path(__file__).parent / "programs"
ROWS = np.arange(60, dtype=np.float32).reshape(2, 30)
PENGUIN = ["Adelie", "Dream", 39.1, 18.7, 181.0, 3750.0]


def environment(name: str) -> Path:
    """The folder of the programs of a client's environment."""
    found = os.environ.get(f"INFERIR_CLIENT_{name.upper()}")
    if not found:
        pytest.skip(f"needs an environment with {name}: tox -e clients")
    return Path(found) / "bin"


def text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value


def test_kserve(served: Served) -> None:
    """Its client over REST and gRPC."""
    python = environment("kserve") / "python"
    command = [python, PROGRAMS / "kserve_client.py", served.url, served.grpc]
    ran = subprocess.run(command, capture_output=True, timeout=10 * PATIENCE_S, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    found = json.loads(ran.stdout)
    assert all(found[key] for key in ("live", "ready", "model_ready", "grpc_live", "grpc_ready"))
    cancer, penguins = served.models["breast_cancer"], served.models["penguins"]
    for way in ("json", "binary", "grpc"):
        assert (found[way]["id"], found[way]["model"]) == ("7", "breast_cancer")
        assert found[way]["outputs"]["prediction"] == cancer.predict(ROWS).tolist()
        np.testing.assert_allclose(found[way]["outputs"]["probabilities"], cancer.predict_proba(ROWS), rtol=1e-6)
    assert found["columns"]["outputs"]["prediction"] == penguins.predict([PENGUIN]).tolist()
    assert "unknown model 'lions'" in found["error"]


@pytest.mark.parametrize("binary", [False, True])
def test_mlserver_infer(served: Served, tmp_path: Path, binary: bool) -> None:
    """Its command line, which sends files of requests in micro-batches."""
    mlserver = environment("mlserver") / "mlserver"
    lines = [
        {"inputs": [{"name": "input", "shape": [1, 30], "datatype": "FP32", "data": row.tolist()}]} for row in ROWS
    ]
    requests, answers = tmp_path / "requests", tmp_path / "answers"
    requests.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [mlserver, "infer", "-u", served.address, "-m", "breast_cancer", "-i", requests, "-o", answers]
    command += ["--batch-size", "2", "-w", "1", *(["--binary-data"] if binary else [])]
    ran = subprocess.run(command, capture_output=True, timeout=10 * PATIENCE_S, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    found = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len(found) == len(ROWS), ran.stdout.decode() + ran.stderr.decode()
    found.sort(key=lambda each: each["parameters"]["batch_index"])
    predictions = [output["data"][0] for each in found for output in each["outputs"] if output["name"] == "prediction"]
    assert predictions == served.models["breast_cancer"].predict(ROWS).tolist()


def test_open_inference_openapi(served: Served) -> None:
    """The client that the protocol's own working group generated."""
    openapi = pytest.importorskip(
        "open_inference.openapi.client", reason="needs open-inference-openapi: pip install inferir[clients]"
    )
    errors = pytest.importorskip("open_inference.openapi.core.api_error")
    httpx = pytest.importorskip("httpx")
    types = pytest.importorskip("open_inference.openapi.types")
    request = types.InferenceRequest(
        id="7",
        inputs=[
            types.RequestInput(
                name="input", shape=[2, 30], datatype="FP32", data=types.TensorData.parse_obj(ROWS.ravel().tolist())
            )
        ],
    )
    expected = served.models["breast_cancer"].predict(ROWS).tolist()

    def check(answer: Any) -> None:
        assert (answer.id, answer.model_name) == ("7", "breast_cancer")
        assert answer.outputs[0].data.__root__ == expected

    with httpx.Client() as connection:
        client = openapi.OpenInferenceClient(base_url=served.url, httpx_client=connection)
        client.check_server_liveness()
        client.check_server_readiness()
        client.check_model_readiness("breast_cancer")
        client.check_model_version_readiness("breast_cancer", "1")
        assert client.read_server_metadata().name == "inferir"
        assert client.read_model_metadata("breast_cancer").inputs[0].datatype == "FP32"
        assert client.read_model_version_metadata("breast_cancer", "1").versions == ["1"]
        check(client.model_infer("breast_cancer", request=request))
        check(client.model_version_infer("breast_cancer", "1", request=request))
        with pytest.raises(errors.ApiError) as caught:
            client.model_infer("lions", request=request)
        assert caught.value.status_code == 404
        assert "unknown model 'lions'" in caught.value.body["error"]

    async def talk() -> None:
        async with httpx.AsyncClient() as connection:
            client = openapi.AsyncOpenInferenceClient(base_url=served.url, httpx_client=connection)
            await client.check_server_liveness()
            check(await client.model_infer("breast_cancer", request=request))

    asyncio.run(talk())
