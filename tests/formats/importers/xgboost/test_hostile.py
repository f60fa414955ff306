"""Documents with anything in any place: a model or a FormatError, and a model that answers."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inferir
from inferir.errors import FormatError
from inferir.formats.importers.xgboost.booster import model_file
from inferir.formats.importers.xgboost.ubjson import loads
from tests.formats.importers.xgboost.test_categories import fit, frame
from tests.formats.importers.xgboost.zoo import ROWS, booster

NAMES = ["binary", "dart", "vector leaves", "partition", "linear classes", "frame"]
JUNK: list[Any] = [None, True, -1, 2, 2**31, 2**63, 1e300, float("nan"), "", "7", "[1,2]", [], {}, [[]], ["a"], [{}]]


@functools.cache
def saved(name: str, form: str) -> bytes:
    """Of trees, one round."""
    theirs = fit(frame(), max_depth=3).get_booster() if name == "frame" else booster(name)
    return bytes((theirs if name == "linear classes" else theirs[:1]).save_raw(form))


def answers_or_refuses(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        b, answers, framework = model_file(data)
        ours = inferir.Model(b.spec(answers, name="", version="", framework=framework))
        if not any(column.kind == "category" for column in ours.columns):
            ours.raw(np.resize(ROWS, (5, len(ours.columns))))


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all members and elements; of numbers in a row, the first and the last."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield (*path, key)
            yield from _places(member, (*path, key))
    elif isinstance(value, list):
        for i in sorted({0, len(value) - 1} if value and not isinstance(value[0], dict) else range(len(value))):
            if value:
                yield (*path, i)
                yield from _places(value[i], (*path, i))


@pytest.mark.parametrize("name", NAMES)
def test_junk_in_every_place(name: str) -> None:
    whole = json.loads(saved(name, "json"))
    for path in _places(whole):
        for junk in [*JUNK, "gone"]:
            changed = copy.deepcopy(whole)
            place = functools.reduce(lambda value, key: value[key], path[:-1], changed)
            if junk == "gone":
                del place[path[-1]]
            else:
                place[path[-1]] = junk
            answers_or_refuses(json.dumps(changed).encode())


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes(name: str, data: st.DataObject) -> None:
    raw = bytearray(saved(name, data.draw(st.sampled_from(["ubj", "json"]))))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    answers_or_refuses(bytes(raw))


@pytest.mark.parametrize("name", NAMES)
def test_cut_anywhere(name: str) -> None:
    raw = saved(name, "ubj")
    for end in range(0, len(raw), 7):
        with pytest.raises(FormatError):
            loads(raw[:end])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("version", [4, 0, 0], "XGBoost model of version 4.0.0; supported: 1 to 3"),
        ("version", [], "supported: 1 to 3"),
        ("learner.learner_model_param.num_feature", "0", "num_feature: expected a whole number from 1 to 1000000"),
        ("learner.learner_model_param.num_feature", "4000000000", "num_feature: expected a whole number from 1 to"),
        ("learner.learner_model_param.num_class", "2000000000", "num_class: expected a whole number from 0 to 1000000"),
        ("learner.learner_model_param.base_score", "[1,2,3]", "base_score: expected one number or 1"),
        ("learner.objective.name", "reg:unheard", "XGBoost objective 'reg:unheard'; supported: reg:squarederror"),
        ("learner.objective.name", "multi:softprob", "num_class: expected two classes or more"),
        ("learner.gradient_booster.name", "gbforest", "XGBoost booster 'gbforest'"),
        ("learner.attributes", {"scikit_learn": "{"}, "scikit_learn: expected an object in JSON"),
        ("learner.feature_names", [1], "feature_names: expected an array of text"),
    ],
)
def test_what_is_said(path: str, value: Any, message: str) -> None:
    changed = json.loads(saved("binary", "json"))
    *before, last = path.split(".")
    functools.reduce(lambda place, key: place[key], before, changed)[last] = value
    with pytest.raises(FormatError, match=message):
        model_file(json.dumps(changed).encode())


def test_several_quantiles_of_a_later_version() -> None:
    """They may be put in order (QuantileTransformCpu), which 3.3 does not do."""
    changed = json.loads(booster("quantiles").save_raw("json"))
    changed["version"] = [3, 4, 0]
    with pytest.raises(FormatError, match=r"several quantiles of XGBoost 3\.4"):
        model_file(json.dumps(changed).encode())
