"""A library in the shape of the compiled ones, which reads blocks from memory and calls the reference kernels: it says
what a frame means without any compiled code."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from inferir.kernels import select
from inferir.kernels.signatures import KERNELS, Argument
from inferir.program.arrays import NUMPY

NAMES = list(KERNELS)


def numbers(address: int, count: int) -> Any:
    return np.ctypeslib.as_array((ctypes.c_int64 * count).from_address(address)) if count else np.empty(0, np.int64)


class ReferenceLibrary:
    """Kernel k is at address k + 1."""

    digest = 4711

    def __init__(self) -> None:
        self.kernels = select("reference")
        self.n_calls = 0

    def address(self, kernel: str) -> int:
        return NAMES.index(kernel) + 1

    def address_at(self, index: int) -> int:
        return index + 1

    def bind(self, steps_address: int, n_steps: int) -> Callable[[], int]:
        return lambda: self.run(steps_address, n_steps)

    def bind_row(self, steps_address: int, n_steps: int, row_address: int, row_nbytes: int) -> Callable[[bytes], int]:
        def ask(row: bytes) -> int:
            if len(row) != row_nbytes:
                return -2
            ctypes.memmove(row_address, row, row_nbytes)
            return self.run(steps_address, n_steps)

        return ask

    def bind_rows(self, table_address: int, array: type[Any]) -> Callable[[Any, Any], int]:
        steps, n_steps, most, block_rows, row_nbytes, answer_nbytes, *counts = numbers(table_address, 10).tolist()
        places = numbers(table_address + 80, sum(counts)).tolist()
        ends = np.cumsum(counts)[:-1]

        def ask(rows: Any, answer: Any) -> int:
            assert type(rows) is type(answer) is array
            assert rows.flags.c_contiguous
            assert answer.flags.c_contiguous
            for start in range(0, len(rows), most):
                n = min(most, len(rows) - start)
                of_rows, of_answer = rows.ctypes.data + start * row_nbytes, answer.ctypes.data + start * answer_nbytes
                for group, value in zip(
                    np.split(places, ends), (n, min(n, block_rows), of_rows, of_answer), strict=True
                ):
                    for place in group.tolist():
                        numbers(int(place), 1)[0] = value
                stopped = self.run(steps, n_steps)
                if stopped >= 0:
                    return start * n_steps + stopped
            return -1

        return ask

    def run(self, steps_address: int, n_steps: int) -> int:
        self.n_calls += 1
        for step, (kernel, block, note) in enumerate(numbers(steps_address, 3 * n_steps).reshape(-1, 3).tolist()):
            name = NAMES[kernel - 1]
            self.kernels[name](*_arguments(KERNELS[name].arguments, block))
            if note and numbers(note, 1)[0] >= 0:
                return step
        return -1


def _arguments(arguments: tuple[Argument, ...], block: int) -> list[Any]:
    made: list[Any] = []
    for argument in arguments:
        word = numbers(block, 1)
        block += 8
        if not argument.dims:
            made.append(word.view(np.float64)[0].item() if argument.dtype == "f64" else word[0].item())
            continue
        shape = numbers(block, len(argument.dims)).tolist()
        block += 8 * len(shape)
        dtype = NUMPY[argument.dtype]
        nbytes = int(np.prod(shape)) * dtype.itemsize
        memory = (ctypes.c_uint8 * nbytes).from_address(word[0].item())
        made.append(np.frombuffer(memory, dtype).reshape(shape))
    return made
