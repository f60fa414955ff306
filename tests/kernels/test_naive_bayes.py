"""Naive Bayes against its NumPy twin and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.naive_bayes import CategoricalNB, GaussianNB

from inferir.operators._packing import packed
from tests.kernels.twins import Array, assert_close, begins, call, check, examples, matrices, numbers


@given(k=st.integers(1, 4) | st.sampled_from([8, 9, 35]), data=st.data())
@examples(50)
def test_gaussian(k: int, data: Any) -> None:
    x = data.draw(matrices(columns=(1, 9), limit=1e9))
    d = x.shape[1]
    theta = data.draw(matrices(rows=k, columns=d, finite=True, limit=1e9))
    variance = np.exp(data.draw(matrices(rows=k, columns=d, finite=True, limit=20)))
    constant = data.draw(matrices(rows=1, columns=k, finite=True, limit=1e9))[0]
    with np.errstate(all="ignore"):
        size = ((x[:, None] - theta) ** 2 / variance).sum(axis=2) + np.abs(constant)
    given = {"x": x, "normal": packed(theta, 1 / variance), "constant": constant}
    check("gaussian_nb", given, relative=1e-10, size=np.where(np.isfinite(size), size, 0))


@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3), k=st.integers(1, 3), data=st.data())
@examples(50)
def test_categorical(lengths: list[int], k: int, data: Any) -> None:
    n = data.draw(st.integers(0, 6))
    values = st.sampled_from([0, 1, 2, 3, 4, -1, -0.5, -0.0, 1.9, np.nan, np.inf, -np.inf, 1e300]) | numbers("f64")
    x = data.draw(hnp.arrays(np.float64, (n, len(lengths)), elements=values))
    table = data.draw(hnp.arrays(np.float64, (sum(lengths), k), elements=st.floats(-50, 0)))
    prior = data.draw(hnp.arrays(np.float64, k, elements=st.floats(-50, 0)))
    check("categorical_nb", {"x": x, "begin": begins(lengths), "log_probability": table, "log_prior": prior})


def test_unseen_category_is_pointed_at() -> None:
    given = {
        "x": [[0, 1], [1, 2], [9, 9]],
        "begin": [0, 2, 4],
        "log_probability": np.zeros((4, 2)),
        "log_prior": [0, 0],
    }
    assert check("categorical_nb", given)["problem"] == [3]


def _table(model: CategoricalNB) -> Array:
    return np.concatenate([log_probability.T for log_probability in model.feature_log_prob_])


def test_scikit_learn() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 80)
    x = random.normal(size=(80, 4)) + y[:, None]
    gaussian = GaussianNB().fit(x, y)
    constant = np.log(gaussian.class_prior_) - 0.5 * np.log(2 * np.pi * gaussian.var_).sum(axis=1)
    given = {"x": x, "normal": packed(gaussian.theta_, 1 / gaussian.var_), "constant": constant}
    assert_close(call("jit", "gaussian_nb", given)["out"], gaussian.predict_joint_log_proba(x), relative=1e-10)

    x = random.integers(0, [2, 3, 5], (80, 3))
    categorical = CategoricalNB().fit(x, y)
    given = {
        "x": x,
        "begin": begins(categorical.n_categories_),
        "log_probability": _table(categorical),
        "log_prior": categorical.class_log_prior_,
    }
    assert_close(call("jit", "categorical_nb", given)["out"], categorical.predict_joint_log_proba(x), relative=1e-10)
