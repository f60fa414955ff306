"""The Open Inference Protocol over gRPC, with NVIDIA's client."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.server.clients.conftest import Served

pytest.importorskip("grpc", reason="needs grpcio: pip install inferir[grpc]")
client_module = pytest.importorskip(
    "tritonclient.grpc", reason="needs tritonclient[grpc]: pip install inferir[clients]"
)

from inferir.server.protocols.oip.grpc.messages import MESSAGES, message  # noqa: E402 - needs protobuf, as grpc does


@pytest.fixture(scope="module")
def client(served: Served) -> Any:
    with client_module.InferenceServerClient(served.grpc) as made:
        yield made


def tensor(name: str, array: Any, datatype: str) -> Any:
    made = client_module.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def test_messages_are_those_of_the_protocol() -> None:
    """Field by field, as Triton's client has them, whose messages are a superset of the protocol's."""
    from tritonclient.grpc import service_pb2

    checked = 0
    for name in MESSAGES:
        theirs = service_pb2.DESCRIPTOR.message_types_by_name[name.partition(".")[0]]
        if "." in name:
            theirs = theirs.nested_types_by_name[name.partition(".")[2]]
        for field in message(name).DESCRIPTOR.fields:
            expected = theirs.fields_by_number[field.number]
            assert (field.name, field.type) == (expected.name, expected.type)
            assert field.is_repeated == expected.is_repeated
            assert (field.containing_oneof is None) == (expected.containing_oneof is None)
            checked += 1
    assert checked > 60


def test_health_and_metadata(client: Any, served: Served) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("penguins", "1")
    assert not client.is_model_ready("lions")
    assert client.get_server_metadata().name == "inferir"
    metadata = client.get_model_metadata("penguins")
    assert [each.name for each in metadata.inputs] == [c.name for c in served.models["penguins"].columns]
    assert {each.name for each in client.get_model_repository_index().models} == {"penguins", "breast_cancer"}
    client.load_model("penguins")


def test_inference(client: Any, served: Served, cancer_rows: Any) -> None:
    answer = client.infer("breast_cancer", [tensor("input", cancer_rows, "FP32")], request_id="7")
    model = served.models["breast_cancer"]
    np.testing.assert_array_equal(answer.as_numpy("prediction"), model.predict(cancer_rows))
    np.testing.assert_array_equal(answer.as_numpy("probabilities"), model.predict_proba(cancer_rows))
    assert (answer.get_response().id, answer.get_response().model_version) == ("7", "1")
    (stats,) = client.get_inference_statistics("breast_cancer").model_stats
    assert stats.inference_count >= len(cancer_rows)
    assert stats.inference_stats.success.ns > 0


def test_text(client: Any, served: Served) -> None:
    row = ["Adelie", "Dream", 39.1, 18.7, 181.0, 3750.0]
    tensors = [
        tensor(column.name, np.array([[value]], object if isinstance(value, str) else np.float64),
               "BYTES" if isinstance(value, str) else "FP64")
        for column, value in zip(served.models["penguins"].columns, row, strict=True)
    ]  # fmt: skip
    answer = client.infer("penguins", tensors)
    assert answer.as_numpy("prediction").tolist() == [served.models["penguins"].predict([row])[0].encode()]
