"""TreeEnsemble of ai.onnx.ml 5: positions instead of ids, leaves apart from nodes, and sets that nodes ask for."""

from __future__ import annotations

import numpy as np

from inferir.formats.importers.onnx.ml.tree_nodes import AGGREGATES, LEAF, MEMBER, Ensemble, Nodes
from inferir.formats.importers.onnx.reader import Node
from inferir.formats.importers.onnx.values import Array

__all__ = ["read_tree_ensemble"]


def read_tree_ensemble(node: Node) -> Ensemble:
    """TreeEnsemble: leaves have one weight for one target each; sets are lists that end with NaN, in the order of the
    nodes that ask for them."""
    n_targets = node.get("n_targets", int, 1)
    mode = _uint8(node, "nodes_modes")
    n_nodes, weight = len(mode), _tensor(node, "leaf_weights")
    target = node.ints("leaf_targetids")
    n_leaves = len(weight)
    if n_targets < 1 or len(target) != n_leaves or not n_leaves or not 0 <= target.min() <= target.max() < n_targets:
        raise node.fail(f"expected a leaf_targetids below n_targets={n_targets} for each of {n_leaves} leaf_weights")
    if mode.size and mode.max() > MEMBER:
        raise node.fail(f"expected nodes_modes up to {MEMBER}, got {mode.max()}")
    column, value = node.ints("nodes_featureids"), _tensor(node, "nodes_splits")
    tracks = node.ints("nodes_missing_value_tracks_true", np.zeros(n_nodes, np.int64).tolist())
    child = {name: node.ints(f"nodes_{name}") for name in ("truenodeids", "trueleafs", "falsenodeids", "falseleafs")}
    for name, part in {"nodes_featureids": column, "nodes_splits": value, "nodes_missing_value_tracks_true": tracks,
                       **{f"nodes_{k}": v for k, v in child.items()}}.items():  # fmt: skip
        if len(part) != n_nodes:
            raise node.fail(f"expected {n_nodes} values in {name}, one for each of nodes_modes, got {len(part)}")
    sets = _member_sets(node, mode)
    walk = _Walk(node, child, n_nodes, n_leaves)
    roots = node.ints("tree_roots")
    if not len(roots):
        raise node.fail("expected tree_roots, found none")
    for number, root in enumerate(roots.tolist()):
        walk.tree(number, root)
    order = np.array(walk.source, np.int64)
    inner = order >= 0
    source = np.where(inner, order, 0)
    nodes = Nodes(
        tree=np.array(walk.number),
        mode=np.where(inner, mode[source], LEAF),
        column=np.where(inner, column[source], 0),
        value=np.where(inner, value[source], 0).astype(value.dtype),
        yes=np.array(walk.yes),
        no=np.array(walk.no),
        nan_is_yes=inner & (tracks[source] == 1),
        sets={int(k): sets[int(order[k])] for k in np.flatnonzero(inner) if int(order[k]) in sets},
    )
    leaves = ~order[~inner]
    aggregate = node.get("aggregate_function", int, 1)
    if not 0 <= aggregate < len(AGGREGATES):
        raise node.fail(f"expected aggregate_function within 0 and {len(AGGREGATES) - 1}, got {aggregate}")
    return Ensemble(nodes, np.flatnonzero(~inner), target[leaves], weight[leaves], n_targets, AGGREGATES[aggregate])


def _tensor(node: Node, name: str) -> Array:
    tensor: Array = node.need(name, np.ndarray)
    if tensor.dtype not in (np.float32, np.float64):
        raise node.fail(f"expected {name} to hold floats or doubles, got {tensor.dtype}")
    return tensor.reshape(-1)


def _uint8(node: Node, name: str) -> Array:
    tensor: Array = node.need(name, np.ndarray)
    if tensor.dtype != np.uint8:
        raise node.fail(f"expected {name} to hold bytes, got {tensor.dtype}")
    return tensor.reshape(-1).astype(np.int64)


def _member_sets(node: Node, mode: Array) -> dict[int, Array]:
    askers = np.flatnonzero(mode == MEMBER)
    if not askers.size:
        return {}
    values = _tensor(node, "membership_values")
    ends = np.flatnonzero(np.isnan(values)).tolist()
    if len(ends) == len(askers) - 1:  # the last NaN may be left out
        ends.append(len(values))
    if len(ends) != len(askers):
        raise node.fail(f"expected membership_values for {len(askers)} nodes, each ended by NaN, got {len(ends)}")
    starts = [0, *(end + 1 for end in ends[:-1])]
    return {int(k): np.unique(values[start:end]) for k, start, end in zip(askers, starts, ends, strict=True)}


class _Walk:
    """Lays the nodes of each tree out from its root. `source` is the node's number, or ~leaf."""

    def __init__(self, node: Node, child: dict[str, Array], n_nodes: int, n_leaves: int) -> None:
        self._node, self._limits, self._seen = node, (n_nodes, n_leaves), np.zeros(n_nodes, bool)
        self._child = {name: array.tolist() for name, array in child.items()}
        self.source: list[int] = []
        self.number: list[int] = []
        self.yes: list[int] = []
        self.no: list[int] = []

    def _add(self, source: int, number: int) -> int:
        if source >= 0:
            if self._seen[source]:
                raise self._node.fail(f"expected trees, but node {source} can be reached in two ways")
            self._seen[source] = True
        self.source.append(source)
        self.number.append(number)
        self.yes.append(LEAF)
        self.no.append(LEAF)
        return len(self.source) - 1

    def _check(self, position: int, leaf: int) -> int:
        if not 0 <= position < self._limits[leaf]:
            kind = ("nodes", "leaves")[leaf]
            raise self._node.fail(f"expected positions below {self._limits[leaf]} {kind}, got {position}")
        return ~position if leaf else position

    def tree(self, number: int, root: int) -> None:
        waiting = [self._add(self._check(root, 0), number)]
        while waiting:
            at = waiting.pop()
            source = self.source[at]
            for side, ids, leafs in ((self.yes, "truenodeids", "trueleafs"), (self.no, "falsenodeids", "falseleafs")):
                leaf = int(self._child[leafs][source] != 0)
                side[at] = self._add(self._check(self._child[ids][source], leaf), number)
                if not leaf:
                    waiting.append(side[at])
