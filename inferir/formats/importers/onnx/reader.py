"""From the bytes of an `.onnx` file to nodes with checked attributes. The one place that touches the `onnx` package.

A file is not trusted: whatever its bytes, the answer is a model or a FormatError. Protocol buffers are parsed by
`onnx`, data outside the file is refused, and an attribute is of the type that is asked for or an error that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from inferir.errors import BackendError, ModelLoadError, UnsupportedModelError
from inferir.formats.importers.onnx.values import TEXT, Array

__all__ = ["Input", "Model", "Node", "array_of", "onnx_package", "read_model"]

#: The domain of the operators of classical models, and of the common ones.
ML, PLAIN = "ai.onnx.ml", ""

#: Elements that an array computed from constants may have. Those in the file are bounded by its length.
LIMIT = 2**26


def onnx_package() -> ModuleType:
    try:
        import onnx
    except ImportError as error:
        raise BackendError("reading .onnx files needs the onnx package: pip install inferir[import]") from error
    return onnx


@dataclass(frozen=True)
class Input:
    """A graph input: dtype, and its dimensions, None where they are not fixed."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Node:
    """One node. Attributes are Python numbers, strings, lists of those, arrays, or graphs as onnx has them."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def place(self) -> str:
        """For messages: operator, domain and name."""
        domain = f"{self.domain}:" if self.domain else ""
        return f"node {domain}{self.op} {(self.name or ', '.join(self.outputs))!r}"

    def fail(self, text: str) -> ModelLoadError:
        return ModelLoadError(f"{self.place}: {text}")

    def get(self, name: str, kind: type, default: Any = None) -> Any:
        """Attribute of `kind` (int, float, str, list, np.ndarray), or the default."""
        if name not in self.attributes:
            return default
        value = self.attributes[name]
        if not isinstance(value, kind):
            raise self.fail(f"expected attribute {name!r} to be {kind.__name__}, got {type(value).__name__}")
        return value

    def need(self, name: str, kind: type) -> Any:
        if name not in self.attributes:
            raise self.fail(f"expected an attribute {name!r}, found {', '.join(sorted(self.attributes)) or 'none'}")
        return self.get(name, kind)

    def ints(self, name: str, default: Any = ()) -> Array:
        """Attribute of integers, as int64."""
        return self._list(name, int, np.dtype(np.int64), default)

    def floats(self, name: str, default: Any = ()) -> Array:
        """Attribute of floats, as float32, which is what the file holds."""
        return self._list(name, float, np.dtype(np.float32), default)

    def strings(self, name: str) -> list[str]:
        return self._list(name, str, TEXT, ()).tolist()  # type: ignore[no-any-return]

    def _list(self, name: str, kind: type, dtype: np.dtype[Any], default: Any) -> Array:
        value = self.get(name, list, list(default))
        if not all(isinstance(item, kind) for item in value):
            raise self.fail(f"expected attribute {name!r} to be a list of {kind.__name__}")
        out = np.empty(len(value), dtype)
        out[:] = value
        return out

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        value: str = self.get(name, str, default)
        if value not in choices:
            raise self.fail(f"expected attribute {name!r} to be one of {', '.join(choices)}; got {value!r}")
        return value


@dataclass(frozen=True)
class Model:
    """A graph: nodes in the order in which they can be run."""

    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    initializers: Mapping[str, Array]
    opset: Mapping[str, int]
    functions: frozenset[tuple[str, str]]
    producer: str


def array_of(tensor: Any, what: str) -> Array:
    """The array in a TensorProto, strings as text."""
    onnx = onnx_package()
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise UnsupportedModelError(f"{what}: its data is in another file; supported: all data in the .onnx file")
    if any(d < 0 for d in tensor.dims):
        raise ModelLoadError(f"{what}: expected dimensions of 0 or more, got {list(tensor.dims)}")
    try:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == object or array.dtype.kind in "SU":
            text = [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in array.ravel()]
            array = np.array(text, TEXT).reshape(array.shape)
    except Exception as error:  # onnx lets whatever NumPy and Python raise through: the file is what is wrong
        raise ModelLoadError(f"{what}: not a tensor: {error}") from error
    if array.dtype.kind not in "biufO":
        raise UnsupportedModelError(
            f"{what}: a tensor of {array.dtype}; supported: floats, integers, booleans, strings"
        )
    return array  # type: ignore[no-any-return]


def _text(value: Any) -> str:
    """A name. protobuf hands out bytes where it finds no UTF-8."""
    if not isinstance(value, str):
        raise ModelLoadError(f"expected names in UTF-8, got {bytes(value)[:40]!r}")
    return value


def _attribute(proto: Any, place: str) -> Any:
    onnx = onnx_package()
    types, what = onnx.AttributeProto, f"{place}, attribute {_text(proto.name)!r}"
    if proto.ref_attr_name:
        raise UnsupportedModelError(f"{what}: a function's parameter; supported: graphs without functions of their own")
    try:
        if proto.type == types.STRING:
            return proto.s.decode("utf-8")
        if proto.type == types.STRINGS:
            return [item.decode("utf-8") for item in proto.strings]
    except UnicodeDecodeError as error:
        raise ModelLoadError(f"{what}: expected text in UTF-8: {error}") from error
    if proto.type == types.TENSOR:
        return array_of(proto.t, what)
    plain = {types.FLOAT: lambda: float(proto.f), types.INT: lambda: int(proto.i), types.GRAPH: lambda: proto.g,
             types.FLOATS: lambda: list(proto.floats), types.INTS: lambda: list(proto.ints)}  # fmt: skip
    if proto.type not in plain:
        raise UnsupportedModelError(f"{what} has type {proto.type}; supported: numbers, strings, tensors and graphs")
    read: Callable[[], Any] = plain[proto.type]
    return read()


def nodes_of(graph: Any) -> Iterator[Node]:
    for proto in graph.node:
        op, domain, name = _text(proto.op_type), _text(proto.domain), _text(proto.name)
        inputs, outputs = tuple(map(_text, proto.input)), tuple(map(_text, proto.output))
        place = f"node {op} {name or ', '.join(outputs)!r}"
        if not any(outputs):
            raise ModelLoadError(f"{place}: expected outputs, found none")
        attributes = {a.name: _attribute(a, place) for a in proto.attribute}
        yield Node(op, PLAIN if domain == "ai.onnx" else domain, name, inputs, outputs, attributes)


def _input(proto: Any) -> Input:
    onnx = onnx_package()
    if proto.type.WhichOneof("value") != "tensor_type":
        kind = proto.type.WhichOneof("value") or "nothing"
        raise UnsupportedModelError(f"input {proto.name!r} is of {kind}; supported: tensors")
    tensor = proto.type.tensor_type
    if tensor.elem_type == onnx.TensorProto.STRING:
        dtype = TEXT
    else:
        try:
            dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        except Exception as error:  # KeyError, ValueError or TypeError, by the version of onnx
            raise ModelLoadError(f"input {proto.name!r}: {tensor.elem_type} is no element type") from error
    dims = [d.dim_value if d.WhichOneof("value") == "dim_value" else None for d in tensor.shape.dim]
    if any(d is not None and d < 0 for d in dims):
        raise ModelLoadError(f"input {proto.name!r}: expected dimensions of 0 or more, got {dims}")
    return Input(_text(proto.name), dtype, tuple(dims))


def read_model(data: bytes) -> Model:
    """The model in the bytes of an `.onnx` file. Raises ModelLoadError, UnsupportedModelError, or BackendError."""
    onnx = onnx_package()
    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError, or what its C part raises
        raise ModelLoadError(f"not an .onnx file: {error}") from error
    graph = proto.graph
    if not graph.node and not graph.output:
        raise ModelLoadError("not an .onnx file: expected a graph with nodes and outputs, found neither")
    if graph.sparse_initializer:
        raise UnsupportedModelError("the graph has sparse tensors; supported: dense ones")
    initializers = {_text(t.name): array_of(t, f"tensor {t.name!r}") for t in graph.initializer}
    return Model(
        inputs=tuple(_input(i) for i in graph.input if i.name not in initializers),
        outputs=tuple(_text(o.name) for o in graph.output),
        nodes=tuple(nodes_of(graph)),
        initializers=initializers,
        opset={PLAIN if o.domain == "ai.onnx" else _text(o.domain): int(o.version) for o in proto.opset_import},
        functions=frozenset((_text(f.domain), _text(f.name)) for f in proto.functions),
        producer=" ".join(filter(None, (_text(proto.producer_name), _text(proto.producer_version)))),
    )
