"""What the outputs of a graph are.

A graph says what it computes, not what for. Its outputs are told by their kind: integers or strings, one a row, are
labels; maps, or floats beside labels, one column per class, are probabilities, unless the node that made them says they
are scores; floats alone are the prediction of a regressor or the rows after a transformer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from inferir.errors import ModelLoadError
from inferir.formats.importers._builder import Answers
from inferir.formats.importers.onnx.emit import BOOL, Emitter
from inferir.formats.importers.onnx.reader import Model
from inferir.formats.importers.onnx.values import TEXT, Constant, Maps, Refused, Tensor, Value

__all__ = ["answers_of"]

_Numbers: TypeAlias = "Tensor | Maps"

#: Operators of graphs that only prepare rows.
_PREPARING = frozenset({
    "Add", "ArrayFeatureExtractor", "Binarizer", "Cast", "Clip", "Concat", "Div", "FeatureVectorizer", "Flatten",
    "Gather", "Identity", "Imputer", "LabelEncoder", "Mul", "Normalizer", "OneHotEncoder", "Reshape", "Scaler", "Sub",
})  # fmt: skip

#: Words in the name of an output that holds scores, where no node says what it is.
_SCORES = ("score", "decision", "margin", "raw")


def answers_of(e: Emitter, model: Model, values: Mapping[str, Value]) -> Answers:
    """Outputs of the graph -> answers of the model."""
    labels: list[tuple[str, Tensor]] = []
    numbers: list[tuple[str, _Numbers]] = []
    for name in model.outputs:
        if name not in values:
            raise ModelLoadError(f"expected an output that is computed, got {name!r}")
        value = values[name]
        with e.b.at(f"output {name!r}"):
            if isinstance(value, Refused):
                raise e.unsupported(value.what, value.supported)
            if isinstance(value, Constant) or (isinstance(value, Tensor) and value.stacked):
                raise e.unsupported(
                    "constants, or rows stacked below each other", "one row of output for each of input"
                )
        if isinstance(value, Tensor) and (value.dtype == TEXT or value.dtype.kind in "iub"):
            labels.append((name, value))
        else:
            numbers.append((name, value))
    if labels and len(numbers) > 1:
        numbers = _side_by_side(e, numbers)
    if len(labels) > 1 or len(numbers) > 1 or not labels + numbers:
        told = ", ".join(map(repr, model.outputs))
        raise e.unsupported(f"the outputs {told}", "one label, one matrix of floats, or both")
    model_type = _model_type(e, model)
    if not labels:
        return _numbers(e, *numbers[0], model_type)
    name, label = labels[0]
    if numbers or _can_be_label(label):
        return _labelled(e, name, label, numbers[0] if numbers else None, model_type)
    if label.dtype == TEXT or label.table is not None:
        with e.b.at(f"output {name!r}"):
            raise e.unsupported(f"labels of shape {label.shape()}", "one label a row")
    return _numbers(e, name, label, model_type)


def _can_be_label(value: Tensor) -> bool:
    few = value.table is not None or value.levels is not None or value.dtype == BOOL
    return few and value.columns.size == 1


def _side_by_side(e: Emitter, numbers: list[tuple[str, _Numbers]]) -> list[tuple[str, _Numbers]]:
    """Probabilities in an output of their own for each class, which is what skl2onnx's zipmap="columns" makes."""
    tensors = [value for _, value in numbers if isinstance(value, Tensor) and value.columns.size == 1]
    if len(tensors) != len(numbers):
        return numbers
    columns = [e.matrix(t) for t in tensors]
    return [(numbers[0][0], e.place(columns, [t.columns for t in columns], 0, 1, columns[0].dtype))]


def _model_type(e: Emitter, model: Model) -> str:
    """That of the only node that predicts."""
    if len(e.predictors) == 1:
        return e.predictors[0].model_type
    return "Transformer" if {node.op for node in model.nodes} <= _PREPARING else "OnnxGraph"


def _matrix(e: Emitter, name: str, value: Tensor) -> str:
    with e.b.at(f"output {name!r}"):
        return e.flat(e.matrix(value))


def _labelled(e: Emitter, name: str, label: Tensor, beside: tuple[str, _Numbers] | None, model_type: str) -> Answers:
    """A classifier; with distances beside numbers of the nearest a clustering, with 1 and -1 an outlier detector."""
    with e.b.at(f"output {name!r}"):
        label = e.positions(label)
    assert label.table is not None
    classes = tuple(_plain(v) for v in label.table.tolist())
    own = len(e.predictors) == 1 and e.predictors[0].label == label.value
    raw = e.predictors[0].raw if own else None
    if beside is None:
        return Answers("classification", model_type, label.value, raw=raw, classes=_different(e, classes))
    other, value = beside
    keys, scores = (value.keys, value.tensor) if isinstance(value, Maps) else (classes, value)
    columns = _matrix(e, other, scores)
    if -1 in classes and set(classes) <= {-1, 0, 1} and scores.columns.size == 1:
        return Answers("anomaly", model_type, label.value, raw=columns, classes=classes)
    if label.value in e.nearest and label.table.tolist() == list(range(len(classes))):
        return Answers("clustering", model_type, label.value, transformed=columns)
    classes = _different(e, classes)
    named = not own and any(word in other.lower() for word in _SCORES)
    if scores.columns.size != len(classes) or scores.margin or named:
        return Answers("classification", model_type, label.value, raw=columns, classes=classes)
    if keys != classes:
        if set(keys) != set(classes):
            raise e.unsupported(f"labels {classes[:20]} beside probabilities of {keys[:20]}", "the same classes")
        order = np.array([keys.index(c) for c in classes])
        matrix = e.matrix(scores)
        columns = e.flat(matrix.see(matrix.columns[:, order]))
    return Answers("classification", model_type, label.value, columns, raw, classes=classes)


def _different(e: Emitter, classes: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(classes)) != len(classes):
        raise e.unsupported(f"labels {classes[:20]}", "different ones")
    return classes


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _numbers(e: Emitter, name: str, value: _Numbers, model_type: str) -> Answers:
    """Without labels: what a regressor predicts, a transformer's rows, or both, as a graph of plain operators has no
    way to say which."""
    if isinstance(value, Maps):
        with e.b.at(f"output {name!r}"):
            raise e.unsupported("maps without labels", "maps of probabilities beside labels")
    matrix, width = _matrix(e, name, value), value.columns.size
    if not e.predictors:
        task = "regression" if width == 1 else "transform"
        return Answers(task, model_type, prediction=matrix, transformed=matrix, origins=(None,) * width)  # type: ignore[arg-type]
    if width == 1 or any(p.task != "classification" for p in e.predictors):
        raw = e.predictors[0].raw if len(e.predictors) == 1 else None
        return Answers("regression", model_type, prediction=matrix, raw=raw)
    classes = tuple(range(width))
    if value.margin:
        return Answers("classification", model_type, raw=matrix, classes=classes)
    return Answers("classification", model_type, probabilities=matrix, classes=classes)
