"""The plan: the same answer in one row or many, on any backend, with any number of threads; and a file's tensors proved
before a kernel trusts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

import inferir
from inferir.errors import FormatError, InvalidInputError, ModelLoadError, UnsupportedModelError
from inferir.formats.importers._builder import Answers, Builder
from inferir.formats.importers._forest import CATEGORICAL, Forest, Tree
from inferir.formats.spec import ModelSpec, TensorSpec
from inferir.kernels import available, select
from inferir.model import Model
from inferir.plan import CHUNK_ROWS, LEAST_SHARED_ROWS, Plan
from inferir.threads import Threads
from tests.parity import assert_bits

ROWS, LABELS = load_wine(return_X_y=True)


def spec_of(estimator: Any) -> ModelSpec:
    return inferir.convert(estimator.fit(ROWS, LABELS)).spec


SPECS = {
    "forest": spec_of(RandomForestClassifier(7, random_state=0)),
    "linear": spec_of(make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression(max_iter=50, tol=0.1))),
    "neighbours": spec_of(KNeighborsClassifier()),
    "brute neighbours": spec_of(KNeighborsClassifier(algorithm="brute")),
    "bins": spec_of(make_pipeline(KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), LogisticRegression())),
    "svm": spec_of(SVC()),
}


def ask(model: Model, rows: Any) -> Any:
    return model.predict_proba(rows) if "probabilities" in model.faces else model.raw(rows)


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize("name", SPECS)
def test_a_row_is_answered_alike_alone_and_in_a_batch(name: str, backend: str) -> None:
    model = Model(SPECS[name], backend=backend, threads=1)
    batch = ask(model, ROWS[:40])
    assert_bits(np.concatenate([ask(model, ROWS[i : i + 1]) for i in range(40)]), batch)
    assert_bits(np.concatenate([ask(model, ROWS[:7]), ask(model, ROWS[7:40])]), batch)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whatever may be shared out is, in parts as small as they come; and into how many."""
    monkeypatch.setattr("inferir.plan._LEAST_SHARED_S", 0.0)
    monkeypatch.setattr("inferir.shares.LONGEST_PART_S", 1e-9)
    monkeypatch.setattr("inferir.shares.SHORTEST_PART_S", 0.0)
    counts, share_out = list[int](), Threads.share_out

    def counted(threads: Threads, work: Callable[[Any], None], parts: Iterator[Any], most: int) -> None:
        taken = list(parts)
        counts.append(len(taken))
        share_out(threads, work, iter(taken), most)

    monkeypatch.setattr(Threads, "share_out", counted)
    return counts


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("name", ["forest", "linear"])
def test_threads_change_nothing(name: str, threads: int, shared: list[int]) -> None:
    rows = np.tile(ROWS, (100, 1))
    assert len(rows) > 3 * CHUNK_ROWS
    right = ask(Model(SPECS[name], threads=1), rows)
    assert not shared
    model = Model(SPECS[name], threads=threads)
    for _ in range(2):
        assert_bits(ask(model, rows), right)
    assert bool(shared) == (threads > 1)
    assert all(parts > 2 * threads for parts in shared)


def test_what_is_fast_or_small_is_not_shared(shared: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    rows, model = np.tile(ROWS, (100, 1)), Model(SPECS["forest"], threads=2)
    ask(model, rows[: LEAST_SHARED_ROWS - 1])
    assert not shared
    monkeypatch.setattr("inferir.plan._LEAST_SHARED_S", 60.0)
    ask(model, rows)
    assert not shared
    monkeypatch.setattr("inferir.plan._LEAST_SHARED_S", 0.0)
    monkeypatch.setattr("inferir.shares.LONGEST_PART_S", 60.0)
    monkeypatch.setattr("inferir.shares.SHORTEST_PART_S", 60.0)
    ask(model, rows)
    assert shared == [1] * len(shared)
    assert shared


def test_backends_agree() -> None:
    for name, spec in SPECS.items():
        first, *others = (ask(Model(spec, backend=backend), ROWS) for backend in available())
        for other in others:
            np.testing.assert_allclose(other, first, rtol=1e-10, atol=1e-12, err_msg=name)


def test_a_bad_row_far_down_a_batch_is_named_by_its_own_number(shared: list[int]) -> None:
    rows = np.tile(ROWS, (100, 1))
    rows[2 * CHUNK_ROWS + 17, 4] = np.inf
    for threads in (1, 4):
        with pytest.raises(
            InvalidInputError, match=rf"row {2 * CHUNK_ROWS + 17}, column 'x4': expected a finite number"
        ):
            ask(Model(SPECS["linear"], threads=threads), rows)
    assert shared


@st.composite
def forests(draw: st.DrawFn) -> tuple[Forest, int, int]:
    """Forests of any shape: lone leaves, chains, full trees, several outputs, sets of categories."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    columns, outputs, width = draw(st.integers(1, 5)), draw(st.integers(1, 4)), 1
    width = draw(st.integers(1, outputs))
    forest = Forest(*draw(st.sampled_from([("f32", "f32"), ("f32", "f64"), ("f64", "f64")])))
    special = draw(st.booleans())
    for _ in range(draw(st.integers(0, 9))):
        left, right = [-1], [-1]
        for _ in range(draw(st.integers(0, 30))):
            leaf = int(rng.choice([i for i, child in enumerate(left) if child < 0]))
            left[leaf], right[leaf] = len(left), len(left) + 1
            left += [-1, -1]
            right += [-1, -1]
        n = len(left)
        flags = rng.integers(0, 32 if special else 2, n).astype(np.uint8)
        threshold = rng.integers(-3, 4, n).astype(np.float64)
        for i in np.flatnonzero(flags & CATEGORICAL):
            threshold[i] = forest.add_set(rng.integers(0, 40, rng.integers(0, 6)))
        forest.trees.append(
            Tree(
                np.array(left),
                np.array(right),
                rng.integers(0, columns, n),
                threshold,
                flags,
                rng.standard_normal((n, width)),
                int(rng.integers(0, outputs - width + 1)),
            )
        )
    return forest, columns, outputs


@given(forests(), st.integers(0, 2**32), st.sampled_from([0, 1, 2, 3, 4, 5, 255, 256, 257, 600]))
def test_forests_of_any_shape_equal_the_reference_bit_for_bit(
    drawn: tuple[Forest, int, int], seed: int, n: int
) -> None:
    forest, columns, outputs = drawn
    builder = Builder(columns)
    value = builder.op("forest", "input", tensors=forest.tensors(np.arange(outputs)), **forest.attributes())
    spec = builder.spec(Answers("regression", "GradientBoosting", value), name="drawn", version="", framework={})
    rng = np.random.default_rng(seed)
    hard = [-1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, 31.0, 32.0, 39.0, 64.0, 1e-35, -1e-36, 1e9, np.nan, np.inf, -np.inf]
    rows = np.where(rng.random((n, columns)) < 0.7, rng.choice(hard, (n, columns)), rng.standard_normal((n, columns)))
    first, *others = (Plan(spec, select(b), "f64").run("prediction", rows) for b in available())
    for other in others:
        assert_bits(other, first)


def _with(spec: ModelSpec, role: str, change: Any) -> ModelSpec:
    """The model with one of its tensors changed in place of its bytes."""
    name = next(o.tensors[role] for o in spec.operators if role in o.tensors)
    tensor = spec.tensors[name]
    codes = {"u8": "u1", "i32": "i4", "u32": "u4", "i64": "i8", "f32": "f4", "f64": "f8"}
    array = np.frombuffer(tensor.data, codes[tensor.dtype]).reshape(tensor.shape).copy()
    changed = change(array)
    data = memoryview(np.ascontiguousarray(changed).reshape(-1).view(np.uint8))
    return replace(spec, tensors={**spec.tensors, name: TensorSpec(name, tensor.dtype, changed.shape, data)})


def _put(index: Any, value: Any) -> Any:
    def change(array: Any) -> Any:
        array[index] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "role", "change", "message"),
    [
        ("forest", "left_child", _put(0, 0), "left_child to lie behind its node"),
        ("forest", "left_child", _put(3, 1), "left_child to lie behind its node"),
        ("forest", "left_child", _put(0, 2**31 - 1), "left_child to lie behind its node"),
        ("forest", "left_child", _put(-1, -(2**31)), "a leaf number within leaf_value"),
        ("forest", "split_index", _put(1, 13), "split_index within the columns"),
        ("forest", "split_index", _put(1, -1), "split_index within the columns"),
        ("forest", "tree_root", _put(0, 10**6), "tree_root within the nodes"),
        ("forest", "node_flags", _put(0, 4), "node_flags of 0 and 1"),
        ("forest", "tree_target", _put(0, 1), r"'tree_target' within \[0, 1\)"),
        ("forest", "threshold", lambda a: a[:-1], "'threshold' of shape"),
        ("forest", "base", lambda a: a[:2], "expected at most 2 values a leaf"),
        ("linear", "coef", lambda a: a[:, :-1], "'coef' of shape"),
        ("linear", "begin", _put(1, -7), "'begin' to rise from 0"),
        ("linear", "column", _put(0, 99), r"'column' within \[0, 13\)"),
        ("neighbours", "label", _put(0, 3), r"'label' within \[0, 3\)"),
        ("neighbours", "node_end", _put(0, 10**9), "'node_end' within"),
        ("neighbours", "node_leaf", _put(-1, 0), "to be a leaf or to have two children"),
        ("bins", "category", lambda a: a[::-1].copy(), "the categories of each column to rise"),
        ("bins", "column", _put(0, 10**6), r"'column' within \[-1, "),
        ("bins", "unknown", _put(0, -3), r"'unknown' within \[-2, "),
        ("svm", "class_begin", _put(1, 10**6), "'class_begin' to rise"),
        ("svm", "dual_coef", lambda a: a[:1], "'dual_coef' of shape"),
    ],
)
def test_tensors_that_would_lead_a_kernel_astray_are_refused(name: str, role: str, change: Any, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        Model(_with(SPECS[name], role, change))


def test_wrong_words_in_a_model_are_refused() -> None:
    spec = SPECS["svm"]
    first = spec.operators[1]
    for changed, error in (
        (replace(first, op="no_such"), UnsupportedModelError),
        (replace(first, attributes={**first.attributes, "kernel": "precomputed"}), ModelLoadError),
        (replace(first, attributes={**first.attributes, "degree": 2.5}), ModelLoadError),
        (replace(first, attributes={**first.attributes, "gamma": "high"}), ModelLoadError),
        (replace(first, tensors={}), ModelLoadError),
        (replace(first, inputs=("nothing",)), ModelLoadError),
        (replace(first, inputs=()), ModelLoadError),
    ):
        with pytest.raises(error) as caught:
            Model(replace(spec, operators=(spec.operators[0], changed, *spec.operators[2:])))
        assert isinstance(caught.value, FormatError)
    with pytest.raises(ModelLoadError, match="whose output is one of prediction"):
        Model(replace(spec, operators=spec.operators[:2]))
