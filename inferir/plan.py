"""A plan: a model's operators bound to the kernels of one backend, for rows of one float width.

Binding writes down steps, each one kernel call with the model's arrays already in place. For each answer a caller can
ask for (`FACES`) the plan keeps just the steps that lead to it: a `Program`, which knows operators no more.

Every step looks at one row at a time, so rows may be cut into chunks: a chunk stays in the cache and bounds the memory
of what lies between first and last step. Many rows are cut into parts for threads, where that saves more than it costs.
The answer is the same, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from inferir.errors import ModelLoadError, UnsupportedModelError
from inferir.formats.prepared import versions_of
from inferir.formats.spec import ModelSpec
from inferir.kernels import Kernels
from inferir.kernels.signatures import BLOCK_ROWS
from inferir.operators import OPERATORS, Binder, BoundStep, Draft, Value
from inferir.program import BLOCK, BUFFER, ROWS
from inferir.program.arrays import NUMPY, Array, ArrayRunner
from inferir.program.frames import ITEM_NBYTES
from inferir.program.native import Form, NativeRunner
from inferir.program.problems import RowError
from inferir.program.steps import Argument, Program, Step, trim
from inferir.shares import Shares
from inferir.threads import Threads

__all__ = ["CHUNK_ROWS", "FACES", "LEAST_SHARED_ROWS", "Plan", "ProgramRunner", "bind", "program_for"]

FACES = ("prediction", "probabilities", "raw", "transformed")

#: The most rows that go through all steps before the next ones do.
CHUNK_ROWS = 4096

#: Batches of fewer rows never touch a thread.
LEAST_SHARED_ROWS = 2 * BLOCK_ROWS

#: Nor do those that take less time: to wake another thread takes up to a tenth of a millisecond.
_LEAST_SHARED_S = 4e-4

#: Of what lies between the first step and the last, so that each finds in the second-level cache what the one before
#: it left there. The smallest such cache of a server's CPU core has twice that.
CACHED_NBYTES = 1 << 19


def bind(spec: ModelSpec, kernels: Kernels, dtype: str, proved: set[str]) -> tuple[Draft, dict[str, Value]]:
    """All operators of a model, bound for rows of `dtype`: what was written down, and every value by its name.

    `proved` are operators whose tensors have been checked before; this model's are added.
    """
    draft = Draft([column.name for column in spec.columns], dtype, versions_of(spec))
    values = {"input": draft.rows}
    for operator in spec.operators:
        bind_operator = OPERATORS.get(operator.op)
        if bind_operator is None:
            raise UnsupportedModelError(f"operator {operator.op!r} is not one of {', '.join(sorted(OPERATORS))}")
        missing = [name for name in operator.inputs if name not in values]
        if missing or not operator.inputs:
            raise ModelLoadError(f"operator {operator.op!r}: expected inputs computed before it, got {missing}")
        inputs = [values[name] for name in operator.inputs]
        values[operator.output] = bind_operator(Binder(operator, spec.tensors, inputs, draft, proved, kernels))
    return draft, values


def program_for(draft: Draft, result: Value, *also: Value) -> Program:
    """The steps that lead to `result`, and to the values of other buffers that are wanted with it."""
    needed = {result.number, *(value.number for value in also)}
    kept: list[BoundStep] = []
    for bound in reversed(draft.steps):
        if bound.writes in needed:
            needed.update(bound.reads)
            kept.append(bound)
    return trim(
        draft.buffers, [bound.step for bound in reversed(kept)], result.buffer, [value.buffer for value in also]
    )


def rows_at_once(program: Program) -> int:
    """Rows that go through all steps before the next ones do: a power of two, so that CHUNK_ROWS are whole runs.

    What one step alone uses need not be found again.
    """
    uses = Counter(buffer for step in program.steps for buffer in _used(step))
    row_nbytes = sum(
        math.prod(dims[1:]) * ITEM_NBYTES[dtype]
        for buffer, (dtype, dims) in enumerate(program.buffers)
        if dims[:1] == (ROWS,) and uses[buffer] > 1
    )
    least = BLOCK_ROWS if any(BLOCK in dims for _, dims in program.buffers) else 64
    rows = CHUNK_ROWS
    while rows > least and rows * row_nbytes > CACHED_NBYTES:
        rows //= 2
    return rows


def _used(step: Step) -> set[int]:
    """Buffers that a step goes through. Rows that are asked for only where a sum is not finite are none."""
    skipped = 1 if step.kernel.startswith("check_finite_by") else 0
    return {a.number for a in step.arguments[skipped:] if isinstance(a, Argument) and a.kind == BUFFER}


class ProgramRunner:
    """`program` over the kernels of one backend, chunk by chunk."""

    def __init__(self, program: Program, arrays: Sequence[Array], kernels: Kernels) -> None:
        self._runner: ArrayRunner | NativeRunner
        self._rows = rows_at_once(program)
        if kernels.library is None:
            self._runner = ArrayRunner(program, arrays, kernels)
        else:
            self._runner = NativeRunner(program, arrays, kernels.library, BLOCK_ROWS, self._rows)
        self._kinds = [program.buffers[result] for result in (program.result, *program.also)]
        self._row_s = math.inf

    def single(self, form: Form) -> Callable[[Array], Array] | None:
        """`NativeRunner.single`, where the backend runs programs in one call."""
        return self._runner.single(form) if isinstance(self._runner, NativeRunner) else None

    def singles(self, forms: Sequence[Form]) -> Callable[[Array], list[Array]] | None:
        """`NativeRunner.singles`, likewise."""
        return self._runner.singles(forms) if isinstance(self._runner, NativeRunner) else None

    def several(self) -> Callable[[Array], Array] | None:
        """`NativeRunner.several`, likewise."""
        return self._runner.several if isinstance(self._runner, NativeRunner) else None

    def several_all(self) -> Callable[[Array], list[Array]] | None:
        """The same for all results."""
        return self._runner if isinstance(self._runner, NativeRunner) else None

    def plain(self) -> Callable[[bytes | bytearray], list[list[Any]]] | None:
        """`NativeRunner.plain`, likewise."""
        return self._runner.plain() if isinstance(self._runner, NativeRunner) else None

    def run(self, rows: Array, threads: Threads | None = None) -> Array:
        """The (first) result for `rows`, as `run_all`."""
        return self.run_all(rows, threads)[0]

    def run_all(self, rows: Array, threads: Threads | None = None) -> list[Array]:
        """The results for `rows` (n, columns), C-contiguous and of the program's dtype: (n, ...) each.

        Raises InvalidInputError with the row's number where an operator cannot take a row.
        """
        n = len(rows)
        if threads is None or threads.count == 1 or n < LEAST_SHARED_ROWS or n * self._row_s < _LEAST_SHARED_S:
            return self._whole(rows)
        outs = self._empty(n)
        first = 0
        if self._row_s == math.inf:
            first = min(n, CHUNK_ROWS) // 2
            self._timed(rows, outs, 0, first)
        expected_s = (n - first) * self._row_s
        if expected_s < _LEAST_SHARED_S:
            self._timed(rows, outs, first, n)
            return outs
        shares = Shares(first, n, self._row_s, threads.count)
        threads.share_out(lambda part: self._timed(rows, outs, *part), shares, threads.count)
        return outs

    def _empty(self, n: int) -> list[Array]:
        return [np.empty((n, *dims[1:]), NUMPY[dtype]) for dtype, dims in self._kinds]

    def _timed(self, rows: Array, outs: Sequence[Array], begin: int, end: int) -> None:
        """Answers some of the rows, and keeps the least time that a row has taken."""
        started = time.perf_counter()
        try:
            self._fill(rows[begin:end], [out[begin:end] for out in outs])
        except RowError as problem:
            raise RowError(problem.text, begin + problem.row) from None
        self._row_s = min(self._row_s, (time.perf_counter() - started) / max(1, end - begin))

    def _whole(self, rows: Array) -> list[Array]:
        if len(rows) <= self._rows or isinstance(self._runner, NativeRunner):
            return self._runner(rows)
        outs = self._empty(len(rows))
        self._fill(rows, outs)
        return outs

    def _fill(self, rows: Array, outs: Sequence[Array]) -> None:
        if isinstance(self._runner, NativeRunner):
            self._runner.fill(rows, *outs)
            return
        for start in range(0, len(rows), self._rows):
            part = slice(start, start + self._rows)
            try:
                for out, some in zip(outs, self._runner(rows[part]), strict=True):
                    out[part] = some
            except RowError as problem:
                raise RowError(problem.text, start + problem.row) from None


class Plan:
    """Bind `spec` to `kernels` for rows of `dtype` ("f32" or "f64").

    `proved` are operators whose tensors another plan of the same model has checked; this one's are added.
    `programs` are what answers each face, over `arrays`. `demands` are the widths in which
    operators take the rows themselves: "f32", "f64", or None for as they come.
    """

    def __init__(self, spec: ModelSpec, kernels: Kernels, dtype: str, proved: set[str] | None = None) -> None:
        self.dtype = dtype
        draft, values = bind(spec, kernels, dtype, set() if proved is None else proved)
        self.demands = draft.demands
        self.arrays = draft.arrays
        self._draft, self._kernels = draft, kernels
        self._values = {face: values[face] for face in FACES if face in values}
        if not self._values:
            raise ModelLoadError(f"expected an operator whose output is one of {', '.join(FACES)}; there is none")
        self._check_classes(spec)
        self.programs = {face: program_for(draft, value) for face, value in self._values.items()}
        self._runners = {face: ProgramRunner(program, self.arrays, kernels) for face, program in self.programs.items()}
        self._together: dict[tuple[str, ...], _Together] = {}

    def _check_classes(self, spec: ModelSpec) -> None:
        """Where there are classes, predictions are positions among them and probabilities have a column for each."""
        if not spec.classes:
            return
        outputs = spec.classes if isinstance(spec.classes[0], tuple) else (spec.classes,)
        counts = [len(labels) if isinstance(labels, tuple) else 0 for labels in outputs]
        for face, value in self._values.items():
            if face == "prediction" and (
                value.dtype != "i64"
                or value.width != len(counts)
                or any(b > n for b, n in zip(value.below, counts, strict=True))
            ):
                raise ModelLoadError(f"expected predictions to be positions among {counts} classes, got {value}")
            if face == "probabilities" and value.width != sum(counts):
                raise ModelLoadError(f"expected probabilities of {sum(counts)} classes, got {value.width} columns")

    @property
    def faces(self) -> tuple[str, ...]:
        return tuple(self._values)

    def single(self, face: str, form: Form) -> Callable[[Array], Array] | None:
        """`NativeRunner.single` of a face, where the backend runs programs in one call."""
        return self._runners[face].single(form)

    def several(self, face: str) -> Callable[[Array], Array] | None:
        """`NativeRunner.several` of a face, likewise."""
        return self._runners[face].several()

    def plain(self, faces: tuple[str, ...]) -> Callable[[bytes | bytearray], list[list[Any]]] | None:
        """`NativeRunner.plain` of faces, likewise; None too where two of them are one and the same."""
        if len(faces) == 1:
            return self._runners[faces[0]].plain()
        return self.together(faces).plain()

    def value(self, face: str) -> Value:
        """Width and dtype of a face's answer."""
        return self._values[face]

    def run(self, face: str, rows: Array, threads: Threads | None = None) -> Array:
        """The answer `face` for `rows`, as `ProgramRunner.run`: (n, width)."""
        return self._runners[face].run(rows, threads)

    def together(self, faces: tuple[str, ...]) -> _Together:
        """The way to several faces in one run, made when it is first asked for."""
        made = self._together.get(faces)
        if made is None:
            made = self._together[faces] = _Together(self._draft, [self._values[face] for face in faces], self._kernels)
        return made


class _Together:
    """Several values in one run of the steps that lead to any of them."""

    def __init__(self, draft: Draft, values: Sequence[Value], kernels: Kernels) -> None:
        results = list({value.buffer: value for value in values if value.buffer != draft.rows.buffer}.values())
        self._runner = ProgramRunner(program_for(draft, *(results or values[:1])), draft.arrays, kernels)
        #: Whether all of them are results of the program, in their order.
        self._distinct = len(results) == len(values)
        places = {value.buffer: place for place, value in enumerate(results)}
        #: Of each value among the results; None for the rows themselves.
        self._places = [places.get(value.buffer) for value in values]

    def run(self, rows: Array, threads: Threads | None = None) -> list[Array]:
        """The values for `rows`, as `ProgramRunner.run_all`, each an array of its own."""
        answers = self._runner.run_all(rows, threads)
        if self._distinct:
            return answers
        return [(rows if place is None else answers[place]).copy() for place in self._places]

    def single(self, forms: Sequence[Form | None]) -> Callable[[Array], list[Array]] | None:
        """`NativeRunner.singles`, where the values are distinct and every one has a form."""
        known = [form for form in forms if form is not None]
        return self._runner.singles(known) if self._distinct and len(known) == len(forms) else None

    def several(self) -> Callable[[Array], list[Array]] | None:
        """`NativeRunner.__call__`, where the values are distinct."""
        return self._runner.several_all() if self._distinct else None

    def plain(self) -> Callable[[bytes | bytearray], list[list[Any]]] | None:
        """`NativeRunner.plain`, likewise."""
        return self._runner.plain() if self._distinct else None
