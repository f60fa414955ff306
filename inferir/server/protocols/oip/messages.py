"""Bodies of the Open Inference Protocol: what requests are checked against, and what OpenAPI is made from.

The names and their meaning are those of open_inference_rest.yaml in kserve/open-inference-protocol; repository,
statistics and classification follow Triton's docs/protocol/extension_*.md. Unknown fields are ignored, as the protocol
asks: clients of other servers add their own.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct, field

from inferir.server.protocols.oip.datatypes import DatatypeName

__all__ = [
    "MAX_RANK",
    "HealthStatus",
    "InferBody",
    "InferResult",
    "InputBody",
    "LoadBody",
    "ModelMetadata",
    "ModelReady",
    "OutputBody",
    "OutputRequest",
    "Parameters",
    "RepositoryIndexBody",
    "RepositoryModel",
    "ServerMetadata",
    "TensorMetadata",
    "UnloadBody",
]

#: The protocol has text, numbers and booleans; MLServer's clients also send objects, which are left alone.
Parameters: TypeAlias = dict[str, Any]
Dimension: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]

#: Tensors of more dimensions than this are no rows of anything.
MAX_RANK = 8


class InputBody(Struct):
    """One input tensor. `data` is row-major, flat or nested; absent where it follows in binary."""

    name: str
    shape: Annotated[list[Dimension], Meta(max_length=MAX_RANK)]
    datatype: DatatypeName
    parameters: Parameters | None = None
    data: msgspec.Raw = field(default_factory=msgspec.Raw)


class OutputRequest(Struct):
    """One output asked for. Parameters: `binary_data` (bool), `classification` (number of classes)."""

    name: str
    parameters: Parameters | None = None


class InferBody(Struct):
    """A request for inference. Parameters: `binary_data_output` (bool), `timeout` (microseconds), `priority`."""

    inputs: Annotated[list[InputBody], Meta(min_length=1)]
    outputs: list[OutputRequest] | None = None
    id: str | None = None
    parameters: Parameters | None = None


class OutputBody(Struct, omit_defaults=True):
    """One output tensor; `data` is absent where it follows in binary."""

    name: str
    datatype: DatatypeName
    shape: list[int]
    parameters: Parameters | None = None
    data: list[Any] | None = None


class InferResult(Struct, omit_defaults=True):
    """The answer to a request for inference; `id` as it came."""

    model_name: str
    model_version: str
    outputs: list[OutputBody]
    id: str | None = None
    parameters: Parameters | None = None


class TensorMetadata(Struct):
    """A tensor that a model takes or gives; -1 stands for any number of rows."""

    name: str
    datatype: DatatypeName
    shape: list[int]


class ModelMetadata(Struct):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    properties: dict[str, str] = field(default_factory=dict)


class ServerMetadata(Struct):
    name: str
    version: str
    extensions: list[str]


class HealthStatus(Struct):
    """Both keys on both routes: clients look for one or the other."""

    live: bool
    ready: bool


class ModelReady(Struct):
    name: str
    ready: bool


class RepositoryIndexBody(Struct):
    """`ready`: only models that can answer."""

    ready: bool = False


class RepositoryModel(Struct):
    name: str
    version: str
    state: str
    reason: str


class LoadBody(Struct):
    parameters: Parameters | None = None


class UnloadBody(Struct):
    parameters: Parameters | None = None
