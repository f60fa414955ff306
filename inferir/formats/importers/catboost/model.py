"""From CatBoost's JSON to answers; `trees.py` makes the scores.

Which answers a model has depends on its loss, as PrepareEval in catboost/libs/eval_result/eval_helpers.cpp does:

two classes      the second where the score exceeds the logit of a border, sigmoid
more             the class of the largest score; softmax, or a sigmoid each for MultiClassOneVsAll
labels           (MultiLogloss) each there or not, on its own
numbers          the scores; their exponent for Poisson and Tweedie; mean and variance for RMSEWithUncertainty
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from inferir.errors import ModelLoadError
from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers.catboost.model_json import JsonModel, parse
from inferir.formats.importers.catboost.trees import SUPPORTED, scores

__all__ = ["by_loss", "classifier", "json_file", "ranker", "regressor"]

_BINARY = ("Logloss", "CrossEntropy", "Focal")
_MULTICLASS = {"MultiClass": "softmax", "MultiClassOneVsAll": "sigmoid"}
_MULTILABEL = ("MultiLogloss", "MultiCrossEntropy")
_EXPONENT = ("Poisson", "Tweedie")
_UNCERTAINTY = "RMSEWithUncertainty"
_REGRESSION = (
    "RMSE", "MAE", "Quantile", "MultiQuantile", "Expectile", "LogLinQuantile", "MAPE", "Lq", "Huber", "LogCosh", "Cox",
    "RMSPE", "SurvivalAft", "MultiRMSE", "MultiRMSEWithMissingValues", *_EXPONENT, _UNCERTAINTY,
)  # fmt: skip
_RANKING = (
    "PairLogit", "PairLogitPairwise", "YetiRank", "YetiRankPairwise", "QueryRMSE", "QuerySoftMax", "QueryCrossEntropy",
    "GroupQuantile", "StochasticFilter", "StochasticRank", "LambdaMart",
)  # fmt: skip
#: A loss of the caller's own; scores are answers unless there are classes.
_CUSTOM = ("PythonUserDefinedPerObject", "PythonUserDefinedMultiTarget", "UserPerObjMetric", "UserQuerywiseMetric")


# -- what is imported


def json_file(data: bytes) -> tuple[Builder, Answers, dict[str, str]]:
    """The model in the bytes of a .json file: what reads it, its answers, the framework."""
    model = parse(data)
    b = Builder(model.n_columns)
    return b, _by_loss(model, b, b.rows()), {"name": "catboost", "version": ""}


def by_loss(estimator: Any, b: Builder, x: Rows) -> Answers:
    """CatBoost: answers as of the class that is for its loss."""
    return _by_loss(_exported(estimator, b), b, x)


def classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _classification(_exported(estimator, b), b, x)


def regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _regression(_exported(estimator, b), b, x)


def ranker(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _ranking(_exported(estimator, b), b, x)


def _exported(estimator: Any, b: Builder) -> JsonModel:
    if estimator.get_text_feature_indices() or estimator.get_embedding_feature_indices():
        raise b.unsupported("a CatBoost model with text or embedding features", SUPPORTED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        estimator.save_model(str(path), format="json")
        return parse(path.read_bytes())


# -- answers


def _by_loss(model: JsonModel, b: Builder, x: Rows) -> Answers:
    loss = model.loss
    if loss in _RANKING:
        return _ranking(model, b, x)
    if loss in _REGRESSION or (model.labels is None and loss in (None, *_CUSTOM)):
        return _regression(model, b, x)
    if loss in (None, *_BINARY, *_MULTICLASS, *_MULTILABEL, *_CUSTOM):
        return _classification(model, b, x)
    known = (*_BINARY, *_MULTICLASS, *_MULTILABEL, *_REGRESSION, *_RANKING)
    raise b.unsupported(f"CatBoost loss {loss!r}", ", ".join(known))


def _ranking(model: JsonModel, b: Builder, x: Rows) -> Answers:
    raw, _ = scores(model, b, x)
    return Answers("ranking", "GradientBoosting", raw, raw=raw)


def _regression(model: JsonModel, b: Builder, x: Rows) -> Answers:
    raw, width = scores(model, b, x)
    prediction = raw
    if model.loss in _EXPONENT:
        prediction = b.op("exp", raw)
    elif model.loss == _UNCERTAINTY and width == 2:
        mean, log_deviation = (b.op("select", raw, tensors={"columns": np.array([i])}) for i in range(2))
        twice = b.op("affine", log_deviation, tensors={"factor": np.array([2.0]), "offset": np.zeros(1)})
        prediction = b.op("concat", mean, b.op("exp", twice))
    return Answers("regression", "GradientBoosting", prediction, raw=raw)


def _classification(model: JsonModel, b: Builder, x: Rows) -> Answers:
    raw, width = scores(model, b, x)
    threshold = -math.log(1.0 / model.probability_border - 1.0)
    if model.loss in _MULTILABEL:  # each score is a label that is there or not
        both = b.op("select", b.op("sigmoid", raw, scale=1.0), tensors={"columns": np.arange(2 * width) // 2})
        tensors = {"factor": np.tile([-1.0, 1.0], width), "offset": np.tile([1.0, 0.0], width)}
        classes: tuple[Any, ...] = ((0, 1),) * width if width > 1 else (0, 1)
        probabilities, prediction = b.op("affine", both, tensors=tensors), b.op("above", raw, threshold=threshold)
        return Answers("classification", "GradientBoosting", prediction, probabilities, raw, classes=classes)
    labels = range(max(width, 2)) if model.labels is None else model.labels
    if width == 1 and len(labels) != 2:
        raise b.unsupported(f"a CatBoost classifier of {len(labels)} classes with one score", "two classes")
    if width == 1:
        probabilities = b.op("complement", b.op("sigmoid", raw, scale=1.0))
        prediction = b.op("above", raw, threshold=threshold)
    else:
        raw = _by_label(model, b, raw, width, len(labels))
        link = _MULTICLASS.get(model.loss or "", "softmax")
        probabilities = b.op(link, raw, scale=1.0) if link == "sigmoid" else b.op(link, raw)
        prediction = b.op("argmax", raw)
    return Answers("classification", "GradientBoosting", prediction, probabilities, raw, classes=class_labels(labels))


def _by_label(model: JsonModel, b: Builder, raw: str, width: int, n_labels: int) -> str:
    """A score per label: -inf for a label that training named and did not see."""
    label_of = list(range(width)) if model.class_of_score is None else model.class_of_score
    if label_of == list(range(n_labels)):
        return raw
    if len(label_of) != width or len(set(label_of)) != width or not set(label_of) <= set(range(n_labels)):
        expected = f"{width} of {n_labels} classes"
        raise ModelLoadError(f"CatBoost JSON: expected class_to_label to be {expected}, got {label_of}")
    column, seen = np.zeros(n_labels, np.int64), np.zeros(n_labels, bool)
    column[label_of], seen[label_of] = np.arange(width), True
    tensors = {"factor": seen.astype(np.float64), "offset": np.where(seen, 0.0, -np.inf)}
    return b.op("affine", b.op("select", raw, tensors={"columns": column}), tensors=tensors)
