"""From a library's trees to the forest operator's arrays (`kernels.jit.tree` says what they mean).

Nodes are laid out level by level, so that children are neighbours and lie behind their parent; comparisons become
`x <= threshold` in the width in which the library compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "CATEGORICAL", "DEFAULT_LEFT", "OUTSIDE_LEFT", "TRUNCATE", "ZERO_MISSING", "Forest", "Tree",
    "less_than", "narrowed", "round_down",
]  # fmt: skip

DEFAULT_LEFT, ZERO_MISSING, CATEGORICAL, OUTSIDE_LEFT, TRUNCATE = 1, 2, 4, 8, 16

Array = npt.NDArray[Any]


@dataclass
class Tree:
    """A binary tree as libraries keep it: arrays over nodes, root first; `left` < 0 marks a leaf.

    `threshold` is in comparison `<=`; in a categorical node it is the number of a set of `Forest.sets`. `value` is
    (nodes, width): what a leaf adds to outputs `target`, target + 1, ... `cover` is how many training rows passed each
    node, in whatever weight the library counts them; None where it does not say.
    """

    left: Array
    right: Array
    split_index: Array
    threshold: Array
    flags: Array
    value: Array
    target: int = 0
    cover: Array | None = None


def round_down(threshold: Array) -> Array:
    """The largest float32 <= threshold: `x <= threshold` for float32 x and float64 threshold, in float32."""
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
    return np.where(near.astype(np.float64) > threshold, np.nextafter(near, np.float32(-np.inf)), near)


def less_than(threshold: Array) -> Array:
    """t with `x <= t` just where `x < threshold`: the next number below.

    NaN marks -inf, below which nothing is: no t says so; the importer refuses such a node or turns it into another.
    """
    below = np.nextafter(threshold, threshold.dtype.type(-np.inf))
    return np.where(threshold == -np.inf, np.nan, below).astype(threshold.dtype)


def narrowed(cover: Array) -> Array:
    """Covers in float32 if that changes none of them, as it does not whole numbers up to 2**24; else in float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = cover.astype(np.float32)
    return narrow if np.array_equal(narrow, cover) else cover.astype(np.float64)


def shared_leaves(left_child: Array, leaf_value: Array) -> tuple[Array, Array]:
    """`left_child` and `leaf_value` of the same forest, in which leaves of equal bits share a row; unchanged where this
    would spare fewer than half of the rows. Trees grown to the end have but one row for each class."""
    bits = leaf_value.view(np.dtype((np.void, leaf_value.strides[0])))[:, 0] if leaf_value.size else leaf_value
    sample = bits[:: max(1, len(bits) // _SAMPLE)]
    if len(bits) < _SAMPLE or 2 * len(np.unique(sample)) > len(sample):
        return left_child, leaf_value
    _, first, row = np.unique(bits, return_index=True, return_inverse=True)
    if 2 * len(first) > len(bits):
        return left_child, leaf_value
    shared = left_child.copy()
    shared[left_child < 0] = ~row[~left_child[left_child < 0]].astype(np.int32)
    return shared, leaf_value[first]


#: Leaves that are looked at first, to see whether many are equal; of fewer, each keeps its row.
_SAMPLE = 1024


@dataclass
class Forest:
    """Collects trees. `compare` and `accumulate` are "f32" or "f64"."""

    compare: str
    accumulate: str
    trees: list[Tree] = field(default_factory=list)
    sets: list[Array] = field(default_factory=list)

    def add_set(self, categories: Iterable[int]) -> int:
        """A set of categories that go left; its number."""
        members = np.fromiter(categories, np.int64)
        words = np.zeros(int(members.max()) // 32 + 1 if members.size else 1, np.uint32)
        np.bitwise_or.at(words, members >> 5, np.left_shift(np.uint32(1), (members & 31).astype(np.uint32)))
        self.sets.append(words)
        return len(self.sets) - 1

    def tensors(self, base: Sequence[float] | Array) -> dict[str, Array]:
        """The operator's tensors; sums start at `base`, one number per output."""
        compare, accumulate = _WIDTHS[self.compare], _WIDTHS[self.accumulate]
        parts: dict[str, list[Array]] = {
            k: [] for k in ("split_index", "threshold", "left_child", "node_flags", "leaf")
        }
        roots, depths, n_nodes, n_leaves = [], [], 0, 0
        covers: list[Array] = []
        for tree in self.trees:
            order, level_of = _by_level(tree)
            inner = tree.left[order] >= 0
            left_child = np.empty(len(order), np.int64)
            left_child[inner] = n_nodes + 1 + 2 * np.arange(np.count_nonzero(inner))
            leaves = np.count_nonzero(~inner)
            left_child[~inner] = ~(n_leaves + np.arange(leaves))
            parts["split_index"].append(np.where(inner, tree.split_index[order], 0))
            parts["threshold"].append(np.where(inner, tree.threshold[order], 0))
            parts["left_child"].append(left_child)
            parts["node_flags"].append(np.where(inner, tree.flags[order], 0))
            parts["leaf"].append(tree.value[order[~inner]])
            if tree.cover is not None:
                covers.append(tree.cover[order])
            roots.append(n_nodes)
            depths.append(_lockstep_levels(level_of[~inner]))
            n_nodes, n_leaves = n_nodes + len(order), n_leaves + leaves
        if n_nodes > np.iinfo(np.int32).max:
            raise OverflowError(f"{n_nodes} nodes; a forest holds at most {np.iinfo(np.int32).max}")
        left_child = np.concatenate(parts["left_child"] or [np.zeros(0)]).astype(np.int32)
        leaf_value = np.concatenate(parts["leaf"] or [np.zeros((0, 1))]).astype(accumulate)
        left_child, leaf_value = shared_leaves(left_child, leaf_value)
        tensors = {
            "split_index": np.concatenate(parts["split_index"] or [np.zeros(0)]).astype(np.int32),
            "threshold": np.concatenate(parts["threshold"] or [np.zeros(0)]).astype(compare),
            "left_child": left_child,
            "node_flags": np.concatenate(parts["node_flags"] or [np.zeros(0)]).astype(np.uint8),
            "leaf_value": leaf_value,
            "tree_root": np.array(roots, np.int32),
            "tree_depth": np.array(depths, np.int32),
            "tree_target": np.array([tree.target for tree in self.trees], np.int32),
            "base": np.asarray(base, accumulate),
        }
        if self.trees and len(covers) == len(self.trees):
            tensors["node_cover"] = narrowed(np.concatenate(covers))
        if self.sets:
            tensors["category_begin"] = np.cumsum([0, *map(len, self.sets)]).astype(np.int32)
            tensors["category_words"] = np.concatenate(self.sets)
        return tensors

    @property
    def special(self) -> bool:
        """Whether some node asks more than `x <= threshold`."""
        return any((tree.flags[tree.left >= 0] > DEFAULT_LEFT).any() for tree in self.trees)

    def attributes(self) -> dict[str, Any]:
        return {"compare": self.compare, "accumulate": self.accumulate, "special": self.special}


_WIDTHS = {"f32": np.float32, "f64": np.float64}


def _by_level(tree: Tree) -> tuple[Array, Array]:
    """Nodes level by level, and the level of each. Nodes that the root does not reach are left out."""
    level = np.zeros(1, np.int64)
    levels = [level]
    while True:
        inner = level[tree.left[level] >= 0]
        if not inner.size:
            break
        level = np.stack([tree.left[inner], tree.right[inner]], axis=1).reshape(-1).astype(np.int64)
        levels.append(level)
    return np.concatenate(levels), np.repeat(np.arange(len(levels)), [len(nodes) for nodes in levels])


def _lockstep_levels(leaf_levels: Array) -> int:
    """How deep a block of rows walks together: to the bottom of a shallow tree; of a deep one a bit below its mean
    leaf, where most rows have arrived and the rest go on alone. 1.3 was best of 0, 1, 1.3 and all on forests of depth
    12 to 36.
    """
    deepest = int(leaf_levels.max())
    return deepest if deepest <= 8 else min(deepest, int(np.ceil(1.3 * leaf_levels.mean())))
