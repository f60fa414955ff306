"""Runs frames on NumPy arrays: all steps of a program in one native call.

One row is copied into a frame that is ready for it; more rows, and their answer, stay where they are. What happens in
Python for one row takes as long as a hundred trees, so it is counted.
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

    def bind_rows(self, table_address: int, array: type[Any]) -> Callable[[Array, Array], int]:
        """A call that runs steps over rows and into their answer, arrays both, as a table says (`Frame.rows_table`),
        without the lock. It returns -1, or where it stopped: the first of the rows that were run together times the
        number of steps, plus that of the step."""


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
        self._table = np.array(self.rows_table(), np.int64)
        self.rows, self.answer = self.view(0), self.view(self.result)

    def bind_row(self, library: Library) -> Callable[[bytes], int]:
        """What answers one row, of which it is given the bytes."""
        return library.bind_row(self.steps_address, len(self.notes), self.addresses[0], self.rows.nbytes)

    def bind_rows(self, library: Library) -> Callable[[Array, Array], int]:
        """What answers rows, of which it is given the array, and that of their answer."""
        return library.bind_rows(self._table.ctypes.data, np.ndarray)

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
        dtype, dims = program.buffers[program.result]
        #: Puts the answer for rows, (n, columns), into an array, (n, ...): both C-contiguous, of the program's dtypes,
        #: and not the same memory. Raises RowError.
        self.fill = _fill(partial(self._make, chunk_rows), library, program)
        #: The answer for such rows, in an array of its own.
        self.several = _several(self.fill, NUMPY[dtype], dims[1:])
        self._answer_one = self.single()

    def __call__(self, rows: Array) -> Array:
        """The answer for `rows`, (n, columns), C-contiguous and of the program's dtype. Raises RowError."""
        return self._answer_one(rows) if rows.shape[0] == 1 else self.several(rows)

    def single(self, labels: Array | None = None, *, flat: bool = False) -> Callable[[Array], Array]:
        """A function of one row, (1, columns), of the program's dtype: its answer, `flat` or not. With `labels`: those
        at the positions that the answer holds, flat."""
        return _single(self._make, self.library, labels, flat)

    def plain(self) -> Callable[[bytes | bytearray], list[Any]]:
        """A function of the bytes of one row of the program's dtype: its answer in plain numbers, flat."""
        return _plain(self._make, self.library)


# Everything that these ways need are names of their own: looking up attributes would be a fifth of their time.


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


def _fill(make: Callable[[], _ArrayFrame], library: Library, program: Program) -> Callable[[Array, Array], None]:
    shelf: list[tuple[Callable[[Array, Array], int], _ArrayFrame]] = []
    take, put_back = shelf.pop, shelf.append
    rows_are_answer, n_steps = program.result == 0, len(program.steps)

    def fill(rows: Array, out: Array) -> None:
        try:
            frame = take()
        except IndexError:
            made = make()
            frame = (made.bind_rows(library), made)
        run, whole = frame
        if rows_are_answer:
            out[...] = rows
        try:
            stopped = run(rows, out)
            if stopped != -1:
                raise _problem(whole, stopped, rows)
        finally:
            put_back(frame)

    def _problem(whole: _ArrayFrame, stopped: int, rows: Array) -> Exception:
        if stopped < 0:
            return ValueError(f"expected a plain array of rows, got {type(rows).__name__}")
        first, step = divmod(stopped, n_steps)
        problem = whole.problem(step, rows[first:])
        return RowError(problem.text, first + problem.row) if isinstance(problem, RowError) else problem

    return fill


def _several(
    fill: Callable[[Array, Array], None], dtype: np.dtype[Any], dims: tuple[int, ...]
) -> Callable[[Array], Array]:
    empty = np.empty

    def several(rows: Array) -> Array:
        out: Array = empty((rows.shape[0], *dims), dtype)
        fill(rows, out)
        return out

    return several
