"""Comparing answers: which contract holds, and what is counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.agreement import LEVELS, Level, compare, level_of
from inferir.errors import DimensionError
from inferir.formats.spec import ColumnSpec, ModelSpec, OperatorSpec
from inferir.operators import OPERATORS


def _spec(*operators: tuple[str, Sequence[str], str]) -> ModelSpec:
    steps = tuple(OperatorSpec(op, tuple(inputs), output) for op, inputs, output in operators)
    return ModelSpec("m", "", 4, "regression", (ColumnSpec("a"),), steps, {})


def _of(level: Level) -> ModelSpec:
    op = {"exact": "forest", "link": "sigmoid", "sum": "linear"}[level]
    return _spec((op, ["input"], "raw"))


def test_every_operator_has_a_contract() -> None:
    assert set(LEVELS) == set(OPERATORS)


def test_the_loosest_operator_on_the_way_counts_and_no_other() -> None:
    spec = _spec(
        ("scale", ["input"], "v1"),
        ("forest", ["v1"], "raw"),
        ("sigmoid", ["raw"], "v2"),
        ("complement", ["v2"], "probabilities"),
        ("linear", ["v1"], "transformed"),
        ("above", ["raw"], "prediction"),
        ("add", ["v2", "transformed"], "both"),
    )
    levels = {
        answer: level_of(spec, answer) for answer in ("raw", "prediction", "probabilities", "transformed", "both")
    }
    assert levels == {
        "raw": "exact",
        "prediction": "exact",
        "probabilities": "link",
        "transformed": "sum",
        "both": "sum",
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_is_to_the_last_bit(dtype: type) -> None:
    ours = np.array([1.0, np.nan, np.inf, -0.0], dtype)
    same = compare(_of("exact"), "raw", ours, np.array([1.0, np.nan, np.inf, 0.0], dtype))
    assert (same.within, same.unequal, same.largest_absolute, same.largest_ulp) == (True, 0, 0.0, 0)
    theirs = ours.copy()
    theirs[0] = np.nextafter(theirs[0], dtype(2))
    apart = compare(_of("exact"), "raw", ours, theirs)
    assert (apart.within, apart.unequal, apart.largest_ulp, apart.first_outside) == (False, 1, 1, 0)
    assert apart.largest_absolute == np.finfo(dtype).eps
    assert apart.largest_relative == pytest.approx(np.finfo(dtype).eps)


@pytest.mark.parametrize(("ulp", "within"), [(2, True), (3, False)])
def test_link_is_two_ulp_of_float32(ulp: int, within: bool) -> None:
    ours = np.array([[0.25, 0.75]], np.float32)
    theirs = ours.copy()
    for _ in range(ulp):
        theirs[0, 1] = np.nextafter(theirs[0, 1], np.float32(1))
    found = compare(_of("link"), "raw", ours, theirs)
    assert (found.within, found.largest_ulp, found.values, found.rows) == (within, ulp, 2, 1)


@pytest.mark.parametrize(
    ("level", "dtype", "bound"), [("link", np.float64, 1e-12), ("sum", np.float64, 1e-10), ("sum", np.float32, 1e-5)]
)
def test_relative_bounds(level: Level, dtype: type, bound: float) -> None:
    ours = np.array([3.0, 5.0], dtype)
    assert compare(_of(level), "raw", ours, (ours * (1 + 0.5 * bound)).astype(dtype)).within
    found = compare(_of(level), "raw", ours, (ours * [1, 1 + 4 * bound]).astype(dtype))
    assert (found.within, found.first_outside) == (False, 1)


def test_a_sum_that_cancels_is_measured_by_its_column() -> None:
    ours = np.array([[1e6, 1.0], [1e-9, 1.0]])
    theirs = np.array([[1e6, 1.0], [3e-9, 1.0]])
    assert compare(_of("sum"), "raw", ours, theirs).within
    assert not compare(_of("link"), "raw", ours, theirs).within
    assert not compare(_of("sum"), "raw", ours[:, ::-1], theirs[:, [1, 0]] + [[1e-3, 0]]).within


@pytest.mark.parametrize("level", ["exact", "link", "sum"])
@pytest.mark.parametrize("theirs", [np.nan, np.inf, -1.5])
def test_what_is_not_a_number_agrees_with_itself_alone(level: Level, theirs: float) -> None:
    for ours in (np.nan, np.inf, -1.5):
        same = (math.isnan(ours) and math.isnan(theirs)) or ours == theirs
        found = compare(_of(level), "raw", np.array([ours]), np.array([theirs]))
        assert found.within == same
        assert found.unequal == (not same)


def test_labels_are_equal_or_not() -> None:
    spec = _spec(("above", ["input"], "prediction"))
    found = compare(spec, "prediction", np.array([0, 1, 1]), np.array([0.0, 1.0, 0.0]))
    assert (found.contract, found.within, found.unequal, found.first_outside) == ("equal", False, 1, 2)
    assert found.largest_absolute is None
    words = np.array(["a", "b"], object)
    assert compare(spec, "prediction", words, np.array(["a", "b"])).within
    assert compare(spec, "prediction", np.array([0, 1]), np.array([False, True])).within
    assert not compare(spec, "prediction", np.array([0, 1]), np.array(["0", "1"])).within


def test_shapes_have_to_match() -> None:
    with pytest.raises(DimensionError, match=r"\(3,\) and \(3, 1\)"):
        compare(_of("exact"), "raw", np.zeros(3), np.zeros((3, 1)))


def test_no_rows_agree() -> None:
    found = compare(_of("sum"), "raw", np.empty((0, 2)), np.empty((0, 2)))
    assert (found.within, found.rows, found.largest_ulp) == (True, 0, 0)


@given(st.floats(width=32, allow_nan=False), st.integers(0, 300))
def test_ulp_counts_the_floats_between(value: float, steps: int) -> None:
    ours = np.array([value], np.float32)
    theirs = ours.copy()
    taken = 0
    for _ in range(steps):
        if theirs[0] == np.inf:
            break
        with np.errstate(over="ignore"):  # the step to infinity
            theirs = np.nextafter(theirs, np.float32(np.inf))
        taken += 1
    assert compare(_of("exact"), "raw", ours, theirs).largest_ulp == taken
