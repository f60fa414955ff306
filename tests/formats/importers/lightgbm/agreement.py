"""Does a converted LightGBM model answer as LightGBM does?"""

from __future__ import annotations

import warnings
from typing import Any

import lightgbm as lgb
import numpy as np

import inferir
from tests.parity import assert_bits, assert_labels, assert_relative, hard_rows, layouts, thresholds

COLUMNS = 5


def training_rows(n: int = 400, seed: int = 0, nan: float = 0.1) -> Any:
    """Normal columns, one of many zeros, one of a few whole numbers; NaN in a share `nan` of the cells."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, COLUMNS))
    rows[rng.random(n) < 0.5, 1] = 0.0
    rows[:, 2] = rng.integers(-2, 3, n)
    rows[rng.random(rows.shape) < nan] = np.nan
    return rows


def target(rows: Any, kind: str = "number") -> Any:
    """A target that the columns explain: a number, a positive one, one in [0, 1), or one of two or three classes."""
    x = np.nan_to_num(rows)
    score = x[:, 0] * x[:, 3] + x[:, 1] + np.sin(3 * x[:, 4]) + x[:, 2]
    rank = score.argsort().argsort() / len(score)
    kinds = {
        "number": score,
        "positive": np.exp(score / 3),
        "share": rank,
        "two": rank > 0.6,
        "three": np.floor(3 * rank),
    }
    return kinds[kind]


def trained(rows: Any, label: Any, /, rounds: int = 12, dataset: Any = None, **parameters: Any) -> lgb.Booster:
    """A booster of small trees."""
    chosen = {"num_leaves": 9, "min_data_in_leaf": 4, "verbose": -1, "num_threads": 1, "seed": 0, **parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lgb.train(chosen, lgb.Dataset(rows, label, **(dataset or {})), rounds)


def theirs(estimator: Any, rows: Any, **options: Any) -> Any:
    """LightGBM's own answer, without its remarks on names of columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.predict(rows, **options)


def converted(estimator: Any) -> inferir.Model:
    """Through the file and back."""
    return inferir.load(inferir.convert(estimator).to_bytes())


def agree(estimator: Any, rows: Any, *, n: int = 600, model: inferir.Model | None = None) -> inferir.Model:
    """Raw scores bit for bit, answers within the contract, on hard rows in every layout, as float32 and as integers."""
    model = model or converted(estimator)
    hard = hard_rows(np.nan_to_num(rows), thresholds(model.spec), n=n)
    hard[::11] = np.round(hard[::11])
    raw = theirs(estimator, hard, raw_score=True)
    for _, form in layouts(hard):
        assert_bits(model.raw(form), np.resize(raw, (len(form), *raw.shape[1:])))
    narrow = hard.astype(np.float32)
    assert_bits(model.raw(narrow), theirs(estimator, narrow, raw_score=True))
    whole = np.clip(np.nan_to_num(hard), -9, 9).astype(np.int64)
    assert_bits(model.raw(whole), theirs(estimator, whole, raw_score=True))
    answers_agree(estimator, model, hard)
    return model


def answers_agree(estimator: Any, model: inferir.Model, rows: Any) -> None:
    """Predictions and probabilities, whatever the estimator has."""
    if hasattr(estimator, "classes_") and model.task == "classification":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert_relative(model.predict_proba(rows), estimator.predict_proba(rows))
        assert_labels(model.predict(rows), theirs(estimator, rows))
    elif model.task == "classification":  # a booster has no labels
        answer = theirs(estimator, rows)
        probabilities = np.stack([1.0 - answer, answer], axis=1) if answer.ndim == 1 else answer
        assert_relative(model.predict_proba(rows), probabilities)
        assert_labels(model.predict(rows), probabilities.argmax(axis=1))
    else:
        assert_relative(model.predict(rows), theirs(estimator, rows))
