"""Trees of XGBoost: gbtree and dart, one output a tree or all of them in each leaf.

Rows, thresholds and sums are float32. What holds, and where it stands in XGBoost's source:

numbers     left where x < split_condition (predict_fn.h, GetDecision); NaN takes the default side
categories  a value is cut to a whole number; members of the node's set go right, all others left, as do values below 0
            and far too large ones (categorical.h, Decision). Versions up to 1.6 sent those the default way.
sums        start at the base margin, one addition per tree, in the order of the trees' ids
dart        a leaf counts weight_drop times, rounded to float32 before it is added. scikit-learn estimators ask through
            inplace_predict, which up to 3.2 took the base margin off again: ((base + leaf) - base) * weight (gbtree.cc)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.errors import ModelLoadError
from inferir.formats.importers._forest import CATEGORICAL, DEFAULT_LEFT, OUTSIDE_LEFT, Forest, Tree, less_than
from inferir.formats.importers.xgboost.document import Fields

__all__ = ["read_forest"]

Array = npt.NDArray[Any]

#: Categories are held in float32, where 2**24 is the first whole number that is no longer told from its neighbour.
MAX_CATEGORY = 2**24 - 1

#: 256 MiB. A set is as long as its largest category, so a small file can ask for very large ones.
MAX_SET_WORDS = 2**26


def read_forest(
    model: Fields, position: Array, base: Array, weights: Array | None, iterations: int | None, in_place: bool
) -> Forest:
    """The trees of `model` ("gbtree_model_param", "trees", "tree_info").

    position    where in the rows each column of the model stands
    base        base margins, float32, one per output
    weights     of dart's trees, in the order of their ids
    iterations  how many boosting rounds count; None: all
    in_place    whether dart's leaves are rounded as XGBoost's inplace_predict did
    """
    parameters = model.object("gbtree_model_param")
    trees = model.objects("trees")
    n_trees = parameters.integer("num_trees", 0, 2**31 - 1)
    if len(trees) != n_trees:
        raise model.error("trees", f"num_trees = {n_trees} trees")
    target = model.array("tree_info", np.int64, n_trees)
    if n_trees and not 0 <= target.min() <= target.max() < len(base):
        raise model.error("tree_info", f"numbers of outputs below {len(base)}")
    if weights is not None and len(weights) != n_trees:
        raise ModelLoadError(f"XGBoost model, weight_drop: expected {n_trees} weights, got {len(weights)}")
    forest = Forest("f32", "f32")
    for number in _order(model, trees)[: _n_counted(model, parameters, n_trees, len(base), iterations)]:
        tree = _read_tree(trees[number], forest, position, len(base))
        tree.target = int(target[len(forest.trees)]) if tree.value.shape[1] < len(base) else 0
        if weights is not None:
            leaf, outputs = tree.value, base[tree.target : tree.target + tree.value.shape[1]]
            with np.errstate(over="ignore", invalid="ignore"):
                tree.value = ((outputs + leaf) - outputs if in_place else leaf) * weights[len(forest.trees)]
        forest.trees.append(tree)
    if len({tree.value.shape[1] for tree in forest.trees}) > 1:
        raise model.error("trees", "as many values a leaf in one tree as in another")
    return forest


def _order(model: Fields, trees: list[Fields]) -> list[int]:
    """Positions of the trees by their ids, which is how XGBoost reads them."""
    ids = [tree.integer("id", 0, len(trees) - 1) for tree in trees]
    if len(set(ids)) != len(ids):
        raise model.error("trees", "a different id in each")
    return sorted(range(len(ids)), key=ids.__getitem__)


def _n_counted(model: Fields, parameters: Fields, n_trees: int, outputs: int, iterations: int | None) -> int:
    """How many trees the first `iterations` boosting rounds made."""
    if iterations is None:
        return n_trees
    if "iteration_indptr" in model:  # since 2.0; before it, a tree had one output
        end = model.array("iteration_indptr", np.int64)
        if not len(end) or end[0] != 0 or end[-1] != n_trees or (np.diff(end) < 0).any():
            raise model.error("iteration_indptr", f"positions that rise from 0 to {n_trees}")
        return int(end[min(iterations, len(end) - 1)])
    return min(n_trees, iterations * parameters.integer("num_parallel_tree", 1, 2**31 - 1) * outputs)


def _read_tree(fields: Fields, forest: Forest, position: Array, outputs: int) -> Tree:
    parameters = fields.object("tree_param")
    n = parameters.integer("num_nodes", 1, 2**31 - 1)
    left, right = (fields.array(key, np.int64, n) for key in ("left_children", "right_children"))
    inner = left >= 0
    _check_shape(fields, left, right, inner)
    split_index = fields.array("split_indices", np.int64, n)
    if inner.any() and not 0 <= split_index[inner].min() <= split_index[inner].max() < len(position):
        raise fields.error("split_indices", f"numbers of columns below {len(position)}")
    split_index[inner] = position[split_index[inner]]
    condition = fields.array("split_conditions", np.float32, n)
    flags = np.where(fields.array("default_left", np.uint8, n) != 0, DEFAULT_LEFT, 0).astype(np.uint8)
    categorical = _categorical(fields, n) & inner
    if not (condition[inner & ~categorical] > -np.inf).all():  # nothing is below it, and no x <= t says so
        raise fields.error("split_conditions", "numbers above minus infinity")
    with np.errstate(over="ignore"):  # below the least float32 there is minus infinity
        threshold = less_than(condition)
    for node, members in _category_sets(fields, categorical):
        threshold[node] = _add_left_set(fields, forest, members)
        flags[node] |= CATEGORICAL | OUTSIDE_LEFT
    cover = fields.array("sum_hessian", np.float32, n) if "sum_hessian" in fields else None
    value = _leaf_values(fields, n, outputs, condition, right)
    return Tree(left, right, split_index, threshold, flags, value, cover=cover)


def _check_shape(fields: Fields, left: Array, right: Array, inner: Array) -> None:
    """Children are nodes, none is the root or has two parents: what the root reaches is a tree, and is finite."""
    n = len(left)
    children = np.concatenate([left[inner], right[inner]])
    if children.size and not 1 <= children.min() <= children.max() < n:
        raise fields.error("left_children", f"children from 1 to {n - 1}, right_children too")
    if (np.bincount(children, minlength=n) > 1).any():
        raise fields.error("left_children", "each node to be the child of one node at most")


def _leaf_values(fields: Fields, n: int, outputs: int, condition: Array, right: Array) -> Array:
    """What each node adds if it is a leaf, (nodes, 1) or (nodes, outputs).

    A leaf of one output has its value for a split condition. Vector leaves are rows of base_weights; since 3.2 of
    leaf_weights, whose number a leaf has for its right child.
    """
    width = fields.object("tree_param").integer("size_leaf_vector", 0, 2**31 - 1)
    if width <= 1:
        return condition.reshape(n, 1)
    if width != outputs:
        raise fields.error("tree_param", f"a size_leaf_vector of {outputs}, one value per output")
    if "leaf_weights" not in fields:
        return fields.array("base_weights", np.float32, n * width).reshape(n, width)
    weights = fields.array("leaf_weights", np.float32)
    leaf = fields.array("left_children", np.int64, n) < 0
    if len(weights) % width or not 0 <= right[leaf].min() <= right[leaf].max() < len(weights) // width:
        raise fields.error("leaf_weights", f"{width} weights for each leaf")
    return weights.reshape(-1, width)[np.where(leaf, right, 0)]


def _categorical(fields: Fields, n: int) -> Array:
    """Which nodes ask for a category; files of before 1.3 know none."""
    return fields.array("split_type", np.uint8, n) == 1 if "split_type" in fields else np.zeros(n, bool)


def _category_sets(fields: Fields, categorical: Array) -> list[tuple[int, Array]]:
    """Each categorical node with the categories that go right."""
    if not categorical.any():
        return []
    nodes, begin, size = (fields.array(f"categories_{key}", np.int64) for key in ("nodes", "segments", "sizes"))
    members = fields.array("categories", np.int64)
    if not len(nodes) == len(begin) == len(size):
        raise fields.error("categories_nodes", "as many as categories_segments and categories_sizes")
    if members.size and not 0 <= members.min() <= members.max() <= MAX_CATEGORY:
        raise fields.error("categories", f"categories from 0 to {MAX_CATEGORY}")
    if nodes.size and ((begin < 0).any() or (size < 0).any() or (begin > len(members) - size).any()):
        raise fields.error("categories_segments", f"runs within {len(members)} categories")
    at = {int(node): i for i, node in enumerate(nodes)}
    wanted = [int(node) for node in np.flatnonzero(categorical)]
    if not all(node in at for node in wanted):
        raise fields.error("categories_nodes", "every node whose split_type is 1")
    return [(node, members[begin[at[node]] : begin[at[node]] + size[at[node]]]) for node in wanted]


def _add_left_set(fields: Fields, forest: Forest, right: Array) -> int:
    """The set of categories that go left: those within the words of `right` that are not in it. Its number."""
    if len(forest.sets) > MAX_CATEGORY or sum(map(len, forest.sets)) + int(right.max(initial=0)) // 32 > MAX_SET_WORDS:
        raise fields.error("categories", f"sets of {MAX_SET_WORDS} words of 32 categories in all trees together")
    number = forest.add_set(right)
    forest.sets[number] = ~forest.sets[number]
    return number
