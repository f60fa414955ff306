"""What the JSON of a request asks of one model, worked out once.

Clients with tensors in binary send the same JSON again and again, and only what follows it differs: which outputs are
wanted, which of the model's faces they need, and which array the tensors are, is known by then. What a request says is
checked when it first comes; how much follows, each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inferir.server.protocols.oip import rest
from inferir.server.protocols.oip.datatypes import DATATYPES, datatype_of
from inferir.server.protocols.oip.rest import InferRequest, Layout, Wanted
from inferir.server.protocols.oip.signature import Output, Signature

__all__ = ["Bound", "Question", "Questions"]

#: JSON that is remembered: of so many kinds, and so many bytes at most, which is one input and some parameters.
_REMEMBERED, _LONGEST_REMEMBERED = 256, 1024


class Question:
    """What a request asks of one model, whatever its rows are.

    id, timeout_s  as the request has them.
    wanted, faces  outputs, and the model's faces that they need.
    """

    __slots__ = ("_signature", "faces", "id", "timeout_s", "wanted")

    def __init__(self, request: InferRequest | Layout, signature: Signature) -> None:
        self.id, self.timeout_s = request.id, request.timeout_s
        self.wanted = signature.wanted(request.outputs, request.binary)
        self.faces = signature.faces_of(self.wanted)
        self._signature = signature

    def outputs(self, faces: Mapping[str, Any]) -> list[tuple[str, Output]]:
        """Name and elements of the outputs wanted, from what the model said."""
        return self._signature.answers(self.wanted, faces)


class Bound(Question):
    """Of a request in JSON, with what its rows are made from."""

    __slots__ = ("_array", "_head", "_layout", "_shapes")

    def __init__(self, layout: Layout, signature: Signature) -> None:
        super().__init__(layout, signature)
        self._layout = layout
        #: Bytes, shape and dtype of the rows, where all of them are one array that is taken as it lies.
        self._array = _array(layout, signature)
        #: The JSON of the answer before, and the shapes of its outputs, where all that is sent but it is their memory.
        self._head, self._shapes = b"", [()]

    def encoded(self, model: str, version: str, outputs: Sequence[tuple[str, Output]]) -> tuple[bytes, int | None]:
        """As `rest.encode`. Which outputs are arrays, and of which dtypes, is always the same; their shapes are
        mostly.
        """
        values: list[Any] = [each for _, each in outputs]
        if self._head and [array.shape for array in values] == self._shapes:
            return b"".join([self._head, *map(np.ascontiguousarray, values)]), len(self._head)  # type: ignore[list-item]
        body, length = rest.encode(model, version, self.id, self.wanted, outputs)
        if length is not None and all(map(_is_sent_as_it_is, values, self.wanted)):
            self._head, self._shapes = body[:length], [array.shape for array in values]
        return body, length

    def rows(self, tail: memoryview) -> Any:
        """The rows in what follows the JSON, as `Model.encode` takes them. Raises as `rest.read`, `Signature.rows`."""
        if self._array is not None and len(tail) == self._array[0]:
            _, shape, dtype = self._array
            return np.ndarray(shape, dtype, tail)
        return self._signature.rows(rest.read(self._layout, tail).inputs)


def _is_sent_as_it_is(values: Output, wanted: Wanted) -> bool:
    return wanted.binary and isinstance(values, np.ndarray) and values.dtype == DATATYPES[datatype_of(values)].wire


def _array(layout: Layout, signature: Signature) -> tuple[int, tuple[int, ...], np.dtype[Any]] | None:
    if len(layout.inputs) != 1:
        return None
    tensor, n_bytes = layout.inputs[0]
    dtype, shape = DATATYPES[tensor.datatype].wire, tuple(tensor.shape)
    if n_bytes is None or not signature.takes(dtype, shape) or n_bytes != shape[0] * shape[1] * dtype.itemsize:
        return None
    return n_bytes, shape, dtype


class Questions:
    """What requests ask of one model, as far as it is remembered."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self._bound: dict[bytes, Bound] = {}

    def read(self, body: bytes | memoryview, header_length: str | None) -> tuple[Bound, memoryview]:
        """What a request asks, and what follows its JSON. Raises as `rest.split`."""
        view = memoryview(body)
        length = rest.json_length(header_length, len(view))
        if not length or length > _LONGEST_REMEMBERED:
            layout, tail = rest.split(view, header_length, self.signature.inputs)
            return Bound(layout, self.signature), tail
        head = bytes(view[:length])
        bound = self._bound.get(head)
        if bound is None:
            bound = Bound(rest.layout_of(head, True), self.signature)
            if len(self._bound) >= _REMEMBERED:
                self._bound.clear()
            self._bound[head] = bound
        return bound, view[length:]
