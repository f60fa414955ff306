"""scikit-learn, the way its documentation says to predict fast: BLAS and OpenMP on one thread, finite rows assumed."""

from __future__ import annotations

import sklearn

from benchmarks.rivals.cases import Array, Call, Case, Peer

__all__ = ["peers"]


def _prepare(case: Case) -> Call:
    ask = getattr(case.fitted, case.ask)

    def call(rows: Array) -> Array:
        with sklearn.config_context(assume_finite=True):
            return ask(rows)  # type: ignore[no-any-return]

    ask(case.rows[:1])
    return call


def peers() -> dict[str, Peer]:
    return {"scikit-learn": _prepare}
