"""XGBoost: boosters, scikit-learn estimators and model files (JSON, UBJSON), all by way of the document they save.

ubjson.py      UBJSON -> Python values
document.py    bytes of either form -> fields, each checked for its type as it is taken
trees.py       trees -> forest
objectives.py  what an objective makes of margins, and of the base score
categories.py  stored categories -> codes
booster.py     all of it put together: what is imported
"""

from __future__ import annotations

_FUNCTIONS = {
    "booster:booster": "Booster",
    "booster:classifier": "XGBClassifier XGBRFClassifier",
    "booster:regressor": "XGBRegressor XGBRFRegressor",
    "booster:ranker": "XGBRanker",
}

#: "xgboost.Class" -> "module:function"
CLASSES = {f"xgboost.{name}": f"xgboost.{path}" for path, names in _FUNCTIONS.items() for name in names.split()}
