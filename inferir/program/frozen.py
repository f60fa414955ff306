"""A model frozen beside its `.apr` file: its programs, planned and proved where NumPy is, to answer where it is not.

`freeze` writes down two files. The plan is `marshal`led plain values: what the model is, its programs, and where each
array begins; the other holds the arrays that are not in the `.apr` file as they stand. A plan belongs to one `.apr`
file, whose checksum it keeps, and to one table of kernels, whose digest it keeps.

`FrozenModel` is what remains of a model then. It trusts the plan as one trusts a module: whoever can change it can
change the code beside it. Imports nothing that a start on AWS Lambda would feel.
"""

from __future__ import annotations

import _ctypes
import marshal

from inferir.errors import ChecksumError, DimensionError, InvalidInputError, ModelLoadError, TaskError
from inferir.program import ARRAY
from inferir.program.frames import ITEM_NBYTES, Frame
from inferir.program.problems import row_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol

    from inferir.program.arrays import Array
    from inferir.program.steps import Program

    class Library(Protocol):
        """Compiled kernels (`kernels/aot/library.py`)."""

        digest: int

        def address_at(self, index: int) -> int: ...

        def bind(self, steps_address: int, n_steps: int) -> Callable[[], int]: ...


__all__ = ["FrozenModel", "freeze"]

_FORMAT = 1
_MAGIC, _CRC_NBYTES = b"APR\x00", 4
_LINE_NBYTES = 64
_CODES: dict[str, Any] = {"f32": "f", "f64": "d", "i64": "q"}

#: Rows that pass through all steps before the next ones do: enough to pay for a call, few enough to stay in the cache.
_CHUNK_ROWS = 256


def freeze(
    contents: bytes, facts: Mapping[str, Any], programs: Mapping[str, Program], arrays: Sequence[Array], digest: int
) -> tuple[bytes, bytes]:
    """The plan, and the arrays that are not in the `.apr` file `contents`, whose tensors the other `arrays` are.

    facts  name, version, task, columns as (name, kind, categories), classes, named, and whatever else is wanted of the
           model later: plain values.
    digest  of the table of kernels, as libraries have it.
    """
    import numpy as np

    from inferir.kernels.signatures import BLOCK_ROWS, KERNELS

    numbers = {name: number for number, name in enumerate(KERNELS)}
    first = np.frombuffer(contents, np.uint8).ctypes.data
    used = sorted({a[1] for p in programs.values() for s in p.steps for a in s.arguments if _is_array(a)})
    places: dict[int, tuple[bool, int, tuple[int, ...]]] = {}
    rest = bytearray()
    for number in used:
        values = arrays[number]
        offset = values.ctypes.data - first
        inside = offset >= 0 and offset + values.nbytes <= len(contents)
        if not inside:
            rest += bytes(-len(rest) % _LINE_NBYTES)
            offset = len(rest)
            rest += values.tobytes()
        places[number] = (inside, offset, values.shape)
    renumber = {old: new for new, old in enumerate(used)}

    def plain(program: Program) -> tuple[Any, ...]:
        return (
            tuple(map(tuple, program.buffers)),
            tuple(
                (
                    numbers[step.kernel],
                    tuple((ARRAY, renumber[a[1]]) if _is_array(a) else a for a in map(_plain, step.arguments)),
                    step.problem and tuple(step.problem),
                )
                for step in program.steps
            ),
            program.result,
        )

    plan = (
        _FORMAT,
        digest,
        (len(contents), contents[-_CRC_NBYTES:]),
        BLOCK_ROWS,
        dict(facts),
        tuple(places[number] for number in used),
        {face: plain(program) for face, program in programs.items()},
    )
    return marshal.dumps(plan, 4), bytes(rest)


def _plain(argument: Any) -> Any:
    return tuple(argument) if isinstance(argument, tuple) else argument


def _is_array(argument: Any) -> bool:
    return isinstance(argument, tuple) and argument[0] == ARRAY


class _Byte(_ctypes._SimpleCData):  # type: ignore[type-arg]  # it cannot be indexed when it is run
    _type_ = "B"


def address_of(memory: bytearray | memoryview) -> int:
    """Where writable memory begins. It cannot be resized as long as it is in use."""
    address: int = _ctypes.addressof(_Byte.from_buffer(memory))
    return address


def allocate(nbytes: int) -> tuple[int, bytearray]:
    """Address of zeroed memory, and what owns it."""
    memory = bytearray(nbytes)
    return address_of(memory), memory


class FrozenModel:
    """Answers as `Model` does, from plain arrays.

    plan      bytes of `freeze`.
    contents  the `.apr` file's bytes, and
    rest      those of `freeze`'s other arrays: in writable memory (a private mapping will do), which nobody writes.

    Raises ModelLoadError (E001) for what is not the plan of this file or not of these kernels, ChecksumError (E002) for
    bytes that changed after they were written.
    """

    def __init__(self, plan: bytes, contents: Any, rest: Any, library: Library) -> None:
        try:
            form, digest, (nbytes, crc), block_rows, facts, places, programs = marshal.loads(plan)
        except (ValueError, EOFError, TypeError):
            raise ModelLoadError("expected the plan of a model, got something else") from None
        if form != _FORMAT or digest != library.digest:
            raise ModelLoadError("expected a plan made for the kernels beside it; package the model again")
        _check(memoryview(contents), nbytes, crc)
        self.name: str = facts["name"]
        self.version: str = facts["version"]
        self.task: str = facts["task"]
        self.columns: Any = facts["columns"]
        self._n_columns = len(self.columns)
        self.classes: Any = facts["classes"]
        self.facts: dict[str, Any] = facts
        self.faces = tuple(programs)
        begins = (address_of(rest) if len(rest) else 0, address_of(contents))
        self._arrays = [(begins[inside] + offset, shape) for inside, offset, shape in places]
        self._memory = (contents, rest)
        self._programs, self._library, self._block_rows = programs, library, block_rows
        #: Frames that nobody uses at the moment: for one row, and for many.
        self._frames: dict[str, tuple[list[_PlainFrame], list[_PlainFrame]]] = {face: ([], []) for face in programs}
        #: "d" or "f": format of the rows that `answer` takes.
        self.typecode: str = _CODES[programs[self.faces[0]][0][0][0]]

    def answer(self, face: str, rows: memoryview, n_rows: int) -> list[list[Any]]:
        """The answer for each of `rows`, which are flat, row-major, of format `typecode`.

        Safe to call from several threads. Raises TaskError (E008) for an answer that the model has not, DimensionError
        (E003), and InvalidInputError (E006) with the row's number where a kernel cannot take a row.
        """
        frames = self._frames.get(face)
        if frames is None:
            raise TaskError(f"a {self.task} model {self.name!r} has no {face}; it has {', '.join(self.faces)}")
        if rows.format != self.typecode or len(rows) != n_rows * self._n_columns:
            raise DimensionError(
                f"expected {n_rows} x {self._n_columns} values {self.typecode!r}, got {len(rows)} {rows.format!r}"
            )
        shelf = frames[n_rows != 1]
        try:
            frame = shelf.pop()
        except IndexError:
            frame = self._frame(face, 1 if n_rows == 1 else _CHUNK_ROWS)
        try:
            step = frame.capacity
            if n_rows == step:
                return frame.answer(rows, n_rows)
            answer, width = [], self._n_columns
            for k in range(0, n_rows, step):
                answer += frame.answer(rows[k * width : (k + step) * width], min(step, n_rows - k), k)
            return answer
        finally:
            shelf.append(frame)

    def _frame(self, face: str, capacity: int) -> _PlainFrame:
        address_at, program = self._library.address_at, self._programs[face]
        frame = _PlainFrame(program, self._arrays, address_at, self._block_rows, capacity, allocate)
        frame.prepare(self._library)
        return frame


class _PlainFrame(Frame):
    """A frame whose buffers can be seen as memoryviews."""

    __slots__ = ("_call", "_input", "_matrix", "_output", "_width", "_width_in")

    def prepare(self, library: Library) -> None:
        self._call = library.bind(self.steps_address, len(self.notes))
        self._input, self._width_in = self.view(0), self.buffers[0][1][1]
        self._output, self._width = self.view(self.result), self.buffers[self.result][1][1]
        code: Any = self._output.format
        #: The same, row after row.
        self._matrix: Any = self._output.cast("B").cast(code, (self.capacity, self._width))

    def view(self, buffer: int) -> memoryview:
        """The whole buffer, flat."""
        dtype, dims = self.buffers[buffer]
        nbytes = ITEM_NBYTES[dtype]
        for dim in dims:
            nbytes *= self.capacity if dim < 0 else dim
        begin = self.addresses[buffer] - address_of(self.owner)
        view: memoryview = memoryview(self.owner)[begin : begin + nbytes].cast(_CODES[dtype])
        return view

    def answer(self, rows: memoryview, n_rows: int, first: int = 0) -> list[list[Any]]:
        """The answers for at most `capacity` rows, of which the first has the number `first`."""
        if n_rows != self._rows:
            self.resize(n_rows)
        self._input[: n_rows * self._width_in] = rows
        stopped = self._call()
        if stopped >= 0:
            note, source, columns, expected = self.notes[stopped]
            position = self.view(note)[0]
            problem = row_error(position, self.view(source)[position], columns, expected)
            raise InvalidInputError(f"row {first + problem.row}, {problem.text}")
        if n_rows == self.capacity:
            answer: list[list[Any]] = self._matrix.tolist()
            return answer
        width, numbers = self._width, self._output[: n_rows * self._width].tolist()
        return [numbers[k : k + width] for k in range(0, len(numbers), width)]


def _check(view: memoryview, nbytes: int, crc: bytes) -> None:
    """That these are the bytes the plan was made from: kind of file, length, checksum, and that the checksum holds."""
    if bytes(view[:4]) != _MAGIC:
        raise ModelLoadError(f"expected an .apr file, which begins with {_MAGIC!r}, got {bytes(view[:4])!r}")
    if len(view) != nbytes:
        raise ModelLoadError(f"expected an .apr file of {nbytes} bytes, got {len(view)}")
    if bytes(view[-_CRC_NBYTES:]) != crc:
        raise ModelLoadError("expected the .apr file that the plan was made from, got another")
    from zlib import crc32

    found = crc32(view[:-_CRC_NBYTES])
    if found != int.from_bytes(crc, "little"):
        raise ChecksumError(
            f"expected checksum {int.from_bytes(crc, 'little'):08x}, got {found:08x}: the bytes changed"
        )
