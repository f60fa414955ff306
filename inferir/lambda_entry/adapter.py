"""A model bound by NumPy, seen as handlers see one: for notebooks, tests, and functions that carry NumPy anyway."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir import kernels
from inferir.formats import apr
from inferir.formats.spec import ModelSpec
from inferir.plan import Plan

__all__ = ["PlannedModel", "from_bytes", "plan_of"]


def plan_of(spec: ModelSpec, backend: str) -> Plan:
    """The plan for rows of the width that a caller's numbers are turned into, as in `Model`: float32 where the whole
    model works in it, so that they are rounded once.
    """
    bound = kernels.select(backend)
    plan = Plan(spec, bound, "f64")
    return Plan(spec, bound, "f32") if plan.demands == {"f32"} else plan


class PlannedModel:
    """`spec` over the kernels of `backend`."""

    def __init__(self, spec: ModelSpec, backend: str = "auto") -> None:
        plan = self._plan = plan_of(spec, backend)
        self.typecode = {"f32": "f", "f64": "d"}[plan.dtype]
        self.name, self.version, self.task = spec.name, spec.model_version, spec.task
        self.columns = [(column.name, column.kind, column.categories) for column in spec.columns]
        self.classes: tuple[Any, ...] = spec.classes
        self.faces = plan.faces

    def answer(self, face: str, rows: memoryview, n_rows: int) -> list[list[Any]]:
        """The answer `face` for each of the row-major `rows`."""
        matrix = np.frombuffer(rows, rows.format).reshape(n_rows, len(self.columns))
        answer: list[list[Any]] = self._plan.run(face, matrix).tolist()
        return answer


def from_bytes(data: bytes | bytearray | memoryview, backend: str) -> PlannedModel:
    """The model in the bytes of an .apr file. Raises FormatError where they are not one."""
    return PlannedModel(apr.read(bytes(data)), backend)
