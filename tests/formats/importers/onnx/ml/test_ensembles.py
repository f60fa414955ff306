"""What tree nodes answer: two classes in all their forms, links, base values, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

from inferir.errors import InferirError, UnsupportedModelError
from tests.formats.importers.onnx.agreement import (
    DOUBLE,
    FLOAT,
    INT,
    TEXT,
    close,
    converted,
    graph,
    ml,
    reference,
    same_labels,
    theirs,
)
from tests.parity import assert_bits, assert_labels

POSITIVE, MIXED = [0.3, 0.8, 0.1, 0.45, 0.05, 0.2], [-0.3, 0.8, 0.1, -0.7, 0.0, -0.25]
LINKS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")


def classifier(
    ids: Any, weights: Any, labels: Any, link: str = "NONE", base: Any = None, kind: int = FLOAT, leaves: Any = None
) -> Any:
    """Two trees of three leaves; each leaf has a weight for each of `ids`, or those of `leaves` (leaf -> ids)."""
    leaves = leaves or {leaf: list(ids) for leaf in range(6)}
    places = [(leaf, k) for leaf in range(6) for k in leaves[leaf]]
    attributes: dict[str, Any] = {
        "nodes_treeids": [0] * 5 + [1] * 5,
        "nodes_nodeids": [0, 1, 2, 3, 4] * 2,
        "nodes_featureids": [0, 1, 0, 0, 0, 1, 0, 0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "BRANCH_LT", "LEAF", "LEAF", "LEAF"] * 2,
        "nodes_values": [0.5, -0.5, 0, 0, 0, 0.2, 0.1, 0, 0, 0],
        "nodes_truenodeids": [1, 2, 0, 0, 0] * 2,
        "nodes_falsenodeids": [4, 3, 0, 0, 0] * 2,
        "nodes_missing_value_tracks_true": [0, 1, 0, 0, 0] * 2,
        "class_treeids": [leaf // 3 for leaf, _ in places],
        "class_nodeids": [2 + leaf % 3 for leaf, _ in places],
        "class_ids": [k for _, k in places],
        "class_weights": [float(w) for w in np.resize(weights, len(places))],
        "post_transform": link,
        "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s": labels,
    }
    if base:
        attributes["base_values"] = base
    label = TEXT if isinstance(labels[0], str) else INT
    return graph(
        [ml("TreeEnsembleClassifier", "x", "label probabilities", **attributes)],
        {"x": (kind, [None, 2])},
        {"label": label, "probabilities": FLOAT},
    )


def sample(kind: type = np.float32) -> Any:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(80, 2)).astype(kind)
    rows[::7, 0], rows[::5, 1], rows[::11] = 0.5, 0.2, np.nan
    return rows


def agree(model: Any, x: Any) -> Any:
    label, scores = theirs(model, x)
    ours = converted(model)
    same_labels(ours.predict(x), label)
    face = "probabilities" if "probabilities" in ours.faces else "raw"
    close(ours._run(face, x), scores)
    return ours


@pytest.mark.parametrize("labels", [[0, 1], [10, -20], ["no", "yes"]])
@pytest.mark.parametrize("link", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("base", [None, [0.15]])
@pytest.mark.parametrize("weights", [POSITIVE, MIXED])
def test_one_score_for_two_classes(weights: Any, base: Any, link: str, labels: Any) -> None:
    model = agree(classifier([0], weights, labels, link, base), sample())
    assert model.classes == tuple(labels)
    assert ("raw" in model.faces) == (link != "NONE" or weights is MIXED)


@pytest.mark.parametrize("weights", [POSITIVE, MIXED])
@pytest.mark.parametrize("link", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_one_score_for_the_second_class(weights: Any, link: str) -> None:
    agree(classifier([1], weights, ["no", "yes"], link), sample())


@pytest.mark.parametrize(
    ("ids", "base", "link"), [([0], [0.1, 0.2], "NONE"), ([1], [0.1], "NONE"), ([0], None, "PROBIT")]
)
def test_what_onnxruntime_and_the_standard_do_not_agree_on_is_refused(ids: Any, base: Any, link: str) -> None:
    with pytest.raises(UnsupportedModelError, match="where all weights are for class"):
        converted(classifier(ids, MIXED, ["no", "yes"], link, base))


def test_a_threshold_of_one_half() -> None:
    """A sum of exactly 0.5 is the first class, and onnxruntime's sum in float32 decides."""
    model = classifier([0], [0.25, 0.125, 0.375, 0.25, 0.375, 0.125], [0, 1])
    ours = agree(model, sample())
    assert 0.5 in ours.predict_proba(sample())[:, 1]


@pytest.mark.parametrize("link", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes"]])
def test_opposite_scores_of_two_classes(link: str, labels: Any) -> None:
    weights = [w for v in MIXED for w in (-v, v)]
    agree(classifier([0, 1], weights, labels, link), sample())


def test_opposite_scores_are_labelled_by_name() -> None:
    """onnxruntime answers 0 and 1 here, whatever the labels are; we answer the labels."""
    weights = [w for v in MIXED for w in (-v, v)]
    model = classifier([0, 1], weights, [7, 9])
    ours = converted(model)
    np.testing.assert_array_equal(ours.predict(sample()), np.where(theirs(model, sample())[0] == 1, 9, 7))


def test_two_scores_that_are_not_opposite_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="does not take the larger score"):
        converted(classifier([0, 1], POSITIVE, [0, 1]))


@pytest.mark.parametrize("link", LINKS[:4])
@pytest.mark.parametrize("based", [False, True])
@pytest.mark.parametrize("kind", [FLOAT, DOUBLE])
@pytest.mark.parametrize("weights", [POSITIVE, MIXED])
def test_three_classes(weights: Any, kind: int, based: bool, link: str) -> None:
    model = classifier([0, 1, 2], weights, ["a", "b", "c"], link, [0.1, -0.2, 0.0] if based else None, kind)
    ours = agree(model, sample(np.float64 if kind == DOUBLE else np.float32))
    if link == "NONE":
        face = "raw" if weights is MIXED else "probabilities"
        x = sample(np.float64 if kind == DOUBLE else np.float32)
        assert_bits(ours._run(face, x), theirs(model, x)[1])


def test_integer_rows() -> None:
    x = np.random.default_rng(2).integers(-3, 4, (50, 2))
    agree(classifier([0, 1, 2], MIXED, [0, 1, 2], kind=INT), x)


def test_a_class_that_no_leaf_weighs_is_not_chosen() -> None:
    """Each leaf weighs one class, some of them below 0: 0, the score of the others, would win."""
    leaves = {0: [0], 1: [1], 2: [2], 3: [0], 4: [0], 5: [1]}
    model = classifier(None, [-0.5, -0.25, -0.125], ["a", "b", "c"], leaves=leaves)
    ours = agree(model, sample())
    assert len(np.unique(ours.predict(sample()))) > 1


def test_boosted_trees_have_one_class_each() -> None:
    leaves = {0: [0], 1: [0], 2: [0], 3: [1], 4: [1], 5: [1]}
    agree(classifier(None, MIXED, ["a", "b", "c"], "SOFTMAX", [0.1, 0.2, 0.3], leaves=leaves), sample())


def test_probit_is_the_normal_quantile() -> None:
    """onnxruntime's is an approximation of two digits; ours is SciPy's."""
    model = classifier([0, 1, 2], [0.05, 0.1, 0.2], ["a", "b", "c"], "PROBIT")
    plain = theirs(classifier([0, 1, 2], [0.05, 0.1, 0.2], ["a", "b", "c"]), sample())[1]
    ours = converted(model).predict_proba(sample())
    close(ours, scipy.stats.norm.ppf(plain.astype(np.float64)), 1e-6)
    close(ours, theirs(model, sample())[1], 0.02, 0.02)


def regressor(link: str, targets: int, weights: Any) -> Any:
    attributes = {
        "n_targets": targets,
        "nodes_treeids": [0] * 3,
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0] * 3,
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.0] * 3,
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0] * 2 * targets,
        "target_nodeids": [1] * targets + [2] * targets,
        "target_ids": list(range(targets)) * 2,
        "target_weights": weights,
        "post_transform": link,
    }
    return graph([ml("TreeEnsembleRegressor", "x", "y", **attributes)], {"x": (FLOAT, [None, 1])}, {"y": FLOAT})


@pytest.mark.parametrize("link", LINKS[:4])
def test_links_of_several_targets(link: str) -> None:
    model, x = regressor(link, 2, [0.3, 0.0, -0.8, 0.4]), sample()[:, :1]
    close(converted(model).predict(x), theirs(model, x)[0])


@pytest.mark.parametrize("link", ["LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
def test_links_of_one_target_are_refused(link: str) -> None:
    """onnxruntime leaves them out, the standard does not."""
    with pytest.raises(UnsupportedModelError, match=f"post_transform {link} of one target"):
        converted(regressor(link, 1, [0.3, 0.8]))


# -- ai.onnx.ml 5

LEQ, LT, GTE, GT, EQ, NEQ, MEMBER = range(7)


def ensemble(
    mode: int, split: float, members: Any = None, *, tracks: int = 0, link: int = 0, targets: int = 1,
    aggregate: int = 1, width: type = np.float32,
) -> Any:  # fmt: skip
    """Two trees: a node of `mode` and, behind it, one that asks for the second column; and a node alone."""
    from onnx import numpy_helper

    tensor = lambda values, dtype: numpy_helper.from_array(np.asarray(values, dtype))  # noqa: E731
    attributes: dict[str, Any] = {
        "n_targets": targets,
        "aggregate_function": aggregate,
        "post_transform": link,
        "tree_roots": [0, 2],
        "nodes_modes": tensor([mode, LEQ, GT], np.uint8),
        "nodes_featureids": [0, 1, 1],
        "nodes_splits": tensor([split, 0.25, -0.25], width),
        "nodes_truenodeids": [0, 1, 3],
        "nodes_trueleafs": [1, 1, 1],
        "nodes_falsenodeids": [1, 2, 4],
        "nodes_falseleafs": [0, 1, 1],
        "nodes_missing_value_tracks_true": [tracks, 0, 1],
        "leaf_targetids": [0, 0, targets - 1, 0, targets - 1],
        "leaf_weights": tensor([5.23, 12.12, -12.23, 7.21, 0.07], width),
    }
    if members is not None:
        attributes["membership_values"] = tensor([*members, np.nan], width)
    kind = FLOAT if width is np.float32 else DOUBLE
    return graph([ml("TreeEnsemble", "x", "y", **attributes)], {"x": (kind, [None, 2])}, {"y": kind}, ml_opset=5)


def grid(width: type = np.float32) -> Any:
    values = [0.0, -0.0, 1.0, 3.0, 0.5, 7.0, -2.0, np.nan, np.inf, -np.inf, np.nextafter(width(1), width(0))]
    return np.array([[a, b] for a in values for b in (0.25, 0.3, np.nan, -0.25)], width)


@pytest.mark.parametrize("tracks", [0, 1])
@pytest.mark.parametrize("mode", range(6))
@pytest.mark.parametrize("width", [np.float32, np.float64])
def test_modes_of_tree_ensemble(mode: int, tracks: int, width: type) -> None:
    model, x = ensemble(mode, 1.0, tracks=tracks, width=width), grid(width)
    ours = converted(model).predict(x)
    assert_bits(ours, theirs(model, x)[0][:, 0])
    apart = np.isnan(x[:, 0]) & (mode == NEQ) & (tracks == 0)
    close(ours[~apart], reference(model, {"x": x})[0][~apart, 0])


@pytest.mark.parametrize("tracks", [0, 1])
@pytest.mark.parametrize("members", [[1.0, 3.0, 7.0], [0.5], [-2.0, 0.0], [np.inf, 1.5]])
def test_members(members: Any, tracks: int) -> None:
    model, x = ensemble(MEMBER, 0.0, members, tracks=tracks), grid()
    ours = converted(model).predict(x)
    asked = np.isin(x[:, 0], np.array(members, np.float32)) | (np.isnan(x[:, 0]) & bool(tracks))
    second = np.where(x[:, 1] <= 0.25, np.float32(12.12), np.float32(-12.23))
    first = np.where(asked, np.float32(5.23), second)
    alone = np.where((x[:, 1] > -0.25) | np.isnan(x[:, 1]), np.float32(7.21), np.float32(0.07))
    assert_bits(ours, first + alone)
    if 0.0 not in members:  # at which onnx's evaluator stops to read a set
        close(ours, reference(model, {"x": x})[0][:, 0])
    if all(float(m).is_integer() for m in members):  # onnxruntime has no others, and takes 0.5 for 0
        same = ~np.isfinite(x[:, 0]) | (x[:, 0] == np.trunc(x[:, 0]))
        assert_bits(ours[same], theirs(model, x)[0][same, 0])


@pytest.mark.parametrize("link", [0, 3])
@pytest.mark.parametrize("aggregate", [0, 1])
def test_two_targets_of_tree_ensemble(aggregate: int, link: int) -> None:
    model, x = ensemble(LEQ, 1.0, targets=2, aggregate=aggregate, link=link), grid()
    close(converted(model).predict(x), theirs(model, x)[0])


@pytest.mark.parametrize("link", [1, 2])
def test_links_that_are_not_agreed_on_are_refused(link: str) -> None:
    with pytest.raises(UnsupportedModelError, match="the standard take for different links"):
        converted(ensemble(LEQ, 1.0, targets=2, link=link))


@pytest.mark.parametrize("aggregate", [2, 3])
def test_extremes_of_tree_ensemble_are_refused(aggregate: int) -> None:
    with pytest.raises(UnsupportedModelError, match="aggregate_function"):
        converted(ensemble(LEQ, 1.0, aggregate=aggregate))


def test_faces() -> None:
    assert converted(classifier([0, 1, 2], MIXED, [1, 2, 3], "SOFTMAX")).faces == ("prediction", "probabilities", "raw")
    assert converted(classifier([0], POSITIVE, [1, 2])).faces == ("prediction", "probabilities")
    with pytest.raises(InferirError, match="no probabilities"):
        converted(classifier([0], MIXED, [1, 2])).predict_proba(sample())
    raw = converted(classifier([0], MIXED, [1, 2], "LOGISTIC"))
    close(scipy.special.expit(raw.raw(sample())), raw.predict_proba(sample())[:, 1])
    assert_labels(raw.predict(sample()), np.where(raw.raw(sample()) > 0, 2, 1))
