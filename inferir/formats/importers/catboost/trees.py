"""CatBoost's trees.

Rows and borders are float32, sums float64: scale * (sum of leaves, from 0 and in tree order) + bias (evaluator_impl.cpp
and scale_and_bias.cpp in catboost/libs/model). A split asks `x > border`, where NaN answers what the feature says; or
whether a category is this one (one-hot). CatBoost knows a category by a hash of its text, and the texts are in the file
only if `save_model` was given the training pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inferir.errors import ModelLoadError
from inferir.formats.importers._builder import Builder, Rows
from inferir.formats.importers._forest import CATEGORICAL, DEFAULT_LEFT, Forest, Tree, narrowed
from inferir.formats.importers.catboost.model_json import Json, JsonModel

__all__ = ["SUPPORTED", "scores"]

Array = npt.NDArray[Any]

SUPPORTED = "numbers, and one-hot categories in a file saved by save_model(path, format='json', pool=train_pool)"


class Split(NamedTuple):
    """A question: x > threshold, or x == threshold where `equal`; NaN answers `nan_right`."""

    column: int
    threshold: float
    nan_right: bool
    equal: bool


@dataclass
class _Splits:
    """What splits ask, in terms of columns and codes of categories."""

    model: JsonModel
    b: Builder
    x: Rows

    def __post_init__(self) -> None:
        for column in self.model.cat_features.values():  # takes texts, whether or not a split asks for it
            if self.x.origins[column] is not None:
                self.b.category_codes(self.x.origins[column], [])

    def read(self, split: Json) -> Split:
        kind = split["split_type"].text()
        if kind == "FloatFeature":
            number = split["float_feature_index"].integer(0, 2**31)
            if number not in self.model.float_features:
                split["float_feature_index"].fail("a feature of features_info")
            feature = self.model.float_features[number]
            return Split(feature.column, split["border"].float32(), feature.nan_right, equal=False)
        if kind == "OneHotFeature":
            number = split["cat_feature_index"].integer(0, 2**31)
            if number not in self.model.cat_features:
                split["cat_feature_index"].fail("a feature of features_info")
            column = self.model.cat_features[number]
            code = self._code(column, split["value"].integer(-(2**31), 2**31))
            return Split(column, code, nan_right=False, equal=True)
        hint = f"{SUPPORTED}; one_hot_max_size says up to how many categories those are"
        raise self.b.unsupported(f"a CatBoost split of type {kind!r}", hint)

    def _code(self, column: int, value: int) -> float:
        text = self.model.texts.get(value & 0xFFFFFFFF)
        if text is None:
            raise self.b.unsupported("CatBoost categories of which the model keeps a hash only", SUPPORTED)
        return float(self.b.category_codes(self.x.origins[column], [text])[0])


def scores(model: JsonModel, b: Builder, x: Rows) -> tuple[str, int]:
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
    asked: list[Split] = []
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
    weights = [tree["leaf_weights"].numbers() for tree in model.trees if tree.has("leaf_weights")]
    tensors = {
        "split_begin": np.array(split_begin, np.int64),
        "split_index": np.array([split.column for split in asked], np.int32),
        "threshold": np.array([split.threshold for split in asked], np.float32),
        "nan_right": np.array([split.nan_right for split in asked], np.uint8),
        "equal": np.array([split.equal for split in asked], np.uint8),
        "leaf_begin": np.array(leaf_begin, np.int64),
        "leaf_value": np.concatenate(leaves or [np.zeros((0, width))]),
        "base": _bias(model, width),
    }
    if weights and [len(weight) for weight in weights] == [len(values) for values in leaves]:
        tensors["leaf_cover"] = narrowed(np.concatenate(weights))
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
    """A tree of nested objects; `width` values a leaf, 0 if that is not known yet.

    Where a split asks for a category, CatBoost takes it right; a set of categories goes left here, so the children
    change places.
    """
    nodes, left, right, asked = [root], [], [], []
    leaves: dict[int, Array] = {}
    for i, node in enumerate(nodes):  # grows as it goes
        if node.has("value"):
            leaves[i] = node["value"].numbers()
            width = width or len(leaves[i])
            if len(leaves[i]) != width or not width:
                node["value"].fail(f"{max(width, 1)} values")
            left.append(-1)
            right.append(-1)
            asked.append(Split(0, 0.0, nan_right=False, equal=False))
        else:
            asked.append(splits.read(node["split"]))
            left.append(len(nodes))
            right.append(len(nodes) + 1)
            nodes += [node["right"], node["left"]] if asked[i].equal else [node["left"], node["right"]]
    value = np.zeros((len(nodes), width))
    for i, leaf in leaves.items():
        value[i] = leaf
    cover = np.array([node["weight"].number() if node.has("weight") else np.nan for node in nodes])
    for i in reversed(range(len(nodes))):  # a node's is its children's
        if left[i] >= 0:
            cover[i] = cover[left[i]] + cover[right[i]]
    threshold = [forest.add_set([int(split.threshold)]) if split.equal else split.threshold for split in asked]
    flags = [CATEGORICAL if split.equal else 0 if split.nan_right else DEFAULT_LEFT for split in asked]
    return Tree(
        left=np.array(left),
        right=np.array(right),
        split_index=np.array([split.column for split in asked]),
        threshold=np.array(threshold, np.float32),
        flags=np.array(flags, np.uint8),
        value=value,
        cover=None if np.isnan(cover).any() else cover,
    )
