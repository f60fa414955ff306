"""treelite: GTIL, its reference way to predict. Models come from files of XGBoost and LightGBM, and scikit-learn."""

from __future__ import annotations

from typing import Any

import treelite

from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["imported", "prepare"]


def imported(subject: Subject) -> Any:
    """The treelite model, or None."""
    if subject.library == "xgboost":
        return treelite.frontend.load_xgboost_model(str(subject.native))
    if subject.library == "lightgbm":
        return treelite.frontend.load_lightgbm_model(str(subject.native))
    return treelite.sklearn.import_model(subject.estimator) if subject.facts["is_tree"] else None


def prepare(subject: Subject) -> Prepared | None:
    model = imported(subject)
    if model is None:
        return None
    # (rows, targets, classes), the targets being one
    return Prepared(
        lambda rows: treelite.gtil.predict(model, rows, nthread=subject.threads), finish=lambda answer: answer[:, 0]
    )
