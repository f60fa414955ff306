"""From the trees of a node to a forest.

A node asks x <= v, x < v, x >= v, x > v, x = v, x != v, or whether x is in a set; NaN answers no (to != yes), unless
the node says that it answers yes. The first four become `x <= threshold`, with children swapped for > and >=. The
others look at columns added to the rows: 1 where the value is in the set, else 0.

Thresholds, leaves and sums are float32, or double where the rows or the attributes are, as in onnxruntime: it sums
leaves in the order of the trees and adds base_values last.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from inferir.formats.importers._forest import DEFAULT_LEFT, Forest, Tree, less_than
from inferir.formats.importers.onnx.emit import Emitter
from inferir.formats.importers.onnx.ml.tree_nodes import EQ, GT, GTE, LT, MEMBER, NEQ, Ensemble, Nodes
from inferir.formats.importers.onnx.reader import Node
from inferir.formats.importers.onnx.values import Array, Tensor

__all__ = ["always_scored", "scores"]

_AGGREGATES = ("AVERAGE", "SUM")


def scores(e: Emitter, node: Node, x: Tensor, ensemble: Ensemble, base: Array) -> tuple[str, str]:
    """The matrix of sums plus base_values (none, or one per output), and how it is stored."""
    if ensemble.aggregate not in _AGGREGATES:
        raise e.unsupported(f"aggregate_function {ensemble.aggregate}", ", ".join(_AGGREGATES))
    nodes, double = ensemble.nodes, np.dtype(np.float64)
    compare = "f64" if double in (x.dtype, nodes.value.dtype) else "f32"
    wide = compare == "f64" or ensemble.weight.dtype == double or (base.size and base.dtype == double)
    accumulate = "f64" if wide else "f32"
    inner = nodes.inner
    width = x.columns.size
    if inner.any() and not 0 <= nodes.column[inner].min() <= nodes.column[inner].max() < width:
        low, high = nodes.column[inner].min(), nodes.column[inner].max()
        raise node.fail(f"expected nodes_featureids within the {width} columns, got {low} to {high}")
    rows = e.flat(x, compare)
    columns, sets = _questions(nodes, compare)
    if sets:
        rows = _with_members(e, rows, sets, compare)
    forest = Forest(compare, accumulate)
    forest.trees.extend(_forest_trees(ensemble, columns, width, compare))
    total = e.b.op("forest", rows, tensors=forest.tensors(np.zeros(ensemble.outputs)), **forest.attributes())
    if ensemble.aggregate == "AVERAGE":
        count = float(len(forest.trees))
        total = e.b.op("divide", total, tensors={"divisor": np.full(ensemble.outputs, count)})
    if base.size:
        total = e.affine(total, 1.0, base, ensemble.outputs)
    return total, accumulate


_Set = tuple[int, bytes, bool]


def _questions(nodes: Nodes, compare: str) -> tuple[Array, list[_Set]]:
    """For nodes that ask =, != or for members: the number of the set that they ask for; -1 for the others."""
    known: dict[_Set, int] = {}
    out = np.full(len(nodes.mode), -1)
    dtype = np.float32 if compare == "f32" else np.float64
    for k in np.flatnonzero(nodes.mode >= EQ).tolist():
        members = nodes.sets.get(k, nodes.value[k : k + 1]).astype(dtype)
        members = np.unique(members[~np.isnan(members)]) + 0.0  # -0.0 equals 0.0
        nan = bool(nodes.nan_is_yes[k]) and nodes.mode[k] != NEQ
        key = (int(nodes.column[k]), members.astype(np.float64).tobytes(), nan)
        out[k] = known.setdefault(key, len(known))
    return out, list(known)


def _with_members(e: Emitter, rows: str, sets: Sequence[_Set], compare: str) -> str:
    """The rows with a column for each set: 1 for a member, else 0."""
    categories = [np.append(np.frombuffer(m, np.float64), [np.nan] if nan else []) for _, m, nan in sets]
    tensors = {
        "begin": np.cumsum([0, *map(len, categories)]),
        "category": np.concatenate(categories),
        "code": np.ones(sum(map(len, categories))),
    }
    asked = e.b.op("select", rows, tensors={"columns": np.array([column for column, _, _ in sets], np.int64)})
    member = e.b.op("encode", asked, tensors=tensors, unknown="value", unknown_value=0.0)
    return e.b.op("concat", rows, member if compare == "f64" else e.b.op("cast", member, to="f32"))


def _forest_trees(ensemble: Ensemble, question: Array, width: int, compare: str) -> list[Tree]:
    nodes = ensemble.nodes
    dtype = np.float32 if compare == "f32" else np.float64
    threshold, mode, asked = nodes.value.astype(dtype), nodes.mode, question >= 0
    below = less_than(threshold)
    # x < -inf and whatever is asked of NaN: never
    never = (np.isnan(threshold) & (mode != NEQ)) | (np.isnan(below) & (mode == LT))
    always = np.isnan(below) & (mode == GTE) & ~np.isnan(threshold)
    never &= ~asked
    swap = np.isin(mode, (GTE, GT, EQ, MEMBER))
    threshold = np.where(np.isin(mode, (LT, GTE)), below, threshold)
    threshold[asked] = 0.5
    threshold[never | always] = np.inf
    swap = (swap | never) & ~always
    nan_left = np.where(swap, ~nodes.nan_is_yes, nodes.nan_is_yes) & ~asked
    left, right = np.where(swap, nodes.no, nodes.yes), np.where(swap, nodes.yes, nodes.no)
    column = np.where(asked, width + question, nodes.column)
    values, targets = _leaf_values(ensemble)
    starts = np.searchsorted(nodes.tree, np.arange(int(nodes.tree[-1]) + 2))
    trees = []
    for t, (start, end) in enumerate(itertools.pairwise(starts.tolist())):
        part = slice(start, end)
        inner = nodes.inner[part]
        trees.append(
            Tree(
                left=np.where(inner, left[part] - start, -1),
                right=np.where(inner, right[part] - start, -1),
                split_index=column[part],
                threshold=threshold[part],
                flags=np.where(nan_left[part], DEFAULT_LEFT, 0).astype(np.uint8),
                value=values[part],
                target=int(targets[t]),
            )
        )
    return trees


def _leaf_values(ensemble: Ensemble) -> tuple[Array, Array]:
    """What nodes add, (nodes, width), and the output that each tree's first column is for: boosted trees have one."""
    nodes, n_trees = ensemble.nodes, int(ensemble.nodes.tree[-1]) + 1
    tree = nodes.tree[ensemble.at]
    low, high = np.full(n_trees, ensemble.outputs), np.full(n_trees, -1)
    np.minimum.at(low, tree, ensemble.target)
    np.maximum.at(high, tree, ensemble.target)
    single = bool((low == high).all())
    values = np.zeros((len(nodes.mode), 1 if single else ensemble.outputs), ensemble.weight.dtype)
    values[ensemble.at, 0 if single else ensemble.target] = ensemble.weight
    return values, low if single else np.zeros(n_trees, np.int64)


def always_scored(ensemble: Ensemble) -> Array:
    """Whether each output has a weight wherever a row ends: in all leaves of some tree."""
    nodes, n_trees = ensemble.nodes, int(ensemble.nodes.tree[-1]) + 1
    leaves = np.bincount(nodes.tree[nodes.leaf], minlength=n_trees)
    weights = np.zeros((n_trees, ensemble.outputs), np.int64)
    np.add.at(weights, (nodes.tree[ensemble.at], ensemble.target), 1)
    found: Array = (weights == leaves[:, None]).any(axis=0)
    return found
