"""Support vector machines against their NumPy twins, scikit-learn's kernels and libsvm itself."""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import pairwise
from sklearn.svm import SVC, SVR
from sklearn.utils.multiclass import _ovr_decision_function

from inferir.kernels.jit._totals import _SERIES_OF_TWO
from inferir.operators._packing import packed
from inferir.operators.svm import rbf_screen
from tests.kernels.twins import BACKENDS, COMPILED, Array, assert_close, begins, call, check, examples, matrices

KINDS = ["linear", "poly", "rbf", "sigmoid"]


def similarities(kind: str, x: Array, support: Array, gamma: float, coef0: float, degree: int) -> Array:
    """scikit-learn's kernels."""
    options: dict[str, Any] = {} if kind == "linear" else {"gamma": gamma}
    if kind in ("poly", "sigmoid"):
        options["coef0"] = coef0
    if kind == "poly":
        options["degree"] = degree
    return pairwise.pairwise_kernels(x, support, {"poly": "polynomial"}.get(kind, kind), **options)


@pytest.mark.parametrize("kind", KINDS)
@given(lengths=st.lists(st.integers(0, 6) | st.just(40), min_size=1, max_size=4), data=st.data())
@examples(25)
def test_decision(kind: str, lengths: list[int], data: Any) -> None:
    m, c = sum(lengths), len(lengths)
    pairs = list(combinations(range(c), 2))
    x = data.draw(matrices(columns=(1, 9), finite=True, limit=3))
    support = data.draw(matrices(rows=m, columns=x.shape[1], finite=True, limit=3))
    dual_coef = data.draw(matrices(rows=max(c - 1, 1), columns=m, finite=True, limit=5))
    intercept = data.draw(matrices(rows=1, columns=max(len(pairs), 1), finite=True, limit=5))[0]
    gamma, coef0, degree = data.draw(st.floats(0.01, 2)), data.draw(st.floats(-1, 1)), data.draw(st.integers(0, 5))
    begin = begins(lengths)
    given = {
        "x": x,
        "support": packed(support),
        "dual_coef": dual_coef,
        "intercept": intercept,
        "class_begin": begin,
        "kind": KINDS.index(kind),
        "gamma": gamma,
        "coef0": coef0,
        "degree": degree,
    }
    there = len(x) and m
    similarity = similarities(kind, x, support, gamma, coef0, degree) if there else np.zeros((len(x), m))
    size = np.abs(similarity) @ np.abs(dual_coef).sum(axis=0)[:, None] + np.abs(intercept)
    out = check("svm_decision", given, relative=1e-10, size=size + 1)["out"]
    right = np.tile(intercept, (len(x), 1))
    for pair, (a, b) in enumerate(pairs):
        of_a, of_b = slice(begin[a], begin[a + 1]), slice(begin[b], begin[b + 1])
        right[:, pair] += similarity[:, of_a] @ dual_coef[b - 1, of_a] + similarity[:, of_b] @ dual_coef[a, of_b]
    if c == 1:
        right[:, 0] += similarity @ dual_coef[0]
    assert_close(out, right, relative=1e-10, size=size + 1)


def screened(x: Array, support: Array, coef: Array, intercept: float, gamma: float, of_first: int) -> dict[str, Any]:
    """Arguments of svm_vote_rbf; the first `of_first` vectors are the first class's."""
    screen = rbf_screen(support, coef, gamma)
    assert screen is not None
    given = {"x": x, "support": packed(support), "dual_coef": coef[None], "intercept": np.array([intercept])}
    begin = np.array([0, of_first, len(coef)])
    return given | {"class_begin": begin, "gamma": gamma, **screen._asdict()}


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e12])
@given(m=st.integers(1, 9) | st.sampled_from([64, 65, 130]), data=st.data())
@examples(25)
def test_votes_without_decisions(offset: float, m: int, data: Any) -> None:
    """Numbers of any size: most decisions are 0, or so near to it that float32 cannot tell the side."""
    limit = data.draw(st.sampled_from([3.0, 1e-20, 1e20]))
    x = data.draw(matrices(columns=(1, 9), finite=True, limit=limit)) + offset
    support = data.draw(matrices(rows=m, columns=x.shape[1], finite=True, limit=limit)) + offset
    coef = data.draw(matrices(rows=1, columns=m, finite=True, limit=data.draw(st.sampled_from([5.0, 1e20]))))[0]
    intercept = data.draw(st.sampled_from([0.0, -1.0, 1e-7]) | st.floats(-5, 5))
    gamma, of_first = data.draw(st.sampled_from([1e-12, 0.1, 50.0])), data.draw(st.integers(0, m))
    given = screened(x, support, coef, intercept, gamma, of_first)
    decisions = {"kind": KINDS.index("rbf"), "coef0": 0.0, "degree": 0}
    decisions |= {key: given[key] for key in ("x", "support", "dual_coef", "intercept", "class_begin", "gamma")}
    similarity = similarities("rbf", x, support, gamma, 0.0, 0) if len(x) else np.zeros((0, m))
    size = similarity @ np.abs(coef) + abs(intercept)
    for backend in BACKENDS:
        votes = call(backend, "svm_vote_rbf", given, {})["out"]
        assert (votes.sum(axis=1) == 1).all()
        decision = call(backend, "svm_decision", decisions)["out"][:, 0]
        sure = np.abs(decision) > 1e-10 * size  # in what is left, sums in another order have another sign
        np.testing.assert_array_equal(votes[sure, 0], decision[sure] > 0)
        for i in range(min(len(x), 20)):
            alone = call(backend, "svm_vote_rbf", given | {"x": x[i : i + 1]})["out"]
            np.testing.assert_array_equal(alone[0], votes[i])


def test_votes_near_the_boundary() -> None:
    """Rows moved onto the boundary between the classes, as far as doubles can say, and a little to each side."""
    random = np.random.default_rng(5)
    support, coef = random.normal(size=(300, 6)), random.normal(size=300)
    ends = random.normal(size=(2, 400, 6))

    def decisions(x: Array) -> Array:
        return similarities("rbf", x, support, 0.2, 0.0, 0) @ coef

    apart = np.sign(decisions(ends[0])) != np.sign(decisions(ends[1]))
    low, high = ends[0][apart], ends[1][apart]
    for _ in range(50):
        middle = (low + high) / 2
        on_low_side = (np.sign(decisions(middle)) == np.sign(decisions(low)))[:, None]
        low, high = np.where(on_low_side, middle, low), np.where(on_low_side, high, middle)
    assert apart.sum() > 50
    for moved in (0.0, 1e-12, 1e-9, 1e-7, 1e-5, 1e-3):
        x = low + moved * random.normal(size=low.shape)
        right = decisions(x)
        sure = np.abs(right) > 1e-12 * np.abs(coef).sum()
        for backend in COMPILED:
            votes = call(backend, "svm_vote_rbf", screened(x, support, coef, 0.0, 0.2, 150))["out"]
            np.testing.assert_array_equal(votes[sure, 0], right[sure] > 0)


def test_votes_of_near_and_far_rows_in_one_batch() -> None:
    """Exponents within float32 and far outside of it; undecided rows between sure ones, more of them than a tile."""
    random = np.random.default_rng(11)
    support, coef = random.normal(size=(200, 5)), random.normal(size=200)
    x = random.normal(size=(61, 5)) * np.array([1.0, 1.0, 8.0, 40.0, 1e3, 1e20])[np.arange(61) % 6, None]
    x[20:40] = support[:20]
    for gamma in (0.05, 0.3, 4.0):
        right = similarities("rbf", x, support, gamma, 0.0, 0) @ coef
        for intercept in (0.0, -float(right[25]), 1e-3):
            sure = np.abs(right + intercept) > 1e-12 * np.abs(coef).sum()
            given = screened(x, support, coef, intercept, gamma, 100)
            for backend in COMPILED:
                votes = call(backend, "svm_vote_rbf", given)["out"]
                np.testing.assert_array_equal(votes[sure, 0], right[sure] + intercept > 0)
                for i in range(len(x)):
                    alone = call(backend, "svm_vote_rbf", given | {"x": x[i : i + 1]})["out"]
                    np.testing.assert_array_equal(alone[0], votes[i])


def test_series_of_two() -> None:
    """The error that `decision_slack` counts with, of a polynomial summed in float32."""
    f = np.linspace(-0.5, 0.5, 20001, dtype=np.float32)
    value = np.full_like(f, _SERIES_OF_TWO[0])
    for term in _SERIES_OF_TWO[1:]:
        value = value * f + np.float32(term)
    assert np.abs(value / np.exp2(f.astype(np.float64)) - 1).max() < 3e-6


@pytest.mark.parametrize("coef", [[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0], [3.0, -3.0], [0.0, 1e-300]])
def test_screen_by_signs(coef: list[float]) -> None:
    """Coefficients of one sign a group; vectors that weigh nothing are left out."""
    vectors = np.random.default_rng(0).normal(size=(130, 3))
    given = np.resize(coef, 130)
    screen = rbf_screen(vectors, given, 0.5)
    assert screen is not None
    assert (screen.coef[: screen.n_positive] >= 0).all()
    assert (screen.coef[screen.n_positive :] <= 0).all()
    np.testing.assert_array_equal(np.sort(screen.coef[screen.coef != 0]), np.sort(given[np.abs(given) > 1e-60]))
    assert len(screen.packed) == len(screen.coef)
    assert len(screen.coef) % 4 == screen.n_positive % 4 == 0
    decision = np.array([[0.0]]) if not np.any(given) else similarities("rbf", vectors, vectors, 0.5, 0.0, 0) @ given
    for backend in COMPILED:
        votes = call(backend, "svm_vote_rbf", screened(vectors, vectors, given, 0.25, 0.5, 65))["out"]
        np.testing.assert_array_equal(votes[:, 0], np.resize(decision + 0.25 > 0, 130))


@given(c=st.integers(2, 6), data=st.data())
@examples(40)
def test_votes_and_one_against_rest(c: int, data: Any) -> None:
    x = data.draw(matrices(columns=c * (c - 1) // 2, limit=1e6))
    votes = check("svm_vote", {"x": x}, {"c": c})["out"]
    assert (votes.sum(axis=1) == x.shape[1]).all()
    out = check("svm_ovr", {"x": x}, {"c": c})["out"]
    with np.errstate(all="ignore"):
        assert_close(out, _ovr_decision_function(x < 0, -x, c), relative=1e-12)


@given(c=st.integers(2, 6), data=st.data())
@examples(60)
def test_couple(c: int, data: Any) -> None:
    pairs = c * (c - 1) // 2
    x = data.draw(matrices(columns=pairs, finite=True, limit=50))
    prob_a = data.draw(hnp.arrays(np.float64, pairs, elements=st.floats(-5, 0)))
    prob_b = data.draw(hnp.arrays(np.float64, pairs, elements=st.floats(-2, 2)))
    out = check("svm_couple", {"x": x, "prob_a": prob_a, "prob_b": prob_b}, {"c": c}, relative=1e-8)["out"]
    np.testing.assert_allclose(out.sum(axis=1), 1, rtol=1e-9)
    if c == 2:  # nearly what went in: libsvm stops at an error of 0.005 / c
        right = 1 / (1 + np.exp(x[:, 0] * prob_a + prob_b))
        np.testing.assert_allclose(out[:, 0], right, atol=0.005)


def line(model: SVC | SVR, x: Array, begin: Array, **more: Any) -> dict[str, Any]:
    """Arguments of svm_decision from what libsvm stored in a model."""
    return {
        "x": x,
        "support": packed(model.support_vectors_),
        "dual_coef": model._dual_coef_,
        "intercept": model._intercept_,
        "class_begin": begin,
        "kind": KINDS.index(model.kernel),
        "gamma": model._gamma,
        "coef0": model.coef0,
        "degree": model.degree,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_libsvm(kind: str) -> None:
    random = np.random.default_rng(3)
    y = random.integers(0, 4, 160)
    x = random.normal(size=(160, 5)) * 0.5 + np.eye(4, 5)[y]
    rows = random.normal(size=(50, 5))
    with warnings.catch_warnings():  # `probability` is on its way out of scikit-learn, models that have it are not
        warnings.simplefilter("ignore", FutureWarning)
        model = SVC(kernel=kind, coef0=0.3, probability=True, random_state=0, decision_function_shape="ovo").fit(x, y)
        prob_a, prob_b = model.probA_, model.probB_
    decision = call("jit", "svm_decision", line(model, rows, begins(model.n_support_)))["out"]
    assert_close(decision, model.decision_function(rows), relative=1e-10, size=1.0)
    votes = call("jit", "svm_vote", {"x": decision}, {"c": 4})["out"]
    assert (model.classes_[votes.argmax(axis=1)] == model.predict(rows)).all()
    given = {"x": decision, "prob_a": prob_a, "prob_b": prob_b}
    coupled = call("jit", "svm_couple", given, {"c": 4})["out"]
    assert_close(coupled, model.predict_proba(rows), relative=1e-9)
    model.decision_function_shape = "ovr"
    assert_close(
        call("jit", "svm_ovr", {"x": decision}, {"c": 4})["out"], model.decision_function(rows), relative=1e-10
    )

    regression = SVR(kernel=kind, coef0=0.3).fit(x, y)
    given = line(regression, rows, np.array([0, len(regression.support_)]))
    decision = call("jit", "svm_decision", given)["out"]
    assert_close(decision[:, 0], regression.predict(rows), relative=1e-10, size=1.0)
