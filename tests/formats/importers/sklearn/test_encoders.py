from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

import inferir
from inferir.errors import InvalidInputError
from tests.formats.importers.sklearn.agreement import converted
from tests.parity import assert_bits

FRAME = pd.DataFrame(
    {
        "tint": ["red", "green", "blue", "green", "red", "red", "white", "green"] * 4,
        "size": ["S", "M", "L", "L", "M", "S", "S", "XL"] * 4,
    },
    dtype=object,
)
CODES = pd.DataFrame({"a": [3, 1, 2, 3, 1, 7, 7, 2] * 4, "b": [0.5, -1.5, 0.5, 2.0, 2.0, -1.5, 0.5, 9.0] * 4})
UNSEEN = pd.DataFrame({"tint": ["red", "violet", "blue"], "size": ["XS", "M", "L"]}, dtype=object)
TARGET = np.arange(32) % 2


def _dense(matrix: Any) -> Any:
    return matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix, float)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize(
    "options",
    [
        {"handle_unknown": "ignore"},
        {"handle_unknown": "ignore", "drop": "first"},
        {"handle_unknown": "ignore", "drop": "if_binary"},
        {"handle_unknown": "infrequent_if_exist", "min_frequency": 6},
        {"handle_unknown": "infrequent_if_exist", "max_categories": 2, "drop": "first"},
        {"handle_unknown": "infrequent_if_exist"},
        {"handle_unknown": "ignore", "sparse_output": False, "dtype": np.float32},
        {"handle_unknown": "ignore", "categories": [["white", "red", "blue", "green"], ["XL", "L", "M", "S"]]},
    ],
    ids=str,
)
def test_one_hot(options: dict[str, Any]) -> None:
    encoder = OneHotEncoder(**options).fit(FRAME)
    model = converted(encoder)
    for frame in (FRAME, UNSEEN, FRAME[:0]):
        if len(frame):
            assert_bits(model.transform(frame), _dense(encoder.transform(frame)))
            assert_bits(model.transform(frame.to_numpy()), _dense(encoder.transform(frame)))
            assert_bits(model.transform(frame.to_dict("records")), _dense(encoder.transform(frame)))
        else:
            assert len(model.transform(frame)) == 0
    assert [column.name for column in model.columns] == ["tint", "size"]
    assert {column.kind for column in model.columns} == {"category"}


@pytest.mark.parametrize("options", [{}, {"drop": "first"}], ids=str)
def test_an_unknown_category_is_refused_with_row_and_column(options: dict[str, Any]) -> None:
    model = converted(OneHotEncoder(**options).fit(FRAME))
    with pytest.raises(InvalidInputError, match=r"row 0, column 'size': expected a category the model knows"):
        model.transform(UNSEEN)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_one_hot_of_numbers() -> None:
    encoder = OneHotEncoder(handle_unknown="ignore").fit(CODES)
    model = converted(encoder)
    assert {column.kind for column in model.columns} == {"number"}
    asked = pd.DataFrame({"a": [3, 4, 7, -1], "b": [0.5, 0.25, 9.0, -1.5]})
    assert_bits(model.transform(asked), _dense(encoder.transform(asked)))
    assert_bits(model.transform(asked.to_numpy()), _dense(encoder.transform(asked)))


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_missing_is_a_category_where_it_was_one() -> None:
    frame = FRAME.copy()
    frame.loc[::5, "tint"] = None
    numbers = CODES.astype(float)
    numbers.loc[::3, "b"] = np.nan
    for trained in (frame, numbers):
        encoder = OneHotEncoder(handle_unknown="ignore").fit(trained)
        assert_bits(converted(encoder).transform(trained), _dense(encoder.transform(trained)))
    encoder = OneHotEncoder(handle_unknown="ignore").fit(FRAME)
    assert_bits(converted(encoder).transform(frame), _dense(encoder.transform(frame)))


@pytest.mark.parametrize(
    "options",
    [
        {"handle_unknown": "use_encoded_value", "unknown_value": -1},
        {"handle_unknown": "use_encoded_value", "unknown_value": np.nan},
        {"handle_unknown": "use_encoded_value", "unknown_value": -5, "min_frequency": 6},
        {"handle_unknown": "use_encoded_value", "unknown_value": 99, "categories": [list("wxyz"), ["L", "M"]]},
    ],
    ids=str,
)
def test_ordinal(options: dict[str, Any]) -> None:
    encoder = OrdinalEncoder(**options).fit(FRAME)
    model = converted(encoder)
    for frame in (FRAME, UNSEEN):
        assert_bits(model.transform(frame), encoder.transform(frame))


def test_ordinal_with_missing_values() -> None:
    frame = FRAME.copy()
    frame.loc[::5, "tint"] = None
    for value in (np.nan, -3):
        encoder = OrdinalEncoder(encoded_missing_value=value).fit(frame)
        assert_bits(converted(encoder).transform(frame), encoder.transform(frame))
    with pytest.raises(InvalidInputError, match="expected a category the model knows"):
        inferir.convert(OrdinalEncoder().fit(FRAME)).transform(frame)


@pytest.mark.parametrize("target_type", ["binary", "continuous"])
def test_target_encoder(target_type: str) -> None:
    encoder = TargetEncoder(target_type=target_type, random_state=0).fit(FRAME, TARGET)
    model = converted(encoder)
    for frame in (FRAME, UNSEEN):
        assert_bits(model.transform(frame), encoder.transform(frame))
