"""LightGBM's model text, as `Booster.save_model` and `model_to_string` write it (src/boosting/gbdt_model_text.cpp).

    tree                        what follows is `key=value` lines, or a key alone
    version=v4
    ...
                                an empty line
    Tree=0                      the same, one block per tree
    num_leaves=31
    ...
    end of trees
    ...                         feature importances, which are not read
    parameters:                 `[name: value]` lines
    ...
    end of parameters
    pandas_categorical:[[...]]  JSON: the categories of each category column of the training frame

A key that is not in the tables below is refused rather than skipped: it could mean anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import ModelLoadError, UnsupportedModelError

__all__ = ["TextModel", "TextTree", "is_lightgbm", "parse"]

Array = npt.NDArray[Any]

VERSIONS = ("v3", "v4")

_HEADER_KEYS = frozenset((
    "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective", "average_output",
    "feature_names", "feature_infos", "monotone_constraints", "tree_sizes",
))  # fmt: skip

#: Arrays of a tree: dtype, and length in terms of the leaves and categorical nodes; None where another array says it.
_ARRAYS: Mapping[str, tuple[type, str | None]] = {
    "split_feature": (np.int64, "nodes"),
    "threshold": (np.float64, "nodes"),
    "decision_type": (np.int64, "nodes"),
    "left_child": (np.int64, "nodes"),
    "right_child": (np.int64, "nodes"),
    "leaf_value": (np.float64, "leaves"),
}
_CATEGORY_ARRAYS: Mapping[str, tuple[type, str | None]] = {
    "cat_boundaries": (np.int64, "sets"),
    "cat_threshold": (np.int64, None),
}
_LINEAR_ARRAYS: Mapping[str, tuple[type, str | None]] = {
    "leaf_const": (np.float64, "leaves"),
    "num_features": (np.int64, "leaves"),
    "leaf_features": (np.int64, None),
    "leaf_coeff": (np.float64, None),
}
#: Training rows that passed each node and leaf, for explanations; a text may be without.
_COUNT_ARRAYS: Mapping[str, tuple[type, str | None]] = {
    "internal_count": (np.float64, "nodes"),
    "leaf_count": (np.float64, "leaves"),
}
_NUMBERS = ("num_leaves", "num_cat", "is_linear")
#: What training knew and prediction does not need. The leaves are already shrunk.
_UNUSED = ("split_gain", "leaf_weight", "internal_value", "internal_weight", "shrinkage")
_TREE_KEYS = frozenset((*_NUMBERS, *_ARRAYS, *_CATEGORY_ARRAYS, *_LINEAR_ARRAYS, *_COUNT_ARRAYS, *_UNUSED))

#: int32 leaf and node numbers.
_MOST_LEAVES = 2**30
_NUMERIC = frozenset("0123456789+-.eEinfaN ")


@dataclass(frozen=True)
class TextTree:
    """One tree. Children >= 0 are nodes, others are ~leaf. `sets` are the bitsets of categorical nodes, uint32 words;
    the threshold of a categorical node is the number of its set. `leaf_features` and `leaf_coeff` are those of all
    leaves behind each other, `num_features` a leaf; empty where the tree is not linear. `cover` is how many training
    rows passed each node, then each leaf; None where the text does not say.
    """

    split_feature: Array
    threshold: Array
    decision_type: Array
    left_child: Array
    right_child: Array
    leaf_value: Array
    sets: list[Array]
    linear: bool
    leaf_const: Array
    num_features: Array
    leaf_features: Array
    leaf_coeff: Array
    cover: Array | None = None


@dataclass(frozen=True)
class TextModel:
    """A model. `objective` holds its words, none for a custom objective; `feature_infos` are the ranges or categories
    that training saw; `pandas_categorical` the categories of each category column of a pandas frame, in order.
    """

    version: str
    trees: list[TextTree]
    trees_per_iteration: int
    objective: list[str]
    average_output: bool
    feature_names: list[str]
    feature_infos: list[str]
    parameters: Mapping[str, str]
    pandas_categorical: list[list[Any]]


def is_lightgbm(data: bytes) -> bool:
    """Whether a file's bytes begin as a LightGBM model does."""
    return data[:6].replace(b"\r", b"").startswith(b"tree\n")


def parse(data: bytes) -> TextModel:
    """The model in a file's bytes. Raises ModelLoadError (E001) that names the line, UnsupportedModelError (E004)."""
    try:
        lines = [line.removesuffix("\r") for line in data.decode("utf-8").split("\n")]
    except UnicodeDecodeError as error:
        raise _malformed(f"expected UTF-8, got byte {data[error.start]:#04x} at offset {error.start}") from None
    if lines[0] != "tree":
        raise _malformed(f"expected the first line to be 'tree', got {lines[0][:40]!r}")
    first_tree = next((i for i, line in enumerate(lines) if line.startswith("Tree=")), None)
    if first_tree is None or "end of trees" not in lines:
        raise _malformed("expected at least one tree and the line 'end of trees'; the file is cut short, or empty")
    end = lines.index("end of trees")
    header = _keys(lines[1:first_tree], _HEADER_KEYS, "the header")
    version = _entry(header, "version", "the header")
    if version not in VERSIONS:
        raise UnsupportedModelError(f"cannot convert a LightGBM model text {version}; supported: {', '.join(VERSIONS)}")
    feature_names = _entry(header, "feature_names", "the header").split(" ")
    feature_infos = _entry(header, "feature_infos", "the header").split(" ")
    n_columns = _integer(header, "max_feature_idx", "the header", 0, 2**31 - 2) + 1
    if not len(feature_names) == len(feature_infos) == n_columns:
        raise _malformed(
            f"expected {n_columns} feature_names and feature_infos (max_feature_idx + 1), "
            f"got {len(feature_names)} and {len(feature_infos)}"
        )
    trees = [_tree(block, i, n_columns) for i, block in enumerate(_blocks(lines[first_tree:end]))]
    per_iteration = _integer(header, "num_tree_per_iteration", "the header", 1, len(trees))
    if len(trees) % per_iteration:
        raise _malformed(f"expected a multiple of num_tree_per_iteration={per_iteration} trees, got {len(trees)}")
    return TextModel(
        version=version,
        trees=trees,
        trees_per_iteration=per_iteration,
        objective=header.get("objective", "").split(),
        average_output="average_output" in header,
        feature_names=feature_names,
        feature_infos=feature_infos,
        parameters=_parameters(lines[end:]),
        pandas_categorical=_pandas_categorical(lines[end:]),
    )


def _malformed(text: str) -> ModelLoadError:
    return ModelLoadError(f"LightGBM model text: {text}")


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """The lines of each tree, less its first."""
    starts = [i for i, line in enumerate(lines) if line.startswith("Tree=")]
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True)):
        if lines[start] != f"Tree={number}":
            raise _malformed(f"expected 'Tree={number}', got {lines[start][:40]!r}")
        yield lines[start + 1 : end]


def _keys(lines: list[str], known: frozenset[str], where: str) -> dict[str, str]:
    keys: dict[str, str] = {}
    for line in filter(None, lines):
        key, _, value = line.partition("=")
        if key not in known:
            raise UnsupportedModelError(f"LightGBM model text: {where} has {key[:40]!r}, which is unknown")
        if key in keys:
            raise _malformed(f"{where} has {key!r} twice")
        keys[key] = value
    return keys


def _entry(keys: Mapping[str, str], key: str, where: str) -> str:
    if key not in keys:
        raise _malformed(f"expected {key!r} in {where}, found {', '.join(keys) or 'nothing'}")
    return keys[key]


def _integer(keys: Mapping[str, str], key: str, where: str, least: int, most: int) -> int:
    value = int(_array(_entry(keys, key, where), np.int64, 1, f"{key} of {where}")[0])
    if not least <= value <= most:
        raise _malformed(f"expected {key} of {where} from {least} to {most}, got {value}")
    return value


def _array(text: str, dtype: type, length: int | None, what: str) -> Array:
    try:
        if not _NUMERIC.issuperset(text):
            raise ValueError
        array: Array = np.array([(float if dtype is np.float64 else int)(word) for word in text.split()], dtype)
    except (ValueError, OverflowError):
        raise _malformed(f"expected numbers in {what}, got {text[:40]!r}") from None
    if length is not None and len(array) != length:
        raise _malformed(f"expected {length} numbers in {what}, got {len(array)}")
    return array


def _tree(lines: list[str], number: int, n_columns: int) -> TextTree:
    where = f"tree {number}"
    keys = _keys(lines, _TREE_KEYS, where)
    n_leaves = _integer(keys, "num_leaves", where, 1, _MOST_LEAVES)
    n_sets = _integer(keys, "num_cat", where, 0, _MOST_LEAVES)
    linear = bool(_integer(keys, "is_linear", where, 0, 1)) if "is_linear" in keys else False
    lengths = {"leaves": n_leaves, "nodes": n_leaves - 1, "sets": n_sets + 1}

    def arrays(table: Mapping[str, tuple[type, str | None]]) -> dict[str, Array]:
        return {
            key: _array(_entry(keys, key, where), dtype, lengths[length] if length else None, f"{key} of {where}")
            for key, (dtype, length) in table.items()
        }

    found = arrays(_ARRAYS)
    sets = _sets(**arrays(_CATEGORY_ARRAYS), where=where) if n_sets else []
    if linear:
        found |= arrays(_LINEAR_ARRAYS)
    else:
        found |= {key: np.zeros(n_leaves if length else 0, dtype) for key, (dtype, length) in _LINEAR_ARRAYS.items()}
    counts = arrays(_COUNT_ARRAYS) if all(key in keys for key in _COUNT_ARRAYS) else {}
    cover = np.concatenate(list(counts.values())) if counts else None
    tree = TextTree(**found, sets=sets, linear=linear, cover=cover)
    _check(tree, where, n_columns)
    return tree


def _sets(cat_boundaries: Array, cat_threshold: Array, where: str) -> list[Array]:
    steps = np.diff(cat_boundaries)
    if cat_boundaries[0] != 0 or cat_boundaries[-1] != len(cat_threshold) or (steps < 0).any():
        raise _malformed(f"expected cat_boundaries of {where} to rise from 0 to {len(cat_threshold)}")
    _within(cat_threshold, 0, 2**32, f"cat_threshold of {where}")
    return np.split(cat_threshold.astype(np.uint32), cat_boundaries[1:-1])


def _within(array: Array, least: int, below: int, what: str) -> None:
    if array.size and not (least <= array.min() and array.max() < below):
        raise _malformed(f"expected {what} within [{least}, {below}), got {array.min()} to {array.max()}")


def _check(tree: TextTree, where: str, n_columns: int) -> None:
    """A tree is one: every node but the root, and every leaf, is the child of one node before it."""
    n_leaves = len(tree.leaf_value)
    nodes = np.arange(n_leaves - 1)
    children = np.concatenate([tree.left_child, tree.right_child])
    once = np.array_equal(np.sort(children), np.concatenate([np.arange(-n_leaves, 0), np.arange(1, n_leaves - 1)]))
    inner = children >= 0
    if n_leaves > 1 and not (once and (children[inner] > np.tile(nodes, 2)[inner]).all()):
        raise _malformed(f"expected left_child and right_child of {where} to make one tree of {n_leaves} leaves")
    _within(tree.split_feature, 0, n_columns, f"split_feature of {where}")
    _within(tree.decision_type, 0, 12, f"decision_type of {where}")  # missing types are 0, 1 and 2
    categorical = tree.decision_type & 1 != 0
    chosen = tree.threshold[categorical]
    if np.isnan(tree.threshold).any() or not np.isin(chosen, np.arange(len(tree.sets))).all():
        raise _malformed(f"expected thresholds of {where} to be numbers, and those of categorical nodes to be sets")
    if (tree.num_features < 0).any() or not tree.num_features.sum() == len(tree.leaf_features) == len(tree.leaf_coeff):
        raise _malformed(f"expected num_features of {where} to count its leaf_features and leaf_coeff")
    _within(tree.leaf_features, 0, n_columns, f"leaf_features of {where}")


def _parameters(lines: list[str]) -> dict[str, str]:
    """What stands between 'parameters:' and 'end of parameters': training settings."""
    if "parameters:" not in lines:
        return {}
    found = {}
    for line in lines[lines.index("parameters:") + 1 :]:
        if line == "end of parameters":
            break
        name, separator, value = line.removeprefix("[").removesuffix("]").partition(": ")
        if separator:
            found[name] = value
    return found


def _pandas_categorical(lines: list[str]) -> list[list[Any]]:
    line = next((line for line in reversed(lines) if line), "")
    if not line.startswith("pandas_categorical:"):
        return []
    try:
        found = json.loads(line.removeprefix("pandas_categorical:"))
    except (ValueError, RecursionError):
        raise _malformed(f"expected JSON behind 'pandas_categorical:', got {line[19:59]!r}") from None
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(values, list) for values in found):
        raise _malformed("expected pandas_categorical to be a list of lists")
    return found
