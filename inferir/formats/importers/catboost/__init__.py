"""CatBoost: models and JSON exports, all by way of the JSON (`model_json.py`)."""

from __future__ import annotations

_FUNCTIONS = {
    "model:by_loss": "CatBoost",
    "model:classifier": "CatBoostClassifier",
    "model:regressor": "CatBoostRegressor",
    "model:ranker": "CatBoostRanker",
}

#: "catboost.Class" -> "module:function"
CLASSES = {f"catboost.{name}": f"catboost.{path}" for path, name in _FUNCTIONS.items()}
