"""A plan: a model's operators bound to the kernels of one backend, for rows of one float width.

A row's journey is a list of steps, each one kernel call with the model's arrays already in place. For each answer a
caller can ask for (`FACES`) the plan keeps just the steps that lead to it.

Every step looks at one row at a time, so rows may be cut into chunks: a chunk stays in the cache, bounds the memory of
what lies between first and last step, and is what a thread works on. The answer is the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from inferir.errors import InvalidInputError, ModelLoadError, UnsupportedModelError
from inferir.formats.spec import ModelSpec
from inferir.kernels import Kernels
from inferir.operators import OPERATORS, Binder, RowProblem, Step, Value
from inferir.operators._binder import NUMPY, Array

__all__ = ["CHUNK_ROWS", "FACES", "Plan"]

FACES = ("prediction", "probabilities", "raw", "transformed")

#: Rows that go through all steps before the next ones do.
CHUNK_ROWS = 4096


class _Program(NamedTuple):
    steps: tuple[Step, ...]
    result: Value


class Plan:
    """Bind `spec` to `kernels` for rows of `dtype` ("f32" or "f64").

    `proved` are operators whose tensors another plan of the same model has checked; this one's are added.
    `demands` are the widths in which operators take the rows themselves: "f32", "f64", or None for as they come.
    """

    def __init__(self, spec: ModelSpec, kernels: Kernels, dtype: str, proved: set[str] | None = None) -> None:
        self.dtype = dtype
        names = tuple(column.name for column in spec.columns)
        values = {"input": Value(0, len(names), dtype, names)}
        steps: list[Step] = []
        slots = ["input"]
        self.demands: set[str | None] = set()
        proved = set() if proved is None else proved
        for operator in spec.operators:
            bind = OPERATORS.get(operator.op)
            if bind is None:
                raise UnsupportedModelError(f"operator {operator.op!r} is not one of {', '.join(sorted(OPERATORS))}")
            missing = [name for name in operator.inputs if name not in values]
            if missing or not operator.inputs:
                raise ModelLoadError(f"operator {operator.op!r}: expected inputs computed before it, got {missing}")
            inputs = [values[name] for name in operator.inputs]
            binder = Binder(operator, spec.tensors, inputs, steps, slots, self.demands, proved, kernels)
            values[operator.output] = bind(binder)
        self._n_slots = len(slots)
        self._programs = {face: self._program(steps, values[face]) for face in FACES if face in values}
        self._check_classes(spec)
        if not self._programs:
            raise ModelLoadError(f"expected an operator whose output is one of {', '.join(FACES)}; there is none")

    def _check_classes(self, spec: ModelSpec) -> None:
        """Where there are classes, predictions are positions among them and probabilities have a column for each."""
        if not spec.classes:
            return
        outputs = spec.classes if isinstance(spec.classes[0], tuple) else (spec.classes,)
        counts = [len(labels) if isinstance(labels, tuple) else 0 for labels in outputs]
        for face, program in self._programs.items():
            value = program.result
            if face == "prediction" and (
                value.dtype != "i64"
                or value.width != len(counts)
                or any(b > n for b, n in zip(value.below, counts, strict=True))
            ):
                raise ModelLoadError(f"expected predictions to be positions among {counts} classes, got {value}")
            if face == "probabilities" and value.width != sum(counts):
                raise ModelLoadError(f"expected probabilities of {sum(counts)} classes, got {value.width} columns")

    @staticmethod
    def _program(steps: Sequence[Step], result: Value) -> _Program:
        needed, kept = {result.slot}, []
        for step in reversed(steps):
            if step.target in needed:
                needed.update(step.sources)
                kept.append(step)
        return _Program(tuple(reversed(kept)), result)

    @property
    def faces(self) -> tuple[str, ...]:
        return tuple(self._programs)

    def value(self, face: str) -> Value:
        """Width and dtype of a face's answer."""
        return self._programs[face].result

    def run(self, face: str, rows: Array, pool: ThreadPoolExecutor | None = None) -> Array:
        """The answer `face` for `rows` (n, columns), C-contiguous and of the plan's dtype: (n, width).

        Raises InvalidInputError with the row's number where an operator cannot take a row.
        """
        program = self._programs[face]
        n = len(rows)
        if n <= CHUNK_ROWS:
            return self._run(program, rows, 0)
        out = np.empty((n, program.result.width), NUMPY[program.result.dtype])

        def chunk(start: int) -> None:
            out[start : start + CHUNK_ROWS] = self._run(program, rows[start : start + CHUNK_ROWS], start)

        starts = range(0, n, CHUNK_ROWS)
        for _ in pool.map(chunk, starts) if pool else map(chunk, starts):
            pass
        return out

    def _run(self, program: _Program, rows: Array, start: int) -> Array:
        values: list[Array | None] = [None] * self._n_slots
        values[0] = rows
        try:
            for run, sources, target in program.steps:
                values[target] = run(*[values[source] for source in sources])
        except RowProblem as problem:
            raise InvalidInputError(f"row {start + problem.row}, {problem.text}") from None
        result = values[program.result.slot]
        assert result is not None
        return result
