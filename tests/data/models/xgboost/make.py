"""Write the model files of this folder, with the answers of the XGBoost that writes them.

    python make.py FOLDER      in an environment with the XGBoost in question; FOLDER is best named after it

The files here were made by 1.6.2, 2.0.3 and 3.1.3, on Linux. Each `answers.npz` holds `rows`, and for every file its
`NAME.margin`, `NAME.prediction` and, of classifiers, `NAME.probabilities`: what a new estimator or booster gave that
had loaded the file. `frame.*` files were trained on a pandas frame and have rows of their own, `NAME.rows`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb

VERSION = tuple(map(int, xgb.__version__.split(".")[:2]))


def main(folder: Path) -> None:
    rng = np.random.default_rng(16)
    x = rng.normal(size=(120, 4)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 3] = rng.integers(0, 7, len(x))
    signal = np.nan_to_num(x[:, 0]) - np.nan_to_num(x[:, 1]) * (x[:, 3] > 3) + 0.1 * rng.normal(size=len(x))
    classes = np.digitize(signal, [-0.7, 0.7])
    rows = np.concatenate([x[:25], rng.normal(size=(15, 4)).astype(np.float32) * 4])
    rows[25:, 3] = np.abs(np.round(rows[25:, 3]))
    answers: dict[str, Any] = {"rows": rows}
    small = {"n_estimators": 3, "max_depth": 3}

    def keep(name: str, model: Any, suffix: str = "json", at: Any = rows) -> None:
        model.save_model(folder / f"{name}.{suffix}")
        model = type(model)()
        model.load_model(folder / f"{name}.{suffix}")
        if isinstance(model, xgb.Booster):
            data = xgb.DMatrix(at, feature_types=model.feature_types)
            answers[f"{name}.margin"] = model.predict(data, output_margin=True)
            answers[f"{name}.prediction"] = model.predict(data)
            return
        answers[f"{name}.margin"] = model.predict(at, output_margin=True)
        answers[f"{name}.prediction"] = model.predict(at)
        if hasattr(model, "predict_proba"):
            answers[f"{name}.probabilities"] = model.predict_proba(at)

    keep("binary", xgb.XGBClassifier(**small).fit(x, signal > 0.3), "ubj")
    keep("missing", xgb.XGBClassifier(**small, missing=0.0).fit(np.nan_to_num(x), signal > 0))
    keep("multiclass", xgb.XGBRFClassifier(n_estimators=2, max_depth=2).fit(x, classes))
    stopping = {"early_stopping_rounds": 2, "num_parallel_tree": 2, "subsample": 0.8, "max_depth": 2}
    aim = classes[::-1]  # of other rows, so training stops early
    early = xgb.XGBClassifier(n_estimators=9, **stopping).fit(x, classes, eval_set=[(x, aim)], verbose=False)
    assert early.best_iteration < early.get_booster().num_boosted_rounds() - 1
    keep("early", early, "ubj")
    keep("poisson", xgb.XGBRegressor(**small, objective="count:poisson").fit(x, classes))
    keep("dart", xgb.XGBRegressor(**small, booster="dart", rate_drop=0.9, one_drop=True).fit(x, signal))
    keep("linear", xgb.XGBClassifier(n_estimators=3, booster="gblinear").fit(np.nan_to_num(x), classes))
    pruned = {"max_depth": 4, "gamma": 5.0, "tree_method": "exact"}
    data = xgb.DMatrix(x, label=signal)
    keep("pruned", xgb.train(pruned, data, 3), "ubj")
    softmax = {"objective": "multi:softmax", "num_class": 3, "max_depth": 2}
    keep("softmax", xgb.train(softmax, xgb.DMatrix(x, label=classes), 2))
    codes = xgb.DMatrix(x, label=signal, feature_types=["float", "float", "float", "c"], enable_categorical=True)
    method = {"max_depth": 4, "tree_method": "approx" if VERSION < (2, 0) else "hist"}
    keep("partition", xgb.train({**method, "max_cat_to_onehot": 1}, codes, 3))
    keep("one_hot", xgb.train({**method, "max_cat_to_onehot": 99}, codes, 3), "ubj")
    targets = np.stack([signal, -2 * signal, signal**2], axis=1)
    keep("targets", xgb.XGBRegressor(**small).fit(x, targets))
    if VERSION >= (2, 0):
        vector = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
        keep("vector", xgb.XGBRegressor(**small, **vector).fit(x, targets))
        quantiles = {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}
        keep("quantiles", xgb.XGBRegressor(**small, **quantiles).fit(x, signal), "ubj")
    if VERSION >= (3, 1):
        frame = pd.DataFrame(x, columns=list("abcd"))
        frame["d"] = pd.Categorical(np.array(["red", "green", "blue"])[classes], ["red", "green", "blue"])
        answers["frame.rows"] = np.column_stack([x[:, :3], frame["d"].cat.codes])
        keep("frame", xgb.XGBRegressor(**small, enable_categorical=True).fit(frame, signal), at=frame)
    np.savez_compressed(folder / "answers.npz", **answers)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(exist_ok=True)
    main(Path(sys.argv[1]))
