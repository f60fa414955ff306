"""Messages of gRPC <-> tensors. Elements come in `contents`, by kind, or all of them in `raw_input_contents` as bytes.

An answer comes back in the form of its request: in bytes, or by kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import InvalidInputError
from inferir.server.protocols.oip.datatypes import DATATYPES, datatype_of, pack_strings
from inferir.server.protocols.oip.messages import MAX_RANK, InputBody
from inferir.server.protocols.oip.rest import InferRequest, Wanted, flat, shape_of, timeout_s
from inferir.server.protocols.oip.tensors import Tensor, shaped, tensor_from_bytes

__all__ = ["decode", "fill"]

#: Datatype -> where its elements are, if not in bytes. FP16 and BF16 have no place of their own.
_CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def decode(request: Any) -> InferRequest:
    """What a ModelInferRequest asks for. Raises InvalidInputError (E006) that says what was expected."""
    raw = request.raw_input_contents
    if not request.inputs:
        raise InvalidInputError("expected at least one input, got none")
    if raw and len(raw) != len(request.inputs):
        raise InvalidInputError(f"expected raw_input_contents for each of {len(request.inputs)} inputs, got {len(raw)}")
    tensors = []
    for number, tensor in enumerate(request.inputs):
        _check(tensor)
        if raw:
            if tensor.HasField("contents"):
                raise InvalidInputError(f"input {tensor.name!r}: expected raw_input_contents or contents, got both")
            body = InputBody(tensor.name, list(tensor.shape), tensor.datatype)
            tensors.append(tensor_from_bytes(body, memoryview(raw[number])))
        else:
            tensors.append(_from_contents(tensor))
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise InvalidInputError("expected every input once, got two of one name")
    outputs = tuple(Wanted(output.name, bool(raw), _classes(output)) for output in request.outputs)
    timeout = timeout_s(_parameters(request.parameters))
    return InferRequest(request.id or None, tuple(tensors), outputs or None, bool(raw), timeout)


def fill(response: Any, wanted: Sequence[Wanted], answers: Sequence[tuple[str, npt.NDArray[Any] | list[Any]]]) -> None:
    """Put the outputs into a ModelInferResponse."""
    for (name, values), want in zip(answers, wanted, strict=True):
        datatype = datatype_of(values)
        output = response.outputs.add(name=name, datatype=datatype, shape=shape_of(values))
        if want.binary:
            packed = isinstance(values, np.ndarray)
            response.raw_output_contents.append(
                DATATYPES[datatype].to_bytes(np.asarray(values)) if packed else pack_strings(flat(list(values)))
            )
            continue
        elements = values.ravel().tolist() if isinstance(values, np.ndarray) else [t.encode() for t in flat(values)]
        getattr(output.contents, _CONTENTS[datatype]).extend(elements)


def _check(tensor: Any) -> None:
    if tensor.datatype not in DATATYPES:
        raise InvalidInputError(
            f"input {tensor.name!r}: expected a datatype of {', '.join(DATATYPES)}, got {tensor.datatype[:40]!r}"
        )
    if len(tensor.shape) > MAX_RANK or any(dimension < 0 for dimension in tensor.shape):
        raise InvalidInputError(
            f"input {tensor.name!r}: expected at most {MAX_RANK} dimensions of 0 or more, got {list(tensor.shape)[:20]}"
        )


def _from_contents(tensor: Any) -> Tensor:
    where = _CONTENTS.get(tensor.datatype)
    if where is None:
        raise InvalidInputError(f"input {tensor.name!r}: expected {tensor.datatype} in raw_input_contents")
    elements = getattr(tensor.contents, where)
    shape = tuple(tensor.shape)
    if len(elements) != math.prod(shape):
        raise InvalidInputError(
            f"input {tensor.name!r}: expected {math.prod(shape)} elements in {where}, got {len(elements)}"
        )
    if tensor.datatype == "BYTES":
        try:
            return Tensor(tensor.name, "BYTES", shape, [str(element, "utf-8") for element in elements])
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"input {tensor.name!r}: expected UTF-8, got {error}") from None
    dtype = DATATYPES[tensor.datatype].dtype
    array = np.array(elements, dtype=np.int64 if dtype.itemsize < 8 and dtype.kind in "iu" else dtype)
    if (
        dtype.kind in "iu"
        and array.size
        and not (np.iinfo(dtype).min <= array.min() and array.max() <= np.iinfo(dtype).max)
    ):
        raise InvalidInputError(f"input {tensor.name!r}: expected numbers in the range of {tensor.datatype}")
    return Tensor(tensor.name, tensor.datatype, shape, shaped(array.astype(dtype, copy=False), shape, tensor.name))


def _classes(output: Any) -> int:
    classes = _parameters(output.parameters).get("classification", 0)
    if type(classes) is not int or classes < 0:
        raise InvalidInputError(f"output {output.name!r}: expected classification to be a number, got {classes!r}")
    return classes


def _parameters(parameters: Any) -> dict[str, Any]:
    """Parameters by name, each as the one value that it holds."""
    choices = {name: value.WhichOneof("parameter_choice") for name, value in parameters.items()}
    return {name: getattr(parameters[name], choice) for name, choice in choices.items() if choice}
