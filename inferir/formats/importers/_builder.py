"""What importers build a ModelSpec with: columns, operators, tensors, and the place they are at for error messages.

An importer is a function `(estimator, builder, rows) -> Answers`: it adds operators that read `rows` and says which
values hold what. Importers call each other through `builder.estimator`, so a pipeline of a column transformer, a scaler
and an XGBoost classifier is three importers that know nothing of each other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import UnsupportedModelError
from inferir.formats.apr.layout import MODEL_TYPE_NUMBERS
from inferir.formats.apr.writer import created_now
from inferir.formats.spec import ClassLabel, ColumnSpec, ModelSpec, OperatorSpec, Task, TensorSpec

__all__ = ["Answers", "Builder", "Rows", "class_labels", "text"]

Array = npt.NDArray[Any]

_DTYPE_NAMES = {
    "uint8": "u8", "uint16": "u16", "int32": "i32", "uint32": "u32", "int64": "i64", "float32": "f32", "float64": "f64",
}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """A value that holds rows: its name, and for each of its columns the input column it is, unchanged, or None."""

    value: str
    origins: tuple[int | None, ...]

    @property
    def width(self) -> int:
        return len(self.origins)


@dataclass(frozen=True)
class Answers:
    """Where an estimator's answers are: names of values, None for those it has not.

    `prediction` holds class positions (i64) where there are `classes`, else numbers or cluster numbers. `origins` are
    those of `transformed`.
    """

    task: Task
    model_type: str
    prediction: str | None = None
    probabilities: str | None = None
    raw: str | None = None
    transformed: str | None = None
    classes: tuple[Any, ...] = ()
    origins: tuple[int | None, ...] = ()

    def rows(self) -> Rows:
        """The transformed rows, for the next step."""
        assert self.transformed is not None
        return Rows(self.transformed, self.origins)


@dataclass
class Builder:
    """Columns start as numbers x0, x1, ...; an importer that knows more says so through `category_codes` and names.

    Rows know one kind of missing value, scikit-learn two: its imputers fill NaN and leave None, which its encoders then
    take for a category. `none_is_text` are input columns where that is so, `imputed` those whose missing texts were
    filled.
    """

    n_columns: int
    names: Sequence[str] | None = None
    dispatch: Callable[[Any, Builder, Rows], Answers] | None = None
    none_is_text: set[int | None] = field(default_factory=set)
    imputed: set[int | None] = field(default_factory=set)
    _operators: list[OperatorSpec] = field(default_factory=list)
    _tensors: dict[str, TensorSpec] = field(default_factory=dict)
    _tensor_names: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)
    _categories: dict[int, dict[str, int]] = field(default_factory=dict)
    _place: list[str] = field(default_factory=list)

    # -- values

    def rows(self) -> Rows:
        """The model's input."""
        return Rows("input", tuple(range(self.n_columns)))

    def op(
        self,
        op: str,
        *inputs: str,
        tensors: Mapping[str, Any] | None = None,
        **attributes: Any,
    ) -> str:
        """Add an operator; the name of its output. Arrays in `tensors` keep their dtype."""
        output = f"v{len(self._operators) + 1}"
        named = {role: self._tensor(f"{output}.{role}", array) for role, array in (tensors or {}).items()}
        self._operators.append(OperatorSpec(op, inputs, output, attributes, named))
        return output

    def once(self, op: str, value: str, **attributes: Any) -> str:
        """`op` on a value, added only if the very same is not there yet."""
        for operator in self._operators:
            if operator.op == op and operator.inputs == (value,) and operator.attributes == attributes:
                return operator.output
        return self.op(op, value, **attributes)

    def _tensor(self, name: str, array: Any) -> str:
        array = np.ascontiguousarray(array)
        dtype = _DTYPE_NAMES[array.dtype.name]
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        data = memoryview(array.reshape(-1).view(np.uint8)) if array.size else memoryview(b"")
        key = (dtype, array.shape, bytes(data)) if array.nbytes <= 4096 else None
        if key is not None and key in self._tensor_names:
            return self._tensor_names[key]
        self._tensors[name] = TensorSpec(name, dtype, array.shape, data)
        if key is not None:
            self._tensor_names[key] = name
        return name

    def select(self, rows: Rows, columns: Any) -> Rows:
        """Some columns of `rows`; nothing is added where it is all of them in order."""
        chosen = [int(c) for c in columns]
        if chosen == list(range(rows.width)):
            return rows
        value = self.op("select", rows.value, tensors={"columns": np.array(chosen, np.int64)})
        return Rows(value, tuple(rows.origins[c] for c in chosen))

    # -- columns

    def name_columns(self, names: Sequence[str]) -> None:
        """Give the columns their names, if nothing further out has."""
        if self.names is None and len(names) == self.n_columns and len(set(names)) == len(names):
            self.names = [str(name) for name in names]

    def category_codes(self, column: int | None, values: Sequence[Any]) -> list[int]:
        """Codes of the texts `values` in an input column, which becomes a category column."""
        if column is None:
            raise self.unsupported("text in a column that is computed", "text straight from an input column")
        known = self._categories.setdefault(column, {})
        return [known.setdefault(text(value), len(known)) for value in values]

    def is_category(self, column: int | None) -> bool:
        return column is not None and column in self._categories

    # -- where we are

    @contextlib.contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Messages from inside name `place`, as in "step 'model'"."""
        self._place.append(place)
        try:
            yield
        finally:
            self._place.pop()

    def unsupported(self, what: str, supported: str) -> UnsupportedModelError:
        where = f" (in {', '.join(self._place)})" if self._place else ""
        return UnsupportedModelError(f"cannot convert {what}{where}; supported: {supported}")

    def estimator(self, estimator: Any, rows: Rows) -> Answers:
        """Import a part: whatever class and framework it is of."""
        assert self.dispatch is not None
        return self.dispatch(estimator, self, rows)

    # -- the whole

    def spec(
        self,
        answers: Answers,
        *,
        name: str,
        version: str,
        framework: Mapping[str, str],
        training: Mapping[str, Any] | None = None,
    ) -> ModelSpec:
        """The finished model."""
        from inferir import __version__

        faces = ("prediction", "probabilities", "raw", "transformed")
        operators = [
            *self._operators,
            *(
                OperatorSpec("identity", (value,), face)
                for face in faces
                if (value := getattr(answers, face)) is not None
            ),
        ]
        names = self.names or [f"x{i}" for i in range(self.n_columns)]
        columns = tuple(
            ColumnSpec(column, "category", tuple(self._categories[i])) if i in self._categories else ColumnSpec(column)
            for i, column in enumerate(names)
        )
        return ModelSpec(
            name=name,
            model_version=version,
            model_type=MODEL_TYPE_NUMBERS[answers.model_type],
            task=answers.task,
            columns=columns,
            operators=tuple(operators),
            tensors=dict(self._tensors),
            classes=answers.classes,
            framework=framework,
            created=created_now(),
            producer=f"inferir {__version__}",
            training={**(training or {}), "named_columns": self.names is not None},
        )


def text(value: Any) -> str:
    """A category as the text by which it is found again: 2 and np.int64(2) are "2", 2.0 is "2" as well."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def label(value: Any) -> ClassLabel:
    """A class label as a string or an int64: what `.apr` holds. Whole floats and booleans become ints."""
    if isinstance(value, (str, np.str_)):
        return str(value)
    whole = isinstance(value, (bool, np.bool_, int, np.integer)) or (
        isinstance(value, (float, np.floating)) and float(value).is_integer()
    )
    if whole and -(2**63) <= (number := int(value)) < 2**63:
        return number
    raise UnsupportedModelError(f"expected class labels that are strings or whole numbers of 64 bits, got {value!r}")


def class_labels(values: Any) -> tuple[ClassLabel, ...]:
    """Labels of all classes."""
    return tuple(label(value) for value in values)
