"""Labels at positions, by NumPy's own indexing; several outputs as scikit-learn gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inferir.labels import Labels, flat

POSITIONS = np.array([[0], [2], [1], [2]], dtype=np.int64)


@pytest.mark.parametrize("classes", [("ant", "bee", "cat"), (3, 5, 7), (0, 1, 2), (True, 2, "x"), (1.5, 2.5, 3.5)])
def test_labels_at_positions(classes: tuple[Any, ...]) -> None:
    labels = Labels(classes)
    expected = [classes[k] for k in POSITIONS[:, 0]]
    assert labels.of(POSITIONS).tolist() == expected
    assert [type(value) for value in labels.of(POSITIONS).tolist()] == [type(value) for value in expected]
    assert labels.whole == all(type(label) is int for label in classes)
    assert labels.n_outputs == 1


def test_positions_that_are_labels_are_not_copied() -> None:
    labels = Labels((0, 1, 2))
    assert labels.first is None
    assert np.shares_memory(labels.of(POSITIONS), POSITIONS)


def test_no_classes() -> None:
    labels, answer = Labels(()), np.array([[1.5], [2.5]])
    assert not labels
    assert labels.first is None
    assert labels.of(answer).tolist() == [1.5, 2.5]
    assert labels.by_output(answer) is answer


def test_several_outputs() -> None:
    labels = Labels((("a", "b"), (0, 1, 2)))
    positions = np.array([[1, 2], [0, 0]], dtype=np.int64)
    assert labels.of(positions).tolist() == [["b", 2], ["a", 0]]
    probabilities = np.arange(10.0).reshape(2, 5)
    first, second = labels.by_output(probabilities)
    assert first.tolist() == [[0, 1], [5, 6]]
    assert second.tolist() == [[2, 3, 4], [7, 8, 9]]
    assert not labels.whole
    assert labels.n_outputs == 2


def test_answers_by_face() -> None:
    labels, raw, changed = Labels(("a", "b")), np.array([[0.5], [2.0]]), np.array([[1.0], [3.0]])
    found = labels.by_face(("prediction", "raw", "transformed"), [POSITIONS[:1], raw, changed])
    assert found["prediction"].tolist() == ["a"]  # type: ignore[union-attr]
    assert found["raw"].tolist() == [0.5, 2.0]  # type: ignore[union-attr]
    assert found["transformed"] is changed


@pytest.mark.parametrize(("shape", "expected"), [((3, 1), (3,)), ((3, 2), (3, 2)), ((3,), (3,)), ((1,), (1,))])
def test_flat(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert flat(np.zeros(shape)).shape == expected
