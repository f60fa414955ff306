"""Whole models, from file to answer: what a caller of `inferir` waits for."""

from __future__ import annotations

from functools import partial

import numpy as np

import inferir
from benchmarks.common import BACKENDS, COLUMNS, ROWS, SAME_ANSWER_ROWS, Array, Memory, SameAnswer, Speed, random
from benchmarks.specs import MODELS, make

_SLOW_REFERENCE = ("leafwise", "random_forest", "neighbors")


def setup_cache() -> None:
    """A file for each model, in the folder that benchmarks run in."""
    for name in MODELS:
        inferir.Model(make(name)).save(f"{name}.apr")


def _rows(rows: int) -> Array:
    """float32, as most callers have them; forests that compare in double are given doubles made of these."""
    return random().standard_normal((rows, COLUMNS)).astype(np.float32)


class Load(Speed, Memory):
    """From path to a model that can answer: read, checked, bound to kernels that are compiled already."""

    param_names = ("model",)
    params = (MODELS,)

    def setup(self, model: str) -> None:
        self.answer = partial(inferir.load, f"{model}.apr")
        self.answer()


class Predict(Speed, Memory, SameAnswer):
    """`Model.predict`, one thread."""

    param_names = ("model", "backend", "rows")
    params = (MODELS, BACKENDS, ROWS)

    def setup(self, model: str, backend: str, rows: int = 1) -> None:
        if backend == "reference" and rows > 100 and model.startswith(_SLOW_REFERENCE):
            raise NotImplementedError("the reference loops in Python: at most 100 rows")
        self.answer = partial(inferir.load(f"{model}.apr", backend=backend, threads=1).predict, _rows(rows))
        self.answer()

    def pair(self, model: str, backend: str) -> tuple[Array, Array]:
        """Probabilities, which tell more than labels."""
        ours, right = (inferir.load(f"{model}.apr", backend=name) for name in (backend, "reference"))
        x = _rows(SAME_ANSWER_ROWS)
        return ours.predict_proba(x), right.predict_proba(x)  # type: ignore[return-value]  # one output
