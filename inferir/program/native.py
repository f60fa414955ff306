"""Runs frames on NumPy arrays: all steps of a program in one native call.

One row is copied into a frame that is ready for it; of more rows, and of their answer, the frame is told the address.
A frame serves one thread at a time and goes back to the shelf, so there are as many as calls at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from inferir.program.arrays import NUMPY, Array
from inferir.program.frames import Frame
from inferir.program.problems import RowError, row_error
from inferir.program.steps import Program

__all__ = ["Library", "NativeRunner"]


class Library(Protocol):
    """Compiled kernels, and the loop that runs steps (`kernels/aot/library.py`)."""

    def address(self, kernel: str) -> int:
        """Of the kernel's machine code."""

    def bind(self, steps_address: int, n_steps: int) -> Callable[[], int]:
        """A call that runs these steps and keeps the interpreter's lock: for what takes microseconds. It returns -1, or
        the number of the step that stopped."""

    def run(self, steps_address: int, n_steps: int) -> int:
        """The same without the lock."""


def _memory(nbytes: int) -> tuple[int, Array]:
    memory = np.empty(nbytes, np.uint8)
    return memory.ctypes.data, memory


class _ArrayFrame(Frame):
    """A frame whose buffers can be seen as arrays."""

    def __init__(self, runner: NativeRunner, capacity: int) -> None:
        super().__init__(
            runner.program, runner.array_places, runner.library.address, runner.block_rows, capacity, _memory
        )
        self.rows, self.answer = self.view(0), self.view(self.result)
        self.run_bound = runner.library.bind(self.steps_address, len(runner.program.steps))

    def view(self, buffer: int) -> Array:
        """The buffer inside the frame."""
        dtype, dims = self.buffers[buffer]
        shape = [self.capacity if dim < 0 else dim for dim in dims]
        begin = self.addresses[buffer] - self.owner.ctypes.data
        nbytes = int(np.prod(shape)) * NUMPY[dtype].itemsize
        view: Array = self.owner[begin : begin + nbytes].view(NUMPY[dtype]).reshape(shape)
        return view


class NativeRunner:
    """`program` over compiled kernels. Safe to use from several threads at once.

    chunk_rows  the most rows that one call passes.
    """

    def __init__(
        self, program: Program, arrays: Sequence[Array], library: Library, block_rows: int, chunk_rows: int
    ) -> None:
        self.program, self.library, self.block_rows = program, library, block_rows
        self.array_places = [(array.ctypes.data, array.shape) for array in arrays]
        self._arrays = arrays  # kept alive
        self._chunk_rows = chunk_rows
        self._single: list[tuple[Array, Callable[[], int], Array, Array, _ArrayFrame]] = []
        self._many: list[_ArrayFrame] = []
        self.one = self._ready_for_one()
        dtype, dims = program.buffers[program.result]
        self._result_dtype, self._result_dims = NUMPY[dtype], dims[1:]

    def __call__(self, rows: Array) -> Array:
        """The answer for `rows`, (n, columns), C-contiguous and of the program's dtype. Raises RowError."""
        return self.one(rows) if rows.shape[0] == 1 else self._several(rows)

    def _ready_for_one(self) -> Callable[..., Array]:
        """one(row, labels=None): the answer for one row of any dtype, (1, columns). With `labels`: those at the
        positions it holds, flat.

        Everything it needs are names of its own: looking up attributes would be a fifth of its time.
        """
        shelf = self._single
        take, put_back = shelf.pop, shelf.append

        def one(row: Array, labels: Array | None = None) -> Array:
            try:
                frame = take()
            except IndexError:
                made = _ArrayFrame(self, 1)
                frame = (made.rows, made.run_bound, made.answer, made.answer.reshape(-1), made)
            rows, run, answer, flat_answer, whole = frame
            try:
                rows[...] = row
                stopped = run()
                if stopped >= 0:
                    raise self._problem(whole, stopped, rows)
                return answer.copy() if labels is None else labels[flat_answer]
            finally:
                put_back(frame)

        return one

    def _several(self, rows: Array) -> Array:
        try:
            frame = self._many.pop()
        except IndexError:
            frame = _ArrayFrame(self, self._chunk_rows)
        n = rows.shape[0]
        try:
            frame.resize(n)
            frame.point(0, rows.ctypes.data)
            if self.program.result == 0:
                out: Array = rows.copy()
            else:
                out = np.empty((n, *self._result_dims), self._result_dtype)
                frame.point(self.program.result, out.ctypes.data)
            stopped = self.library.run(frame.steps_address, len(self.program.steps))
            if stopped >= 0:
                raise self._problem(frame, stopped, rows)
        finally:
            self._many.append(frame)
        return out

    def _problem(self, frame: _ArrayFrame, stopped: int, rows: Array) -> RowError:
        note, source, columns, expected = frame.notes[stopped]
        values = rows if source == 0 else frame.view(source)
        position = int(frame.view(note)[0])
        return row_error(position, values.reshape(-1)[position].item(), columns, expected)
