"""The walk through a graph: inputs become columns, nodes become operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inferir.errors import ModelLoadError, UnsupportedModelError
from inferir.formats.importers._builder import Answers, Builder
from inferir.formats.importers.onnx import ml, plain
from inferir.formats.importers.onnx.answers import answers_of
from inferir.formats.importers.onnx.emit import BOOL, FLOAT, INT, Emitter, storage
from inferir.formats.importers.onnx.plain.broadcasting import Handler
from inferir.formats.importers.onnx.plain.products import product
from inferir.formats.importers.onnx.reader import ML, PLAIN, Input, Model, Node
from inferir.formats.importers.onnx.values import ABSENT, TEXT, Constant, Refused, Tensor, Value, dtype_name

__all__ = ["HANDLERS", "columns_of", "convert"]

#: (domain, operator) -> handler
HANDLERS: Mapping[tuple[str, str], Handler] = {
    **{(PLAIN, op): handler for op, handler in plain.HANDLERS.items()},
    **{(ML, op): handler for op, handler in ml.HANDLERS.items()},
    **{("com.microsoft", op): handler for op, handler in plain.MICROSOFT_HANDLERS.items()},
}

_INPUTS: tuple[np.dtype[Any], ...] = (FLOAT, np.dtype(np.float64), INT, np.dtype(np.int32), BOOL, TEXT)


def columns_of(model: Model) -> list[str]:
    """Names of the columns: an input's name, followed by a number where it has several."""
    names: list[str] = []
    for given in model.inputs:
        width = _width(given)
        names += [given.name] if width == 1 else [f"{given.name}_{k}" for k in range(width)]
    if not names:
        raise ModelLoadError("expected a graph with an input, found none")
    return names


def _width(given: Input) -> int:
    """How many columns an input has."""
    place = f"input {given.name!r} of shape {list(given.shape)}"
    if given.dtype not in _INPUTS:
        kinds = ", ".join(map(dtype_name, _INPUTS))
        raise UnsupportedModelError(f"{place} is a tensor of {dtype_name(given.dtype)}; supported: {kinds}")
    width = {1: 1, 2: given.shape[-1]}.get(len(given.shape)) if given.shape else None
    if not width or width > 2**20:
        raise UnsupportedModelError(f"{place}; supported: [N], or [N, columns] with a fixed number of columns")
    if given.shape[0] not in (None, 0, 1):
        raise UnsupportedModelError(f"{place} takes {given.shape[0]} rows at once; supported: any number of rows")
    return width


class _Walk:
    """`values` are what has been computed; `fused` those that were made together with an earlier node's."""

    def __init__(self, model: Model, b: Builder) -> None:
        self.model, self.b, self.e = model, b, Emitter(b, model.opset)
        self.values: dict[str, Value] = {name: Constant(array) for name, array in model.initializers.items()}
        self._fused: dict[str, Value] = {}
        self._times_read = Counter(name for node in model.nodes for name in node.inputs)
        self._times_read.update(model.outputs)
        self._reader = {name: node for node in model.nodes for name in node.inputs}
        self._inputs()

    def _inputs(self) -> None:
        """Each input is a part of the rows. Text is codes: wider numbers than a code needs only where others are."""
        wide = any(storage(i.dtype) == "f64" and i.dtype not in (BOOL, TEXT) for i in self.model.inputs)
        column = 0
        for given in self.model.inputs:
            if given.name in self.values:
                raise ModelLoadError(f"expected each input once, {given.name!r} is there twice")
            stored = storage(given.dtype)
            if given.dtype in (BOOL, TEXT):
                stored = "f64" if wide else "f32"
            columns = np.arange(column, column + _width(given))
            picture = columns[None, :] if len(given.shape) == 2 else columns
            value = self.e.cast("input", stored)
            self.values[given.name] = Tensor(value, picture, 0, given.dtype, stored, self.b.n_columns)
            if given.dtype == TEXT:
                for c in columns.tolist():
                    self.b.category_codes(c, [])
            column += len(columns)

    def run(self) -> None:
        for node in self.model.nodes:
            with self.b.at(node.place):
                outputs = self._node(node, self._values_of(node))
                if len(node.outputs) > len(outputs):
                    raise node.fail(f"expected at most {len(outputs)} outputs, got {len(node.outputs)}")
                for name, value in zip(node.outputs, outputs, strict=False):
                    if name and name in self.values:
                        raise node.fail(f"expected outputs that are not there yet, got {name!r}")
                    self.values[name] = value

    def _values_of(self, node: Node) -> list[Value]:
        """Inputs of a node. An empty name is one that is not given."""
        names = list(node.inputs)
        while names and not names[-1]:
            names.pop()
        out: list[Value] = []
        for name in names:
            if not name:
                out.append(ABSENT)
                continue
            if name not in self.values:
                raise node.fail(f"expected inputs that are computed before, got {name!r}")
            value = self.values[name]
            if isinstance(value, Refused):
                raise self.e.unsupported(value.what, value.supported)
            if isinstance(value, Tensor) and value.stacked and node.op != "Reshape":
                raise self.e.unsupported("rows stacked below each other", "columns beside columns")
            out.append(value)
        if not out and node.op != "Constant":
            raise node.fail("expected inputs, found none")
        return out

    def _node(self, node: Node, inputs: Sequence[Value]) -> tuple[Value, ...]:
        if node.outputs and node.outputs[0] in self._fused:
            return (self._fused.pop(node.outputs[0]),)
        handler = HANDLERS.get((node.domain, node.op))
        if handler is None or (node.domain, node.op) in self.model.functions:
            raise self.e.unsupported(f"the operator {node.op}", _supported(node.domain))
        result = self._product_and_sum(node, inputs) or handler(self.e, self._as_of_opset(node), inputs)
        return result if isinstance(result, tuple) else (result,)

    def _as_of_opset(self, node: Node) -> Node:
        """Softmax had another default before opset 13."""
        if node.op in ("Softmax", "LogSoftmax") and self.model.opset.get(PLAIN, 1) < 13:
            return Node(node.op, node.domain, node.name, node.inputs, node.outputs, {"axis": 1, **node.attributes})
        return node

    def _product_and_sum(self, node: Node, inputs: Sequence[Value]) -> Value | None:
        """A product and the constant that is then added to it, in one operator."""
        if (node.domain, node.op) != (PLAIN, "MatMul") or len(inputs) != 2 or self._times_read[node.outputs[0]] != 1:
            return None
        add = self._reader.get(node.outputs[0])
        if add is None or (add.domain, add.op) != (PLAIN, "Add") or len(add.inputs) != 2:
            return None
        x, matrix = inputs
        other = self.values.get(add.inputs[0] if add.inputs[1] == node.outputs[0] else add.inputs[1])
        if not (isinstance(x, Tensor) and isinstance(matrix, Constant) and matrix.array.ndim == 2):
            return None
        if not (isinstance(other, Constant) and other.axis is None and other.dtype == x.dtype):
            return None
        outputs = matrix.array.shape[1]
        if other.array.shape not in ((), (1,), (1, 1), (outputs,), (1, outputs)):
            return None
        value = product(self.e, node, x, matrix, other.array)
        self._fused[add.outputs[0]] = value
        return value


def _supported(domain: str) -> str:
    names = sorted(op for known, op in HANDLERS if known == domain)
    if not names:
        return "operators of " + ", ".join(sorted({known or "ai.onnx" for known, _ in HANDLERS}))
    return f"of {domain or 'ai.onnx'}: {', '.join(names)}"


def convert(model: Model, b: Builder) -> Answers:
    """Add the graph to `b`."""
    walk = _Walk(model, b)
    walk.run()
    return answers_of(walk.e, model, walk.values)
