"""Runs a program on NumPy arrays, one Python call for each kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from inferir.kernels import Kernels
from inferir.kernels.signatures import BLOCK_ROWS
from inferir.program import ARRAY, BLOCK, ROWS
from inferir.program.problems import row_error
from inferir.program.steps import Argument, Problem, Program

__all__ = ["NUMPY", "Array", "ArrayRunner"]

Array: TypeAlias = npt.NDArray[Any]

NUMPY = {
    name: np.dtype(code).newbyteorder("<")
    for name, code in {"u8": "u1", "u16": "u2", "i32": "i4", "u32": "u4", "i64": "i8", "f32": "f4", "f64": "f8"}.items()
}


class _Call:
    """A kernel with the arguments that never change in place."""

    def __init__(
        self, body: Callable[..., Any], arguments: Sequence[Any], arrays: Sequence[Array], problem: Problem | None
    ) -> None:
        self.body, self.problem = body, problem
        self.arguments: list[Any] = []
        self.open: list[tuple[int, int]] = []
        for place, argument in enumerate(arguments):
            if not isinstance(argument, Argument):
                self.arguments.append(argument)
            elif argument.kind == ARRAY:
                self.arguments.append(arrays[argument.number])
            else:
                self.arguments.append(None)
                self.open.append((place, argument.number))


class ArrayRunner:
    """`program` over the kernels of one backend. Safe to use from several threads at once."""

    def __init__(self, program: Program, arrays: Sequence[Array], kernels: Kernels) -> None:
        self._calls = [_Call(kernels[s.kernel], s.arguments, arrays, s.problem) for s in program.steps]
        self._buffers = [
            (NUMPY[dtype], dims if ROWS not in dims and BLOCK not in dims else None, dims)
            for dtype, dims in program.buffers[1:]
        ]
        self._results = (program.result, *program.also)

    def __call__(self, rows: Array) -> list[Array]:
        """The program's answers for `rows`, (n, columns), C-contiguous and of the program's dtype. Raises RowError."""
        n = rows.shape[0]
        block = min(BLOCK_ROWS, max(1, n))
        values = [rows]
        for dtype, shape, dims in self._buffers:
            values.append(np.empty(shape or [n if d == ROWS else block if d == BLOCK else d for d in dims], dtype))
        for call in self._calls:
            arguments = call.arguments.copy()
            for place, buffer in call.open:
                arguments[place] = values[buffer]
            call.body(*arguments)
            if call.problem is not None and (position := int(values[call.problem.note][0])) >= 0:
                problem = call.problem
                value = values[problem.source].reshape(-1)[position]
                raise row_error(position, value.item(), problem.columns, problem.expected)
        return [values[result] for result in self._results]
