"""Frames: a program laid out in memory, to be run by one native call. Imports nothing dear: a Lambda starts with it.

A frame holds what a program needs for up to `capacity` rows: the buffers, and for each step its block, the arguments as
compiled kernels take them (`kernels/aot`): eight bytes each, an array as its address and its lengths. Made once, it
answers again and again; from call to call only the number of rows changes, and where rows and answer are if they stay
outside: `resize` and the caller see to that, or native code (`rows_table`). One thread at a time may use a frame.

The standard library's `array` would do for the memory, but it imports `collections.abc`, which takes longer than all
that happens here.
"""

from __future__ import annotations

from inferir.program import ARRAY, BLOCK, ROWS

TYPE_CHECKING = False  # typing itself costs a start more than this file
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["ITEM_NBYTES", "Frame"]

ITEM_NBYTES = {"u8": 1, "u16": 2, "i32": 4, "u32": 4, "i64": 8, "f32": 4, "f64": 8}

#: Buffers begin at cache lines.
_LINE_NBYTES = 64


class Frame:
    """A program for at most `capacity` rows.

    program     as `steps.Program`, or the same in plain tuples.
    arrays      address and lengths of each of the model's arrays; whoever makes the frame keeps them alive.
    address     kernel, as the steps have it -> address of its machine code.
    block_rows  rows that a kernel takes at a time.
    allocate    number of bytes -> address of memory of that size, and what owns it and can be seen as bytes.
    """

    __slots__ = (
        "_block_rows", "_blocks", "_blocks_address", "_lengths", "_pointers", "_rows", "_steps",
        "addresses", "buffers", "capacity", "notes", "owner", "result", "steps_address",
    )  # fmt: skip

    def __init__(
        self,
        program: Any,
        arrays: Sequence[tuple[int, Sequence[int]]],
        address: Callable[[Any], int],
        block_rows: int,
        capacity: int,
        allocate: Callable[[int], tuple[int, Any]],
    ) -> None:
        buffers, steps, self.result = program[:3]
        self.buffers = buffers
        self.capacity, self._block_rows, self._rows = capacity, block_rows, capacity
        lengths = {ROWS: capacity, BLOCK: min(block_rows, max(1, capacity))}
        offsets, end = [], 0
        for dtype, dims in buffers:
            offsets.append(end)
            nbytes = ITEM_NBYTES[dtype]
            for dim in dims:
                nbytes *= lengths.get(dim, dim)
            end += -(-nbytes // _LINE_NBYTES) * _LINE_NBYTES
        start, self.owner = allocate(end + _LINE_NBYTES)
        start += -start % _LINE_NBYTES
        #: Where each buffer is.
        self.addresses = [start + offset for offset in offsets]
        #: For each step, what to say where it stopped: its problem, or None.
        self.notes = [problem for _, _, problem in steps]
        self._lengths: list[tuple[int, int]] = []
        self._pointers: list[list[int]] = [[] for _ in buffers]
        blocks: list[int] = []
        begins = []
        for _, arguments, _ in steps:
            begins.append(len(blocks))
            for argument in arguments:
                if isinstance(argument, int):
                    blocks.append(argument)
                elif isinstance(argument, float):
                    blocks.append(_bits(argument))
                elif argument[0] == ARRAY:
                    where, dims = arrays[argument[1]]
                    blocks.append(where)
                    blocks.extend(dims)
                else:
                    self._pointers[argument[1]].append(len(blocks))
                    blocks.append(self.addresses[argument[1]])
                    for dim in buffers[argument[1]][1]:
                        if dim < 0:
                            self._lengths.append((len(blocks), dim))
                        blocks.append(lengths.get(dim, dim))
        base, self._blocks = _numbers(blocks, allocate)
        self._blocks_address = base
        run: list[int] = []
        for (kernel, _, problem), begin in zip(steps, begins):  # noqa: B905 - strict= is slower, and both are of steps
            run.extend((address(kernel), base + 8 * begin, self.addresses[problem[0]] if problem else 0))
        #: What `inferir_run` is given, with the number of steps.
        self.steps_address, self._steps = _numbers(run, allocate)

    def resize(self, n_rows: int) -> None:
        """Take `n_rows` from now on, at most `capacity`."""
        if n_rows != self._rows:
            lengths = {ROWS: n_rows, BLOCK: min(self._block_rows, max(1, n_rows))}
            for place, dim in self._lengths:
                self._blocks[place] = lengths[dim]
            self._rows = n_rows

    def rows_table(self) -> list[int]:
        """What `inferir_rows` has to know to run the steps over rows and answers that are elsewhere, `capacity` at a
        time: the steps, those two numbers of rows, the bytes of a row and of an answer, and which numbers of the blocks
        are to become the number of rows, that of rows in a block, the address of rows, and that of answers."""
        lengths = [[place for place, dim in self._lengths if dim == kind] for kind in (ROWS, BLOCK)]
        groups = [*lengths, self._pointers[0], self._pointers[self.result] if self.result else []]
        table = [self.steps_address, len(self.notes), self.capacity, self._block_rows]
        table += [self._row_nbytes(0), self._row_nbytes(self.result)]
        table += map(len, groups)
        table += [self._blocks_address + 8 * place for places in groups for place in places]
        return table

    def _row_nbytes(self, buffer: int) -> int:
        dtype, dims = self.buffers[buffer]
        nbytes = ITEM_NBYTES[dtype]
        for dim in dims[1:]:
            nbytes *= dim
        return nbytes


def _bits(number: float) -> int:
    """The eight bytes of a double, as an int64."""
    memory = memoryview(bytearray(8))
    memory.cast("d")[0] = number
    return memory.cast("q")[0]


def _numbers(values: Sequence[int], allocate: Callable[[int], tuple[int, Any]]) -> tuple[int, memoryview]:
    """Address and view of int64 numbers."""
    address, owner = allocate(8 * max(1, len(values)))
    view = memoryview(owner).cast("B").cast("q")
    for place, value in enumerate(values):
        view[place] = value
    return address, view
