"""Messages of inference.GRPCInferenceService, made when this module is imported.

Each line of MESSAGES is a message: its fields in the order of their numbers, from 1, as "type name". Types are
protobuf's, or messages above; `repeated` and `map` (from string) as in .proto. From a table, and not generated code,
because that has to match the version of protobuf it is run with; and in a pool of its own, because a client in the same
process brings messages with the same names.

Source: open_inference_grpc.proto of kserve/open-inference-protocol; Triton's grpc_service.proto for repository and
statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["MESSAGES", "METHODS", "PACKAGE", "SERVICE", "message"]

PACKAGE = "inference"
SERVICE = "GRPCInferenceService"

MESSAGES: Mapping[str, tuple[str, ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("bool live",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("bool ready",),
    "ModelReadyRequest": ("string name", "string version"),
    "ModelReadyResponse": ("bool ready",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("string name", "string version", "repeated string extensions"),
    "ModelMetadataRequest": ("string name", "string version"),
    "ModelMetadataResponse.TensorMetadata": ("string name", "string datatype", "repeated int64 shape"),
    "ModelMetadataResponse": (
        "string name",
        "repeated string versions",
        "string platform",
        "repeated ModelMetadataResponse.TensorMetadata inputs",
        "repeated ModelMetadataResponse.TensorMetadata outputs",
    ),
    "InferParameter": (
        "bool bool_param",
        "int64 int64_param",
        "string string_param",
        "double double_param",
        "uint64 uint64_param",
    ),
    "InferTensorContents": (
        "repeated bool bool_contents",
        "repeated int32 int_contents",
        "repeated int64 int64_contents",
        "repeated uint32 uint_contents",
        "repeated uint64 uint64_contents",
        "repeated float fp32_contents",
        "repeated double fp64_contents",
        "repeated bytes bytes_contents",
    ),
    "ModelInferRequest.InferInputTensor": (
        "string name",
        "string datatype",
        "repeated int64 shape",
        "map InferParameter parameters",
        "InferTensorContents contents",
    ),
    "ModelInferRequest.InferRequestedOutputTensor": ("string name", "map InferParameter parameters"),
    "ModelInferRequest": (
        "string model_name",
        "string model_version",
        "string id",
        "map InferParameter parameters",
        "repeated ModelInferRequest.InferInputTensor inputs",
        "repeated ModelInferRequest.InferRequestedOutputTensor outputs",
        "repeated bytes raw_input_contents",
    ),
    "ModelInferResponse.InferOutputTensor": (
        "string name",
        "string datatype",
        "repeated int64 shape",
        "map InferParameter parameters",
        "InferTensorContents contents",
    ),
    "ModelInferResponse": (
        "string model_name",
        "string model_version",
        "string id",
        "map InferParameter parameters",
        "repeated ModelInferResponse.InferOutputTensor outputs",
        "repeated bytes raw_output_contents",
    ),
    "ModelRepositoryParameter": ("bool bool_param", "int64 int64_param", "string string_param", "bytes bytes_param"),
    "RepositoryIndexRequest": ("string repository_name", "bool ready"),
    "RepositoryIndexResponse.ModelIndex": ("string name", "string version", "string state", "string reason"),
    "RepositoryIndexResponse": ("repeated RepositoryIndexResponse.ModelIndex models",),
    "RepositoryModelLoadRequest": (
        "string repository_name",
        "string model_name",
        "map ModelRepositoryParameter parameters",
    ),
    "RepositoryModelLoadResponse": (),
    "RepositoryModelUnloadRequest": (
        "string repository_name",
        "string model_name",
        "map ModelRepositoryParameter parameters",
    ),
    "RepositoryModelUnloadResponse": (),
    "StatisticDuration": ("uint64 count", "uint64 ns"),
    "InferStatistics": tuple(
        f"StatisticDuration {part}"
        for part in (
            *("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"),
            *("cache_hit", "cache_miss"),
        )
    ),
    "ModelStatistics": (
        "string name",
        "string version",
        "uint64 last_inference",
        "uint64 inference_count",
        "uint64 execution_count",
        "InferStatistics inference_stats",
        "repeated InferBatchStatistics batch_stats",
    ),
    "InferBatchStatistics": (
        "uint64 batch_size",
        *(f"StatisticDuration {part}" for part in ("compute_input", "compute_infer", "compute_output")),
    ),
    "ModelStatisticsRequest": ("string name", "string version"),
    "ModelStatisticsResponse": ("repeated ModelStatistics model_stats",),
}

#: Messages that hold one of their fields.
_ONE_OF = {"InferParameter", "ModelRepositoryParameter"}

#: Calls; each takes the message <name>Request and gives <name>Response.
METHODS = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    "ModelStatistics",
)

_Field = descriptor_pb2.FieldDescriptorProto


def _file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="inferir/open_inference.proto", package=PACKAGE, syntax="proto3")
    made: dict[str, Any] = {}
    # An outer message stands behind those within it, so that its fields can name them: outer ones are made first.
    for name in sorted(MESSAGES, key=lambda name: name.count(".")):
        outer, _, inner = name.rpartition(".")
        made[name] = made[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=name)
    for name, fields in MESSAGES.items():
        if name in _ONE_OF:
            made[name].oneof_decl.add(name="parameter_choice")
        for number, field in enumerate(fields, 1):
            _add_field(made[name], number, field, f".{PACKAGE}.{name}")
    return file


def _add_field(parent: Any, number: int, written: str, path: str) -> None:
    *rule, kind, name = written.split()
    field = parent.field.add(name=name, number=number, label=_Field.LABEL_REPEATED if rule else _Field.LABEL_OPTIONAL)
    if rule == ["map"]:
        entry = parent.nested_type.add(name="ParametersEntry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
        _add_field(entry, 2, f"{kind} value", f"{path}.ParametersEntry")
        field.type, field.type_name = _Field.TYPE_MESSAGE, f"{path}.ParametersEntry"
    elif kind in MESSAGES:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
    if parent.oneof_decl:
        field.oneof_index = 0


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())


def message(name: str) -> Any:
    """The class of a message."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
