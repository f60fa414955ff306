"""inferir, from an `.apr` file: the method of `Model` that gives what is asked for."""

from __future__ import annotations

import inferir
from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]

_METHODS = {"probabilities": "predict_proba", "prediction": "predict", "transformed": "transform"}


def prepare(subject: Subject) -> Prepared:
    model = inferir.load(subject.apr, threads=subject.threads)
    if subject.ask == "contributions":
        return Prepared(model.explain, finish=lambda answer: answer[0])
    return Prepared(getattr(model, _METHODS[subject.ask]))
