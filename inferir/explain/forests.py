"""What the kernel `tree_shap` wants beside a forest's own arrays, made from its covers: level by level, for all trees.

Covers are how many training rows passed each node, in whatever weight the library counts them. Only shares matter: of a
node's cover, that of its left child. Where neither child saw any row, it is a half, as XGBoost has it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inferir.errors import TaskError
from inferir.program.arrays import Array

__all__ = ["Nodes", "Shares", "expected_values", "from_symmetric", "quadrature", "shares"]

#: Levels that are explained: some 20 times what libraries grow unless they are made to.
MOST_LEVELS = 1024

#: Of a CatBoost column: a set's size goes with its largest category.
_MOST_CATEGORIES = 2**16

_DEFAULT_LEFT, _CATEGORICAL = 1, 4


class Nodes(NamedTuple):
    """A forest, as the operator `forest` has it, and its covers."""

    split_index: Array
    threshold: Array
    left_child: Array
    node_flags: Array
    category_begin: Array
    category_words: Array
    leaf_value: Array
    tree_root: Array
    cover: Array


class Shares(NamedTuple):
    """share, kept, above, tree_points: arguments of `tree_shap`. `levels` are its deepest tree's, that of the leaves
    included."""

    share: Array
    kept: Array
    above: Array
    tree_points: Array
    levels: int


def quadrature(most: int) -> tuple[Array, Array]:
    """Points and weights of Gauss-Legendre quadrature on (0, 1) of 1, 2, ..., `most` points, one behind the other."""
    rules = [np.polynomial.legendre.leggauss(points) for points in range(1, most + 1)]
    point = np.concatenate([(1.0 + at) / 2.0 for at, _ in rules] or [np.zeros(0)])
    return point, np.concatenate([weight / 2.0 for _, weight in rules] or [np.zeros(0)])


def _levels(nodes: Nodes) -> list[Array]:
    """The roots, then their children, and so on."""
    levels = [nodes.tree_root.astype(np.int64)]
    while True:
        left = nodes.left_child[levels[-1]].astype(np.int64)
        left = left[left >= 0]
        if not left.size:
            return levels
        if len(levels) == MOST_LEVELS:
            raise TaskError(f"explain: expected trees of at most {MOST_LEVELS} levels, got deeper ones")
        levels.append(np.concatenate([left, left + 1]))


def shares(nodes: Nodes) -> Shares:
    """Shares of covers, and for each node the closest one above it that asks the same column."""
    left_child, split_index = nodes.left_child.astype(np.int64), nodes.split_index
    n_nodes, cover = len(left_child), nodes.cover.astype(np.float64)
    inner = np.flatnonzero(left_child >= 0)
    parent = np.full(n_nodes, -1)
    parent[left_child[inner]], parent[left_child[inner] + 1] = inner, inner
    share = np.zeros(n_nodes)
    left, both = cover[left_child[inner]], cover[left_child[inner]] + cover[left_child[inner] + 1]
    share[inner] = np.where(both > 0, left / np.where(both > 0, both, 1.0), 0.5)
    kept, above, different = np.ones(n_nodes), np.full(n_nodes, -1, np.int32), np.zeros(n_nodes, np.int64)
    levels = _levels(nodes)
    for depth, level in enumerate(levels):
        asking = level[left_child[level] >= 0]
        child, ancestor, waiting = asking, parent[asking], asking
        for higher in reversed(range(depth)):
            same = split_index[ancestor] == split_index[waiting]
            node, at, via = waiting[same], ancestor[same], child[same]
            above[node] = higher
            kept[node] = kept[at] * np.where(left_child[at] == via, share[at], 1.0 - share[at])
            waiting, child = waiting[~same], ancestor[~same]
            ancestor = parent[child]
        counted = different[asking] + (above[asking] < 0)
        different[left_child[asking]], different[left_child[asking] + 1] = counted, counted
    tree = np.full(n_nodes, -1)
    tree[nodes.tree_root] = np.arange(len(nodes.tree_root))
    most = np.zeros(len(nodes.tree_root), np.int64)
    for level in levels[1:]:
        tree[level] = tree[parent[level]]
    for level in levels:
        np.maximum.at(most, tree[level], different[level])
    return Shares(share, kept, above, np.maximum(1, (most + 1) // 2).astype(np.int32), len(levels))


def expected_values(nodes: Nodes, share: Array) -> Array:
    """What each tree adds where no column is known, (trees, width): the mean of its leaves by their covers."""
    value = np.zeros((len(nodes.left_child), nodes.leaf_value.shape[1]))
    for level in reversed(_levels(nodes)):
        child = nodes.left_child[level].astype(np.int64)
        leaf, asking, left = level[child < 0], level[child >= 0], child[child >= 0]
        value[leaf] = nodes.leaf_value[~child[child < 0]]
        value[asking] = share[asking, None] * value[left] + (1.0 - share[asking, None]) * value[left + 1]
    return value[nodes.tree_root]


def from_symmetric(
    split_begin: Array,
    split_index: Array,
    threshold: Array,
    nan_right: Array,
    equal: Array,
    leaf_begin: Array,
    leaf_value: Array,
    leaf_cover: Array,
) -> Nodes:
    """The tensors of the operator `oblivious`, as nodes: the highest bit of a leaf's number is asked at the root.

    A split on equality becomes a set of one category, which goes left: there its children change places.
    """
    parts: list[tuple[Array, ...]] = []
    roots: list[int] = []
    sets: list[Array] = []
    n_nodes = 0
    for begin, end, first in zip(split_begin[:-1], split_begin[1:], leaf_begin[:-1], strict=True):
        depth = int(end - begin)
        numbers = np.zeros(1, np.int64)  # for each node of a level, what of its leaves' numbers is known
        for q in reversed(range(int(begin), int(end))):
            answers = np.array([1, 0] if equal[q] else [0, 1]) << (q - int(begin))
            numbers = (numbers[:, None] + answers).ravel()
        asked = np.repeat(np.arange(end - 1, begin - 1, -1), 2 ** np.arange(depth))
        n_inner, leaves = len(asked), first + numbers
        left_child = np.concatenate([n_nodes + 1 + 2 * np.arange(n_inner), ~leaves])
        covers = [leaf_cover[leaves].astype(np.float64)]
        while len(covers[-1]) > 1:
            covers.append(covers[-1].reshape(-1, 2).sum(axis=1))
        border, flags = threshold[asked].astype(np.float32), np.where(nan_right[asked], 0, _DEFAULT_LEFT)
        for node in np.flatnonzero(equal[asked]).tolist():
            if not 0 <= border[node] < _MOST_CATEGORIES:
                raise TaskError(f"explain: expected categories from 0 to {_MOST_CATEGORIES}, got {border[node]}")
            category = int(border[node])
            border[node], flags[node] = len(sets), _CATEGORICAL
            words = np.zeros(category // 32 + 1, np.uint32)
            words[-1] = np.uint32(1) << np.uint32(category % 32)
            sets.append(words)
        padded = (np.concatenate([a, np.zeros(len(leaves))]) for a in (split_index[asked], border, flags))
        parts.append((*padded, left_child, np.concatenate(covers[::-1])))
        roots.append(n_nodes)
        n_nodes += len(left_child)
    column, border, flags, left_child, cover = (
        np.concatenate([part[k] for part in parts] or [np.zeros(0)]) for k in range(5)
    )
    return Nodes(
        split_index=column.astype(np.int32),
        threshold=border.astype(np.float32),
        left_child=left_child.astype(np.int32),
        node_flags=flags.astype(np.uint8),
        category_begin=np.cumsum([0, *map(len, sets)]).astype(np.int32),
        category_words=np.concatenate([*sets, np.zeros(0, np.uint32)]),
        leaf_value=leaf_value,
        tree_root=np.array(roots, np.int32),
        cover=cover,
    )
