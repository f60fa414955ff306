"""LightGBM: `Booster.predict` on NumPy rows."""

from __future__ import annotations

from functools import partial

import lightgbm

from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]


def prepare(subject: Subject) -> Prepared:
    predict = partial(lightgbm.Booster(model_file=subject.native).predict, num_threads=subject.threads)
    if subject.ask == "contributions":
        return Prepared(partial(predict, pred_contrib=True), finish=lambda answer: answer[:, :-1])
    return Prepared(predict)
