"""XGBoost: `Booster.inplace_predict`, which makes no DMatrix; contributions need one, made before the clock starts."""

from __future__ import annotations

import xgboost

from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]


def prepare(subject: Subject) -> Prepared:
    booster = xgboost.Booster({"nthread": subject.threads}, model_file=subject.native)
    if subject.ask == "contributions":
        return Prepared(
            lambda matrix: booster.predict(matrix, pred_contribs=True),
            rows=lambda rows: xgboost.DMatrix(rows, nthread=subject.threads),
            finish=lambda answer: answer[..., :-1],
        )
    return Prepared(booster.inplace_predict)
