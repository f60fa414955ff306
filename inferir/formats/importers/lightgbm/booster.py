"""From LightGBM's model text to answers; `trees.py` makes the raw scores.

Raw scores are sums, also those of a random forest (`average_output`), whose mean is what the objective makes answers of
(GBDT::PredictRaw and GBDT::Predict in LightGBM's gbdt_prediction.cpp). Where training stopped early the text ends with
the best iteration, as Booster.predict does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from inferir.errors import UnsupportedModelError
from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers.lightgbm.text import TextModel, parse
from inferir.formats.importers.lightgbm.trees import raw_scores

__all__ = ["booster", "classifier", "ranker", "regressor", "text_file"]

#: Objective -> operator that turns raw scores into answers (ConvertOutput of LightGBM's objectives); None keeps them.
_LINKS: dict[str, str | None] = {
    "regression": None,
    "regression_l1": None,
    "huber": None,
    "fair": None,
    "quantile": None,
    "mape": None,
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
    "binary": "sigmoid",
    "multiclass": "softmax",
    "multiclassova": "sigmoid",
    "cross_entropy": "sigmoid",
    "cross_entropy_lambda": "softplus",
    "lambdarank": None,
    "rank_xendcg": None,
    "custom": None,
}
_RANKING = ("lambdarank", "rank_xendcg")
_MULTICLASS = ("multiclass", "multiclassova")


# -- what is imported


def text_file(data: bytes) -> tuple[Builder, Answers, dict[str, str]]:
    """The model in the bytes of a .txt file: what reads it, its answers, the framework."""
    text = parse(data)
    b = Builder(len(text.feature_names))
    return b, _by_objective(text, b, b.rows()), {"name": "lightgbm", "version": ""}


def booster(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Booster: it knows no labels, so classes are 0, 1, ..."""
    return _by_objective(_text(estimator), b, x)


def classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    """LGBMClassifier: the likeliest class of (1 - p, p), or of one p per class."""
    text = _fitted(estimator, b)
    raw, answer = _scores(text, b, x)
    if callable(estimator.objective_):
        return Answers("regression", "GradientBoosting", answer, raw=raw)
    classes, width = class_labels(estimator.classes_), text.trees_per_iteration
    if len(classes) != max(width, 2):
        raise b.unsupported(f"LGBMClassifier of {len(classes)} classes with {width} scores a row", "a score per class")
    return _likeliest(b, raw, answer, width, classes)


def regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    raw, answer = _scores(_fitted(estimator, b), b, x)
    return Answers("regression", "GradientBoosting", answer, raw=raw)


def ranker(estimator: Any, b: Builder, x: Rows) -> Answers:
    return replace(regressor(estimator, b, x), task="ranking")


def _fitted(estimator: Any, b: Builder) -> TextModel:
    if estimator.get_params().get("pred_early_stop"):
        raise b.unsupported("pred_early_stop=True, which answers before all trees are asked", "pred_early_stop=False")
    return _text(estimator.booster_)


def _text(estimator: Any) -> TextModel:
    text = parse(estimator.model_to_string().encode())
    sigmoid, in_training = (estimator.params or {}).get("sigmoid"), getattr(estimator, "train_set", None) is not None
    if sigmoid is not None and in_training:  # the text has six digits, a booster that did not come from text has all
        text = replace(text, objective=[_exact(word, float(sigmoid)) for word in text.objective])
    return text


def _exact(word: str, sigmoid: float) -> str:
    return f"sigmoid:{sigmoid!r}" if word == f"sigmoid:{sigmoid:g}" else word


def _by_objective(text: TextModel, b: Builder, x: Rows) -> Answers:
    raw, answer = _scores(text, b, x)
    width, objective = text.trees_per_iteration, _objective(text)
    if objective == "binary" or objective in _MULTICLASS:
        return _likeliest(b, raw, answer, width, tuple(range(max(width, 2))))
    return Answers("ranking" if objective in _RANKING else "regression", "GradientBoosting", answer, raw=raw)


def _likeliest(b: Builder, raw: str, answer: str, width: int, classes: tuple[Any, ...]) -> Answers:
    if width == 1:  # p > 1 - p is p > 0.5, rounding and all
        probabilities, prediction = b.op("complement", answer), b.op("above", answer, threshold=0.5)
    else:
        probabilities, prediction = answer, b.op("argmax", answer)
    return Answers("classification", "GradientBoosting", prediction, probabilities, raw, classes=classes)


# -- what the objective makes of raw scores


def _objective(text: TextModel) -> str:
    return text.objective[0] if text.objective else "custom"


def _scores(text: TextModel, b: Builder, x: Rows) -> tuple[str, str]:
    """Raw scores, and those through the objective's link."""
    if x.width != len(text.feature_names):
        raise b.unsupported(f"a LightGBM model of {len(text.feature_names)} columns on {x.width}", "as many columns")
    if x.origins == tuple(range(b.n_columns)) and text.feature_names != [f"Column_{i}" for i in range(x.width)]:
        b.name_columns(text.feature_names)
    raw = raw_scores(text, b, x)
    width, answer = text.trees_per_iteration, raw
    if text.average_output:
        answer = b.op("divide", raw, tensors={"divisor": np.full(width, float(len(text.trees) // width))})
    objective = _objective(text)
    if objective not in _LINKS:
        raise b.unsupported(f"LightGBM objective {objective!r}", ", ".join(_LINKS))
    link = "signed_square" if "sqrt" in text.objective else _LINKS[objective]
    if link is None:
        return raw, answer
    return raw, b.op(link, answer, scale=_sigmoid(text)) if link == "sigmoid" else b.op(link, answer)


def _sigmoid(text: TextModel) -> float:
    """The scale k of sigmoid(k x), from "sigmoid:k"; cross_entropy has none, and 1."""
    scale = next((word.removeprefix("sigmoid:") for word in text.objective if word.startswith("sigmoid:")), "1")
    try:
        return float(scale)
    except ValueError:
        raise UnsupportedModelError(f"LightGBM model text: expected sigmoid:k with a number k, got {scale!r}") from None
