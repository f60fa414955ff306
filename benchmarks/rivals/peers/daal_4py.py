"""oneDAL: `daal4py.mb` on boosted trees and logistic regression, scikit-learn-intelex's estimators on the rest.

The latter cannot take over a fitted scikit-learn model, so they are fitted here to the same rows, before the clock
starts, where the fit has one answer: k-NN, SVC, PCA, least squares, and KMeans from the centers where it had ended.
"""

from __future__ import annotations

from typing import Any

import daal4py
import sklearn

from benchmarks.rivals.peers.scikit_learn import METHODS
from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["prepare"]


def _converted(subject: Subject) -> Any:
    import daal4py.mb

    if subject.library == "xgboost":
        import xgboost

        return daal4py.mb.convert_model(xgboost.Booster(model_file=subject.native))
    if subject.library == "lightgbm":
        import lightgbm

        return daal4py.mb.convert_model(lightgbm.Booster(model_file=subject.native))
    if subject.library == "catboost":
        import catboost

        return daal4py.mb.convert_model(catboost.CatBoostClassifier().load_model(str(subject.native)))
    from benchmarks.rivals.peers.tree_lite import imported

    return daal4py.mb.convert_model(imported(subject))


def _fitted(subject: Subject) -> Any:
    """The estimator of oneDAL, or None."""
    theirs = subject.estimator
    name = type(theirs).__name__
    if name == "LogisticRegression":
        return daal4py.mb.convert_model(theirs)
    modules = {
        "KMeans": "cluster",
        "KNeighborsClassifier": "neighbors",
        "LinearRegression": "linear_model",
        "PCA": "decomposition",
        "SVC": "svm",
    }
    if name not in modules:
        return None
    import importlib

    kind = getattr(importlib.import_module(f"sklearnex.{modules[name]}"), name)
    options = theirs.get_params()
    if name == "KMeans":
        options |= {"init": theirs.cluster_centers_, "max_iter": 1}
    rows, classes = subject.training
    return kind(**options).fit(rows, classes)


def prepare(subject: Subject) -> Prepared | None:
    sklearn.set_config(assume_finite=True)
    daal4py.daalinit(subject.threads)
    contributions = subject.ask == "contributions"
    if not subject.facts["is_tree"]:
        model = _fitted(subject)
        return None if model is None else Prepared(getattr(model, METHODS[subject.ask]))
    if contributions and subject.library in ("catboost", "sklearn"):
        return None  # it says itself that CatBoost's do not match; a forest that came through treelite has no covers
    model = _converted(subject)
    if contributions:
        return Prepared(lambda rows: model.predict(rows, pred_contribs=True), finish=lambda answer: answer[:, :-1])
    return Prepared(model.predict_proba if model.is_classifier_ else model.predict)
