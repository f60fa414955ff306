"""SVMClassifier and SVMRegressor against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inferir.errors import ModelLoadError, UnsupportedModelError
from tests.formats.importers.onnx.agreement import (
    FLOAT,
    INT,
    TEXT,
    close,
    converted,
    graph,
    ml,
    rows,
    same_labels,
    theirs,
)


def classifier(labels: Any, kernel: str, probabilities: bool, degree: float = 3.0, **changes: Any) -> Any:
    rng, n_classes = np.random.default_rng(len(labels)), len(labels)
    counts = [5, 3, 4, 6][:n_classes]
    total, pairs = sum(counts), n_classes * (n_classes - 1) // 2
    text = isinstance(labels[0], str)
    attributes = {
        "kernel_type": kernel,
        "kernel_params": [0.3, 0.5, degree],
        "support_vectors": rng.normal(size=4 * total).tolist(),
        "vectors_per_class": counts,
        "coefficients": rng.normal(size=(n_classes - 1) * total).tolist(),
        "rho": rng.normal(size=pairs).tolist(),
        "classlabels_strings" if text else "classlabels_ints": labels,
    }
    if probabilities:
        attributes |= {"prob_a": (-rng.uniform(0.5, 2, pairs)).tolist(), "prob_b": rng.normal(size=pairs).tolist()}
    made = ml("SVMClassifier", "x", "label scores", **{**attributes, **changes})
    return graph([made], {"x": (FLOAT, [None, 4])}, {"label": TEXT if text else INT, "scores": FLOAT})


@pytest.mark.parametrize("labels", [[5, 2], ["no", "yes"], ["a", "b", "c"], [4, 3, 2, 1]])
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_classifier(kernel: str, probabilities: bool, labels: Any) -> None:
    model = classifier(labels, kernel, probabilities)
    label, scores = theirs(model, rows())
    ours = converted(model)
    same_labels(ours.predict(rows()), label)
    assert ours.faces == (("prediction", "probabilities", "raw") if probabilities else ("prediction", "raw"))
    size = np.abs(scores).max()
    close(ours._run("probabilities" if probabilities else "raw", rows()), scores, 1e-5, 1e-5 * size)


def regressor(kernel: str, supports: int, **changes: Any) -> Any:
    rng = np.random.default_rng(supports)
    attributes = {
        "kernel_type": kernel,
        "kernel_params": [0.3, 0.5, 2.0],
        "support_vectors": rng.normal(size=4 * supports).tolist(),
        "n_supports": supports,
        "coefficients": rng.normal(size=supports or 4).tolist(),
        "rho": [0.25],
        **changes,
    }
    made = ml("SVMRegressor", "x", "y", **{k: v for k, v in attributes.items() if v != []})
    return graph([made], {"x": (FLOAT, [None, 4])}, {"y": FLOAT})


@pytest.mark.parametrize("one_class", [0, 1])
@pytest.mark.parametrize(
    ("kernel", "supports"), [("LINEAR", 6), ("POLY", 6), ("RBF", 6), ("SIGMOID", 6), ("LINEAR", 0)]
)
def test_regressor(kernel: str, supports: int, one_class: int) -> None:
    model = regressor(kernel, supports, one_class=one_class)
    close(converted(model).predict(rows()), theirs(model, rows())[0], 1e-4, 1e-5)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"rho": [1.0]}, ModelLoadError, "expected 2 x 12 coefficients, 3 rho"),
        ({"coefficients": [1.0]}, ModelLoadError, "expected 2 x 12 coefficients"),
        ({"support_vectors": [1.0] * 5}, ModelLoadError, "expected 12 x 4 support_vectors, got 5"),
        ({"vectors_per_class": [5, 7]}, ModelLoadError, "vectors_per_class for 3 classes"),
        ({"vectors_per_class": [20, -4, -4]}, ModelLoadError, "vectors_per_class for 3 classes"),
        ({"kernel_params": [1.0]}, ModelLoadError, "gamma, coef0 and degree"),
        ({"kernel_type": "COSINE"}, ModelLoadError, "one of LINEAR, POLY"),
        ({"prob_a": [1.0]}, ModelLoadError, "as many prob_a as prob_b"),
        ({"prob_a": [1.0], "prob_b": [1.0]}, ModelLoadError, "expected 3 prob_a"),
        ({"kernel_type": "POLY", "kernel_params": [1.0, 0.0, 2.5]}, UnsupportedModelError, "degree 2.5"),
        ({"vectors_per_class": [0, 0, 0]}, UnsupportedModelError, "without support vectors"),
        ({"post_transform": "SOFTMAX"}, UnsupportedModelError, "post_transform SOFTMAX"),
    ],
)
def test_malformed(changes: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        converted(classifier(["a", "b", "c"], "RBF", False, **changes))
