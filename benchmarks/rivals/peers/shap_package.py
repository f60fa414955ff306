"""shap's own C++, path-dependent; it would ask XGBoost and LightGBM themselves otherwise. It knows no threads."""

from __future__ import annotations

from functools import partial

import shap

from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]


def prepare(subject: Subject) -> Prepared | None:
    if subject.library == "catboost" or subject.threads > 1:
        return None  # it can only ask CatBoost
    explainer = shap.TreeExplainer(subject.estimator)
    explainer.model.model_type = "internal"
    return Prepared(partial(explainer.shap_values, check_additivity=False))
