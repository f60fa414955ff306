"""Routing: borders, missing values, categories, in trees of every shape. Raw scores are compared bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import catboost as cb
import numpy as np
import pytest

import inferir
from inferir.errors import FormatError, UnsupportedModelError
from tests.formats.importers.catboost.agreement import (
    POLICIES,
    QUIET,
    SMALL,
    agree,
    answers_agree,
    converted,
    raw,
    target,
    training_rows,
)
from tests.parity import assert_bits, assert_relative, thresholds

pd = pytest.importorskip("pandas", reason="rows of text and numbers are pandas'")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("nan", "parameters"),
    [
        (0.0, {}),
        (0.1, {"nan_mode": "Min"}),
        (0.1, {"nan_mode": "Max"}),
        (0.1, {"depth": 1}),
        (0.1, {"depth": 2, "nan_mode": "Max"}),
        (0.1, {"depth": 6}),
        (0.0, {"depth": 9, "iterations": 3}),
        (0.0, {"border_count": 5, "feature_border_type": "Uniform"}),
        (0.1, {"border_count": 1000, "iterations": 30}),
    ],
)
def test_numbers(policy: str, nan: float, parameters: dict[str, Any]) -> None:
    rows = training_rows(nan=nan)
    agree(cb.CatBoostRegressor(**{**SMALL, "grow_policy": policy, **parameters}).fit(rows, target(rows)), rows, n=300)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("treatment", ["AsIs", "AsFalse", "AsTrue"])
@pytest.mark.parametrize("has_nans", [False, True])
def test_what_nan_answers(policy: str, treatment: str, has_nans: bool, tmp_path: Path) -> None:
    """Every pair a file may hold, against CatBoost's own reading of the file, which rounds leaves to 16 digits."""
    rows, path = training_rows(nan=0.0), tmp_path / "m.json"
    cb.CatBoostRegressor(**SMALL, grow_policy=policy).fit(rows, target(rows)).save_model(str(path), format="json")
    document = json.loads(path.read_text())
    for feature in document["features_info"]["float_features"]:
        feature |= {"has_nans": has_nans, "nan_value_treatment": treatment}
    path.write_text(json.dumps(document))
    rows[::2] = np.where(np.random.default_rng(0).random(rows[::2].shape) < 0.5, np.nan, rows[::2])
    theirs = raw(cb.CatBoostRegressor().load_model(str(path), format="json"), rows)
    assert_relative(converted(path).raw(rows), theirs, absolute=1e-13)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_score_per_class(policy: str) -> None:
    rows = training_rows()
    estimator = cb.CatBoostClassifier(**SMALL, grow_policy=policy).fit(rows, target(rows, "three"))
    assert agree(estimator, rows, n=300).raw(rows).shape == (len(rows), 3)


def test_borders_that_are_not_normal_numbers() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.uniform(-1, 1, size=(200, 2)) * [1e-41, 3e38]).astype(np.float32)
    estimator = cb.CatBoostRegressor(**SMALL).fit(rows, (rows > 0) @ [1.0, 2.0])
    model, borders = converted(estimator), thresholds(converted(estimator).spec)
    assert 0 < np.abs(borders[0]).max() < 1e-40
    beside = [np.nextafter(np.float32(border), np.float32(side)) for border in borders[0] for side in (-1, 1)]
    hard = np.array([*borders[0], *beside, 0.0, -0.0, np.inf, -np.inf, np.nan], np.float32)
    hard = np.stack([hard, np.resize(rows[:, 1], len(hard))], axis=1)
    assert_bits(model.raw(hard), raw(estimator, hard))
    assert_bits(model.raw(rows), raw(estimator, rows))


@pytest.mark.parametrize("rows_at_once", [1, 2, 7, 8, 9, 255, 256, 257, 4097])
def test_rows_at_once(rows_at_once: int) -> None:
    """The kernel takes few rows another way than many; CatBoost too."""
    rows = training_rows(rows_at_once + 200)
    symmetric = cb.CatBoostClassifier(**SMALL | {"depth": 5}).fit(rows, target(rows, "three"))
    some = rows[:rows_at_once]
    assert_bits(converted(symmetric).raw(some), np.atleast_2d(raw(symmetric, some)))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("scale", "bias"), [(1.0, 0.1), (2.5, 0.0), (0.3, -7.1)])
def test_scale_and_bias(policy: str, scale: float, bias: float) -> None:
    rows = training_rows()
    estimator = cb.CatBoostRegressor(**SMALL, grow_policy=policy).fit(rows, target(rows))
    estimator.set_scale_and_bias(scale, bias)
    agree(estimator, rows, n=100)


def test_scale_and_bias_of_many(tmp_path: Path) -> None:
    rows = training_rows()
    both = np.c_[target(rows), target(rows, "positive")]
    estimator = cb.CatBoostRegressor(**SMALL, loss_function="MultiRMSE").fit(rows, both)
    assert any(estimator.get_scale_and_bias()[1])
    agree(estimator, rows, n=100)
    path = tmp_path / "m.json"
    estimator.save_model(str(path), format="json")
    document = json.loads(path.read_text())
    bias = document["scale_and_bias"][1]
    for written, expected in [
        ([1, []], [0.0, 0.0]),
        ([1, None], [0.0, 0.0]),
        (None, [0.0, 0.0]),
        ([1, 0.5], [0.5, 0.5]),
    ]:
        path.write_text(json.dumps({**document, "scale_and_bias": written}))
        ours = inferir.convert(path).raw(rows)
        np.testing.assert_allclose(ours - expected, raw(estimator, rows) - bias, atol=1e-12)


# -- categories


def frame(n: int = 300, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(training_rows(n, seed, nan=0.0), columns=list("abcde"))
    rows.insert(1, "text", rng.choice(["x", "yy", "z z", "ä"], n))
    rows["whole"] = rng.integers(-1, 3, n)
    rows["flag"] = rng.random(n) < 0.5
    rows["unused"] = rng.choice(["p", "q"], n)
    return rows


CATEGORIES = ["text", "whole", "flag", "unused"]


def fitted_on_categories(policy: str = "SymmetricTree", **parameters: Any) -> tuple[cb.CatBoostClassifier, cb.Pool]:
    rows = frame()
    label = rows["text"].isin(["x", "z z"]) ^ (rows["whole"] == 2) ^ (rows["flag"] & (rows["a"] > 0))
    pool = cb.Pool(rows, label.astype(int), cat_features=CATEGORIES)
    options = {**SMALL, "grow_policy": policy, "one_hot_max_size": 10, "ignored_features": ["unused"], **parameters}
    return cb.CatBoostClassifier(**options).fit(pool), pool


@pytest.mark.parametrize("policy", POLICIES)
def test_categories(policy: str, tmp_path: Path) -> None:
    """Each text is what it was to CatBoost; texts it has not seen are none of them."""
    estimator, pool = fitted_on_categories(policy)
    path = tmp_path / "m.json"
    estimator.save_model(str(path), format="json", pool=pool)
    model = converted(path)
    assert [c.name for c in model.columns] == list(frame().columns)
    assert [c.name for c in model.columns if c.kind == "category"] == CATEGORIES
    assert model.columns[-1].categories == ()
    rows = frame(200, seed=1)
    rows.loc[::5, "text"], rows.loc[::7, "whole"], rows.loc[::3, "unused"] = "new", 77, "new"
    assert_bits(model.raw(rows), raw(estimator, rows))
    answers_agree(estimator, model, rows)
    assert_bits(model.raw(rows.to_dict("records")), raw(estimator, rows))
    assert_bits(model.raw(rows.astype({"whole": str})), raw(estimator, rows))


@pytest.mark.parametrize("policy", POLICIES)
def test_categories_without_texts_are_refused(policy: str, tmp_path: Path) -> None:
    estimator, _ = fitted_on_categories(policy)
    estimator.save_model(str(tmp_path / "m.json"), format="json")
    for source in (estimator, tmp_path / "m.json"):
        with pytest.raises(UnsupportedModelError, match=r"a hash only; supported: .*pool=train_pool"):
            inferir.convert(source)


def test_category_columns_that_no_split_asks_for() -> None:
    rows = frame()[["a", "unused"]]
    pool = cb.Pool(rows, rows["a"] > 0, cat_features=["unused"])
    estimator = cb.CatBoostClassifier(**SMALL, one_hot_max_size=10, ignored_features=["unused"]).fit(pool)
    assert_bits(converted(estimator).raw(rows), raw(estimator, rows))


def test_counters_of_categories_are_refused() -> None:
    estimator, _ = fitted_on_categories(one_hot_max_size=1)
    with pytest.raises(UnsupportedModelError, match=r"split of type 'OnlineCtr'.*one_hot_max_size"):
        inferir.convert(estimator)


def test_text_and_embedding_features_are_refused() -> None:
    rows = pd.DataFrame({"words": ["a b", "b c", "c a b", "a a"] * 30, "x": np.arange(120.0)})
    label = rows["words"].str.startswith("a").astype(int)
    with_text = cb.CatBoostClassifier(**SMALL, text_features=["words"]).fit(rows, label)
    vectors = pd.DataFrame({"x": np.arange(60.0), "vector": list(np.random.default_rng(0).normal(size=(60, 3)))})
    pool = cb.Pool(vectors, vectors["x"] > 30, embedding_features=["vector"])
    for estimator in (with_text, cb.CatBoostClassifier(**QUIET, iterations=3).fit(pool)):
        with pytest.raises(UnsupportedModelError, match="text or embedding features"):
            inferir.convert(estimator)


def test_wrong_width_in_a_pipeline() -> None:
    with pytest.raises(FormatError, match="is it fitted"):
        inferir.convert(cb.CatBoostRegressor())
