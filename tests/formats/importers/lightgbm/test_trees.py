"""Routing: thresholds, zeros, missing values, categories, linear leaves. Raw scores are compared bit for bit."""

from __future__ import annotations

import itertools
import re
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

import inferir
from inferir.errors import UnsupportedModelError
from inferir.formats.importers._builder import Builder
from inferir.formats.importers.lightgbm import booster
from tests.formats.importers.lightgbm.agreement import agree, converted, target, theirs, trained, training_rows
from tests.parity import assert_bits, hard_rows

pd = pytest.importorskip("pandas", reason="category columns are pandas'")

#: LightGBM's kZeroThreshold, and its neighbours.
ZERO = 1.0000000180025095e-35
NEAR_ZERO = [0.0, -0.0, *(
    sign * value
    for sign in (1, -1)
    for value in (5e-324, 1e-36, np.nextafter(ZERO, 0), ZERO, np.nextafter(ZERO, 1), 1e-35, 1.1e-35, 1e-34)
)]  # fmt: skip


@pytest.mark.parametrize(
    ("nan", "parameters"),
    [
        (0.0, {}),
        (0.1, {}),
        (0.0, {"zero_as_missing": True}),
        (0.1, {"zero_as_missing": True}),
        (0.1, {"use_missing": False}),
        (0.1, {"num_leaves": 40, "min_data_in_leaf": 1}),
        (0.1, {"max_depth": 1}),
        (0.1, {"extra_trees": True, "feature_fraction": 0.5}),
        (0.1, {"boosting": "dart", "drop_rate": 0.5}),
        (0.1, {"data_sample_strategy": "goss"}),
        (0.1, {"enable_bundle": False, "max_bin": 7}),
        (0.1, {"linear_tree": True}),
        (0.0, {"linear_tree": True, "num_leaves": 4}),
    ],
)
def test_numbers(nan: float, parameters: dict[str, Any]) -> None:
    rows = training_rows(nan=nan)
    agree(trained(rows, target(rows), objective="regression", **parameters), rows)


def test_float32_rows() -> None:
    rows = training_rows().astype(np.float32)
    agree(trained(rows, target(rows), objective="regression"), rows)


def edited(threshold: float, decision_type: int) -> lgb.Booster:
    """A stump with this threshold and decision type."""
    rows = np.arange(40.0)[:, None]
    text = trained(rows, rows[:, 0] > 20, 1, objective="regression", num_leaves=2).model_to_string()
    lines = [line for line in text.split("\n") if not line.startswith("tree_sizes=")]
    for i, line in enumerate(lines):
        if line.startswith("threshold="):
            lines[i] = f"threshold={threshold!r}"
        if line.startswith("decision_type="):
            lines[i] = f"decision_type={decision_type}"
    return lgb.Booster(model_str="\n".join(lines))


@pytest.mark.parametrize("threshold", [*NEAR_ZERO, 1.0, -1.0, np.inf, -np.inf, 1e300])
def test_zeros_and_missing(threshold: float) -> None:
    """Every missing type and default side, at a threshold near zero and elsewhere."""
    rows = np.array([*NEAR_ZERO, np.nan, np.inf, -np.inf, 1.0, -1.0, 0.9999999999999999, -1.0000000000000002])[:, None]
    for missing, default_left in itertools.product((0, 1, 2), (0, 2)):
        estimator = edited(float(threshold), missing << 2 | default_left)
        assert len(set(theirs(estimator, rows))) == 2 or abs(threshold) > 1e-30
        assert_bits(converted(estimator).raw(rows), theirs(estimator, rows))


def test_a_split_at_zero() -> None:
    """Training itself puts thresholds at the ends of the range that counts as zero."""
    rng = np.random.default_rng(0)
    rows = rng.choice([-1.0, 0.0, 1.0], (300, 2))
    estimator = trained(rows, np.abs(rows[:, 0]) + rows[:, 1], objective="regression", min_data_in_bin=1)
    assert str(ZERO) in estimator.model_to_string()
    hard = np.array(list(itertools.product([*NEAR_ZERO, np.nan, 1.0], repeat=2)))
    assert_bits(converted(estimator).raw(hard), theirs(estimator, hard))


def test_zeros_in_linear_leaves() -> None:
    """Coefficients so large that what LightGBM drops from a row would show."""
    rows = np.random.default_rng(0).normal(size=(300, 2))
    text = trained(rows, rows.sum(axis=1), objective="regression", linear_tree=True, num_leaves=3).model_to_string()
    text = re.sub("^tree_sizes=.*\n", "", text, flags=re.MULTILINE)
    text = re.sub("^leaf_const=.*$", "leaf_const=0 0 0", text, flags=re.MULTILINE)
    text = re.sub("^leaf_coeff=.*$", lambda line: re.sub(r"[0-9][-.e0-9]*", "1e+30", line[0]), text, flags=re.MULTILINE)
    estimator = lgb.Booster(model_str=text)
    hard = np.array(list(itertools.product([*NEAR_ZERO, np.nan, 1.0], repeat=2)))
    assert len(set(theirs(estimator, hard))) > 4
    assert_bits(converted(estimator).raw(hard), theirs(estimator, hard))


# -- categories

CATEGORIES = np.array([
    *range(70), -1, -2, -0.5, -0.9999, 0.3, 31.9, 32, 63.5, 64, 95, 96, 1e9, 2.0**31, 2.0**32 + 1, 1e300, -1e300,
    np.nan, np.inf, -np.inf, -0.0, 1e-36, -1e-36,
])  # fmt: skip


@pytest.mark.parametrize(
    "parameters",
    [{}, {"max_cat_to_onehot": 100}, {"min_data_per_group": 1, "cat_smooth": 0}, {"linear_tree": True}],
)
@pytest.mark.parametrize("nan", [0.0, 0.1])
def test_categories(nan: float, parameters: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    rows = training_rows(nan=nan)
    rows[:, 3], rows[:, 4] = rng.integers(0, 66, len(rows)), rng.integers(0, 4, len(rows))
    label = np.sin(rows[:, 3] * 2) + (rows[:, 4] % 2) + np.nan_to_num(rows[:, 0])
    categorical = {"categorical_feature": [3, 4]}
    estimator = trained(rows, label, dataset=categorical, objective="regression", **parameters)
    assert len(re.findall(r"^num_cat=[1-9]", estimator.model_to_string(), re.MULTILINE)) > 3
    hard = hard_rows(rows, n=len(CATEGORIES) * 8)
    hard[:, 3], hard[:, 4] = np.resize(CATEGORIES, len(hard)), rng.choice(CATEGORIES, len(hard))
    assert_bits(converted(estimator).raw(hard), theirs(estimator, hard))


def frame(n: int = 300, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "number": rng.normal(size=n),
        "text": pd.Categorical(rng.choice(["low", "mid", "high", "héé"], n)),
        "constant": pd.Categorical(["one"] * n),
        "whole": pd.Categorical(rng.choice([10, -3, 7], n)),
        "float": pd.Categorical(rng.choice([0.5, 2.0, 1e20], n)),
        "flag": pd.Categorical(rng.choice([True, False], n)),
        "other": rng.integers(0, 9, n),
    })  # fmt: skip


def frame_model(rows: Any) -> lgb.LGBMRegressor:
    label = rows["text"].cat.codes * rows["number"] + rows["whole"].cat.codes + 2 * rows["float"].cat.codes
    label += rows["flag"].cat.codes
    options = {"n_estimators": 12, "num_leaves": 9, "min_child_samples": 2, "min_data_per_group": 2, "verbose": -1}
    return lgb.LGBMRegressor(**options, n_jobs=1).fit(rows, label)


def test_pandas_categories() -> None:
    """Texts, numbers and booleans are found by LightGBM's own codes; what it has not seen is missing."""
    estimator, rows = frame_model(frame()), frame(200, seed=1)
    model = converted(estimator)
    assert [c.name for c in model.columns if c.kind == "category"] == ["text", "constant", "whole", "float", "flag"]
    assert_bits(model.predict(rows), theirs(estimator, rows))
    unseen = rows.copy()
    unseen["text"] = unseen["text"].cat.add_categories(["new"])
    unseen.loc[::3, "text"] = "new"
    unseen.loc[::4, "whole"] = None
    answers = model.predict(unseen)
    assert_bits(answers, theirs(estimator, unseen))
    plain = unseen.astype({"text": object, "constant": object})
    assert_bits(model.predict(plain), answers)
    dicts = [
        {**row, "whole": None if row["whole"] != row["whole"] else row["whole"]} for row in plain.to_dict("records")
    ]
    assert_bits(model.predict(dicts), answers)


def test_categories_that_another_step_numbered() -> None:
    """Codes of a column that is a category column already need not be LightGBM's."""
    estimator, rows = frame_model(frame()), frame(200, seed=1)
    b = Builder(rows.shape[1])
    b.category_codes(1, ["elsewhere", "mid"])
    answers = booster.regressor(estimator, b, b.rows())
    model = inferir.Model(b.spec(answers, name="m", version="", framework={}))
    assert model.columns[1].categories == ("elsewhere", "mid", "high", "héé", "low")
    assert_bits(model.predict(rows), theirs(estimator, rows))


def test_ordered_categories_are_refused() -> None:
    """LightGBM takes an ordered category column as numbers, and its text does not say which column that was."""
    rows = frame()
    rows["text"] = rows["text"].cat.as_ordered()
    estimator = frame_model(rows)
    with pytest.raises(UnsupportedModelError, match="5 pandas category columns and 4 categorical ones"):
        inferir.convert(estimator)


def test_categories_of_one_text_are_refused() -> None:
    rows = frame()
    rows["text"] = pd.Categorical(np.random.default_rng(0).choice(np.array([1, "1"], object), len(rows)))
    with pytest.raises(UnsupportedModelError, match="categories of one text in column 'text'"):
        inferir.convert(frame_model(rows))
