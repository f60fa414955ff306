"""Runs frames on NumPy arrays: all steps of a program in one native call.

One row is copied into a frame that is ready for it; of more rows, and of their answer, the frame is told the address.
What happens in Python for one row takes as long as a hundred trees, so it is counted (`_single`, `_plain`).
A frame serves one thread at a time and goes back to the shelf, so there are as many as calls at once.

Nothing here refers back to its runner: a server that replaces its models gets their memory back with the last answer,
without waiting for the garbage collector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

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

    def bind_row(self, steps_address: int, n_steps: int, row_address: int, row_nbytes: int) -> Callable[[bytes], int]:
        """A call that copies a row's bytes to `row_address`, runs these steps, and keeps the interpreter's lock: for
        what takes microseconds. It returns -1, the number of the step that stopped, or -2 for other than that many
        bytes."""

    def run(self, steps_address: int, n_steps: int) -> int:
        """Run steps without the lock: -1, or the number of the step that stopped."""


def _memory(nbytes: int) -> tuple[int, Array]:
    memory = np.empty(nbytes, np.uint8)
    return memory.ctypes.data, memory


class _ArrayFrame(Frame):
    """A frame whose buffers can be seen as arrays."""

    def __init__(
        self, program: Program, arrays: Sequence[Array], library: Library, block_rows: int, capacity: int
    ) -> None:
        places = [(array.ctypes.data, array.shape) for array in arrays]
        super().__init__(program, places, library.address, block_rows, capacity, _memory)
        self.arrays = arrays  # kept alive
        self.rows, self.answer = self.view(0), self.view(self.result)

    def bind_row(self, library: Library) -> Callable[[bytes], int]:
        """What answers one row, of which it is given the bytes."""
        return library.bind_row(self.steps_address, len(self.notes), self.addresses[0], self.rows.nbytes)

    def view(self, buffer: int) -> Array:
        """The buffer inside the frame."""
        dtype, dims = self.buffers[buffer]
        shape = [self.capacity if dim < 0 else dim for dim in dims]
        begin = self.addresses[buffer] - self.owner.ctypes.data
        nbytes = int(np.prod(shape)) * NUMPY[dtype].itemsize
        view: Array = self.owner[begin : begin + nbytes].view(NUMPY[dtype]).reshape(shape)
        return view

    def problem(self, stopped: int, rows: Array) -> Exception:
        """What the step that stopped says about `rows`."""
        if stopped < 0:
            return ValueError(f"expected a row of {self.rows.nbytes} bytes")
        note, source, columns, expected = self.notes[stopped]
        values = rows if source == 0 else self.view(source)
        position = int(self.view(note)[0])
        return row_error(position, values.reshape(-1)[position].item(), columns, expected)


class NativeRunner:
    """`program` over compiled kernels. Safe to use from several threads at once.

    chunk_rows  the most rows that one call passes.
    """

    def __init__(
        self, program: Program, arrays: Sequence[Array], library: Library, block_rows: int, chunk_rows: int
    ) -> None:
        self.program, self.library = program, library
        self._make = partial(_ArrayFrame, program, arrays, library, block_rows)
        self._chunk_rows = chunk_rows
        self._many: list[_ArrayFrame] = []
        self._answer_one = self.single()
        dtype, dims = program.buffers[program.result]
        self._result_dtype, self._result_dims = NUMPY[dtype], dims[1:]

    def __call__(self, rows: Array) -> Array:
        """The answer for `rows`, (n, columns), C-contiguous and of the program's dtype. Raises RowError."""
        return self._answer_one(rows) if rows.shape[0] == 1 else self._several(rows)

    def single(self, labels: Array | None = None, *, flat: bool = False) -> Callable[[Array], Array]:
        """A function of one row, (1, columns), of the program's dtype: its answer, `flat` or not. With `labels`: those
        at the positions that the answer holds, flat."""
        return _single(self._make, self.library, labels, flat)

    def plain(self) -> Callable[[bytes | bytearray], list[Any]]:
        """A function of the bytes of one row of the program's dtype: its answer in plain numbers, flat."""
        return _plain(self._make, self.library)

    def _several(self, rows: Array) -> Array:
        out: Array = np.empty((rows.shape[0], *self._result_dims), self._result_dtype)
        self.fill(rows, out)
        return out

    def fill(self, rows: Array, out: Array) -> None:
        """Put the answer for `rows` into `out`, C-contiguous, of another buffer than the rows: `chunk_rows` at a time.

        Raises RowError.
        """
        try:
            frame = self._many.pop()
        except IndexError:
            frame = self._make(self._chunk_rows)
        run, steps, n_steps = self.library.run, frame.steps_address, len(self.program.steps)
        source, row_nbytes = rows.ctypes.data, rows.strides[0]
        target, out_nbytes = out.ctypes.data, out.strides[0]
        n, chunk_rows, result = rows.shape[0], self._chunk_rows, self.program.result
        if result == 0:
            out[...] = rows
        try:
            for start in range(0, n, chunk_rows) if n else (0,):
                frame.resize(min(chunk_rows, n - start))
                frame.point(0, source + start * row_nbytes)
                if result:
                    frame.point(result, target + start * out_nbytes)
                stopped = run(steps, n_steps)
                if stopped >= 0:
                    problem = frame.problem(stopped, rows[start : start + chunk_rows])
                    raise RowError(start + problem.row, problem.text) if isinstance(problem, RowError) else problem
        finally:
            self._many.append(frame)


# Everything that the two ways of one row need are names of their own: looking up attributes would be a fifth of their
# time.


def _single(
    make: Callable[[int], _ArrayFrame], library: Library, labels: Array | None, flat: bool
) -> Callable[[Array], Array]:
    shelf: list[tuple[Callable[[bytes], int], Array, Array, _ArrayFrame]] = []
    take, put_back = shelf.pop, shelf.append

    def single(row: Array) -> Array:
        try:
            frame = take()
        except IndexError:
            made = make(1)
            frame = (made.bind_row(library), made.answer, made.answer.reshape(-1), made)
        run, answer, flat_answer, whole = frame
        try:
            stopped = run(row.tobytes())
            if stopped != -1:
                raise whole.problem(stopped, row)
            if labels is not None:
                return labels[flat_answer]
            copied: Array = flat_answer.copy() if flat else answer.copy()
            return copied
        finally:
            put_back(frame)

    return single


def _plain(make: Callable[[int], _ArrayFrame], library: Library) -> Callable[[bytes | bytearray], list[Any]]:
    shelf: list[tuple[Callable[[bytes], int], Callable[[], list[Any]], _ArrayFrame]] = []
    take, put_back = shelf.pop, shelf.append

    def plain(row: bytes | bytearray) -> list[Any]:
        try:
            frame = take()
        except IndexError:
            made = make(1)
            answer_bytes: memoryview = made.answer.reshape(-1).view(np.uint8).data
            code: Any = made.answer.dtype.char
            frame = (made.bind_row(library), answer_bytes.cast(code).tolist, made)
        run, answer, whole = frame
        try:
            stopped = run(bytes(row))
            if stopped != -1:
                raise whole.problem(stopped, whole.rows)
            return answer()
        finally:
            put_back(frame)

    return plain
