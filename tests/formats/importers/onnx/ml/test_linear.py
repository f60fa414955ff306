"""LinearClassifier and LinearRegressor against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inferir.errors import ModelLoadError, UnsupportedModelError
from tests.formats.importers.onnx.agreement import (
    DOUBLE,
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
from tests.parity import layouts


def classifier(outputs: int, labels: Any, link: str = "NONE", kind: int = FLOAT, **changes: Any) -> Any:
    rng = np.random.default_rng(outputs)
    text = isinstance(labels[0], str)
    attributes = {
        "coefficients": rng.normal(size=4 * outputs).tolist(),
        "intercepts": rng.normal(size=outputs).tolist(),
        "post_transform": link,
        "classlabels_strings" if text else "classlabels_ints": labels,
        **changes,
    }
    made = ml("LinearClassifier", "x", "label scores", **{k: v for k, v in attributes.items() if v is not None})
    return graph([made], {"x": (kind, [None, 4])}, {"label": TEXT if text else INT, "scores": FLOAT})


def agree(model: Any, x: Any) -> Any:
    label, scores = theirs(model, x)
    ours = converted(model)
    same_labels(ours.predict(x), label)
    close(ours._run("probabilities" if "probabilities" in ours.faces else "raw", x), scores, 1e-5, 1e-6)
    return ours


@pytest.mark.parametrize("labels", [[3, 1, -7], ["x", "y", "z"]])
@pytest.mark.parametrize("link", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
def test_three_classes(link: str, labels: Any) -> None:
    model = agree(classifier(3, labels, link), rows())
    assert model.faces == ("prediction", "raw") if link == "NONE" else ("prediction", "probabilities", "raw")


@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes"]])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("link", ["NONE", "LOGISTIC"])
def test_two_classes(link: str, outputs: int, labels: Any) -> None:
    agree(classifier(outputs, labels, link), rows())


@pytest.mark.parametrize("kind", [DOUBLE, INT])
def test_rows_become_float32(kind: int) -> None:
    x = np.random.default_rng(0).normal(size=(50, 4)) * 3
    agree(classifier(3, ["x", "y", "z"], "SOFTMAX", kind), x if kind == DOUBLE else x.astype(np.int64))


def test_layouts() -> None:
    model = classifier(3, ["x", "y", "z"], "SOFTMAX")
    ours, right = converted(model), theirs(model, rows())[1]
    for _, form in layouts(rows()):
        close(ours.predict_proba(form), np.resize(right, (len(form), 3)), 1e-5)


def test_a_score_of_zero_is_the_first_class() -> None:
    model = classifier(1, ["no", "yes"], coefficients=[1.0, 0, 0, 0], intercepts=[0.0])
    x = np.array([[0.0, 0, 0, 0], [-0.0, 0, 0, 0], [1e-45, 0, 0, 0], [-1e-45, 0, 0, 0]], np.float32)
    agree(model, x)


@pytest.mark.parametrize("link", ["SOFTMAX", "PROBIT"])
def test_links_of_one_score_are_refused(link: str) -> None:
    with pytest.raises(UnsupportedModelError, match="of one score for two classes"):
        converted(classifier(1, ["no", "yes"], link))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficients": [1.0] * 11}, "expected 3 x 4 coefficients, got 11"),
        ({"intercepts": [1.0]}, "expected intercepts for 3 classes, got 1"),
        ({"intercepts": None}, "expected intercepts for 3 classes, got 0"),
        ({"classlabels_ints": None}, "either classlabels_strings or classlabels_ints"),
        ({"classlabels_ints": [1, 1, 2]}, "different class labels"),
        ({"post_transform": "TANH"}, "one of NONE, LOGISTIC"),
        ({"coefficients": [1, 2, 3]}, "list of float"),
        ({"post_transform": 3}, "to be str, got int"),
    ],
)
def test_malformed(changes: Any, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        converted(classifier(3, [0, 1, 2], **changes))


def regressor(targets: int, link: str = "NONE", intercepts: bool = True) -> Any:
    rng = np.random.default_rng(targets)
    attributes: dict[str, Any] = {
        "coefficients": rng.normal(size=4 * targets).tolist(),
        "targets": targets,
        "post_transform": link,
    }
    if intercepts:
        attributes["intercepts"] = rng.normal(size=targets).tolist()
    return graph([ml("LinearRegressor", "x", "y", **attributes)], {"x": (FLOAT, [None, 4])}, {"y": FLOAT})


@pytest.mark.parametrize("intercepts", [True, False])
@pytest.mark.parametrize(("targets", "link"), [(1, "NONE"), (3, "NONE"), (3, "LOGISTIC"), (2, "SOFTMAX")])
def test_regressor(targets: int, link: str, intercepts: bool) -> None:
    model = regressor(targets, link, intercepts)
    close(converted(model).predict(rows()), theirs(model, rows())[0], 1e-5, 1e-6)


def test_a_link_of_one_target_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="of one target"):
        converted(regressor(1, "LOGISTIC"))
