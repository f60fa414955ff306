"""What benchmarks share: sizes, data, and the measurements as mixins.

A benchmark class makes `answer` in `setup` and calls it there once, so that compiling is never timed. Its parameters
end with backend and rows. What makes no sense is a NotImplementedError in `setup`, which asv shows as n/a. What is
shared is abstract: asv collects every class that is not, wherever it is imported.

Data are made from one seed: a model is the same for every batch, and the rows of a small batch are the first of a large
one.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from inferir.kernels import available, select
from inferir.kernels.signatures import KERNELS, Signature

Array: TypeAlias = npt.NDArray[Any]
Given: TypeAlias = Mapping[str, Any]

#: Those that can be used here: compiled libraries are not where nobody built them.
BACKENDS = tuple(sorted(available()))
#: INFERIR_BENCH_ROWS asks for others, of which a smoke run needs but one.
ROWS = tuple(map(int, os.environ.get("INFERIR_BENCH_ROWS", "1,100,10000").split(",")))
#: Rows on which answers are compared: past one block of a forest.
SAME_ANSWER_ROWS = 300
COLUMNS = 28
SEED = 0

#: Lengths of the dimensions of `signatures.KERNELS`, where a case gives no array that has them.
LENGTHS = {"d": COLUMNS, "k": 8, "m": 100, "c": 8, "t": 100}

DTYPES = {"u8": np.uint8, "i32": np.int32, "u32": np.uint32, "i64": np.int64, "f32": np.float32, "f64": np.float64}

#: Of a group of packed outputs, and column.
_LINE_NBYTES = 64

for _backend in BACKENDS:  # asv forks a process for each case: what is imported here is imported once
    select(_backend)


def random(stream: int = 0) -> np.random.Generator:
    """Generator of what is made for one purpose, whatever else is made."""
    return np.random.default_rng((SEED, stream))


def difference(ours: Array, right: Array) -> float:
    """Largest |ours - right| / max(1, |right|); infinite where only one of the two is NaN or infinite."""
    ours, right = np.asarray(ours, np.float64), np.asarray(right, np.float64)
    with np.errstate(invalid="ignore"):
        error = np.abs(ours - right) / np.maximum(1.0, np.abs(right))
    same = (ours == right) | (np.isnan(ours) & np.isnan(right))
    return float(np.max(np.where(same, 0.0, np.where(np.isnan(error), np.inf, error)), initial=0.0))


class Benchmark(ABC):
    """Of a call, `answer`, that is ready to be made."""

    answer: Callable[[], Any]

    @abstractmethod
    def setup(self, *params: Any) -> None:
        """Make `answer` for these parameters, and call it once."""


class Speed(Benchmark):
    """Time of the call."""

    def time_answer(self, *_: Any) -> None:
        self.answer()


class Memory(Benchmark):
    """Most memory of a process that makes the call, the interpreter and its libraries included.

    Of models and files alone: a kernel allocates nothing.
    """

    def peakmem_answer(self, *_: Any) -> None:
        self.answer()


class SameAnswer(Benchmark):
    """Largest relative difference to what the reference backend answers, for each subject of the class: its first
    parameter, on each of the other backends.
    """

    param_names: tuple[str, ...]
    params: tuple[tuple[Any, ...], ...]
    track_same_answer: Callable[..., float]

    @abstractmethod
    def pair(self, subject: str, backend: str) -> tuple[Array, Array]:
        """Our answer and the reference's."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if params := getattr(cls, "params", None):

            def track_same_answer(self: SameAnswer, subject: str, backend: str) -> float:
                return difference(*self.pair(subject, backend))

            of_function: Any = track_same_answer  # asv looks for what differs from the class at the function
            of_function.param_names = (cls.param_names[0], "backend")
            of_function.params = (params[0], tuple(name for name in BACKENDS if name != "reference"))
            of_function.unit = "largest difference"
            cls.track_same_answer = of_function


@dataclass(frozen=True)
class Case:
    """A kernel's arguments but for what is made for it: floats from normal numbers, integers zero.

    given           argument -> value, array, or a function of the rows' Generator and the shape; or a function that
                    makes the whole, for arrays that belong together.
    lengths         of dimensions that no given array has, where they are not LENGTHS.
    reference_rows  most rows that the reference is asked for: some are loops in Python.
    """

    given: Given | Callable[[], Given] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=dict)
    reference_rows: int = 10_000

    def arguments(self, signature: Signature, rows: int) -> list[Any]:
        given = self.given() if callable(self.given) else self.given
        lengths = {**LENGTHS, "n": rows, **self.lengths}
        for argument in signature.arguments:
            if isinstance(given.get(argument.name), np.ndarray):
                lengths.update(zip(argument.dims, given[argument.name].shape, strict=True))
            elif argument.dims[2:] == ("w",):  # packed outputs
                lanes = _LINE_NBYTES // np.dtype(DTYPES[argument.dtype]).itemsize
                lengths = {"w": lanes, "g": -(-lengths["k"] // lanes), **lengths}
        made = []
        for position, argument in enumerate(signature.arguments):
            value, dtype, generator = given.get(argument.name), DTYPES[argument.dtype], random(position)
            if not argument.dims:
                made.append(dtype(given[argument.name]))
                continue
            shape = tuple(int(letter) if letter.isdigit() else lengths[letter] for letter in argument.dims)
            if callable(value):
                value = value(generator, shape)
            elif value is None and argument.dtype.startswith("f") and argument.name != "out":
                value = generator.standard_normal(shape)
            made.append(np.zeros(shape, dtype) if value is None else np.ascontiguousarray(value, dtype))
        return made


def recorder(width: str) -> tuple[Any, dict[str, list[Any]]]:
    """A binder of operators whose kernels are compiled, and the arguments of each kernel's last call, by its body: of
    those that have a variant for a width, for this one."""
    calls: dict[str, list[Any]] = {}

    def kernel(name: str) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            select("jit")[name](*arguments)
            calls[name.removesuffix(f"_{width}")] = list(arguments)

        return call

    return SimpleNamespace(kernel=kernel), calls


def below(limit: int) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """Whole numbers from 0 to `limit` - 1."""
    return lambda generator, shape: generator.integers(0, limit, shape)


def positive(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Numbers in (0, 1]."""
    return 1.0 - generator.random(shape)


def runs(groups: int, length: int) -> Array:
    """Where each of `groups` runs of one length begins, and the last ends."""
    return np.arange(groups + 1) * length


def rising(groups: int, length: int) -> Array:
    """`groups` runs of `length` rising numbers, one after the other."""
    return np.sort(random().standard_normal((groups, length)), axis=1).ravel()


class KernelBenchmark(Speed, SameAnswer):
    """Each kernel of a family, in all its widths.

    A key of `cases` is the name of a kernel's body; what follows a slash tells cases of one kernel apart.
    """

    param_names = ("kernel", "backend", "rows")

    @property
    @abstractmethod
    def kernels(self) -> Mapping[str, tuple[Signature, Case]]:
        """First parameter -> kernel and case."""

    def __init_subclass__(cls, cases: Mapping[str, Case]) -> None:
        kernels = {}
        for key, case in cases.items():
            body, slash, label = key.partition("/")
            for name, signature in KERNELS.items():
                if signature.body == body:
                    kernels[name + slash + label] = signature, case
        cls.kernels = kernels  # type: ignore[assignment, method-assign]  # no longer abstract
        cls.params = (tuple(kernels), BACKENDS, ROWS)
        super().__init_subclass__()

    def setup(self, kernel: str, backend: str, rows: int = 1) -> None:
        signature, case = self.kernels[kernel]
        by_row = any(argument.dims[:1] == ("n",) for argument in signature.arguments)
        if not by_row and rows > 1:
            raise NotImplementedError(f"{kernel} takes no rows")
        if backend == "reference" and rows > case.reference_rows:
            raise NotImplementedError(f"the reference loops in Python: at most {case.reference_rows} rows")
        self.answer = partial(select(backend)[signature.name], *case.arguments(signature, rows))
        self.answer()

    def pair(self, kernel: str, backend: str) -> tuple[Array, Array]:
        signature, case = self.kernels[kernel]
        answers = []
        for name in (backend, "reference"):
            arguments = case.arguments(signature, min(SAME_ANSWER_ROWS, case.reference_rows))
            select(name)[signature.name](*arguments)
            answers.append(arguments[-1])
        return answers[0], answers[1]


def fastest(call: Callable[[], object], times: int = 20, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of the fastest of so many calls, by `clock`."""
    best = float("inf")
    for _ in range(times):
        start = clock()
        call()
        best = min(best, clock() - start)
    return best
