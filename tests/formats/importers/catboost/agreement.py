"""Does a converted CatBoost model answer as CatBoost does?"""

from __future__ import annotations

from typing import Any

import catboost as cb
import numpy as np

import inferir
from tests.parity import assert_bits, assert_labels, assert_relative, hard_rows, layouts, thresholds

COLUMNS = 5
QUIET = {"verbose": 0, "allow_writing_files": False, "thread_count": 1, "random_seed": 0}
SMALL = {"iterations": 10, "depth": 4, "learning_rate": 0.5, **QUIET}
POLICIES = ("SymmetricTree", "Depthwise", "Lossguide")


def training_rows(n: int = 300, seed: int = 0, nan: float = 0.1) -> Any:
    """Normal float32 columns, one of many zeros, one of a few whole numbers; NaN in a share `nan` of the cells."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, COLUMNS)).astype(np.float32)
    rows[rng.random(n) < 0.5, 1] = 0.0
    rows[:, 2] = rng.integers(-2, 3, n)
    rows[rng.random(rows.shape) < nan] = np.nan
    return rows


def target(rows: Any, kind: str = "number") -> Any:
    """A target that the columns explain: a number, a positive one, or one of two or three classes."""
    x = np.nan_to_num(rows).astype(np.float64)
    score = x[:, 0] * x[:, 3] + x[:, 1] + np.sin(3 * x[:, 4]) + x[:, 2]
    rank = score.argsort().argsort() / len(score)
    kinds = {"number": score, "positive": np.exp(score / 3), "two": rank > 0.6, "three": np.floor(3 * rank)}
    return kinds[kind] if kind in ("number", "positive") else kinds[kind].astype(int)


def converted(source: Any) -> inferir.Model:
    """Through the file and back."""
    return inferir.load(inferir.convert(source).to_bytes())


def raw(estimator: Any, rows: Any) -> Any:
    return cb.CatBoost.predict(estimator, rows, prediction_type="RawFormulaVal")


def agree(estimator: Any, rows: Any, *, n: int = 500, model: inferir.Model | None = None) -> inferir.Model:
    """Raw scores bit for bit, answers within the contract, on hard rows in every layout and width."""
    model = model or converted(estimator)
    hard = hard_rows(np.nan_to_num(rows), thresholds(model.spec), n=n, width=np.float32)
    theirs = raw(estimator, hard)
    for _, form in layouts(hard):
        assert_bits(model.raw(form), np.resize(theirs, (len(form), *theirs.shape[1:])))
    wide = hard_rows(
        np.nan_to_num(rows), thresholds(model.spec), n=n, seed=1
    )  # beside a border in double: rounded first
    assert_bits(model.raw(wide), raw(estimator, wide))
    whole = np.clip(np.nan_to_num(hard), -9, 9).astype(np.int64)
    assert_bits(model.raw(whole), raw(estimator, whole))
    answers_agree(estimator, model, hard)
    return model


def answers_agree(estimator: Any, model: inferir.Model, rows: Any) -> None:
    """Predictions and probabilities, whatever the estimator has."""
    if model.task != "classification":
        assert_relative(model.predict(rows), estimator.predict(rows))
        return
    labels = np.asarray(estimator.predict(rows, prediction_type="Class"))
    assert_labels(model.predict(rows), labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels)
    ours, theirs = model.predict_proba(rows), estimator.predict(rows, prediction_type="Probability")
    ours = np.stack([part[:, 1] for part in ours], axis=1) if isinstance(ours, list) else ours
    assert_relative(ours, theirs, absolute=1e-300)  # FastExp leaves 1e-308 where e**-inf should be 0
