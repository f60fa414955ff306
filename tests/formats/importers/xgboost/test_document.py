"""Fields: what is taken, and what is said of what is not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from inferir.errors import ModelLoadError
from inferir.formats.importers.xgboost.document import Fields, parse


def fields(**members: Any) -> Fields:
    return Fields(members, "learner")


def test_json_and_ubjson() -> None:
    assert parse(b' {"a": 1}').integer("a", 0, 9) == 1
    assert parse(b"{i\x01aU\x01}").integer("a", 0, 9) == 1
    assert "a" not in parse(b"{}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[1]", "expected an object, got list"),
        (b'{"a": 1', "expected JSON, got"),
        (b'{"a": ' + b"[" * 100_000, "expected JSON of some ten levels"),
        (b'{"a": "\xff"}', "expected JSON, got"),
        (b'{"a": ' + b"9" * 5000 + b"}", "expected JSON, got|digits"),
        (b"", "expected JSON, got"),
    ],
)
def test_not_a_document(data: bytes, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        parse(data).integer("a", 0, 9)


def test_numbers_in_any_form() -> None:
    assert fields(n=3).integer("n", 0, 3) == fields(n="3").integer("n", 0, 3) == 3
    assert fields(b="5E-1").numbers("b").tolist() == [0.5]
    assert fields(b="[5E-1,2E0]").numbers("b").tolist() == [0.5, 2.0]
    for value in ([1, 2], np.array([1, 2], np.int16), [1.0, 2.0], np.array([1, 2], np.float32)):
        got = fields(a=value).array("a", np.float32, 2)
        assert (got.dtype, got.tolist()) == (np.float32, [1.0, 2.0])
    assert fields(a=[True, False, 1]).array("a", np.uint8).tolist() == [1, 0, 1]
    assert fields(a=[]).array("a", np.int64).shape == (0,)
    assert np.isnan(fields(a=json.loads("[NaN]")).array("a", np.float32)[0])


@pytest.mark.parametrize(
    ("value", "dtype", "length", "message"),
    [
        ("no", np.float32, None, "expected an array of numbers, got 'no'"),
        (["1"], np.float32, None, "expected an array of numbers, got 1 elements, the first '1'"),
        ([None], np.float32, None, "expected an array of numbers"),
        ([[1], [2]], np.float32, None, "expected an array of numbers"),
        (["x" * 10**6, *range(10**5)], np.float32, None, "expected an array of numbers, got 100001 elements"),
        (
            [10**30],
            np.int64,
            None,
            "expected an array of whole numbers, got 1 elements, the first a number of 31 digits",
        ),
        ([10**400], np.float32, None, "expected an array of numbers, got 1 elements, the first a number of 401 digits"),
        ([1.5], np.int64, None, "expected an array of whole numbers"),
        ([300], np.uint8, None, "expected an array of whole numbers within uint8"),
        ([-1], np.uint8, None, "expected an array of whole numbers within uint8"),
        (np.array([1e30]), np.int64, None, "expected an array of whole numbers"),
        ([1, 2], np.int64, 3, "expected an array of 3 whole numbers, got 2 elements, the first 1"),
    ],
)
def test_arrays_that_are_refused(value: Any, dtype: Any, length: int | None, message: str) -> None:
    with pytest.raises(ModelLoadError, match=f"learner.a: {message}"):
        fields(a=value).array("a", dtype, length)


@pytest.mark.parametrize("value", ["", "x", "1.0", 1.0, True, None, [1], 10, -1, "10", "9" * 30])
def test_whole_numbers_that_are_refused(value: Any) -> None:
    with pytest.raises(ModelLoadError, match=r"learner\.n: expected a whole number from 0 to 9, got"):
        fields(n=value).integer("n", 0, 9)


@pytest.mark.parametrize("value", ["", "half", "[", "[[1]]", '["1"]', "{}", "[" * 10_000, 0.5, None])
def test_base_scores_that_are_refused(value: Any) -> None:
    with pytest.raises(ModelLoadError, match=r"learner\.b: expected"):
        fields(b=value).numbers("b")


def test_paths() -> None:
    document = Fields({"learner": {"trees": [{}, {"n": "x"}]}}, "")
    with pytest.raises(ModelLoadError, match=r"XGBoost model, learner\.trees\[1\]\.n: expected .*, got 'x'"):
        document.object("learner").objects("trees")[1].integer("n", 0, 1)
    with pytest.raises(ModelLoadError, match=r"learner\.forest: expected an object, got only trees"):
        document.object("learner").object("forest")
    with pytest.raises(ModelLoadError, match=r"learner\.trees\[0\]\.n: expected text, got only nothing"):
        document.object("learner").objects("trees")[0].text("n")
    with pytest.raises(ModelLoadError, match=r"learner: expected an array of objects, got an object"):
        document.objects("learner")
    with pytest.raises(ModelLoadError, match=r"learner: expected an array of text"):
        document.texts("learner")
