"""NVIDIA's client, over HTTP: the whole list of its calls, in the sync and the asyncio form."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from inferir.server.protocols.oip.datatypes import DATATYPES
from tests.server.clients.conftest import Served

http = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]: pip install inferir[clients]")
utils = pytest.importorskip("tritonclient.utils", reason="needs tritonclient[http]: pip install inferir[clients]")
aio = pytest.importorskip("tritonclient.http.aio", reason="needs tritonclient[http]: pip install inferir[clients]")


@pytest.fixture(scope="module")
def client(served: Served) -> Any:
    with http.InferenceServerClient(served.address) as made:
        yield made


def tensor(name: str, array: Any, datatype: str, binary: bool = True) -> Any:
    made = http.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def penguin(binary: bool = True) -> tuple[list[Any], list[list[Any]]]:
    row = {"species": "Adelie", "island": "Dream", "bill_length_mm": 39.1, "bill_depth_mm": 18.7}
    row |= {"flipper_length_mm": 181.0, "body_mass_g": 3750.0}
    tensors = [
        tensor(name, np.array([[value]], object), "BYTES", binary)
        if isinstance(value, str)
        else tensor(name, np.array([[value]]), "FP64", binary)
        for name, value in row.items()
    ]
    return tensors, [list(row.values())]


def test_health_and_metadata(client: Any, served: Served) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("penguins")
    assert client.is_model_ready("penguins", "1")
    assert not client.is_model_ready("penguins", "9")
    assert not client.is_model_ready("lions")
    assert client.get_server_metadata()["name"] == "inferir"
    metadata = client.get_model_metadata("penguins", "1")
    assert [each["name"] for each in metadata["inputs"]] == [c.name for c in served.models["penguins"].columns]
    assert metadata["versions"] == ["1"]
    assert client.get_model_config("breast_cancer")["input"] == [
        {"name": "input", "data_type": "TYPE_FP32", "dims": ["30"]}
    ]


def test_repository_and_statistics(client: Any, cancer_rows: Any) -> None:
    states = {each["name"]: each["state"] for each in client.get_model_repository_index()}
    assert states == {"penguins": "READY", "breast_cancer": "READY"}
    before = client.get_inference_statistics("breast_cancer")["model_stats"]
    client.infer("breast_cancer", [tensor("input", cancer_rows, "FP32")])
    (after,) = client.get_inference_statistics("breast_cancer", "1")["model_stats"]
    rows_before = before[0]["inference_count"] if before else 0
    assert after["inference_count"] == rows_before + len(cancer_rows)
    assert after["inference_stats"]["compute_infer"]["ns"] > 0
    client.load_model("penguins")
    assert client.is_model_ready("penguins")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("answer_binary", [True, False, None])
@pytest.mark.parametrize("name", ["input", "whatever"])
def test_one_tensor_of_all_columns(
    client: Any, served: Served, cancer_rows: Any, binary: bool, answer_binary: bool | None, name: str
) -> None:
    outputs = None
    if answer_binary is not None:
        names = ("probabilities", "prediction")
        outputs = [http.InferRequestedOutput(each, binary_data=answer_binary) for each in names]
    answer = client.infer("breast_cancer", [tensor(name, cancer_rows, "FP32", binary)], outputs=outputs, request_id="7")
    model = served.models["breast_cancer"]
    np.testing.assert_array_equal(answer.as_numpy("prediction"), model.predict(cancer_rows))
    np.testing.assert_array_equal(answer.as_numpy("probabilities"), model.predict_proba(cancer_rows))
    said = answer.get_response()
    assert (said["id"], said["model_name"], said["model_version"]) == ("7", "breast_cancer", "1")


def test_mixed_outputs(client: Any, served: Served, cancer_rows: Any) -> None:
    outputs = [
        http.InferRequestedOutput("prediction", binary_data=False),
        http.InferRequestedOutput("raw", binary_data=True),
    ]
    answer = client.infer("breast_cancer", [tensor("input", cancer_rows, "FP32")], outputs=outputs)
    model = served.models["breast_cancer"]
    np.testing.assert_array_equal(answer.as_numpy("prediction"), model.predict(cancer_rows))
    np.testing.assert_array_equal(answer.as_numpy("raw"), model.raw(cancer_rows))
    assert answer.as_numpy("probabilities") is None


@pytest.mark.parametrize("datatype", sorted(set(DATATYPES) - {"BYTES", "BF16", "BOOL"}))
def test_every_numeric_datatype(client: Any, served: Served, datatype: str) -> None:
    rows = np.arange(60).reshape(2, 30).astype(DATATYPES[datatype].dtype)
    for binary in (True, False):
        if datatype == "FP16" and not binary:
            continue  # the client writes no FP16 as JSON
        answer = client.infer("breast_cancer", [tensor("input", rows, datatype, binary)])
        np.testing.assert_array_equal(answer.as_numpy("prediction"), served.models["breast_cancer"].predict(rows))


@pytest.mark.parametrize("binary", [True, False])
def test_a_tensor_for_each_column_with_text(client: Any, served: Served, binary: bool) -> None:
    tensors, rows = penguin(binary)
    answer = client.infer("penguins", tensors)
    model = served.models["penguins"]
    assert answer.as_numpy("prediction").tolist() == [model.predict(rows)[0].encode()]
    np.testing.assert_array_equal(answer.as_numpy("probabilities"), model.predict_proba(rows))


def test_all_columns_as_text(client: Any, served: Served) -> None:
    _, rows = penguin()
    text = np.array([[str(value) for value in rows[0]]], object)
    answer = client.infer("penguins", [tensor("all", text, "BYTES")])
    np.testing.assert_array_equal(answer.as_numpy("probabilities"), served.models["penguins"].predict_proba(rows))


def test_classification(client: Any, served: Served, cancer_rows: Any) -> None:
    outputs = [http.InferRequestedOutput("probabilities", class_count=1)]
    answer = client.infer("breast_cancer", [tensor("input", cancer_rows, "FP32")], outputs=outputs)
    model = served.models["breast_cancer"]
    for text, row in zip(answer.as_numpy("probabilities")[:, 0], model.predict_proba(cancer_rows), strict=True):
        value, index, label = text.decode().split(":")
        assert int(index) == row.argmax()
        assert label == str(model.classes[row.argmax()])
        assert float(value) == pytest.approx(row.max(), abs=1e-6)


@pytest.mark.parametrize("request_compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_compression", [None, "gzip", "deflate"])
def test_compression(
    client: Any, served: Served, request_compression: str | None, response_compression: str | None
) -> None:
    rows = np.random.default_rng(1).uniform(0, 30, (200, 30)).astype(np.float32)
    answer = client.infer(
        "breast_cancer",
        [tensor("input", rows, "FP32")],
        request_compression_algorithm=request_compression,
        response_compression_algorithm=response_compression,
    )
    np.testing.assert_array_equal(answer.as_numpy("prediction"), served.models["breast_cancer"].predict(rows))


def test_errors_are_read(client: Any, cancer_rows: Any) -> None:
    cases = [
        ("lions", [tensor("input", cancer_rows, "FP32")], "unknown model 'lions'"),
        ("breast_cancer", [tensor("input", cancer_rows[:, :29], "FP32")], r"expected shape \[-1, 30\]"),
        ("penguins", [tensor("species", np.array([["Adelie"]], object), "BYTES")], "without"),
    ]
    for model, tensors, says in cases:
        with pytest.raises(utils.InferenceServerException, match=says):
            client.infer(model, tensors)


def test_aio(served: Served, cancer_rows: Any) -> None:
    """aiohttp below it asks for compressed answers, and the client does not read them."""

    async def talk() -> None:
        async with aio.InferenceServerClient(served.address) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert (await client.get_server_metadata())["name"] == "inferir"
            assert (await client.get_model_metadata("breast_cancer"))["platform"]
            assert len(await client.get_model_repository_index()) == 2
            assert (await client.get_inference_statistics())["model_stats"]
            for binary in (True, False):
                inputs = [tensor("input", cancer_rows, "FP32", binary)]
                answer = await client.infer("breast_cancer", inputs)
                expected = served.models["breast_cancer"].predict(cancer_rows)
                np.testing.assert_array_equal(answer.as_numpy("prediction"), expected)
            with pytest.raises(utils.InferenceServerException, match="unknown model"):
                await client.infer("lions", inputs)

    asyncio.run(talk())
