"""The figures as they are compared: cells of ours and others, their means, and groups of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from benchmarks.rivals.cases import CASES, Case
from benchmarks.rivals.peers import OURS
from benchmarks.rivals.record import Record

__all__ = ["Cell", "cells", "geometric_mean", "groups"]


class Cell(NamedTuple):
    """One case, number of rows and of threads: seconds a call of ours and of others, fastest first."""

    case: Case
    rows: int
    threads: int
    ours_s: float
    others_s: tuple[tuple[float, str], ...]

    @property
    def ratio(self) -> float:
        """Best peer / ours."""
        return self.others_s[0][0] / self.ours_s


def cells(record: Record) -> list[Cell]:
    """In the order of the cases; those without a peer are left out."""
    found = []
    for cell in record.cells:
        if cell["part"] == "rivals" and cell["case"] in CASES and len(cell["peers"]) > 1:
            others = sorted((figure["median_s"], name) for name, figure in cell["peers"].items() if name != OURS)
            ours = cell["peers"][OURS]["median_s"]
            found.append(Cell(CASES[cell["case"]], cell["rows"], cell["threads"], ours, tuple(others)))
    order = list(CASES)
    return sorted(found, key=lambda cell: (order.index(cell.case.key), cell.rows))


def geometric_mean(values: Iterable[float]) -> float:
    """exp of the mean of logarithms; nan of nothing."""
    logarithms = [math.log(value) for value in values]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else math.nan


def groups(found: Iterable[Cell]) -> Mapping[str, list[Cell]]:
    """Trees, others, and explanations."""
    answer: dict[str, list[Cell]] = {"Trees": [], "Others": [], "Explanations": []}
    for cell in found:
        name = "Explanations" if cell.case.ask == "contributions" else "Trees" if cell.case.is_tree else "Others"
        answer[name].append(cell)
    return answer
