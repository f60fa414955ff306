"""What the kernel `tree_shap` wants beside a forest's own arrays, made from its covers: level by level, for all trees.

Covers are how many training rows passed each node, in whatever weight the library counts them. Only shares matter: of a
node's cover, that of its left child. Where neither child saw any row, it is a half, as XGBoost has it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inferir.errors import TaskError
from inferir.program.arrays import Array

__all__ = ["Nodes", "Schedule", "Shares", "expected_values", "from_symmetric", "quadratures", "schedule", "shares"]

#: Levels that are explained: some 20 times what libraries grow unless they are made to.
MOST_LEVELS = 1024

#: Doubles in a vector of the kernel.
_LANES = 8

#: Inner nodes of a tree, or of a part of it, whose scratch is still in a cache.
_PART_NODES = 256

#: Of a CatBoost column: a set's size goes with its largest category.
_MOST_CATEGORIES = 2**16

_DEFAULT_LEFT, _CATEGORICAL = 1, 4

#: What the kernel does with a part of a tree.
_DOWN, _UP = 1, 2


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
    """Of each node: share = part of its cover that goes left; via = the child, on the way, of the closest node above
    that asks the same column, -1 where there is none; kept = the product of the shares that all of these keep, 1 where
    there is none. Of each tree: points = how many a quadrature needs. levels = the trees' nodes, level by level."""

    share: Array
    kept: Array
    via: Array
    points: Array
    levels: list[Array]


class Schedule(NamedTuple):
    """Arguments of `tree_shap`, in its words, and the lengths of its scratch."""

    tree: Array
    part: Array
    split_index: Array
    threshold: Array
    node_flags: Array
    category_begin: Array
    category_words: Array
    share: Array
    parent_slot: Array
    ancestor_slot: Array
    repeat: Array
    kept: Array
    leaf_slot: Array
    leaf_value: Array
    point: Array
    weight: Array

    @property
    def scratch(self) -> dict[str, int]:
        """Lengths of gain, agrees, bent, carried and expected, and how many sums there are for each contribution."""
        n_parts, points = self.tree[:, 0], self.tree[:, 2]
        phases, _, forks, twigs, _, _, _, repeats, base = self.part.T.astype(np.int64)
        sums, inner = min(_LANES, max(4, int(points.max(initial=0)))), np.where(phases == _UP, 0, forks + twigs)
        slots = _LANES * (int((base + 2 * forks).max(initial=0)) + 2)
        return {
            "gain": _LANES * int(np.bincount(np.repeat(np.arange(len(n_parts)), n_parts), inner).max(initial=0)),
            "agrees": _LANES * (int((base + 2 * inner).max(initial=0)) + 2),
            "bent": 2 * sums * (int((base // 2 + repeats).max(initial=0)) + 1),
            "carried": slots,
            "expected": slots,
            "sums": sums,
        }


def quadratures(points: Array) -> tuple[Array, Array, Array, Array]:
    """Points and weights of Gauss-Legendre quadrature on (0, 1), one rule behind the other; and for each number in
    `points`, the length of its rule and where it begins. Rules are padded, with weight 0, to vectors of 8 and one of 4
    or 8."""
    rules, end = [np.zeros((2, 0))], 0
    length, begin = np.zeros((2, len(points)), np.int64)
    for count in np.unique(points[points > 0]).tolist():
        at, weight = np.polynomial.legendre.leggauss(count)
        padding = -count % 4 if count % _LANES <= 4 else -count % _LANES
        length[points == count], begin[points == count] = count + padding, end
        rules.append(np.stack([(1.0 + np.pad(at, (0, padding), "edge")) / 2.0, np.pad(weight, (0, padding)) / 2.0]))
        end += count + padding
    point, weight = np.concatenate(rules, axis=1)
    return point.copy(), weight.copy(), length, begin


def _levels(nodes: Nodes) -> list[Array]:
    """The roots, then their children, and so on."""
    levels, seen = [nodes.tree_root.astype(np.int64)], np.zeros(len(nodes.left_child), np.int64)
    while True:
        np.add.at(seen, levels[-1], 1)
        if (seen[levels[-1]] > 1).any():
            raise TaskError("explain: expected a node to be below one other, or a root, got one that is so twice")
        left = nodes.left_child[levels[-1]].astype(np.int64)
        left = left[left >= 0]
        if not left.size:
            return levels
        if len(levels) == MOST_LEVELS:
            raise TaskError(f"explain: expected trees of at most {MOST_LEVELS} levels, got deeper ones")
        levels.append(np.concatenate([left, left + 1]))


def shares(nodes: Nodes) -> Shares:
    """Shares of covers, and for each node the way from the closest one above it that asks the same column."""
    left_child, split_index = nodes.left_child.astype(np.int64), nodes.split_index
    n_nodes, cover = len(left_child), nodes.cover.astype(np.float64)
    inner = np.flatnonzero(left_child >= 0)
    parent = np.full(n_nodes, -1)
    parent[left_child[inner]], parent[left_child[inner] + 1] = inner, inner
    share = np.zeros(n_nodes)
    left, both = cover[left_child[inner]], cover[left_child[inner]] + cover[left_child[inner] + 1]
    share[inner] = np.where(both > 0, left / np.where(both > 0, both, 1.0), 0.5)
    kept, via, different = np.ones(n_nodes), np.full(n_nodes, -1), np.zeros(n_nodes, np.int64)
    levels = _levels(nodes)
    for depth, level in enumerate(levels):
        asking = level[left_child[level] >= 0]
        child, ancestor, waiting = asking, parent[asking], asking
        for _ in range(depth):
            same = split_index[ancestor] == split_index[waiting]
            node, at, way = waiting[same], ancestor[same], child[same]
            via[node] = way
            kept[node] = kept[at] * np.where(left_child[at] == way, share[at], 1.0 - share[at])
            waiting, child = waiting[~same], ancestor[~same]
            ancestor = parent[child]
        counted = different[asking] + (via[asking] < 0)
        different[left_child[asking]], different[left_child[asking] + 1] = counted, counted
    tree, most = _tree_of(nodes, levels), np.zeros(len(nodes.tree_root), np.int64)
    np.maximum.at(most, tree, different)
    return Shares(share, kept, via, (most + 1) // 2, levels)


def _tree_of(nodes: Nodes, levels: list[Array]) -> Array:
    """Of each node."""
    tree = np.zeros(len(nodes.left_child), np.int64)
    tree[nodes.tree_root] = np.arange(len(nodes.tree_root))
    for level in levels[:-1]:
        child = nodes.left_child[level].astype(np.int64)
        for side in (0, 1):
            tree[child[child >= 0] + side] = tree[level[child >= 0]]
    return tree


def _parts_of(nodes: Nodes, levels: list[Array]) -> tuple[Array, Array]:
    """For each inner node its part, and for each part its tree. A large tree's part at the top is its first; below are
    as large ones as may be."""
    left_child, tree = nodes.left_child.astype(np.int64), _tree_of(nodes, levels)
    n_inner = (left_child >= 0).astype(np.int64)  # in the tree below a node, itself included
    for level in reversed(levels):
        asking = level[left_child[level] >= 0]
        n_inner[asking] += n_inner[left_child[asking]] + n_inner[left_child[asking] + 1]
    root = np.full(len(left_child), -1)  # of the part
    root[nodes.tree_root] = nodes.tree_root
    for level in levels[:-1]:
        asking = level[left_child[level] >= 0]
        for child in (left_child[asking], left_child[asking] + 1):
            ends = (n_inner[asking] > _PART_NODES) & (n_inner[child] <= _PART_NODES)
            root[child] = np.where(ends, child, root[asking])
    inner = np.concatenate(levels)
    inner = inner[left_child[inner] >= 0]
    roots = np.unique(root[inner])
    roots = roots[np.lexsort((roots, n_inner[roots] <= _PART_NODES, tree[roots]))]
    number = np.zeros(len(left_child), np.int64)
    number[roots] = np.arange(len(roots))
    return number[root], tree[roots]


def schedule(nodes: Nodes, derived: Shares, tree_target: Array) -> Schedule:
    """What `tree_shap` goes by: nodes in its order, and where each finds what others left."""
    left_child, again = nodes.left_child.astype(np.int64), derived.via >= 0
    down = np.concatenate(derived.levels)
    inner, leaves = down[left_child[down] >= 0], down[left_child[down] < 0]
    part, tree = _parts_of(nodes, derived.levels)
    is_twig = (left_child >= 0) & (left_child[left_child] < 0) & (left_child[left_child + 1 - (left_child < 0)] < 0)
    inner = inner[np.lexsort((is_twig[inner], part[inner]))]
    n_parts = np.bincount(tree, minlength=len(nodes.tree_root))
    n_inner, twigs, repeats = (
        np.bincount(part[chosen], minlength=len(tree)) for chosen in (inner, inner[is_twig[inner]], inner[again[inner]])
    )
    is_first = _within(n_parts) == 0
    base = np.where(is_first, 0, 2 * n_inner[np.flatnonzero(is_first)[np.cumsum(is_first) - 1]] + 2)
    parent, parent_slot = np.zeros((2, len(left_child)), np.int64)
    for side in (0, 1):
        parent[left_child[inner] + side] = inner
        parent_slot[left_child[inner] + side] = base[part[inner]] + 2 * _within(n_inner) + 2 + side
    below = leaves[~np.isin(leaves, nodes.tree_root)]
    below = below[np.lexsort((parent_slot[below], is_twig[parent[below]], part[parent[below]]))]
    strays = np.bincount(part[parent[below]], ~is_twig[parent[below]], len(tree)).astype(np.int64)
    repeat = np.zeros(len(inner), np.int64)
    repeat[again[inner]] = np.repeat(base // 2, repeats) + _within(repeats) + 1
    point, weight, length, begin = quadratures(derived.points)
    phases = np.where(is_first & (n_parts[tree] > 1), _DOWN, _DOWN + _UP)
    parts = [
        phases, np.cumsum(n_inner) - n_inner, n_inner - twigs, twigs,
        np.cumsum(strays + 2 * twigs) - strays - 2 * twigs, strays, np.cumsum(repeats) - repeats, repeats, base,
    ]  # fmt: skip
    table, first = np.stack(parts, axis=1), np.cumsum(n_parts) - n_parts
    cut = np.flatnonzero(n_parts > 1)
    table = np.insert(table, (first + n_parts)[cut], table[first[cut]], axis=0)
    table[(first + n_parts + np.cumsum(n_parts > 1) - 1)[cut], 0] = _UP
    i32 = np.int32
    return Schedule(
        tree=np.stack([n_parts + (n_parts > 1), tree_target, length, begin], axis=1).astype(i32),
        part=table.astype(i32),
        split_index=nodes.split_index[inner],
        threshold=nodes.threshold[inner],
        node_flags=nodes.node_flags[inner],
        category_begin=nodes.category_begin,
        category_words=nodes.category_words,
        share=derived.share[inner],
        parent_slot=parent_slot[inner].astype(i32),
        ancestor_slot=np.where(again[inner], parent_slot[derived.via[inner]], 1).astype(i32),
        repeat=repeat.astype(i32),
        kept=derived.kept[inner[again[inner]]],
        leaf_slot=parent_slot[below].astype(i32),
        leaf_value=nodes.leaf_value[~left_child[below]],
        point=point,
        weight=weight,
    )


def _within(counts: Array) -> Array:
    """0, 1, ... for the first count, and so on."""
    numbers: Array = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return numbers


def expected_values(nodes: Nodes, derived: Shares) -> Array:
    """What each tree adds where no column is known, (trees, width): the mean of its leaves by their covers."""
    value = np.zeros((len(nodes.left_child), nodes.leaf_value.shape[1]))
    for level in reversed(derived.levels):
        child = nodes.left_child[level].astype(np.int64)
        leaf, asking, left = level[child < 0], level[child >= 0], child[child >= 0]
        value[leaf] = nodes.leaf_value[~child[child < 0]]
        share = derived.share[asking, None]
        value[asking] = share * value[left] + (1.0 - share) * value[left + 1]
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
