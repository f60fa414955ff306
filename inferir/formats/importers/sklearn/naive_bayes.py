"""Naive Bayes of scikit-learn: joint log likelihoods, whose softmax are the probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers.sklearn.checks import finite
from inferir.formats.importers.sklearn.linear import product


def _answers(estimator: Any, b: Builder, likelihood: str) -> Answers:
    classes = class_labels(estimator.classes_)
    return Answers(
        "classification", "NaiveBayes", b.op("argmax", likelihood), b.op("softmax", likelihood), classes=classes
    )


def gaussian(estimator: Any, b: Builder, x: Rows) -> Answers:
    variance = np.asarray(estimator.var_, np.float64)
    constant = np.log(estimator.class_prior_) - 0.5 * np.sum(np.log(2.0 * np.pi * variance), axis=1)
    tensors = {"theta": np.asarray(estimator.theta_, np.float64), "variance": variance, "constant": constant}
    return _answers(estimator, b, b.op("gaussian_nb", finite(b, x).value, tensors=tensors))


def multinomial(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _answers(estimator, b, product(b, x, estimator.feature_log_prob_, estimator.class_log_prior_))


def complement(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Priors count only where there is a single class (Rennie et al. 2003, section 4.4)."""
    prior = estimator.class_log_prior_ if len(estimator.classes_) == 1 else 0.0
    return _answers(estimator, b, product(b, x, estimator.feature_log_prob_, prior))


def bernoulli(estimator: Any, b: Builder, x: Rows) -> Answers:
    """log p of a 1, log(1 - p) of a 0: linear in the binarized row."""
    if estimator.binarize is not None:
        x = Rows(b.op("binarize", finite(b, x).value, threshold=float(estimator.binarize)), x.origins)
    negative = np.log(1.0 - np.exp(estimator.feature_log_prob_))
    intercept = estimator.class_log_prior_ + negative.sum(axis=1)
    return _answers(estimator, b, product(b, x, estimator.feature_log_prob_ - negative, intercept))


def categorical(estimator: Any, b: Builder, x: Rows) -> Answers:
    tables = [np.asarray(table, np.float64).T for table in estimator.feature_log_prob_]
    tensors = {
        "begin": np.cumsum([0, *map(len, tables)]).astype(np.int64),
        "log_probability": np.ascontiguousarray(np.concatenate(tables)),
        "log_prior": np.asarray(estimator.class_log_prior_, np.float64),
    }
    return _answers(estimator, b, b.op("categorical_nb", finite(b, x).value, tensors=tensors))
