"""Frames over NumPy arrays: the same bits as kernel by kernel, whatever the number of rows and threads."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

import inferir
from inferir.kernels import select
from inferir.kernels.signatures import BLOCK_ROWS
from inferir.plan import Plan
from inferir.program.native import Form, NativeRunner
from inferir.program.problems import RowError
from tests.parity import assert_bits
from tests.program.library import ReferenceLibrary

ROWS, LABELS = load_wine(return_X_y=True)
ROWS = np.ascontiguousarray(ROWS)
REFERENCE = select("reference")
ESTIMATORS = {
    "forest": RandomForestClassifier(5, max_depth=4, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=5),
    "linear": make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression(max_iter=20, tol=1)),
    "scaled forest": make_pipeline(StandardScaler(), GradientBoostingRegressor(n_estimators=5)),
    "neighbours": KNeighborsClassifier(),
    "bins": make_pipeline(KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), LogisticRegression()),
    "svm": SVC(),
}
PLANS = {
    name: Plan(inferir.convert(estimator.fit(ROWS, LABELS)).spec, REFERENCE, "f64")
    for name, estimator in ESTIMATORS.items()
}


def native(plan: Plan, face: str, chunk_rows: int = 300) -> NativeRunner:
    return NativeRunner(plan.programs[face], plan.arrays, ReferenceLibrary(), BLOCK_ROWS, chunk_rows)


@pytest.mark.parametrize("name", PLANS)
def test_the_same_bits_as_kernel_by_kernel(name: str) -> None:
    plan = PLANS[name]
    for face in plan.faces:
        run, right = native(plan, face), plan.run(face, ROWS)
        for n in (1, 2, 178, 0, 1, 3):
            assert_bits(run(ROWS[:n])[0], right[:n])


def test_one_row_of_any_stride() -> None:
    plan = PLANS["linear"]
    single, right = native(plan, "raw").single(), plan.run("raw", ROWS)
    for row in (ROWS[7:8], np.asfortranarray(ROWS)[7:8], np.repeat(ROWS[7:8], 2, axis=1)[:, ::2], ROWS[::-1][-8:][:1]):
        assert_bits(single(row), right[7:8])


def test_one_row_flat_and_as_labels() -> None:
    plan = PLANS["linear"]
    labels = np.array(["a", "b", "c"], object)
    run, right = native(plan, "prediction"), plan.run("prediction", ROWS)[:, 0]
    assert_bits(run.single(Form(flat=True))(ROWS[:1]), right[:1])
    assert run.single(Form(labels))(ROWS[-1:]).tolist() == labels[right[-1:]].tolist()


@pytest.mark.parametrize("name", PLANS)
def test_one_row_as_bytes_is_answered_in_plain_numbers(name: str) -> None:
    plan = PLANS[name]
    for face in plan.faces:
        plain, right = native(plan, face).plain(), plan.run(face, ROWS[:20])
        for row, answer in zip(ROWS, right, strict=False):
            assert plain(row.tobytes()) == [answer.tolist()]


def test_a_bad_row_of_bytes_says_so_and_one_of_another_length_is_refused() -> None:
    plan = PLANS["linear"]
    plain, bad = native(plan, "raw").plain(), ROWS[0].copy()
    bad[4] = np.inf
    with pytest.raises(RowError, match="column 'x4': expected a finite number, got inf"):
        plain(bad.tobytes())
    with pytest.raises(ValueError, match="expected a row of 104 bytes"):
        plain(bad.tobytes()[:-8])
    assert plain(ROWS[0].tobytes()) == [plan.run("raw", ROWS[:1])[0].tolist()]


def test_a_runner_goes_with_whoever_holds_it() -> None:
    """Servers replace models under load: memory that waits for the garbage collector would pile up."""
    run = native(PLANS["boosting"], "prediction")
    run(ROWS[:1])
    run(ROWS[:5])
    run.plain()(ROWS[0].tobytes())
    held = weakref.ref(run)
    gc.disable()
    try:
        del run
        assert held() is None
    finally:
        gc.enable()


def test_all_steps_in_one_call() -> None:
    run = native(PLANS["linear"], "prediction")
    run(ROWS[:1])
    run(ROWS[:100])
    assert run.library.n_calls == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("n", [1, 40])
def test_a_bad_row_says_so_and_the_next_is_answered(n: int) -> None:
    plan = PLANS["linear"]
    run = native(plan, "raw")
    bad = ROWS[:n].copy()
    bad[n - 1, 4] = np.inf
    for _ in range(3):
        with pytest.raises(RowError, match="column 'x4': expected a finite number, got inf") as caught:
            run(bad)
        assert caught.value.row == n - 1
    assert_bits(run(ROWS[:n])[0], plan.run("raw", ROWS[:n]))


def test_a_bad_value_between_steps_is_read_inside_the_frame() -> None:
    run, huge = native(PLANS["linear"], "raw"), ROWS[:5].copy()
    huge[3, 7] = 1e308  # finite, until it is scaled
    with pytest.raises(RowError, match="expected a finite number, got inf") as caught:
        run(huge)
    assert caught.value.row == 3


def test_rows_that_are_the_answer() -> None:
    spec = inferir.convert(make_pipeline(FunctionTransformer(None), "passthrough").fit(ROWS)).spec
    plan = Plan(spec, REFERENCE, "f64")
    run = native(plan, "transformed")
    for n in (1, 5):
        answer = run(ROWS[:n])[0]
        assert_bits(answer, ROWS[:n])
        assert not np.shares_memory(answer, ROWS)


def test_threads_do_not_meet_in_a_frame() -> None:
    plan = PLANS["boosting"]
    run, right = native(plan, "prediction"), plan.run("prediction", ROWS)

    def ask(i: int) -> bool:
        n = 1 + i % 3
        return run(ROWS[i : i + n])[0].tobytes() == right[i : i + n].tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(170)))
