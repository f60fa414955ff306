"""Small XGBoost models of every kind, each trained once."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import xgboost as xgb

__all__ = ["MODELS", "ROWS", "booster", "model"]

_RNG = np.random.default_rng(7)

#: 300 rows of float32: five numbers with gaps, one whole number from 0 to 8.
ROWS = _RNG.normal(size=(300, 6)).astype(np.float32)
ROWS[:, 5] = _RNG.integers(0, 9, len(ROWS))
ROWS[:, :5][_RNG.random((len(ROWS), 5)) < 0.1] = np.nan

_FULL = np.nan_to_num(ROWS)
SIGNAL = _FULL[:, 0] - _FULL[:, 1] * (_FULL[:, 5] > 4) + np.sin(_FULL[:, 2]) + 0.1 * _RNG.normal(size=len(ROWS))
TWO = (SIGNAL > 0.2).astype(int)
FOUR = np.digitize(SIGNAL, [-1, 0, 1])
POSITIVE = np.exp(SIGNAL)
TARGETS = np.stack([SIGNAL, -2 * SIGNAL, SIGNAL**2], axis=1)
LABELS = (TARGETS > 0.3).astype(int)

#: One thread: two would wait for each other longer than they work.
_SMALL = {"n_estimators": 6, "max_depth": 3, "n_jobs": 1}

_CODES = ["float"] * 5 + ["c"]


def _regressor(target: Any = SIGNAL, **parameters: Any) -> Callable[[], Any]:
    return lambda: xgb.XGBRegressor(**{**_SMALL, **parameters}).fit(ROWS, target)


def _classifier(target: Any = TWO, **parameters: Any) -> Callable[[], Any]:
    return lambda: xgb.XGBClassifier(**{**_SMALL, **parameters}).fit(ROWS, target)


def _ranker(**parameters: Any) -> Callable[[], Any]:
    group = np.repeat(np.arange(30), 10)
    return lambda: xgb.XGBRanker(**_SMALL, **parameters).fit(ROWS, FOUR, qid=group)


def _trained(data: dict[str, Any], rounds: int = 6, **parameters: Any) -> Callable[[], Any]:
    return lambda: xgb.train(
        {"max_depth": 3, "nthread": 1, **parameters}, xgb.DMatrix(ROWS, **{"feature_types": None, **data}), rounds
    )


def _stopped(kind: Any, target: Any, **parameters: Any) -> Callable[[], Any]:
    """Trained with an eye on rows that answer to something else, so that it stops early."""

    def fit() -> Any:
        estimator = kind(n_estimators=20, max_depth=3, n_jobs=1, early_stopping_rounds=2, **parameters)
        estimator.fit(ROWS, target, eval_set=[(ROWS, target[::-1])], verbose=False)
        assert estimator.best_iteration < estimator.get_booster().num_boosted_rounds() - 1
        return estimator

    return fit


_DART = {"booster": "dart", "rate_drop": 0.5, "one_drop": True, "n_estimators": 9}
_VECTOR = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
_PARTITION, _ONE_HOT = {"max_cat_to_onehot": 1, "max_depth": 5}, {"max_cat_to_onehot": 99, "max_depth": 5}
_DEEP = {"max_depth": 0, "max_leaves": 60, "grow_policy": "lossguide", "min_child_weight": 0, "learning_rate": 0.9}
_CENSORED = {"label_lower_bound": POSITIVE, "label_upper_bound": np.where(TWO, POSITIVE, np.inf)}

MODELS: dict[str, Callable[[], Any]] = {
    "squared error": _regressor(),
    "squared log error": _regressor(POSITIVE, objective="reg:squaredlogerror"),
    "pseudo huber": _regressor(objective="reg:pseudohubererror"),
    "absolute error": _regressor(objective="reg:absoluteerror"),
    "quantile": _regressor(objective="reg:quantileerror", quantile_alpha=0.7),
    "quantiles": _regressor(objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9]),
    "logistic regression": _regressor(1 / (1 + POSITIVE), objective="reg:logistic"),
    "probability": _regressor(TWO, objective="binary:logistic"),
    "poisson": _regressor(FOUR, objective="count:poisson"),
    "gamma": _regressor(POSITIVE, objective="reg:gamma"),
    "tweedie": _regressor(POSITIVE, objective="reg:tweedie", tweedie_variance_power=1.3),
    "cox": _regressor(np.where(TWO, POSITIVE, -POSITIVE), objective="survival:cox"),
    "aft": _trained(_CENSORED, objective="survival:aft"),
    "base score": _regressor(POSITIVE, objective="reg:gamma", base_score=0.3),
    "forest": lambda: xgb.XGBRFRegressor(n_estimators=7, max_depth=4).fit(ROWS, SIGNAL),
    "boosted forest": _regressor(num_parallel_tree=3, subsample=0.7),
    "one leaf": _regressor(np.ones(len(ROWS)), n_estimators=2),
    "stumps": _regressor(n_estimators=40, max_depth=1),
    "deep": _regressor(**_DEEP),
    "pruned": _regressor(tree_method="exact", gamma=5.0, max_depth=6),
    "dart": _regressor(**_DART),
    "dart poisson": _regressor(FOUR, objective="count:poisson", normalize_type="forest", **_DART),
    "early stop": _stopped(xgb.XGBRegressor, SIGNAL),
    "early stop, forests of classes": _stopped(xgb.XGBClassifier, FOUR, num_parallel_tree=2, subsample=0.8),
    "missing 0": _regressor(missing=0.0),
    "missing -999": _classifier(missing=-999.0),
    "missing inf": _regressor(missing=np.inf),
    "targets": _regressor(TARGETS),
    "vector leaves": _regressor(TARGETS, **_VECTOR),
    "linear": _regressor(booster="gblinear"),
    "linear targets": _regressor(TARGETS, booster="gblinear", updater="coord_descent"),
    "binary": _classifier(),
    "weighted": _classifier(scale_pos_weight=5.0, base_score=0.9),
    "one class": _classifier(np.ones(len(ROWS), int) * 0),
    "logit": _classifier(objective="binary:logitraw"),
    "hinge": _classifier(objective="binary:hinge"),
    "classes": _classifier(FOUR),
    "softmax": _classifier(FOUR, objective="multi:softmax"),
    "forest of classes": lambda: xgb.XGBRFClassifier(n_estimators=3, max_depth=4).fit(ROWS, FOUR),
    "dart classes": _classifier(FOUR, **_DART),
    "vector leaves of classes": _classifier(FOUR, **_VECTOR),
    "labels": _classifier(LABELS),
    "vector leaves of labels": _classifier(LABELS, **_VECTOR),
    "linear binary": _classifier(booster="gblinear"),
    "linear classes": _classifier(FOUR, booster="gblinear"),
    "ndcg": _ranker(objective="rank:ndcg"),
    "pairwise": _ranker(objective="rank:pairwise"),
    "map": lambda: xgb.XGBRanker(objective="rank:map", n_estimators=6).fit(ROWS, TWO, qid=np.repeat(np.arange(30), 10)),
    "partition": _trained({"label": SIGNAL, "feature_types": _CODES}, **_PARTITION),
    "one-hot": _trained({"label": SIGNAL, "feature_types": _CODES}, **_ONE_HOT),
    "no trees": _trained({"label": SIGNAL}, rounds=0, base_score=0.25),
}


@functools.cache
def model(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MODELS[name]()


def booster(name: str) -> Any:
    """The booster of a model, or the model if it is one."""
    found = model(name)
    return found if isinstance(found, xgb.Booster) else found.get_booster()
