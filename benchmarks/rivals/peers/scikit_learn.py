"""scikit-learn, the way its documentation says to predict fast: finite rows assumed, for the whole process.

https://scikit-learn.org/stable/computing/computational_performance.html#bulk-versus-atomic-mode
"""

from __future__ import annotations

import sklearn

from benchmarks.rivals.subject import Prepared, Subject

__all__ = ["METHODS", "prepare"]

METHODS = {"probabilities": "predict_proba", "prediction": "predict", "transformed": "transform"}


def prepare(subject: Subject) -> Prepared:
    sklearn.set_config(assume_finite=True)
    estimator = subject.estimator
    if "n_jobs" in estimator.get_params():
        estimator.set_params(n_jobs=subject.threads)
    return Prepared(getattr(estimator, METHODS[subject.ask]))
