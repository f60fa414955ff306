"""From CatBoost's JSON to operators.

Rows and borders are float32, sums float64: scale * (sum of leaves, from 0 and in tree order) + bias. A split asks
`x > border`, and NaN answers what the feature says; or, of a category, whether it is this one (one-hot). CatBoost knows a
category by a hash of its text, and the texts are in the file only if `save_model` was given the training pool.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import ModelLoadError
from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers._forest import CATEGORICAL, DEFAULT_LEFT, Forest, Tree
from inferir.formats.importers.catboost.model_json import Json, JsonModel, parse

__all__ = ["by_loss", "classifier", "json_file", "ranker", "regressor"]

Array = npt.NDArray[Any]

_BINARY = ("Logloss", "CrossEntropy", "Focal")
_MULTICLASS = {"MultiClass": "softmax", "MultiClassOneVsAll": "sigmoid"}
_MULTILABEL = ("MultiLogloss", "MultiCrossEntropy")
_EXPONENT = ("Poisson", "Tweedie")
_UNCERTAINTY = "RMSEWithUncertainty"
_REGRESSION = (
    "RMSE", "MAE", "Quantile", "MultiQuantile", "Expectile", "LogLinQuantile", "MAPE", "Lq", "Huber", "LogCosh", "RMSPE",
    "Cox", "SurvivalAft", "MultiRMSE", "MultiRMSEWithMissingValues", *_EXPONENT, _UNCERTAINTY,
)  # fmt: skip
_RANKING = (
    "PairLogit", "PairLogitPairwise", "YetiRank", "YetiRankPairwise", "QueryRMSE", "QuerySoftMax", "QueryCrossEntropy",
    "GroupQuantile", "StochasticFilter", "StochasticRank", "LambdaMart",
)  # fmt: skip
#: A loss of the caller's own; scores are answers unless there are classes.
_CUSTOM = ("PythonUserDefinedPerObject", "PythonUserDefinedMultiTarget", "UserPerObjMetric", "UserQuerywiseMetric")

_WITH_TEXTS = "number features, and one-hot categories in a file saved by save_model(path, format='json', pool=train_pool)"


# -- what is imported


def json_file(data: bytes) -> tuple[Builder, Answers, dict[str, str]]:
    """The model in the bytes of a .json file: what reads it, its answers, the framework."""
    model = parse(data)
    b = Builder(model.n_columns)
    return b, _by_loss(model, b, b.rows()), {"name": "catboost", "version": ""}


def by_loss(estimator: Any, b: Builder, x: Rows) -> Answers:
    """CatBoost: answers as of the class that is for its loss."""
    return _by_loss(_exported(estimator, b), b, x)


def classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _classification(_exported(estimator, b), b, x)


def regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _regression(_exported(estimator, b), b, x)


def ranker(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _ranking(_exported(estimator, b), b, x)


def _exported(estimator: Any, b: Builder) -> JsonModel:
    if estimator.get_text_feature_indices() or estimator.get_embedding_feature_indices():
        raise b.unsupported("a CatBoost model with text or embedding features", _WITH_TEXTS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        estimator.save_model(str(path), format="json")
        return parse(path.read_bytes())


# -- answers


def _by_loss(model: JsonModel, b: Builder, x: Rows) -> Answers:
    loss = model.loss
    if loss in _RANKING:
        return _ranking(model, b, x)
    if loss in _REGRESSION or (model.labels is None and loss in (None, *_CUSTOM)):
        return _regression(model, b, x)
    if loss in (None, *_BINARY, *_MULTICLASS, *_MULTILABEL, *_CUSTOM):
        return _classification(model, b, x)
    raise b.unsupported(f"CatBoost loss {loss!r}", ", ".join((*_BINARY, *_MULTICLASS, *_MULTILABEL, *_REGRESSION, *_RANKING)))


def _ranking(model: JsonModel, b: Builder, x: Rows) -> Answers:
    raw, _ = _raw(model, b, x)
    return Answers("ranking", "GradientBoosting", raw, raw=raw)


def _regression(model: JsonModel, b: Builder, x: Rows) -> Answers:
    """Scores; their exponent for Poisson and Tweedie; mean and variance for RMSEWithUncertainty."""
    raw, width = _raw(model, b, x)
    prediction = raw
    if model.loss in _EXPONENT:
        prediction = b.op("exp", raw)
    elif model.loss == _UNCERTAINTY and width == 2:
        mean, log_deviation = (b.op("select", raw, tensors={"columns": np.array([i])}) for i in range(2))
        twice = b.op("affine", log_deviation, tensors={"factor": np.array([2.0]), "offset": np.zeros(1)})
        prediction = b.op("concat", mean, b.op("exp", twice))
    return Answers("regression", "GradientBoosting", prediction, raw=raw)


def _classification(model: JsonModel, b: Builder, x: Rows) -> Answers:
    raw, width = _raw(model, b, x)
    threshold = -math.log(1.0 / model.probability_border - 1.0)
    if model.loss in _MULTILABEL:  # each score is a label that is there or not
        both = b.op("select", b.op("sigmoid", raw, scale=1.0), tensors={"columns": np.arange(2 * width) // 2})
        tensors = {"factor": np.tile([-1.0, 1.0], width), "offset": np.tile([1.0, 0.0], width)}
        classes: tuple[Any, ...] = ((0, 1),) * width if width > 1 else (0, 1)
        probabilities, prediction = b.op("affine", both, tensors=tensors), b.op("above", raw, threshold=threshold)
        return Answers("classification", "GradientBoosting", prediction, probabilities, raw, classes=classes)
    labels = range(max(width, 2)) if model.labels is None else model.labels
    if width == 1:
        probabilities = b.op("complement", b.op("sigmoid", raw, scale=1.0))
        prediction = b.op("above", raw, threshold=threshold)
    else:
        raw = _by_label(model, b, raw, width, len(labels))
        link = _MULTICLASS.get(model.loss or "", "softmax")
        probabilities = b.op(link, raw, scale=1.0) if link == "sigmoid" else b.op(link, raw)
        prediction = b.op("argmax", raw)
    if len(labels) != 2 and width == 1:
        raise b.unsupported(f"a CatBoost classifier of {len(labels)} classes with one score", "two classes")
    return Answers("classification", "GradientBoosting", prediction, probabilities, raw, classes=class_labels(labels))


def _by_label(model: JsonModel, b: Builder, raw: str, width: int, n_labels: int) -> str:
    """A score per label: -inf for a label that training named and did not see."""
    label_of = list(range(width)) if model.class_of_score is None else model.class_of_score
    if label_of == list(range(n_labels)):
        return raw
    if len(label_of) != width or len(set(label_of)) != width or not set(label_of) <= set(range(n_labels)):
        raise ModelLoadError(f"CatBoost JSON: expected class_to_label to name {width} of {n_labels} classes, got {label_of}")
    column, seen = np.zeros(n_labels, np.int64), np.zeros(n_labels, bool)
    column[label_of], seen[label_of] = np.arange(width), True
    tensors = {"factor": seen.astype(np.float64), "offset": np.where(seen, 0.0, -np.inf)}
    return b.op("affine", b.op("select", raw, tensors={"columns": column}), tensors=tensors)


# -- scores


@dataclass
class _Splits:
    """What splits ask, in terms of columns: of a float (column, border, NaN answers yes), of a category (column, code)."""

    model: JsonModel
    b: Builder
    x: Rows
    codes: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for feature in self.model.cat_features.values():  # takes texts, whether or not a split asks for it
            if self.x.origins[feature.column] is not None:
                self.b.category_codes(self.x.origins[feature.column], [])

    def read(self, split: Json) -> tuple[int, float, bool, bool]:
        """Column, border or code, whether NaN answers yes, whether the question is `==`."""
        kind = split["split_type"].text()
        if kind == "FloatFeature":
            number = split["float_feature_index"].integer(0, 2**31)
            if number not in self.model.float_features:
                split["float_feature_index"].fail("a feature of features_info")
            feature = self.model.float_features[number]
            return feature.column, float(np.float32(split["border"].number())), feature.nan_right, False
        if kind == "OneHotFeature":
            number = split["cat_feature_index"].integer(0, 2**31)
            if number not in self.model.cat_features:
                split["cat_feature_index"].fail("a feature of features_info")
            column = self.model.cat_features[number].column
            return column, self._code(column, split["value"].integer(-(2**31), 2**31)), False, True
        raise self.b.unsupported(f"a CatBoost split of type {kind!r}", f"{_WITH_TEXTS}; for OnlineCtr, raise one_hot_max_size")

    def _code(self, column: int, value: int) -> float:
        text = self.model.texts.get(value & 0xFFFFFFFF)
        if text is None:
            raise self.b.unsupported("CatBoost categories of which the model keeps a hash only", _WITH_TEXTS)
        return float(self.b.category_codes(self.x.origins[column], [text])[0])


def _raw(model: JsonModel, b: Builder, x: Rows) -> tuple[str, int]:
    """Scores, and how many there are in a row."""
    if x.width != model.n_columns:
        raise b.unsupported(f"a CatBoost model of {model.n_columns} columns on {x.width}", "as many columns")
    if model.names is not None and x.origins == tuple(range(b.n_columns)):
        b.name_columns(model.names)
    splits = _Splits(model, b, x)
    return _symmetric(model, b, x, splits) if model.oblivious else _asymmetric(model, b, x, splits)


def _bias(model: JsonModel, width: int) -> Array:
    if len(model.bias) not in (0, 1, width):
        raise ModelLoadError(f"CatBoost JSON: expected scale_and_bias to have {width} biases, got {len(model.bias)}")
    return np.zeros(width) + (model.bias if len(model.bias) else 0.0)


def _symmetric(model: JsonModel, b: Builder, x: Rows, splits: _Splits) -> tuple[str, int]:
    asked: list[tuple[int, float, bool, bool]] = []
    leaves, split_begin, leaf_begin, width = [], [0], [0], len(model.bias) or 1
    for i, tree in enumerate(model.trees):
        depth = len(tree.items("splits"))
        values = tree["leaf_values"].numbers()
        width = width if i else max(1, len(values) >> depth)
        if len(values) != width << depth:
            tree["leaf_values"].fail(f"{width} values for each of {1 << min(depth, 64)} leaves")
        asked += [splits.read(split) for split in tree.items("splits")]
        leaves.append(values.reshape(-1, width))
        split_begin.append(len(asked))
        leaf_begin.append(leaf_begin[-1] + (1 << depth))
    column, threshold, nan_right, equal = zip(*asked, strict=True) if asked else ((), (), (), ())
    tensors = {
        "split_begin": np.array(split_begin, np.int64),
        "split_index": np.array(column, np.int32),
        "threshold": np.array(threshold, np.float32),
        "nan_right": np.array(nan_right, np.uint8),
        "equal": np.array(equal, np.uint8),
        "leaf_begin": np.array(leaf_begin, np.int64),
        "leaf_value": np.concatenate(leaves or [np.zeros((0, width))]),
        "base": _bias(model, width),
    }
    return b.op("oblivious", x.value, tensors=tensors, scale=model.scale), width


def _asymmetric(model: JsonModel, b: Builder, x: Rows, splits: _Splits) -> tuple[str, int]:
    forest, width = Forest("f32", "f64"), 0
    for tree in model.trees:
        forest.trees.append(_nested(tree, forest, splits, width))
        width = forest.trees[-1].value.shape[1]
    width = width or len(model.bias) or 1
    raw = b.op("forest", x.value, tensors=forest.tensors(np.zeros(width)), **forest.attributes())
    bias = _bias(model, width)
    if model.scale != 1.0 or bias.any():
        raw = b.op("affine", raw, tensors={"factor": np.full(width, model.scale), "offset": bias})
    return raw, width


def _nested(root: Json, forest: Forest, splits: _Splits, width: int) -> Tree:
    """A tree of nested objects; `width` values a leaf, 0 if that is not known yet. A one-hot split, whose category goes
    right in CatBoost, becomes a set of one that goes left, and the children change places."""
    nodes = [root]
    left, right, column, threshold, flags = ([] for _ in range(5))
    leaves: dict[int, Array] = {}
    for node in nodes:  # grows as it goes
        i = len(left)
        if node.has("value"):
            leaves[i] = node["value"].numbers()
            width = width or len(leaves[i])
            if len(leaves[i]) != width or not width:
                node["value"].fail(f"{max(width, 1)} values")
            asked, children = (0, 0.0, False, False), (-1, -1)
        else:
            asked = splits.read(node["split"])
            first, second = ("right", "left") if asked[3] else ("left", "right")
            children = (len(nodes), len(nodes) + 1)
            nodes += [node[first], node[second]]
        left.append(children[0])
        right.append(children[1])
        column.append(asked[0])
        threshold.append(forest.add_set([int(asked[1])]) if asked[3] else asked[1])
        flags.append(CATEGORICAL if asked[3] else 0 if asked[2] else DEFAULT_LEFT)
    value = np.zeros((len(nodes), width))
    for i, leaf in leaves.items():
        value[i] = leaf
    return Tree(
        left=np.array(left),
        right=np.array(right),
        split_index=np.array(column),
        threshold=np.array(threshold, np.float32),
        flags=np.array(flags, np.uint8),
        value=value,
    )
