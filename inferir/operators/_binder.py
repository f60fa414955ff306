"""Binding: from an operator's words in a file to a kernel call with its model arrays in place.

A file is not trusted, whoever wrote it: kernels index without looking, so every tensor that is a position, and every
length that another array relies on, is checked here once. What does not fit is a ModelLoadError that names operator and
tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

from inferir.errors import ModelLoadError
from inferir.formats.spec import OperatorSpec, TensorSpec
from inferir.kernels import Kernels
from inferir.kernels.signatures import KERNELS

__all__ = ["Array", "Binder", "RowProblem", "Step", "Value"]

Array: TypeAlias = npt.NDArray[Any]
Run: TypeAlias = Callable[..., Array]
T = TypeVar("T")

NUMPY = {
    name: np.dtype(code).newbyteorder("<")
    for name, code in {"u8": "u1", "u16": "u2", "i32": "i4", "u32": "u4", "i64": "i8", "f32": "f4", "f64": "f8"}.items()
}


class RowProblem(Exception):  # noqa: N818 - it becomes an InvalidInputError with the row's number
    """A row that an operator cannot take: its position in the batch, and what was wrong with it."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(row, text)
        self.row, self.text = row, text


class Value(NamedTuple):
    """A matrix that exists while a batch runs: where it is kept, its columns, its dtype, and their names if known.

    `below` bounds the positions in each column of an i64 value: 0 <= position < below.
    """

    slot: int
    width: int
    dtype: str
    names: tuple[str, ...] | None = None
    below: tuple[int, ...] = ()

    def name_of(self, column: int) -> str:
        return f"column {self.names[column]!r}" if self.names else f"column {column}"


class Step(NamedTuple):
    """values[target] = run(*values[sources])."""

    run: Run
    sources: tuple[int, ...]
    target: int


class Binder:
    """What an operator sees while it is bound: its inputs, attributes and tensors, and `call` to use a kernel."""

    def __init__(
        self,
        spec: OperatorSpec,
        tensors: Mapping[str, TensorSpec],
        values: Sequence[Value],
        steps: list[Step],
        slots: list[str],
        demands: set[str | None],
        proved: set[str],
        kernels: Kernels,
    ) -> None:
        self._spec, self._tensors, self._values = spec, tensors, values
        self._steps, self._slots, self._kernels = steps, slots, kernels
        self._demands, self._proved = demands, proved

    # -- what the file says

    def fail(self, text: str) -> ModelLoadError:
        return ModelLoadError(f"operator {self._spec.op!r} (output {self._spec.output!r}): {text}")

    @overload
    def attribute(self, name: str, kind: type[T]) -> T: ...
    @overload
    def attribute(self, name: str, kind: type[T], default: T) -> T: ...
    def attribute(self, name: str, kind: type[Any], default: Any = None) -> Any:
        """The attribute, which must be of `kind`; an int will do where a float is asked for."""
        value = self._spec.attributes.get(name, default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self.fail(f"expected attribute {name!r} to be {kind.__name__}, got {value!r}")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> int:
        """Position of the attribute's word among `choices`."""
        value = self._spec.attributes.get(name, default)
        if value not in choices:
            raise self.fail(f"expected attribute {name!r} to be one of {', '.join(choices)}; got {value!r}")
        return choices.index(value)

    def has(self, role: str) -> bool:
        return role in self._spec.tensors

    def tensor(self, role: str, dtype: str, *shape: int | None) -> Array:
        """The tensor, of just this dtype and shape (None: any length), as a read-only array over the file's bytes."""
        name = self._spec.tensors.get(role)
        if name is None:
            raise self.fail(f"expected a tensor {role!r}, found {', '.join(self._spec.tensors) or 'none'}")
        spec = self._tensors[name]
        if spec.dtype != dtype:
            raise self.fail(f"expected tensor {role!r} to hold {dtype}, got {spec.dtype}")
        if len(spec.shape) != len(shape) or any(
            w is not None and w != g for w, g in zip(shape, spec.shape, strict=True)
        ):
            wanted = " x ".join("any" if w is None else str(w) for w in shape)
            raise self.fail(f"expected tensor {role!r} of shape {wanted}, got {' x '.join(map(str, spec.shape))}")
        array = np.frombuffer(spec.data, NUMPY[dtype]).reshape(spec.shape)
        return array if array.flags.aligned else array.copy()

    def positions(self, role: str, length: int | None, below: int, *, least: int = 0, dtype: str = "i64") -> Array:
        """A tensor of positions, least <= position < below."""
        array = self.tensor(role, dtype, length)
        if array.size and (int(array.min()) < least or int(array.max()) >= below):
            raise self.fail(f"expected tensor {role!r} within [{least}, {below}), got {array.min()} to {array.max()}")
        return array

    def begins(self, role: str, groups: int | None, end: int, *, dtype: str = "i64", least: int = 0) -> Array:
        """Where each of `groups` runs of a longer array begins, and the end of the last: from 0 to `end`, never
        falling, each run at least `least` long."""
        array = self.tensor(role, dtype, None if groups is None else groups + 1)
        if array.size == 0 or array[0] != 0 or array[-1] != end or (np.diff(array) < least).any():
            raise self.fail(f"expected tensor {role!r} to rise from 0 to {end} in steps of {least} or more")
        return array

    def first_time(self) -> bool:
        """Whether this operator has not been bound before: its costlier proofs hold for every later plan."""
        new = self._spec.output not in self._proved
        self._proved.add(self._spec.output)
        return new

    # -- what it does with it

    def input(self, dtype: str | None = None, index: int = 0) -> Value:
        """Input `index`, as `dtype`; None takes either float width as it comes."""
        if index >= len(self._values):
            raise self.fail(f"expected at least {index + 1} inputs, got {len(self._values)}")
        value = self._values[index]
        if value.slot == 0:
            self._demands.add(dtype)
        wanted = dtype or value.dtype
        if dtype is None and value.dtype == "i64":
            raise self.fail("expected numbers, got class positions")
        if value.dtype == wanted:
            return value
        if "i64" in (value.dtype, wanted):
            raise self.fail(f"expected input {index} to hold {wanted}, got {value.dtype}")
        return self.call(f"cast_{wanted}", value, dtype=wanted, names=value.names)

    def some(self) -> Value:
        """The first input, of at least one column."""
        value = self.input()
        if not value.width:
            raise self.fail("expected at least one column, got none")
        return value

    def picks(self, below: int, index: int = 0) -> Value:
        """Input `index`, which must hold positions below `below`."""
        value = self.input("i64", index)
        if max(value.below, default=0) > below:
            raise self.fail(f"expected positions below {below} in input {index}, got up to {max(value.below) - 1}")
        return value

    @property
    def value(self) -> Value:
        """The first input, whatever it holds."""
        return self._values[0]

    @property
    def n_inputs(self) -> int:
        return len(self._values)

    def kernel(self, name: str) -> Callable[..., None]:
        return self._kernels[name]

    def add(
        self,
        run: Run,
        inputs: Sequence[Value],
        width: int,
        dtype: str,
        names: tuple[str, ...] | None = None,
        below: tuple[int, ...] = (),
    ) -> Value:
        """A step that computes a new value of `width` columns."""
        target = len(self._slots)
        self._slots.append(self._spec.output)
        self._steps.append(Step(run, tuple(v.slot for v in inputs), target))
        return Value(target, width, dtype, names, below)

    def call(
        self,
        kernel: str,
        x: Value,
        *constants: Any,
        width: int | None = None,
        dtype: str | None = None,
        scratch: Sequence[tuple[tuple[int, ...], str]] = (),
        names: tuple[str, ...] | None = None,
        below: tuple[int, ...] = (),
    ) -> Value:
        """out = kernel(x, *constants, *scratch): the step that most operators are."""
        body = self.kernel(kernel if kernel in KERNELS else f"{kernel}_{x.dtype}")
        columns, out_dtype = x.width if width is None else width, NUMPY[dtype or x.dtype]
        buffers = [(shape, NUMPY[code]) for shape, code in scratch]

        def run(rows: Array) -> Array:
            out = np.empty((rows.shape[0], columns), out_dtype)
            body(rows, *constants, *[np.empty(shape, code) for shape, code in buffers], out)
            return out

        return self.add(run, [x], columns, dtype or x.dtype, names, below)

    def checked(
        self, kernel: str, x: Value, *constants: Any, width: int, dtype: str, describe: Callable[[Any, int], str]
    ) -> Value:
        """As `call`, for a kernel that notes the position of the first value it could not take before its output."""
        body = self.kernel(kernel if kernel in KERNELS else f"{kernel}_{x.dtype}")
        out_dtype, columns = NUMPY[dtype], x.width

        def run(rows: Array) -> Array:
            out, problem = np.empty((rows.shape[0], width), out_dtype), np.empty(1, np.int64)
            body(rows, *constants, problem, out)
            if problem[0] >= 0:
                row, column = divmod(int(problem[0]), columns)
                raise RowProblem(row, describe(rows[row, column], column))
            return out

        return self.add(run, [x], width, dtype)
