"""LightGBM: boosters, scikit-learn estimators and model text, all by way of the text (`text.py`)."""

from __future__ import annotations

_FUNCTIONS = {
    "booster:booster": "Booster",
    "booster:classifier": "LGBMClassifier",
    "booster:regressor": "LGBMRegressor",
    "booster:ranker": "LGBMRanker",
}

#: "lightgbm.Class" -> "module:function"
CLASSES = {f"lightgbm.{name}": f"lightgbm.{path}" for path, name in _FUNCTIONS.items()}
