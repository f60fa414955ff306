"""Base scores -> margins, against XGBoost boosters without a tree."""

from __future__ import annotations

import math
import platform
from typing import Any

import numpy as np
import pytest
import xgboost as xgb

from inferir.formats.importers.xgboost import objectives
from inferir.formats.importers.xgboost.objectives import OBJECTIVES, base_margins, log32

CURRENT = tuple(map(int, xgb.__version__.split(".")[:2]))


def margin(objective: str, base_score: float) -> Any:
    data = xgb.DMatrix(np.zeros((1, 1), np.float32), label=[0.0])
    parameters = {"objective": objective, "base_score": base_score, "nthread": 1}
    return xgb.train(parameters, data, num_boost_round=0).predict(data, output_margin=True)[0]


#: `reg:linear` is an old name of reg:squarederror; the others want more than a label to be trained.
TRAINED = [name for name in OBJECTIVES if not name.startswith(("multi", "rank:map", "reg:linear", "reg:quantile"))]


@pytest.mark.parametrize("objective", TRAINED)
def test_base_margins(objective: str) -> None:
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.001, 0.999, 25) if OBJECTIVES[objective].link == "sigmoid" else rng.uniform(0.001, 9.0, 25)
    for score in scores.astype(np.float32):
        ours = base_margins(OBJECTIVES[objective], np.array([score]), CURRENT)
        assert ours.dtype == np.float32
        assert ours[0] == margin(objective, float(score)), score


@pytest.mark.skipif(CURRENT < (3, 2), reason="older versions refuse these base scores")
@pytest.mark.parametrize("score", [0.0, 1.0, 1e-9, 1e-6, 1 - 1e-7])
def test_probabilities_of_nothing_and_all(score: float) -> None:
    given = np.array([score], np.float32)
    assert base_margins(OBJECTIVES["binary:logistic"], given, CURRENT)[0] == margin("binary:logistic", score)


def test_older_versions_did_not_keep_their_distance() -> None:
    given = np.array([1e-9, 0.5], np.float32)
    assert base_margins(OBJECTIVES["binary:logistic"], given, (3, 1)).tolist() == [np.float32(-20.723267), 0.0]


def test_logarithm() -> None:
    assert log32(np.float32(0)) == -math.inf
    assert math.isnan(log32(np.float32(-1)))
    assert math.isnan(log32(np.float32("nan")))
    assert log32(np.float32("inf")) == math.inf
    assert log32(np.float32(1)) == 0
    values = np.random.default_rng(2).uniform(1e-30, 50, 2000).astype(np.float32)
    near = np.log(values.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_max_ulp(np.array([log32(value) for value in values]), near, 1)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="says what glibc's logf says")
def test_the_c_library_is_not_always_the_nearest() -> None:
    """Which is why it is asked."""
    score = np.float32(1.6018529)
    values = np.arange(score.view(np.int32), score.view(np.int32) + 3000, dtype=np.int32).view(np.float32)
    nearest = np.log(values.astype(np.float64)).astype(np.float32)
    assert (np.array([log32(value) for value in values]) != nearest).any()


def test_without_a_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "_C_LIBRARIES", ("no such library",))
    assert log32(np.float32(2)) == np.float32(math.log(2))
