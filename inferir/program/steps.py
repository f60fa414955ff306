"""What a program consists of. Everything but the arrays are plain values: `marshal` can keep them.

A buffer is memory that exists while rows are answered: the rows themselves (buffer 0), what a step leaves for the next,
scratch. Its dimensions are lengths, or ROWS for the number of rows, or BLOCK for as many as a kernel takes at a time.
An array belongs to the model and never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from inferir.program import BUFFER

__all__ = ["Argument", "Buffer", "Problem", "Program", "Step", "trim"]


class Argument(NamedTuple):
    """Buffer or array `number`; numbers stand for themselves."""

    kind: str
    number: int


class Buffer(NamedTuple):
    dtype: str
    dims: tuple[int, ...]


class Problem(NamedTuple):
    """How to say that a row cannot be taken. The kernel leaves the position of the first bad value of buffer `source`
    in buffer `note`, or -1. `columns` are as messages name them; `expected` has a text for each, or one for all.
    """

    note: int
    source: int
    columns: tuple[str, ...]
    expected: tuple[str, ...]


class Step(NamedTuple):
    """One call of `kernel`. `arguments` are Argument, int and float, in the order of its signature."""

    kernel: str
    arguments: tuple[Any, ...]
    problem: Problem | None = None


class Program(NamedTuple):
    """Steps from buffer 0, the rows, to buffer `result`, and to those in `also`, which are others and not the rows."""

    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    result: int
    also: tuple[int, ...] = ()


def trim(buffers: Sequence[Buffer], steps: Sequence[Step], result: int, also: Sequence[int] = ()) -> Program:
    """The program of these steps with the buffers it uses, numbered anew; the rows stay number 0."""
    used = dict.fromkeys((0, result, *also), 0)
    for step in steps:
        used.update((a.number, 0) for a in step.arguments if isinstance(a, Argument) and a.kind == BUFFER)
    renumber = {old: new for new, old in enumerate(sorted(used))}

    def renumbered(step: Step) -> Step:
        arguments = tuple(
            Argument(BUFFER, renumber[a.number]) if isinstance(a, Argument) and a.kind == BUFFER else a
            for a in step.arguments
        )
        problem = step.problem and step.problem._replace(
            note=renumber[step.problem.note], source=renumber[step.problem.source]
        )
        return Step(step.kernel, arguments, problem)

    return Program(
        tuple(buffers[old] for old in renumber),
        tuple(map(renumbered, steps)),
        renumber[result],
        tuple(renumber[each] for each in also),
    )
