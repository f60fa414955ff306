"""XGBoost and LightGBM through onnxmltools, CatBoost through its own export: we and onnxruntime on the same file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import onnx
import pytest
import xgboost

import inferir
from tests.formats.importers.onnx.agreement import close, converted, same_labels, theirs
from tests.parity import assert_bits, hard_rows, layouts, thresholds

RNG = np.random.default_rng(0)
FULL = RNG.normal(size=(200, 5)).astype(np.float32)
ROWS = np.where(RNG.random(FULL.shape) < 0.1, np.float32(np.nan), FULL)
TWO = (FULL[:, 0] + FULL[:, 1] * FULL[:, 2] > 0).astype(np.int64)
THREE = np.argmax(FULL[:, :3] + 0.5 * RNG.normal(size=(200, 3)), axis=1)
NUMBER = FULL @ np.array([1, -2, 0.5, 0, 3]) + np.sin(3 * FULL[:, 0])
CODES = FULL.copy()
CODES[:, 0] = RNG.integers(0, 14, len(CODES))


def _xgboost(kind: type, target: Any, **parameters: Any) -> Any:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster = kind(n_estimators=9, max_depth=4, n_jobs=1, **parameters).fit(ROWS, target)
    return onnxmltools.convert_xgboost(booster, initial_types=[("x", FloatTensorType([None, 5]))], target_opset=15)


def _lightgbm(
    kind: type, target: Any, rows: Any = ROWS, zipmap: bool = True, fit: Any = None, **parameters: Any
) -> Any:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    parameters = {"n_estimators": 9, "num_leaves": 15, "min_child_samples": 4, "verbose": -1, "n_jobs": 1, **parameters}
    booster = kind(**parameters).fit(rows, target, **(fit or {}))
    types = [("x", FloatTensorType([None, 5]))]
    return onnxmltools.convert_lightgbm(booster, initial_types=types, target_opset=15, zipmap=zipmap)


def _catboost(kind: type, target: Any, **parameters: Any) -> Any:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        booster = kind(
            iterations=9, depth=4, verbose=0, thread_count=1, train_dir=folder, allow_writing_files=False, **parameters
        )
        path = Path(folder) / "model.onnx"
        booster.fit(FULL, target).save_model(str(path), format="onnx")
        return onnx.load(path)


BOOSTERS: dict[str, Callable[[], Any]] = {
    "XGBoost, two classes": lambda: _xgboost(xgboost.XGBClassifier, TWO),
    "XGBoost, three classes": lambda: _xgboost(xgboost.XGBClassifier, THREE),
    "XGBoost, regression": lambda: _xgboost(xgboost.XGBRegressor, NUMBER),
    "XGBoost, random forest": lambda: _xgboost(xgboost.XGBRFRegressor, NUMBER),
    "XGBoost, Poisson": lambda: _xgboost(xgboost.XGBRegressor, np.abs(NUMBER), objective="count:poisson"),
    "LightGBM, two classes": lambda: _lightgbm(lightgbm.LGBMClassifier, TWO),
    "LightGBM, three classes": lambda: _lightgbm(lightgbm.LGBMClassifier, THREE),
    "LightGBM, without maps": lambda: _lightgbm(lightgbm.LGBMClassifier, THREE, zipmap=False),
    "LightGBM, regression": lambda: _lightgbm(lightgbm.LGBMRegressor, NUMBER),
    "LightGBM, Poisson": lambda: _lightgbm(lightgbm.LGBMRegressor, np.abs(NUMBER), objective="poisson"),
    "LightGBM, random forest": lambda: _lightgbm(
        lightgbm.LGBMClassifier, TWO, boosting_type="rf", bagging_freq=1, bagging_fraction=0.5
    ),
    "CatBoost, two classes": lambda: _catboost(catboost.CatBoostClassifier, TWO),
    "CatBoost, three classes": lambda: _catboost(catboost.CatBoostClassifier, THREE),
    "CatBoost, strings": lambda: _catboost(catboost.CatBoostClassifier, np.array(["a", "b", "c"])[THREE]),
    "CatBoost, regression": lambda: _catboost(catboost.CatBoostRegressor, NUMBER),
}


def made(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BOOSTERS[name]()


def raw_is_given(model: inferir.Model) -> bool:
    return [o.op for o in model.spec.operators[:2]] == ["cast", "forest"]


@pytest.mark.parametrize("name", BOOSTERS)
def test_booster(name: str) -> None:
    """Rows on thresholds, beside them, with NaN and infinities, in every layout."""
    graph = made(name)
    model = converted(graph)
    rows = hard_rows(ROWS, thresholds(model.spec), n=300, width=np.float32)
    right = theirs(graph, rows)
    for _, form in layouts(rows):
        if model.task == "regression":
            ours = model.predict(form)
            close(ours, np.resize(right[0], len(form)))
            if "Poisson" not in name:
                assert_bits(ours, np.resize(right[0], len(form)))
        else:
            same_labels(model.predict(form), np.resize(right[0], len(form)))
            close(model.predict_proba(form), np.resize(right[1], (len(form), right[1].shape[1])))
    if model.task == "classification" and "random forest" not in name:
        assert model.faces == ("prediction", "probabilities", "raw")


def test_categories_of_lightgbm() -> None:
    """Chains of equals, which lead to one node each, become questions for members again."""
    target = NUMBER + 4 * np.sin(CODES[:, 0])
    options = {"cat_smooth": 1, "min_data_per_group": 1, "max_cat_to_onehot": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = _lightgbm(lightgbm.LGBMRegressor, target, CODES, fit={"categorical_feature": [0]}, **options)
    modes = next(a for a in graph.graph.node[0].attribute if a.name == "nodes_modes").strings
    assert list(modes).count(b"BRANCH_EQ") > 20
    model = converted(graph)
    rows = hard_rows(CODES, n=300, width=np.float32, nan=False, inf=False)
    rows[:, 0] = RNG.integers(-1, 16, len(rows))
    rows[::9, 0], rows[::13, 0] = np.nan, 2.5
    assert_bits(model.predict(rows), theirs(graph, rows)[0][:, 0])


def test_scores_before_the_link() -> None:
    graph = made("XGBoost, two classes")
    model = converted(graph)
    raw = model.raw(FULL)
    close(1 / (1 + np.exp(-raw.astype(np.float64))), model.predict_proba(FULL)[:, 1])


def test_a_file_says_who_wrote_it() -> None:
    model = converted(made("CatBoost, regression"))
    assert model.spec.framework["name"] == "ONNX"
    assert "CatBoost" in model.spec.framework["version"]
    assert model.info()["type"] == "GradientBoosting"
