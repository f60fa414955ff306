"""Category columns: text and numbers that the model stores, against frames; codes, which stay numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost as xgb

import inferir
from inferir.errors import FormatError, InvalidInputError, ModelLoadError, UnsupportedModelError
from inferir.formats.importers.xgboost.booster import model_file
from tests.formats.importers.xgboost.zoo import FOUR, ROWS, SIGNAL, booster
from tests.parity import assert_bits

WORDS = np.array(["red", "green", "blue", "navy", "a", "B", "", "light blue", "1"])
NUMBERS = np.array([7, -3, 100000, 0, 1, 2, 50, 51, 52])
KINDS = ROWS[:, 5].astype(int)

_ROWS = ROWS.copy()
_ROWS[::9, 5] = np.nan


def frame(words: Any = WORDS, order: Any = None) -> pd.DataFrame:
    """A frame with a column of words, one of numbers and one of codes in disguise, some missing."""
    data = pd.DataFrame(ROWS[:, :3], columns=["n0", "n1", "n2"])
    data.insert(1, "word", pd.Categorical(np.where(np.isnan(_ROWS[:, 5]), None, words[KINDS]), order))
    data["number"] = pd.Categorical(NUMBERS[FOUR])
    return data


def fit(data: Any, **parameters: Any) -> Any:
    options = {"n_estimators": 8, "max_depth": 4, "enable_categorical": True, "n_jobs": 1, **parameters}
    return xgb.XGBRegressor(**options).fit(data, SIGNAL)


@pytest.mark.parametrize("parameters", [{}, {"max_cat_to_onehot": 1}, {"max_cat_to_onehot": 99}, {"booster": "dart"}])
def test_frames(parameters: dict[str, Any], tmp_path: Any) -> None:
    data = frame()
    estimator = fit(data, **parameters)
    estimator.save_model(tmp_path / "model.json")
    for ours in (inferir.convert(estimator), inferir.convert(tmp_path / "model.json")):
        kinds = {column.name: column.kind for column in ours.columns}
        assert kinds == {"n0": "number", "word": "category", "n1": "number", "n2": "number", "number": "category"}
        theirs = estimator.predict(data)
        assert_bits(ours.predict(data), theirs)
        assert_bits(ours.predict(data[data.columns[::-1]]), theirs)
        assert_bits(ours.predict(data.to_dict("records")), theirs)
        assert_bits(ours.predict(data.astype({"word": object, "number": float})), theirs)
        again = frame(order=["navy", *sorted(set(WORDS) - {"navy"})])  # other codes for the same words
        assert_bits(ours.predict(again), theirs)
        assert_bits(ours.predict(data[:1]), theirs[:1])


def test_polars() -> None:
    words = [None if missing else str(WORDS[kind]) for missing, kind in zip(np.isnan(_ROWS[:, 5]), KINDS, strict=True)]
    data = pl.DataFrame({"n0": ROWS[:, 0], "word": pl.Series(words, dtype=pl.Enum([str(word) for word in WORDS]))})
    estimator = fit(data)
    assert_bits(inferir.convert(estimator).predict(data), estimator.predict(data))


def test_many_rows() -> None:
    data = pd.concat([frame()] * 20, ignore_index=True)
    estimator = fit(data[:300])
    assert_bits(inferir.convert(estimator).predict(data), estimator.predict(data))


@pytest.mark.parametrize("value", ["purple", "sepia", "Red", "zzz", 5])
def test_a_category_that_training_has_not_seen(value: Any) -> None:
    """XGBoost fails on the last word in order, and takes the others for the word that follows them (#12189)."""
    ours = inferir.convert(fit(frame()))
    records = frame()[:4].to_dict("records")
    records[2]["word"] = value
    with pytest.raises(InvalidInputError, match=r"row 2, column .*: expected a category the model knows"):
        ours.predict(records)


def test_missing_is_no_category() -> None:
    estimator = fit(frame())
    data = frame()[:50].copy()
    data["word"] = pd.Categorical([None] * 50, WORDS)
    data["number"] = pd.Categorical([None] * 50, NUMBERS)
    assert_bits(inferir.convert(estimator).predict(data), estimator.predict(data))


def test_codes_of_an_array_stay_numbers() -> None:
    ours = inferir.convert(booster("partition"))
    assert {column.kind for column in ours.columns} == {"number"}


def test_names_outside_ascii_may_be_cut() -> None:
    """XGBoost 3.1 to 3.3 count letters of pandas' categories and cut bytes (#12371): Zürich is Züric, and so on."""
    estimator = fit(frame(np.array(["Zürich", "Genève", "Bern", "Basel", "Chur", "Sion", "Aarau", "Thun", "Zug"])))
    version = tuple(map(int, xgb.__version__.split(".")[:2]))
    if version >= (3, 4):
        assert_bits(inferir.convert(estimator).predict(frame()), estimator.predict(frame()))
    with pytest.raises(UnsupportedModelError, match="outside ASCII"):
        inferir.convert(estimator)


def stored(change: Any, version: Any = None) -> Any:
    """The document of a model of frames, changed."""
    document = json.loads(fit(frame(), n_estimators=2).get_booster().save_raw("json"))
    document["version"] = version or document["version"]
    change(document["learner"]["gradient_booster"]["model"]["cats"]["enc"])
    b, answers, framework = model_file(json.dumps(document).encode())
    return b.spec(answers, name="", version="", framework=framework)


def _letters(text: str) -> list[int]:
    return np.frombuffer(text.encode(), np.int8).tolist()


def test_names_outside_ascii_of_later_versions() -> None:
    def change(enc: Any) -> None:
        enc[1] = {"offsets": [0, 3, 4], "values": _letters("éab")}

    assert stored(change, [3, 4, 0]).columns[1].categories == ("éa", "b")
    with pytest.raises(UnsupportedModelError, match=r"outside ASCII from XGBoost 3\.2\.0"):
        stored(change, [3, 2, 0])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"offsets": [0, 9], "values": _letters("abc")}, "offsets: expected positions that rise from 0 to at most 3"),
        ({"offsets": [0, 2, 1], "values": _letters("abc")}, "offsets: expected positions that rise"),
        ({"offsets": [1, 2], "values": _letters("abc")}, "offsets: expected positions that rise"),
        ({"offsets": [-1, 2], "values": _letters("abc")}, "offsets: expected positions that rise"),
        ({"offsets": [0, 1], "values": "abc"}, "values: expected an array of whole numbers"),
        ({"offsets": [0, 1], "values": [-1]}, "values: expected names in UTF-8"),
        ({"offsets": [0, 1, 2], "values": _letters("aa")}, "two categories of one text in column 1"),
        ({"values": [1.5]}, "values: expected an array of whole numbers"),
        ({"type": 5}, "values: expected an array of whole numbers"),
        ([], "enc: expected an array of objects"),
    ],
)
def test_stored_categories_that_are_wrong(column: Any, message: str) -> None:
    def change(enc: Any) -> None:
        enc[1] = column

    with pytest.raises(FormatError, match=message):
        stored(change, [3, 4, 0])


def test_a_column_too_few() -> None:
    with pytest.raises(ModelLoadError, match="enc: expected 5 columns"):
        stored(lambda enc: enc.pop())


def test_a_missing_value_among_codes() -> None:
    with pytest.raises(UnsupportedModelError, match="missing=0 with category columns"):
        inferir.convert(fit(frame(), missing=0.0))
