"""Inference over REST: bytes of a request -> tensors, tensors -> bytes of an answer. Knows no socket and no model.

A body is JSON, or JSON followed by tensors in binary, in the order of the inputs. The header
Inference-Header-Content-Length then says how long the JSON is, before compression. Where it is 0 there is no JSON: the
body is the only input's elements, and the answer comes back in binary.

    Inference-Header-Content-Length   absent        all of the body is JSON
                                      n             n bytes of JSON, then `binary_data_size` bytes for each input
                                      0             raw: elements of the only input

Answers are made alike: an output is in binary where the request said so, for it (`binary_data`) or for all
(`binary_data_output`); one that says nothing for itself follows the request.

Source: kserve/open-inference-protocol inference_rest.md; Triton docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from inferir.errors import InvalidInputError
from inferir.server.protocols.oip.datatypes import DATATYPES, DatatypeName, datatype_of, pack_strings
from inferir.server.protocols.oip.messages import (
    InferBody,
    InferResult,
    InputBody,
    OutputBody,
    OutputRequest,
    Parameters,
    TensorMetadata,
)
from inferir.server.protocols.oip.tensors import Tensor, tensor_from_bytes, tensor_from_json

__all__ = [
    "HEADER_LENGTH",
    "InferRequest",
    "Layout",
    "Wanted",
    "encode",
    "flat",
    "json_length",
    "layout_of",
    "read",
    "shape_of",
    "split",
    "timeout_s",
]

HEADER_LENGTH = "Inference-Header-Content-Length"

_BODY = msgspec.json.Decoder(InferBody)
_RESULT = msgspec.json.Encoder()

#: Digits that any body's length can have; int() of more of them takes quadratic time.
_LONGEST_NUMBER = 18


class Wanted(msgspec.Struct, frozen=True):
    """An output asked for. `classes`: 0, or how many classes to name (the classification extension)."""

    name: str
    binary: bool
    classes: int = 0


class InferRequest(msgspec.Struct, frozen=True):
    """`outputs` is None where the request named none: all of them, in binary if `binary`."""

    id: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[Wanted, ...] | None
    binary: bool
    timeout_s: float | None = None


class Layout(msgspec.Struct, frozen=True):
    """What a request's JSON says: each input with the bytes of its binary data, None where its data is in the JSON."""

    id: str | None
    inputs: tuple[tuple[InputBody, int | None], ...]
    outputs: tuple[Wanted, ...] | None
    binary: bool
    timeout_s: float | None


def split(
    body: bytes | memoryview, header_length: str | None, inputs: Sequence[TensorMetadata]
) -> tuple[Layout, memoryview]:
    """What the request in `body` says, and what follows its JSON. `inputs` are the model's, for raw requests.

    Raises InvalidInputError (E006) that says what was expected.
    """
    view = memoryview(body)
    length = json_length(header_length, len(view))
    if length == 0:
        return _raw_layout(len(view), inputs), view
    if length is None:
        return layout_of(view, False), view[len(view) :]
    return layout_of(view[:length], True), view[length:]


def json_length(header_length: str | None, n_bytes: int) -> int | None:
    """How many of a body's `n_bytes` are JSON, by the header; None where it is not there. Raises as `split`."""
    if header_length is None:
        return None
    text = header_length.strip()
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
        length = int(text)
        if length <= n_bytes:
            return length
    raise InvalidInputError(
        f"expected {HEADER_LENGTH} to be a number up to the body's {n_bytes} bytes, got {header_length[:40]!r}"
    )


def encode(
    model: str,
    version: str,
    request_id: str | None,
    wanted: Sequence[Wanted],
    answers: Sequence[tuple[str, npt.NDArray[Any] | list[Any]]],
) -> tuple[bytes, int | None]:
    """The body of an answer and the length of its JSON, None where all of it is JSON.

    answers  name and elements of each of the outputs `wanted`: an array, or a list of text, nested where the shape is.
    """
    outputs: list[OutputBody] = []
    binary: list[Any] = []
    for (name, values), want in zip(answers, wanted, strict=True):
        datatype = cast(DatatypeName, datatype_of(values))
        shape = shape_of(values)
        if want.binary:
            if isinstance(values, np.ndarray):
                array = DATATYPES[datatype].to_wire(values)
                n_bytes = array.nbytes
                binary.append(array)
            else:
                data = pack_strings(flat(values))
                n_bytes = len(data)
                binary.append(data)
            outputs.append(OutputBody(name, datatype, shape, {"binary_data_size": n_bytes}))
        else:
            listed = values.ravel().tolist() if isinstance(values, np.ndarray) else flat(values)
            outputs.append(OutputBody(name, datatype, shape, data=listed))
    head = _RESULT.encode(InferResult(model, version, outputs, request_id))
    return (b"".join([head, *binary]), len(head)) if binary else (head, None)


def shape_of(values: npt.NDArray[Any] | list[Any]) -> list[int]:
    """Of an array, or of text in lists."""
    if isinstance(values, np.ndarray):
        return list(values.shape)
    return [len(values), len(values[0])] if values and isinstance(values[0], list) else [len(values)]


def flat(values: list[Any]) -> list[str]:
    """Text in lists, row after row."""
    return [text for row in values for text in row] if values and isinstance(values[0], list) else values


def read(layout: Layout, tail: memoryview) -> InferRequest:
    """The request that a layout is of, with the tensors that follow in binary. Raises as `split`."""
    inputs, position = [], 0
    for tensor, size in layout.inputs:
        if size is None:
            inputs.append(tensor_from_json(tensor))
            continue
        if size > len(tail) - position:
            raise InvalidInputError(
                f"input {tensor.name!r}: expected {size} bytes of binary data, {len(tail) - position} are left"
            )
        inputs.append(tensor_from_bytes(tensor, tail[position : position + size]))
        position += size
    if position != len(tail):
        raise InvalidInputError(f"expected {position} bytes behind the JSON, as the inputs say, got {len(tail)}")
    return InferRequest(layout.id, tuple(inputs), layout.outputs, layout.binary, layout.timeout_s)


def layout_of(head: bytes | memoryview, has_tail: bool) -> Layout:
    """What the JSON of a request says; `has_tail`: whether binary data follow it. Raises as `split`."""
    try:
        body = _BODY.decode(head)
    except RecursionError:
        raise InvalidInputError("expected JSON of a reasonable depth") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"expected an inference request in JSON: {error}") from None
    inputs = tuple((tensor, _size(tensor, has_tail)) for tensor in body.inputs)
    _check_once("input", [tensor.name for tensor in body.inputs])
    binary = _flag(body.parameters, "binary_data_output", False)
    outputs = tuple(_wanted(output, binary) for output in body.outputs) if body.outputs else None
    if outputs:
        _check_once("output", [output.name for output in outputs])
    return Layout(body.id, inputs, outputs, binary, timeout_s(body.parameters))


def _raw_layout(n_bytes: int, inputs: Sequence[TensorMetadata]) -> Layout:
    """What a request without JSON says, whose `n_bytes` are the elements of the only input. Raises as `split`."""
    if len(inputs) != 1:
        raise InvalidInputError(
            f"expected a model with one input for {HEADER_LENGTH}: 0, this one has {len(inputs)}: name them in JSON"
        )
    expected = inputs[0]
    fixed = [dimension for dimension in expected.shape if dimension >= 0]
    row_bytes = math.prod(fixed) * DATATYPES[expected.datatype].item_bytes
    if not row_bytes or n_bytes % row_bytes:
        raise InvalidInputError(
            f"input {expected.name!r}: expected rows of {row_bytes} bytes ({fixed} {expected.datatype}), "
            f"got {n_bytes} bytes"
        )
    shape = [n_bytes // row_bytes if dimension < 0 else dimension for dimension in expected.shape]
    return Layout(None, ((InputBody(expected.name, shape, expected.datatype), n_bytes),), None, True, None)


def _size(tensor: InputBody, has_tail: bool) -> int | None:
    """Bytes of a tensor's binary data; None where its data is in JSON."""
    size = (tensor.parameters or {}).get("binary_data_size")
    has_data = bool(bytes(tensor.data))
    if size is None:
        if not has_data:
            raise InvalidInputError(f"input {tensor.name!r}: expected data, or binary_data_size among its parameters")
        return None
    if has_data:
        raise InvalidInputError(f"input {tensor.name!r}: expected data or binary_data_size, got both")
    if not has_tail:
        raise InvalidInputError(f"input {tensor.name!r} has binary_data_size: expected the header {HEADER_LENGTH}")
    if type(size) is not int or size < 0:
        raise InvalidInputError(
            f"input {tensor.name!r}: expected binary_data_size to be a number of bytes, got {size!r}"
        )
    return size


def _wanted(output: OutputRequest, binary: bool) -> Wanted:
    classes = (output.parameters or {}).get("classification", 0)
    if type(classes) is not int or classes < 0:
        raise InvalidInputError(f"output {output.name!r}: expected classification to be a number, got {classes!r}")
    return Wanted(output.name, _flag(output.parameters, "binary_data", binary), classes)


def _flag(parameters: Parameters | None, name: str, default: bool) -> bool:
    value = (parameters or {}).get(name, default)
    if type(value) is not bool:
        raise InvalidInputError(f"expected parameter {name} to be true or false, got {value!r}")
    return value


def timeout_s(parameters: Parameters | None) -> float | None:
    """`timeout` of the scheduling extension, which counts microseconds; 0 is none."""
    value = (parameters or {}).get("timeout", 0)
    if type(value) is not int or value < 0:
        raise InvalidInputError(f"expected parameter timeout to be a number of microseconds, got {value!r}")
    return min(value, 1 << 53) / 1e6 or None


def _check_once(what: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise InvalidInputError(f"expected every {what} once, got {twice!r} twice")
