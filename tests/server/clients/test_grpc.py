"""The Open Inference Protocol over gRPC, with NVIDIA's client and with the protocol's own messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.server.clients.conftest import Served

grpc = pytest.importorskip("grpc", reason="needs grpcio: pip install inferir[grpc]")
client_module = pytest.importorskip(
    "tritonclient.grpc", reason="needs tritonclient[grpc]: pip install inferir[clients]"
)

from inferir.server.protocols.oip.grpc.messages import MESSAGES, message  # noqa: E402 - needs protobuf, as grpc does


@pytest.fixture(scope="module")
def client(served: Served) -> Any:
    with client_module.InferenceServerClient(served.grpc) as made:
        yield made


@pytest.fixture(scope="module")
def channel(served: Served) -> Any:
    with grpc.insecure_channel(served.grpc) as made:
        yield made


def call(channel: Any, name: str, request: Any, **options: Any) -> Any:
    made = channel.unary_unary(
        f"/inference.GRPCInferenceService/{name}",
        request_serializer=lambda each: each if isinstance(each, bytes) else each.SerializeToString(),
        response_deserializer=message(f"{name}Response").FromString,
    )
    return made(request, timeout=options.pop("timeout", 10), **options)


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


@pytest.mark.parametrize(
    ("datatype", "where"),
    [
        ("FP32", "fp32_contents"),
        ("FP64", "fp64_contents"),
        ("INT8", "int_contents"),
        ("INT64", "int64_contents"),
        ("UINT16", "uint_contents"),
        ("UINT64", "uint64_contents"),
        ("BOOL", "bool_contents"),
    ],
)
def test_elements_by_kind(channel: Any, served: Served, datatype: str, where: str) -> None:
    rows = np.arange(60).reshape(2, 30) % (2 if datatype == "BOOL" else 100)
    request = message("ModelInferRequest")(model_name="breast_cancer")
    added = request.inputs.add(name="x", datatype=datatype, shape=[2, 30])
    getattr(added.contents, where).extend(rows.ravel().astype(bool if datatype == "BOOL" else int).tolist())
    answer = call(channel, "ModelInfer", request)
    prediction, probabilities = answer.outputs
    model = served.models["breast_cancer"]
    assert list(prediction.contents.int64_contents) == model.predict(rows).tolist()
    assert list(probabilities.contents.fp32_contents) == model.predict_proba(rows.astype("f4")).ravel().tolist()
    assert not answer.raw_output_contents


def infer_request(**fields: Any) -> Any:
    made = message("ModelInferRequest")(model_name="breast_cancer")
    raw = fields.pop("raw", [])
    contents = fields.pop("contents", None)
    added = made.inputs.add(**{"name": "x", "datatype": "FP32", "shape": [1, 30], **fields})
    if contents:
        added.contents.fp32_contents.extend(contents)
    made.raw_input_contents.extend(raw)
    return made


@pytest.mark.parametrize(
    ("request_", "code", "says"),
    [
        (infer_request(), "INVALID_ARGUMENT", "expected 30 elements in fp32_contents, got 0"),
        (infer_request(raw=[b"123"]), "INVALID_ARGUMENT", "expected 120 bytes"),
        (infer_request(raw=[b"", b""]), "INVALID_ARGUMENT", "for each of 1 inputs, got 2"),
        (infer_request(raw=[b"1" * 120], contents=[1.0]), "INVALID_ARGUMENT", "got both"),
        (infer_request(shape=[-1, 30]), "INVALID_ARGUMENT", "dimensions of 0 or more"),
        (infer_request(shape=[2**62, 2**62]), "INVALID_ARGUMENT", "elements in fp32_contents"),
        (infer_request(shape=[1] * 9), "INVALID_ARGUMENT", "at most 8 dimensions"),
        (infer_request(datatype="FP8"), "INVALID_ARGUMENT", "expected a datatype"),
        (infer_request(datatype="FP16"), "INVALID_ARGUMENT", "raw_input_contents"),
        (infer_request(shape=[1, 29], contents=[1.0] * 29), "INVALID_ARGUMENT", "[-1, 30]"),
        (message("ModelInferRequest")(model_name="breast_cancer"), "INVALID_ARGUMENT", "at least one input"),
        (message("ModelInferRequest")(model_name="lions"), "NOT_FOUND", "unknown model"),
        (b"\xff\xff\xff", "INVALID_ARGUMENT", "ModelInferRequest"),
    ],
)
def test_refused_with_what_was_expected(channel: Any, request_: Any, code: str, says: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", request_)
    assert caught.value.code().name == code
    assert says in caught.value.details()


def test_a_deadline(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", infer_request(raw=[bytes(120)]), timeout=1e-5)
    assert caught.value.code().name == "DEADLINE_EXCEEDED"


def test_an_unknown_call(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/inference.GRPCInferenceService/ModelStreamInfer")(b"", timeout=10)
    assert caught.value.code().name == "UNIMPLEMENTED"
