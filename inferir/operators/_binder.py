"""Binding: from an operator's words in a file to a kernel call with its model arrays in place.

A file is not trusted, whoever wrote it: kernels index without looking, so every tensor that is a position, and every
length that another array relies on, is checked here once. What does not fit is a ModelLoadError that names operator and
tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np

from inferir.errors import ModelLoadError
from inferir.formats.prepared import tensor_name
from inferir.formats.spec import OperatorSpec, TensorSpec
from inferir.kernels import Kernels
from inferir.kernels.signatures import KERNELS
from inferir.program import ARRAY, BUFFER, ROWS
from inferir.program.arrays import NUMPY, Array
from inferir.program.steps import Argument, Buffer, Problem, Step

__all__ = ["NUMPY", "Array", "Binder", "BoundStep", "Draft", "Kept", "Layout", "Value"]

T = TypeVar("T")


class Value(NamedTuple):
    """A matrix that exists while a batch runs: its number, the buffer it is kept in, its columns, its dtype, and their
    names if known. Two values can share a buffer: a checked one is the other, checked.

    `below` bounds the positions in each column of an i64 value: 0 <= position < below.
    """

    number: int
    buffer: int
    width: int
    dtype: str
    names: tuple[str, ...] | None = None
    below: tuple[int, ...] = ()

    def name_of(self, column: int) -> str:
        return f"column {self.names[column]!r}" if self.names else f"column {column}"

    def column_names(self) -> tuple[str, ...]:
        return tuple(map(self.name_of, range(self.width)))


class Layout(NamedTuple):
    """What a file keeps of one kind of tables: dtypes that a field may have, and its shape (None: any length).

    An operator asks `Binder.stored` for them and proves what comes; or it makes them and says so to `Binder.keep`. A
    new kind is a Layout in `operators.LAYOUTS`, and those two calls.

    `version` is raised when a field comes, goes or means something else, and when the same model gets other values.
    """

    kind: str
    version: int
    fields: Mapping[str, tuple[tuple[str, ...], tuple[int | None, ...]]]


class Kept(NamedTuple):
    """Tables that were made for the operator that writes `output`, from `size` nodes. `pack` gives the fields."""

    layout: Layout
    output: str
    size: int
    pack: Callable[[], Mapping[str, Array]]


class BoundStep(NamedTuple):
    """A step, with the numbers of the values it reads and of the one it helps to compute."""

    step: Step
    reads: tuple[int, ...]
    writes: int


class Draft:
    """What is written while a model is bound: buffers, model arrays, steps and values.

    `versions` are those of the layouts of tables that the model's file has.
    """

    def __init__(self, columns: Sequence[str], dtype: str, versions: Mapping[str, int] | None = None) -> None:
        self.versions = versions or {}
        #: Tables that were made, as the file had none.
        self.kept: list[Kept] = []
        self.buffers = [Buffer(dtype, (ROWS, len(columns)))]
        self.arrays: list[Array] = []
        self.steps: list[BoundStep] = []
        #: Widths in which operators take the rows themselves: "f32", "f64", or None for as they come.
        self.demands: set[str | None] = set()
        self.rows = Value(0, 0, len(columns), dtype, tuple(columns))
        #: All that there are, by number.
        self.values = [self.rows]


class Binder:
    """What an operator sees while it is bound: its inputs, attributes and tensors, and `call` to use a kernel."""

    def __init__(
        self,
        spec: OperatorSpec,
        tensors: Mapping[str, TensorSpec],
        values: Sequence[Value],
        draft: Draft,
        proved: set[str],
        kernels: Kernels,
    ) -> None:
        self._spec, self._tensors, self._values = spec, tensors, values
        self._draft, self._proved, self._kernels = draft, proved, kernels

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
        return self._array(self._tensors[name], role, (dtype,), shape)

    def _array(self, spec: TensorSpec, role: str, dtypes: Sequence[str], shape: Sequence[int | None]) -> Array:
        if spec.dtype not in dtypes:
            raise self.fail(f"expected tensor {role!r} to hold {' or '.join(dtypes)}, got {spec.dtype}")
        if len(spec.shape) != len(shape) or any(
            w is not None and w != g for w, g in zip(shape, spec.shape, strict=True)
        ):
            wanted = " x ".join("any" if w is None else str(w) for w in shape)
            raise self.fail(f"expected tensor {role!r} of shape {wanted}, got {' x '.join(map(str, spec.shape))}")
        array = np.frombuffer(spec.data, NUMPY[spec.dtype]).reshape(spec.shape)
        return array if array.flags.aligned else array.copy()

    def stored(self, layout: Layout) -> dict[str, Array] | None:
        """Tables of this operator that the file has, by field: read-only, and not believed. None where it has none, or
        of another version."""
        if self._draft.versions.get(layout.kind) != layout.version:
            return None
        names = {field: tensor_name(self._spec.output, layout.kind, field) for field in layout.fields}
        if not any(name in self._tensors for name in names.values()):
            return None
        found = {}
        for field, (dtypes, shape) in layout.fields.items():
            spec = self._tensors.get(names[field])
            if spec is None:
                raise self.fail(f"expected a tensor {names[field]!r} beside the other tables, found none")
            found[field] = self._array(spec, names[field], dtypes, shape)
        return found

    def keep(self, layout: Layout, size: int, pack: Callable[[], Mapping[str, Array]]) -> None:
        """Say what a file could keep of tables that were made, so that they need not be made again."""
        self._draft.kept.append(Kept(layout, self._spec.output, size, pack))

    def floats(self, role: str, *shape: int | None) -> Array:
        """As `tensor`, of either float width."""
        name = self._spec.tensors.get(role)
        return self.tensor(role, "f32" if name is not None and self._tensors[name].dtype == "f32" else "f64", *shape)

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
        if value.number == 0:
            self._draft.demands.add(dtype)
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
    def first(self) -> Value:
        """The first input, whatever it holds."""
        return self._values[0]

    @property
    def n_inputs(self) -> int:
        return len(self._values)

    def producer(self, value: Value) -> BoundStep | None:
        """The step that computed a value: what is asked of it next may be had from the same step, or a cheaper one."""
        return next((bound for bound in reversed(self._draft.steps) if bound.writes == value.number), None)

    def unchecked(self, value: Value) -> Value | None:
        """What a value was before `check_finite` looked at it, if that refuses NaN too; else None."""
        made = self.producer(value)
        if made is None or made.step.kernel not in ("check_finite_f32", "check_finite_f64") or made.step.arguments[1]:
            return None
        return value._replace(number=made.reads[0])

    def checked_number(self, unchecked: int) -> int:
        """The opposite: the number of the value that `check_finite` made of that one."""
        return next(
            bound.writes
            for bound in self._draft.steps
            if bound.step.kernel in ("check_finite_f32", "check_finite_f64") and bound.reads == (unchecked,)
        )

    def made_by(self, number: int) -> list[BoundStep]:
        """All steps that computed a value; none for the rows."""
        return [bound for bound in self._draft.steps if bound.writes == number]

    def value_of(self, number: int) -> Value:
        """The value of that number."""
        return self._draft.values[number]

    def array(self, argument: Argument) -> Array:
        """The model's array that an argument of a step stands for."""
        return self._draft.arrays[argument.number]

    def kernel(self, name: str) -> Callable[..., Any]:
        """A kernel to call while binding, to prove something."""
        return self._kernels[name]

    def buffer(self, dtype: str, *dims: int) -> int:
        """Memory of these dimensions while rows are answered; ROWS and BLOCK are dimensions too."""
        self._draft.buffers.append(Buffer(dtype, dims))
        return len(self._draft.buffers) - 1

    def value(
        self,
        width: int,
        dtype: str,
        names: tuple[str, ...] | None = None,
        below: tuple[int, ...] = (),
        *,
        buffer: int | None = None,
    ) -> Value:
        """A new value of `width` columns, in a buffer of its own if none is given."""
        number = len(self._draft.values)
        place = self.buffer(dtype, ROWS, width) if buffer is None else buffer
        self._draft.values.append(Value(number, place, width, dtype, names, below))
        return self._draft.values[-1]

    def step(self, kernel: str, *arguments: Any, into: Value, problem: Problem | None = None) -> None:
        """One call of a kernel for the sake of `into`. Arguments are values, scratch, model arrays and numbers."""
        bound: list[Any] = []
        for argument in arguments:
            if isinstance(argument, Value):
                bound.append(Argument(BUFFER, argument.buffer))
            elif isinstance(argument, Argument):
                bound.append(argument)
            elif isinstance(argument, np.ndarray):
                bound.append(Argument(ARRAY, len(self._draft.arrays)))
                self._draft.arrays.append(argument)
            else:
                number = float if KERNELS[kernel].arguments[len(bound)].dtype == "f64" else int
                bound.append(number(argument))
        reads = tuple(a.number for a in arguments if isinstance(a, Value) and a.number != into.number)
        self._draft.steps.append(BoundStep(Step(kernel, tuple(bound), problem), reads, into.number))

    def scratch(self, dtype: str, *dims: int) -> Argument:
        """A buffer that a kernel writes for itself, or for the kernel after it."""
        return Argument(BUFFER, self.buffer(dtype, *dims))

    def call(
        self,
        kernel: str,
        *arguments: Any,
        width: int | None = None,
        dtype: str | None = None,
        names: tuple[str, ...] | None = None,
        below: tuple[int, ...] = (),
    ) -> Value:
        """out = kernel(*arguments), of the first one's width and dtype unless given: what most operators are."""
        x: Value = arguments[0]
        out = self.value(x.width if width is None else width, dtype or x.dtype, names, below)
        self.step(kernel if kernel in KERNELS else f"{kernel}_{x.dtype}", *arguments, out, into=out)
        return out

    def checked(
        self, kernel: str, x: Value, *constants: Any, out: Value, expected: Sequence[str], writes: bool = True
    ) -> Value:
        """As `call`, for a kernel that notes the position of the first value it could not take, before its output if
        it `writes` one."""
        note = self.scratch("i64", 1)
        problem = Problem(note.number, x.buffer, x.column_names(), tuple(expected))
        name = kernel if kernel in KERNELS else f"{kernel}_{x.dtype}"
        self.step(name, x, *constants, note, *[out][: int(writes)], into=out, problem=problem)
        return out
