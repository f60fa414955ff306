"""CatBoost: `predict` on NumPy rows; contributions need a Pool, made before the clock starts."""

from __future__ import annotations

from functools import partial

import catboost

from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]


def prepare(subject: Subject) -> Prepared:
    model = catboost.CatBoostClassifier().load_model(str(subject.native))
    if subject.ask == "contributions":
        return Prepared(
            partial(model.get_feature_importance, type="ShapValues", thread_count=subject.threads),
            rows=catboost.Pool,
            finish=lambda answer: answer[:, :-1],
        )
    return Prepared(partial(model.predict, prediction_type="Probability", thread_count=subject.threads))
