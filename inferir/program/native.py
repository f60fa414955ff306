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
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from inferir.program.arrays import NUMPY, Array
from inferir.program.frames import Frame
from inferir.program.problems import RowError, row_error
from inferir.program.steps import Program

__all__ = ["Form", "Library", "NativeRunner"]

_Answer = TypeVar("_Answer")


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
        self.rows = self.view(0)
        #: The program's answers: the first, and those that it gives also.
        self.answers = [self.view(result) for result in (program.result, *program.also)]

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


class Form(NamedTuple):
    """How one row's answer is given: flat or not; with `labels`, those at the positions that it holds, flat."""

    labels: Array | None = None
    flat: bool = False


class NativeRunner:
    """`program` over compiled kernels. Safe to use from several threads at once.

    chunk_rows  the most rows that one call passes.
    """

    def __init__(
        self, program: Program, arrays: Sequence[Array], library: Library, block_rows: int, chunk_rows: int
    ) -> None:
        self.program, self.library = program, library
        self._make = partial(_ArrayFrame, program, arrays, library, block_rows)
        results = (program.buffers[result] for result in (program.result, *program.also))
        self._kinds = [(NUMPY[dtype], dims[1:]) for dtype, dims in results]
        #: Puts the answers for rows, (n, columns), into arrays, (n, ...): all C-contiguous, of the program's dtypes,
        #: and not the same memory. Raises RowError.
        self.fill = _fill(partial(self._make, chunk_rows), library, program)
        #: The (first) answer for such rows, in an array of its own.
        self.several = _several(self.fill, *self._kinds[0])
        self._one = self.singles([Form()] * len(self._kinds))

    def __call__(self, rows: Array) -> list[Array]:
        """The program's answers for `rows`, (n, columns), C-contiguous and of the program's dtype. Raises RowError."""
        if rows.shape[0] == 1:
            return self._one(rows)
        outs = [np.empty((rows.shape[0], *dims), dtype) for dtype, dims in self._kinds]
        self.fill(rows, *outs)
        return outs

    def single(self, form: Form = Form()) -> Callable[[Array], Array]:  # noqa: B008 - it never changes
        """A function of one row, (1, columns), of the program's dtype: its (first) answer."""
        return _one(self._make, self.library, np.ndarray.tobytes, lambda frame: _copy(frame.answers[0], form))

    def singles(self, forms: Sequence[Form]) -> Callable[[Array], list[Array]]:
        """The same of all answers, a form for each."""
        return _one(self._make, self.library, np.ndarray.tobytes, partial(_copies, forms))

    def plain(self) -> Callable[[bytes | bytearray], list[list[Any]]]:
        """A function of the bytes of one row of the program's dtype: its answers in plain numbers, each flat."""
        return _one(self._make, self.library, bytes, _plain)


# Everything that these ways need are names of their own: looking up attributes would be a fifth of their time.


def _one(
    make: Callable[[int], _ArrayFrame],
    library: Library,
    contents: Callable[[Any], bytes],
    reading: Callable[[_ArrayFrame], Callable[[], _Answer]],
) -> Callable[[Any], _Answer]:
    """A function of one row, whose bytes are its `contents`: what `reading` a frame gives when the row was answered."""
    shelf: list[tuple[Callable[[bytes], int], Callable[[], _Answer], _ArrayFrame]] = []
    take, put_back = shelf.pop, shelf.append

    def one(row: Any) -> _Answer:
        try:
            frame = take()
        except IndexError:
            made = make(1)
            frame = (made.bind_row(library), reading(made), made)
        run, read, whole = frame
        try:
            stopped = run(contents(row))
            if stopped != -1:
                raise whole.problem(stopped, whole.rows)
            return read()
        finally:
            put_back(frame)

    return one


def _copy(answer: Array, form: Form) -> Callable[[], Array]:
    if form.labels is not None:
        return partial(form.labels.__getitem__, answer.reshape(-1))
    return answer.reshape(-1).copy if form.flat else answer.copy


def _copies(forms: Sequence[Form], frame: _ArrayFrame) -> Callable[[], list[Array]]:
    return _all([_copy(answer, form) for answer, form in zip(frame.answers, forms, strict=True)])


def _plain(frame: _ArrayFrame) -> Callable[[], list[list[Any]]]:
    return _all(list(map(_numbers, frame.answers)))


def _all(reads: Sequence[Callable[[], _Answer]]) -> Callable[[], list[_Answer]]:
    first, *more = reads

    def read() -> list[_Answer]:
        answers = [first()]
        for each in more:
            answers.append(each())
        return answers

    return read


def _numbers(answer: Array) -> Callable[[], list[Any]]:
    code: Any = answer.dtype.char
    answer_bytes: memoryview = answer.reshape(-1).view(np.uint8).data
    return answer_bytes.cast(code).tolist


def _fill(make: Callable[[], _ArrayFrame], library: Library, program: Program) -> Callable[..., None]:
    shelf: list[tuple[Callable[[Array, Array], int], _ArrayFrame]] = []
    take, put_back = shelf.pop, shelf.append
    rows_are_answer, n_steps = program.result == 0, len(program.steps)

    def fill(rows: Array, out: Array, *also: Array) -> None:
        try:
            frame = take()
        except IndexError:
            made = make()
            frame = (made.bind_rows(library), made)
        run, whole = frame
        if rows_are_answer:
            out[...] = rows
        try:
            if also:
                _fill_all(run, whole, rows, out, also)
                return
            stopped = run(rows, out)
            if stopped != -1:
                raise _problem(whole, stopped, rows, 0)
        finally:
            put_back(frame)

    def _fill_all(
        run: Callable[[Array, Array], int], whole: _ArrayFrame, rows: Array, out: Array, also: Sequence[Array]
    ) -> None:
        """One answer is written where it is wanted; the others stay in the frame, and so are fetched call by call."""
        n, capacity, begin = len(rows), whole.capacity, 0
        while begin < n:
            end = min(n, begin + capacity)
            stopped = run(rows, out) if n <= capacity else run(rows[begin:end], out[begin:end])
            if stopped != -1:
                raise _problem(whole, stopped, rows[begin:], begin)
            place = 1
            for wanted in also:
                wanted[begin:end] = whole.answers[place][: end - begin]
                place += 1
            begin = end

    def _problem(whole: _ArrayFrame, stopped: int, rows: Array, begin: int) -> Exception:
        if stopped < 0:
            return ValueError(f"expected a plain array of rows, got {type(rows).__name__}")
        first, step = divmod(stopped, n_steps)
        problem = whole.problem(step, rows[first:])
        return RowError(problem.text, begin + first + problem.row) if isinstance(problem, RowError) else problem

    return fill


def _several(fill: Callable[..., None], dtype: np.dtype[Any], dims: tuple[int, ...]) -> Callable[[Array], Array]:
    empty = np.empty

    def several(rows: Array) -> Array:
        out: Array = empty((rows.shape[0], *dims), dtype)
        fill(rows, out)
        return out

    return several
