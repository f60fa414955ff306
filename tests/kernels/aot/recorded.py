"""Every kernel's arguments and the reference's answers, laid out in one piece of memory that can be carried elsewhere.

The arguments are those of the benchmarks, which have a case for every kernel and are checked to, with awkward numbers
strewn in. Another machine loads the image at its base address, looks up the kernels that its steps name by their place
in the table, runs the steps, and hands the memory back.

    int64 n_steps, then for each step: place of the kernel, address of its block, 0
    blocks, arrays
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.common import difference
from inferir.kernels import select
from inferir.kernels.aot.arrays import block_layout
from inferir.kernels.signatures import KERNELS, Argument, Signature
from tests.kernels.twins import SPECIAL, WRITTEN
from tests.test_benchmarks import SUITES

#: Enough for all the ways that forests are walked in.
ROWS = 19
LINE = 64


class Record(NamedTuple):
    signature: Signature
    answers: list[Any]
    addresses: list[int]


class Image(NamedTuple):
    base: int
    memory: bytes
    records: list[Record]

    def check(self, memory: bytes) -> None:
        """That kernels run on the image left there what the reference answers, to the rounding of a sum."""
        assert len(memory) == len(self.memory)
        for record in self.records:
            rounding = 1e-5 if "f32" in record.signature.name else 1e-10
            for argument, answer, address in zip(
                record.signature.arguments, record.answers, record.addresses, strict=True
            ):
                if argument.name in WRITTEN:
                    begin = address - self.base
                    found = np.frombuffer(memory[begin : begin + answer.nbytes], answer.dtype).reshape(answer.shape)
                    error = difference(found, answer)
                    assert error <= rounding, f"{record.signature.name}: {argument.name} differs by {error}"


@functools.cache
def _cases() -> list[tuple[Signature, list[Any], list[Any]]]:
    """One case of each kernel, in the order of the table: its arguments, and what the reference leaves of them."""
    found: dict[str, tuple[Signature, list[Any], list[Any]]] = {}
    for suite in SUITES.values():
        for signature, case in suite().kernels.values():
            if signature.name not in found:
                arguments = case.arguments(signature, ROWS)
                _strew(signature, arguments)
                answers = [value.copy() if argument.dims else value for argument, value in _named(signature, arguments)]
                select("reference")[signature.name](*answers)
                found[signature.name] = signature, arguments, answers
    return [found[name] for name in KERNELS]


def _named(signature: Signature, arguments: list[Any]) -> Iterator[tuple[Argument, Any]]:
    return zip(signature.arguments, arguments, strict=True)


def _strew(signature: Signature, arguments: list[Any]) -> None:
    """Awkward numbers into the rows: a few, so that most outputs stay numbers."""
    rows: npt.NDArray[Any] = arguments[0]
    if signature.arguments[0].name == "x" and rows.dtype.kind == "f":
        # support vector machines get finite rows only: that is checked before, as scikit-learn does
        finite = signature.family == "svm"
        for place, value in enumerate(value for value in SPECIAL if np.isfinite(value) or not finite):
            rows[(place + 2) % len(rows), place % rows.shape[1]] = value


def record(base: int) -> Image:
    """All kernels' cases for memory that begins at `base`, with the answers of the reference."""
    records, end = [], base + 8 * (1 + 3 * len(KERNELS))
    pieces: list[tuple[int, bytes]] = []
    head = [len(KERNELS)]
    for place, (signature, arguments, answers) in enumerate(_cases()):
        values: list[Any] = []
        addresses = []
        for argument, value in _named(signature, arguments):
            end += -end % LINE
            addresses.append(end)
            if argument.dims:
                pieces.append((end, value.tobytes()))
                values += [end, *value.shape]
                end += value.nbytes
            else:
                values.append(value)
        end += -end % LINE
        block = block_layout(signature).pack(*values)
        pieces.append((end, block))
        head += [place, end, 0]
        end += len(block)
        records.append(Record(signature, answers, addresses))
    memory = bytearray(end - base)
    for address, contents in [(base, np.array(head, np.int64).tobytes()), *pieces]:
        memory[address - base : address - base + len(contents)] = contents
    return Image(base, bytes(memory), records)
