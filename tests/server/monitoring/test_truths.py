"""Which pairs are one, against scikit-learn's own numbers; the memory of predictions; whatever is sent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, mean_absolute_error

from inferir.errors import DimensionError, InferirError, InvalidInputError, TaskError
from inferir.server.monitoring.truths import Memory, Remembered, Truths, rows_of

ROWS = st.integers(1, 40)


def counted(truths: Truths) -> float:
    count, total = truths.line()
    return total / count


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_accuracy_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    truths = Truths("classification", 1, range(4), 1000)
    predicted, true = zip(*pairs, strict=True)
    truths.add(truths.check(predicted, true))
    assert truths.metric == "model_accuracy"
    assert counted(truths) == pytest.approx(accuracy_score(true, predicted))
    assert truths.total == len(pairs)


@given(st.data(), ROWS, st.integers(1, 3))
def test_error_is_scikit_learns(data: st.DataObject, rows: int, outputs: int) -> None:
    numbers = st.lists(st.floats(-1e6, 1e6), min_size=rows * outputs, max_size=rows * outputs)
    predicted, true = (np.array(data.draw(numbers)).reshape(rows, outputs) for _ in range(2))
    truths = Truths("regression", outputs, (), 1000)
    listed = [(each[:, 0] if outputs == 1 else each).tolist() for each in (predicted, true)]
    truths.add(truths.check(*listed))
    assert truths.metric == "model_absolute_error"
    assert counted(truths) == pytest.approx(mean_absolute_error(true, predicted), rel=1e-9, abs=1e-9)


def test_several_outputs_are_right_together() -> None:
    truths = Truths("classification", 2, ["a", "b"], 10)
    truths.add(truths.check([["a", "b"], ["a", "a"]], [["a", "b"], ["b", "a"]]))
    assert truths.line() == [2, 1.0]


def test_labels_of_one_kind() -> None:
    truths = Truths("classification", 1, [0, 1], 10)
    truths.add(truths.check([1, 1.0, 0], [1.0, 1, 7]))  # a label that the model does not know is a miss
    assert truths.line() == [3, 2.0]


def test_outliers_have_truths_too() -> None:
    truths = Truths("anomaly", 1, (), 10)
    truths.add(truths.check([1, -1], [1, 1]))
    assert truths.line() == [2, 1.0]


@pytest.mark.parametrize("task", ["clustering", "transform", "ranking"])
def test_other_tasks_have_none(task: str) -> None:
    with pytest.raises(TaskError, match=f"expected a model of classification, anomaly, regression, got one of {task}"):
        Truths(task, 1, (), 10)


def test_only_the_last_count_and_memory_is_bounded() -> None:
    truths = Truths("classification", 1, [0, 1], 100)
    for _ in range(50):
        truths.add(truths.check([0] * 90, [1] * 90))
    truths.add(truths.check([1] * 100, [1] * 100))
    assert truths.line() == [100, 100.0]
    assert truths.total == 50 * 90 + 100


@pytest.mark.parametrize(
    ("task", "predicted", "true", "says"),
    [
        ("classification", [1], ["1"], "truth: expected a label, a whole number, got '1'"),
        ("classification", [1], [True], "truth: expected a label, a whole number, got True"),
        ("classification", [1], [1.5], "got 1.5"),
        ("classification", [1], [None], "got None"),
        ("classification", [5], [1], "prediction: expected a label that the model has, 0, 1, got 5"),
        ("classification", [1, 1], [1], "truth: expected 2, one for each prediction, got 1"),
        ("classification", [], [], "truth: expected at least one, got none"),
        ("regression", [1.0], ["1"], "truth: expected a finite number, got '1'"),
        ("regression", [1.0], [math.nan], "truth: expected a finite number, got nan"),
        ("regression", [math.inf], [1.0], "prediction: expected a finite number, got inf"),
        ("regression", [1.0], [10**400], "truth: expected a finite number, got 1000"),
    ],
)
def test_what_is_no_pair_is_refused_and_nothing_counted(task: str, predicted: Any, true: Any, says: str) -> None:
    truths = Truths(task, 1, [0, 1] if task == "classification" else (), 10)
    with pytest.raises((InvalidInputError, DimensionError)) as caught:
        truths.check(predicted, true)
    assert says in caught.value.message
    assert truths.line() == [0, 0.0]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["classification", "regression"]), st.integers(1, 2), ANYTHING, ANYTHING)
def test_whatever_comes_the_sum_is_a_number(task: str, outputs: int, predicted: Any, true: Any) -> None:
    truths = Truths(task, outputs, ["a", 1] if task == "classification" else (), 10)
    try:
        values = truths.check(rows_of(predicted, outputs, "prediction"), rows_of(true, outputs, "truth"))
    except InferirError:
        return
    truths.add(values)
    assert math.isfinite(sum(truths.line()))


def test_the_largest_errors_have_a_sum() -> None:
    truths = Truths("regression", 1, (), 100)
    truths.add(truths.check([1.7e308] * 100, [-1.7e308] * 100))
    assert math.isfinite(truths.line()[1] * 1000)


@pytest.mark.parametrize(
    ("value", "outputs", "rows"),
    [
        (1, 1, [1]),
        ("a", 1, ["a"]),
        ([1, 2], 1, [1, 2]),
        ([1, 2], 2, [[1, 2]]),
        ([[1, 2], [3, 4]], 2, [[1, 2], [3, 4]]),
    ],
)
def test_rows_of(value: Any, outputs: int, rows: list[Any]) -> None:
    assert rows_of(value, outputs, "truth") == rows


@pytest.mark.parametrize("value", [[[1]], [1, [2]], [[]]])
def test_rows_of_one_value_each(value: Any) -> None:
    with pytest.raises(DimensionError, match="prediction: expected one value for each row"):
        rows_of(value, 1, "prediction")


@pytest.mark.parametrize("value", [1, [1], [[1, 2], [3]], [[1, 2], 3], []])
def test_rows_of_another_width(value: Any) -> None:
    with pytest.raises(DimensionError, match="truth: expected 2 values for each row"):
        rows_of(value, 2, "truth")


class TestMemory:
    def kept(self, *predictions: Any) -> Remembered:
        return Remembered("m", "1", "d", list(predictions))

    def test_a_prediction_is_taken_once(self) -> None:
        memory = Memory(10)
        memory.put("a", self.kept(1))
        assert memory.take("a") == self.kept(1)
        assert memory.take("a") is None

    def test_of_two_with_one_id_the_later(self) -> None:
        memory = Memory(10)
        memory.put("a", self.kept(1, 2, 3))
        memory.put("a", self.kept(4))
        assert len(memory) == 1
        assert memory.take("a") == self.kept(4)

    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), max_size=60))
    def test_rows_are_bounded_and_the_oldest_go(self, puts: list[tuple[int, int]]) -> None:
        memory = Memory(10)
        for name, rows in puts:
            memory.put(str(name), self.kept(*range(rows)))
            assert len(memory) == sum(len(each.predictions) for each in memory._kept.values()) <= 10
            assert (str(name) in memory._kept) == (rows <= 10)

    def test_of_no_size_nothing(self) -> None:
        memory = Memory(0)
        memory.put("a", self.kept(1))
        assert memory.take("a") is None
