"""Nodes and leaves of TreeEnsembleClassifier and TreeEnsembleRegressor: attributes that list them by tree and id.

The lists are checked to be trees: a walk from a root always ends in a leaf, and each leaf has a weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferir.formats.importers.onnx.reader import Node
from inferir.formats.importers.onnx.values import Array

__all__ = [
    "AGGREGATES", "EQ", "GT", "GTE", "LEAF", "LEQ", "LT", "MEMBER", "NEQ", "Ensemble", "Nodes", "numbers",
    "read_leaves", "read_nodes",
]  # fmt: skip

LEQ, LT, GTE, GT, EQ, NEQ, MEMBER = range(7)
LEAF, ABSORBED = -1, -2
_MODES = {"BRANCH_LEQ": LEQ, "BRANCH_LT": LT, "BRANCH_GTE": GTE, "BRANCH_GT": GT, "BRANCH_EQ": EQ, "BRANCH_NEQ": NEQ,
          "LEAF": LEAF}  # fmt: skip
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")


@dataclass(frozen=True)
class Nodes:
    """Nodes of all trees, each tree's together and its root first. `yes` and `no` are positions, LEAF in a leaf.

    `sets` holds the members that nodes of mode MEMBER ask for, by position. ABSORBED nodes are no part of a tree.
    """

    tree: Array
    mode: Array
    column: Array
    value: Array
    yes: Array
    no: Array
    nan_is_yes: Array
    sets: dict[int, Array]

    @property
    def leaf(self) -> Array:
        leaf: Array = self.mode == LEAF
        return leaf

    @property
    def inner(self) -> Array:
        inner: Array = self.mode >= 0
        return inner


@dataclass(frozen=True)
class Ensemble:
    """Nodes, and what leaves add: `weight[i]` to output `target[i]` in leaf `at[i]`."""

    nodes: Nodes
    at: Array
    target: Array
    weight: Array
    outputs: int
    aggregate: str


def read_nodes(node: Node) -> Nodes:
    """The attributes nodes_*. Ids may be any numbers; nodes of a tree stand together."""
    ids, trees = node.ints("nodes_nodeids"), node.ints("nodes_treeids")
    names = node.strings("nodes_modes")
    if unknown := sorted(set(names) - set(_MODES)):
        raise node.fail(f"expected nodes_modes of {', '.join(_MODES)}; got {', '.join(unknown)}")
    mode = np.array([_MODES[name] for name in names], np.int64)
    value = numbers(node, "nodes_values")
    tracks = node.ints("nodes_missing_value_tracks_true")
    parts = {"nodes_treeids": trees, "nodes_modes": mode, "nodes_values": value,
             "nodes_featureids": node.ints("nodes_featureids"), "nodes_truenodeids": node.ints("nodes_truenodeids"),
             "nodes_falsenodeids": node.ints("nodes_falsenodeids")}  # fmt: skip
    if len(tracks):
        parts["nodes_missing_value_tracks_true"] = tracks
    if not len(ids):
        raise node.fail("expected nodes, found none")
    for name, part in parts.items():
        if len(part) != len(ids):
            raise node.fail(f"expected {len(ids)} values in {name}, one for each of nodes_nodeids, got {len(part)}")
    starts = np.flatnonzero(np.diff(trees, prepend=trees[0] - 1))
    if len(np.unique(trees)) != len(starts):
        raise node.fail("expected the nodes of each tree of nodes_treeids to stand together")
    find = _Finder(node, trees, ids)
    inner = mode != LEAF
    yes, no = np.full(len(ids), LEAF), np.full(len(ids), LEAF)
    yes[inner] = find(trees[inner], parts["nodes_truenodeids"][inner], "nodes_truenodeids")
    no[inner] = find(trees[inner], parts["nodes_falsenodeids"][inner], "nodes_falsenodeids")
    tree = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(ids)))
    nan_is_yes = tracks == 1 if len(tracks) else np.zeros(len(ids), bool)
    nodes = Nodes(tree, mode, parts["nodes_featureids"], value, yes, no, nan_is_yes, {})
    _join_chains(nodes, starts)
    _check_trees(node, starts, yes[nodes.inner], no[nodes.inner])
    return nodes


def _join_chains(nodes: Nodes, roots: Array) -> None:
    """Chains of x = a, else x = b, ... that all lead to one node become one question for members, in place.

    So converters write LightGBM's categories, and the node they lead to has many parents until this is undone.
    """
    reached = np.concatenate([nodes.yes[nodes.inner], nodes.no[nodes.inner], roots])
    parents = np.bincount(reached, minlength=len(nodes.mode))
    for k in np.flatnonzero(nodes.mode == EQ).tolist():
        if nodes.mode[k] != EQ:
            continue
        members, nan = [nodes.value[k]], bool(nodes.nan_is_yes[k])
        while True:
            follower = int(nodes.no[k])
            if (
                nodes.mode[follower] not in (EQ, MEMBER) or parents[follower] != 1 or follower == k
                or nodes.column[follower] != nodes.column[k] or nodes.yes[follower] != nodes.yes[k]
            ):  # fmt: skip
                break
            members.extend(nodes.sets.pop(follower, nodes.value[follower : follower + 1]))
            nan = nan or bool(nodes.nan_is_yes[follower])
            nodes.mode[follower], nodes.no[k] = ABSORBED, nodes.no[follower]
        if len(members) > 1:
            nodes.mode[k], nodes.nan_is_yes[k] = MEMBER, nan
            nodes.sets[k] = np.array(members, nodes.value.dtype)


def numbers(node: Node, name: str) -> Array:
    """Attribute `name` (floats), or the tensor `name`_as_tensor, which may hold doubles."""
    tensor: Array | None = node.get(f"{name}_as_tensor", np.ndarray)
    if tensor is None or not tensor.size:
        return node.floats(name)
    if tensor.dtype not in (np.float32, np.float64):
        raise node.fail(f"expected {name}_as_tensor to hold floats or doubles, got {tensor.dtype}")
    return tensor.reshape(-1)


class _Finder:
    """Positions of nodes by tree and id."""

    def __init__(self, node: Node, trees: Array, ids: Array) -> None:
        self._node, self._trees, self._ids = node, np.unique(trees), np.unique(ids)
        keys = self._key(trees, ids)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        twice = np.flatnonzero(np.diff(self._keys) == 0)
        if twice.size:
            first = self._order[twice[0]]
            raise node.fail(f"expected each node once, node {ids[first]} of tree {trees[first]} is there twice")

    def _key(self, trees: Array, ids: Array) -> Array:
        key: Array = np.searchsorted(self._trees, trees) * len(self._ids) + np.searchsorted(self._ids, ids)
        return key

    def __call__(self, trees: Array, ids: Array, name: str) -> Array:
        known = np.isin(trees, self._trees) & np.isin(ids, self._ids)
        place = np.searchsorted(self._keys, np.where(known, self._key(trees, ids), -1))
        place = np.minimum(place, len(self._keys) - 1)
        missing = ~known | (self._keys[place] != self._key(trees, ids))
        if missing.any():
            first = int(np.flatnonzero(missing)[0])
            raise self._node.fail(f"expected {name} of nodes that exist, got node {ids[first]} of tree {trees[first]}")
        found: Array = self._order[place]
        return found


def _check_trees(node: Node, roots: Array, yes: Array, no: Array) -> None:
    """Every node has one parent, roots have none: then no walk from a root can turn in a circle."""
    children, parents = np.unique(np.concatenate([yes, no, roots]), return_counts=True)
    if (parents > 1).any():
        raise node.fail(f"expected trees, but node number {children[parents > 1][0]} can be reached in two ways")


def read_leaves(node: Node, nodes: Nodes, kind: str, outputs: int) -> tuple[Array, Array, Array]:
    """Leaf, output and weight from the attributes class_* or target_*. Weights of nodes that are no leaves are ignored,
    as onnxruntime does for the sake of old converters."""
    ids, trees = node.ints(f"{kind}_ids"), node.ints(f"{kind}_treeids")
    leaf_ids, weight = node.ints(f"{kind}_nodeids"), numbers(node, f"{kind}_weights")
    if not len(ids) == len(trees) == len(leaf_ids) == len(weight):
        raise node.fail(f"expected as many {kind}_ids as {kind}_treeids, {kind}_nodeids and {kind}_weights")
    if len(ids) and not 0 <= ids.min() <= ids.max() < outputs:
        raise node.fail(f"expected {kind}_ids within 0 and {outputs - 1}, got {ids.min()} to {ids.max()}")
    at = _Finder(node, node.ints("nodes_treeids"), node.ints("nodes_nodeids"))(trees, leaf_ids, f"{kind}_nodeids")
    leaf = nodes.leaf[at]
    at, ids, weight = at[leaf], ids[leaf], weight[leaf]
    without = nodes.leaf.copy()
    without[at] = False
    if without.any():
        raise node.fail(f"expected a weight for each leaf, node number {int(np.flatnonzero(without)[0])} has none")
    pairs = at * outputs + ids
    if len(np.unique(pairs)) != len(pairs):
        raise node.fail(f"expected one weight for each leaf and output, got two for one of {kind}_nodeids")
    return at, ids, weight
