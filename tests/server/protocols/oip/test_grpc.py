"""The service over gRPC, called with the protocol's own messages: elements by kind, bytes, errors, keys, models."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

import inferir
from inferir.demo import FOLDER
from inferir.errors import BackendError, FileAccessError, InvalidInputError
from inferir.server.protocols.oip import grpc as oip_grpc
from inferir.server.request.auth import Keys, parse_keys
from tests.patience import PATIENCE_S
from tests.ports import free_port
from tests.server.serving import serving

grpc = pytest.importorskip("grpc", reason="needs grpcio: pip install inferir[grpc]")

from inferir.server.protocols.oip.grpc.messages import METHODS, message  # noqa: E402 - needs protobuf, as grpc does

CANCER, PENGUINS = str(FOLDER / "breast_cancer.apr"), str(FOLDER / "penguins.apr")

Caller = Callable[..., Awaitable[Any]]


def talk(test: Callable[[Caller, Any], Awaitable[None]], *models: str, keys: Keys | None = None, **more: Any) -> None:
    """Run a test with a function that calls a server on the same event loop."""

    async def main() -> None:
        port = free_port()
        async with (
            serving(*models, keys=keys, grpc_port=port, **more) as (app, _),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):

            async def call(name: str, request: Any = None, timeout: float | None = PATIENCE_S, key: str = "") -> Any:
                request = message(f"{name}Request")() if request is None else request
                method = channel.unary_unary(
                    f"/inference.GRPCInferenceService/{name}",
                    request_serializer=lambda each: each if isinstance(each, bytes) else each.SerializeToString(),
                    response_deserializer=message(f"{name}Response").FromString if name in METHODS else None,
                )
                return await method(request, timeout=timeout, metadata=(("x-api-key", key),) if key else ())

            await test(call, app)

    asyncio.run(main())


async def refused(call: Awaitable[Any]) -> tuple[str, str]:
    """Name of the status and the message of an error."""
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value.code().name, caught.value.details()


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
def test_elements_by_kind(datatype: str, where: str) -> None:
    rows = np.arange(60).reshape(2, 30) % (2 if datatype == "BOOL" else 100)
    request = message("ModelInferRequest")(model_name="breast_cancer")
    added = request.inputs.add(name="x", datatype=datatype, shape=[2, 30])
    getattr(added.contents, where).extend(rows.ravel().astype(bool if datatype == "BOOL" else int).tolist())
    model = inferir.load(CANCER)

    async def test(call: Caller, app: Any) -> None:
        answer = await call("ModelInfer", request)
        prediction, probabilities = answer.outputs
        assert list(prediction.contents.int64_contents) == model.predict(rows).tolist()
        expected = model.predict_proba(rows.astype("f4"))
        np.testing.assert_allclose(probabilities.contents.fp32_contents, expected.ravel(), rtol=1e-6)
        assert not answer.raw_output_contents

    talk(test, CANCER)


def infer_request(**fields: Any) -> Any:
    made = message("ModelInferRequest")(model_name="breast_cancer")
    raw = fields.pop("raw", [])
    contents = fields.pop("contents", None)
    added = made.inputs.add(**{"name": "x", "datatype": "FP32", "shape": [1, 30], **fields})
    if contents:
        added.contents.fp32_contents.extend(contents)
    made.raw_input_contents.extend(raw)
    return made


CASES: list[tuple[Any, str, str]] = [
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
]


def test_refused_with_what_was_expected() -> None:
    async def test(call: Caller, app: Any) -> None:
        for request, code, says in CASES:
            found, details = await refused(call("ModelInfer", request))
            assert found == code
            assert says in details

    talk(test, CANCER)


def test_a_deadline() -> None:
    async def test(call: Caller, app: Any) -> None:
        late = infer_request(raw=[bytes(120)])
        late.parameters["timeout"].int64_param = 1  # a microsecond
        code, details = await refused(call("ModelInfer", late))
        assert (code, "deadline" in details) == ("DEADLINE_EXCEEDED", True)
        assert app.admission.try_enter()  # the only place is taken, so that no answer can come before the deadline
        code, _ = await refused(call("ModelInfer", infer_request(raw=[bytes(120)]), timeout=0.1))
        assert code == "DEADLINE_EXCEEDED"
        app.admission.leave(0.1, 0.0)

    talk(test, CANCER, max_concurrency=1)


def test_asked_too_often() -> None:
    async def test(call: Caller, app: Any) -> None:
        await call("ModelInfer", infer_request(raw=[bytes(120)]))
        code, details = await refused(call("ModelInfer", infer_request(raw=[bytes(120)])))
        assert (code, "at most 0.01 requests a second" in details) == ("RESOURCE_EXHAUSTED", True)

    talk(test, CANCER, rate_limit=0.01)


def test_an_unknown_call() -> None:
    async def test(call: Caller, app: Any) -> None:
        assert (await refused(call("ModelStreamInfer", b"")))[0] == "UNIMPLEMENTED"

    talk(test)


def test_bytes_and_classification() -> None:
    rows = np.arange(60, dtype="<f4").reshape(2, 30)
    model = inferir.load(CANCER)

    async def test(call: Caller, app: Any) -> None:
        request = infer_request(raw=[rows.tobytes()], shape=[2, 30])
        request.id = "7"
        wanted = request.outputs.add(name="probabilities")
        wanted.parameters["classification"].int64_param = 1
        request.outputs.add(name="prediction")
        answer = await call("ModelInfer", request)
        assert (answer.id, answer.model_name, answer.model_version) == ("7", "breast_cancer", "1")
        assert [output.datatype for output in answer.outputs] == ["BYTES", "INT64"]
        assert np.frombuffer(answer.raw_output_contents[1], "<i8").tolist() == model.predict(rows).tolist()
        assert answer.raw_output_contents[0][4:].decode().split(":")[1] == str(model.predict_proba(rows)[0].argmax())
        wanted.parameters["classification"].string_param = "x"
        assert (await refused(call("ModelInfer", request)))[0] == "INVALID_ARGUMENT"

    talk(test, CANCER)


def test_text() -> None:
    row = ["Adelie", "Dream", 39.1, 18.7, 181.0, 3750.0]
    model = inferir.load(PENGUINS)

    async def test(call: Caller, app: Any) -> None:
        request = message("ModelInferRequest")(model_name="penguins")
        for column, value in zip(model.columns, row, strict=True):
            added = request.inputs.add(name=column.name, shape=[1, 1])
            if isinstance(value, str):
                added.datatype = "BYTES"
                added.contents.bytes_contents.append(value.encode())
            else:
                added.datatype = "FP64"
                added.contents.fp64_contents.append(value)
        answer = await call("ModelInfer", request)
        assert list(answer.outputs[0].contents.bytes_contents) == [model.predict([row])[0].encode()]
        request.inputs[0].contents.bytes_contents[0] = b"\xff"
        assert "expected UTF-8" in (await refused(call("ModelInfer", request)))[1]

    talk(test, PENGUINS)


def test_metadata_health_repository() -> None:
    async def test(call: Caller, app: Any) -> None:
        assert (await call("ServerLive")).live
        assert (await call("ServerReady")).ready
        assert (await call("ServerMetadata")).name == "inferir"
        metadata = await call("ModelMetadata", message("ModelMetadataRequest")(name="penguins", version="1"))
        assert (metadata.inputs[0].name, metadata.inputs[0].datatype) == ("species", "BYTES")
        ready = message("ModelReadyRequest")
        assert (await call("ModelReady", ready(name="penguins"))).ready
        assert not (await call("ModelReady", ready(name="lions"))).ready
        named = {"model_name": "penguins"}
        assert await call("RepositoryModelUnload", message("RepositoryModelUnloadRequest")(**named)) is not None
        assert not (await call("ModelReady", ready(name="penguins"))).ready
        (found,) = (await call("RepositoryIndex")).models
        assert (found.name, found.state) == ("penguins", "UNAVAILABLE")
        assert await call("RepositoryModelLoad", message("RepositoryModelLoadRequest")(**named)) is not None
        (found,) = (await call("RepositoryIndex", message("RepositoryIndexRequest")(ready=True))).models
        assert found.state == "READY"
        load = message("RepositoryModelLoadRequest")(**named)
        load.parameters["config"].string_param = "{}"
        assert (await refused(call("RepositoryModelLoad", load)))[0] == "INVALID_ARGUMENT"
        app.loaded = False
        assert not (await call("ServerReady")).ready

    talk(test, PENGUINS)


def test_statistics() -> None:
    async def test(call: Caller, app: Any) -> None:
        await call("ModelInfer", infer_request(raw=[bytes(120)]))
        (stats,) = (await call("ModelStatistics", message("ModelStatisticsRequest")(name="breast_cancer"))).model_stats
        assert (stats.inference_count, stats.execution_count, stats.inference_stats.success.count) == (1, 1, 1)
        assert abs(stats.last_inference / 1000 - time.time()) < 60
        (size,) = stats.batch_stats
        assert (size.batch_size, size.compute_infer.count, size.compute_output.count) == (1, 1, 1)
        assert size.compute_infer.ns == stats.inference_stats.compute_infer.ns > 0

    talk(test, CANCER)


def test_keys() -> None:
    keys = parse_keys(["INFER infer robot", "READ read human"], "keys")

    async def test(call: Caller, app: Any) -> None:
        assert (await call("ServerLive")).live
        request = infer_request(raw=[bytes(120)])
        assert (await refused(call("ModelInfer", request)))[0] == "UNAUTHENTICATED"
        assert (await refused(call("ModelInfer", request, key="READ")))[0] == "PERMISSION_DENIED"
        assert (await call("ModelInfer", request, key="INFER")).outputs
        assert (await refused(call("RepositoryModelLoad", key="INFER")))[0] == "PERMISSION_DENIED"

    talk(test, CANCER, keys=keys)


def test_what_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(**settings: Any) -> None:
        async with serving(**settings):
            pass

    with pytest.raises(FileAccessError, match="certificate"):
        oip_grpc._credentials(grpc, type("S", (), {"tls_certificate": "/no", "tls_key": "/no", "tls_client_ca": ""})())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidInputError, match="expected an address for gRPC"):
            asyncio.run(start(grpc_port=taken.getsockname()[1]))

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(oip_grpc, "import_module", missing)
    with pytest.raises(BackendError, match=r"inferir\[grpc\]"):
        asyncio.run(start(grpc_port=0))
