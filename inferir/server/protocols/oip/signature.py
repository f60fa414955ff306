"""What a model takes and gives as tensors of the Open Inference Protocol, and the way between them and its rows.

    columns are all numbers         one input `input`, [-1, columns], FP64 or FP32
    some columns are categories     one input for each column, named as it is, [-1, 1]: BYTES, or FP64 for numbers

    prediction       [-1], or [-1, outputs] where there are several: the labels (INT64, BYTES) or numbers
    probabilities    [-1, classes]; probabilities_0, probabilities_1, ... where there are several outputs
    transformed      [-1, outputs]
    raw              [-1], or [-1, outputs]; only where it is asked for, or the model has nothing else

That is what metadata say. More is taken: one tensor for each column where one for all is declared, and the other way
round; any numeric datatype, numbers of any width; a single tensor under any name, as clients call it by their own; a
column as [-1] or [-1, 1]; text for number columns if it is written as a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import DimensionError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.model import Model
from inferir.rows.plain import parse_number
from inferir.server.protocols.oip.datatypes import DATATYPES
from inferir.server.protocols.oip.messages import TensorMetadata
from inferir.server.protocols.oip.rest import Wanted
from inferir.server.protocols.oip.tensors import Tensor

__all__ = ["Output", "Signature"]

INPUT = "input"

_NAMES = {"int64": "INT64", "float32": "FP32", "float64": "FP64", "str": "BYTES"}

#: What models work in: rows of it need not be converted.
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

#: Output -> elements as they are sent: an array, or text, nested by rows where there are several columns.
Output = npt.NDArray[Any] | list[Any]


class Signature:
    """Of one model.

    inputs, outputs   as metadata declare them.
    faces             name of an output -> the model's face, and which of its parts.
    """

    def __init__(self, model: Model) -> None:
        self._columns = model.columns
        self._names = [column.name for column in model.columns]
        self._has_categories = any(column.categories is not None for column in model.columns)
        self.inputs = _inputs(model)
        tables = _outputs(model)
        self.faces: Mapping[str, tuple[str, int]] = {name: place for name, _, place in tables}
        self._datatypes = {metadata.name: metadata.datatype for _, metadata, _ in tables}
        self.outputs = [metadata for _, metadata, (face, _) in tables if face != "raw"]
        self.outputs = self.outputs or [metadata for _, metadata, _ in tables]
        #: What is given to a request that names no outputs: in JSON, in binary.
        self._all_wanted = [
            tuple(Wanted(metadata.name, binary) for metadata in self.outputs) for binary in (False, True)
        ]
        self._all_faces = self._faces_of(self._all_wanted[0])
        self._labels = [str(label) for label in model.classes] if len(_class_sets(model)) == 1 else []

    # -- rows

    def rows(self, tensors: Sequence[Tensor]) -> Any:
        """Rows as `Model.predict` takes them: an array of numbers, or a list of lists where there is text.

        Raises DimensionError (E003) or InvalidInputError (E006) that says which tensor, and what was expected.
        """
        # One tensor is all columns, unless it says by its name that it is one of several.
        if len(tensors) == 1 and (
            len(self._names) == 1 or _width(tensors[0]) > 1 or tensors[0].name not in self._names
        ):
            return self._matrix(tensors[0])
        by_name = {tensor.name: tensor for tensor in tensors}
        missing = [name for name in self._names if name not in by_name]
        if missing:
            raise DimensionError(
                f"expected one input of shape [-1, {len(self._names)}] or an input for every column, "
                f"got {list(by_name)[:20]}, without {missing[:20]}"
            )
        columns = [by_name[name] for name in self._names]
        counts = {tensor.shape[0] if tensor.shape else 1 for tensor in columns}
        for tensor in columns:
            if _width(tensor) != 1 or len(counts) > 1:
                raise DimensionError(
                    f"input {tensor.name!r}: expected shape [n] or [n, 1] with one n for all inputs, "
                    f"got {list(tensor.shape)}"
                )
        if all(isinstance(tensor.data, np.ndarray) for tensor in columns):
            dtype = np.result_type(*[_float_of(tensor.data) for tensor in columns])
            stacked = np.empty((counts.pop(), len(columns)), dtype)
            for position, tensor in enumerate(columns):
                stacked[:, position] = np.ravel(tensor.data)
            return stacked if not self._has_categories else stacked.tolist()
        return [list(row) for row in zip(*map(_column, columns, self._columns), strict=True)]

    def takes(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether one tensor alone, of this dtype and shape, is the rows as it lies."""
        width = len(self._names)
        return dtype in _FLOATS and len(shape) == 2 and shape[1] == width > 1 and not self._has_categories

    def _matrix(self, tensor: Tensor) -> Any:
        width = len(self._names)
        if _width(tensor) != width:
            # A single row without its dimension of rows.
            if len(tensor.shape) != 1 or tensor.shape[0] != width:
                raise DimensionError(f"input {tensor.name!r}: expected shape [-1, {width}], got {list(tensor.shape)}")
            tensor = Tensor(tensor.name, tensor.datatype, (1, width), tensor.data)
        n = tensor.shape[0] if tensor.shape else 1
        if isinstance(tensor.data, np.ndarray):
            array = tensor.data.reshape(n, width)
            return array.astype(_float_of(array), copy=False) if not self._has_categories else array.tolist()
        values = list(tensor.data)
        columns = [
            _column(Tensor(column.name, "BYTES", (n,), values[position::width]), column)
            for position, column in enumerate(self._columns)
        ]
        return [list(row) for row in zip(*columns, strict=True)]

    # -- answers

    def wanted(self, outputs: Sequence[Wanted] | None, binary: bool) -> tuple[Wanted, ...]:
        """The outputs asked for, or all that are declared. Raises InvalidInputError for an unknown name."""
        if not outputs:
            return self._all_wanted[binary]
        for output in outputs:
            if output.name not in self.faces:
                raise InvalidInputError(f"expected outputs among {list(self.faces)}, got {output.name[:200]!r}")
            if output.classes and self._datatypes[output.name] == "BYTES":
                raise InvalidInputError(f"output {output.name!r}: expected numbers for classification, it has text")
        return tuple(outputs)

    def faces_of(self, wanted: Sequence[Wanted]) -> tuple[str, ...]:
        """The model's faces that the outputs need, each once."""
        return self._all_faces if wanted in self._all_wanted else self._faces_of(wanted)

    def _faces_of(self, wanted: Sequence[Wanted]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.faces[output.name][0] for output in wanted))

    def answers(self, wanted: Sequence[Wanted], faces: Mapping[str, Any]) -> list[tuple[str, Output]]:
        """Name and elements of the outputs, from what the model said."""
        answers: list[tuple[str, Output]] = []
        for output in wanted:
            face, part = self.faces[output.name]
            values = faces[face]
            array = np.asarray(values[part] if type(values) is list else values)
            datatype = self._datatypes[output.name]
            if output.classes:
                answers.append((output.name, self._classification(array, output.classes, face)))
            elif datatype == "BYTES":
                answers.append((output.name, _texts(array)))
            else:
                dtype = DATATYPES[datatype].dtype
                answers.append((output.name, array if array.dtype is dtype else array.astype(dtype, copy=False)))
        return answers

    def _classification(self, array: npt.NDArray[Any], classes: int, face: str) -> list[list[str]]:
        """The largest values of each row as "value:index:label", as Triton's classification extension writes them."""
        rows = array.reshape(len(array), -1)
        labels = self._labels if face == "probabilities" and len(self._labels) == rows.shape[1] else None
        order = np.argsort(-rows, axis=1, kind="stable")[:, :classes]
        return [
            [f"{row[k]:f}:{k}:{labels[k]}" if labels else f"{row[k]:f}:{k}" for k in best]
            for row, best in zip(rows.tolist(), order.tolist(), strict=True)
        ]


def _inputs(model: Model) -> list[TensorMetadata]:
    if all(column.categories is None for column in model.columns):
        datatype: Any = _NAMES[model.rows_dtype]
        return [TensorMetadata(INPUT, datatype, [-1, len(model.columns)])]
    return [
        TensorMetadata(column.name, "FP64" if column.categories is None else "BYTES", [-1, 1])
        for column in model.columns
    ]


def _outputs(model: Model) -> list[tuple[str, TensorMetadata, tuple[str, int]]]:
    """Name, metadata, and where it is found among the answers."""
    outputs = []
    for face in model.faces:
        dtype, width = model.answer_type(face)
        sets = _class_sets(model)
        if face == "probabilities" and len(sets) > 1:
            parts = [(f"{face}_{part}", len(labels)) for part, labels in enumerate(sets)]
        else:
            parts = [(face, width)]
        for part, (name, columns) in enumerate(parts):
            flat = columns == 1 and face in ("prediction", "raw")
            datatype: Any = _NAMES[dtype]
            metadata = TensorMetadata(name, datatype, [-1] if flat else [-1, columns])
            outputs.append((name, metadata, (face, part)))
    return outputs


def _class_sets(model: Model) -> list[Sequence[Any]]:
    classes: Any = model.classes
    return list(classes) if classes and isinstance(classes[0], tuple) else [classes]


def _width(tensor: Tensor) -> int:
    """Elements in a row."""
    return math.prod(tensor.shape[1:])


def _float_of(array: Any) -> np.dtype[Any]:
    """The narrowest of the widths that models work in which holds the numbers: integers become float64."""
    return np.dtype(np.float32 if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else np.float64)


def _column(tensor: Tensor, column: ColumnSpec) -> list[Any]:
    """A column's values as Python's own: what is written as a number becomes one where the model wants numbers."""
    if isinstance(tensor.data, np.ndarray):
        values: list[Any] = np.ravel(tensor.data).tolist()
        return values
    if column.categories is not None:
        return list(tensor.data)
    return [_number(text, row, column.name) for row, text in enumerate(tensor.data)]


def _number(text: str, row: int, name: str) -> float | None:
    if not text:
        return None
    number = parse_number(text)
    if number is None:
        raise InvalidInputError(f"row {row}, column {name!r}: expected a number, got {text[:40]!r}")
    try:
        return float(number)
    except OverflowError:
        raise InvalidInputError(f"row {row}, column {name!r}: expected a number, got one too large") from None


def _texts(array: npt.NDArray[Any]) -> list[Any]:
    if array.ndim == 1:
        return [str(value) for value in array]
    return [[str(value) for value in row] for row in array]
