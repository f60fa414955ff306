"""Packed forests: nodes of words, as `kernels.jit.tree_packed` has them, and the tops of their trees."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers
from inferir.kernels.reference.tree import CATEGORICAL, DEFAULT_LEFT

#: Leaves are numbered in the bits that a float32 NaN has to spare.
LEAF_BITS = 22

#: Bits of a link below those of the slot.
LANE_BITS = 3


def _size(left_child: list[int], node: int, sizes: dict[int, int]) -> int:
    """Nodes at and below `node`, whose children have been asked before."""
    child = left_child[node]
    sizes[node] = 1 if child < 0 else 1 + sizes[child] + sizes[child + 1]
    return sizes[node]


def _layout(left_child: list[int], roots: list[int]) -> dict[int, int] | None:
    """Node -> place, each tree behind the one before; None where a node has two parents.

    A root and an empty place; then, for each inner node, its two children, what is below the bigger one, and what is
    below the other.
    """
    sizes: dict[int, int] = {}
    for node in reversed(range(len(left_child))):
        _size(left_child, node, sizes)
    places: dict[int, int] = {}
    free = 0
    for root in roots:
        order: list[int | None] = [root, None]
        waiting = [root]
        while waiting:
            node = waiting.pop()
            child = left_child[node]
            if child >= 0:
                order += [child, child + 1]
                bigger_first = [child, child + 1] if sizes[child] >= sizes[child + 1] else [child + 1, child]
                waiting += reversed(bigger_first)
            if len(order) > len(left_child) + 2:
                return None
        for node_or_gap in order:
            if node_or_gap is not None:
                if node_or_gap in places:
                    return None
                places[node_or_gap] = free
            free += 1
    return places


def pack_forest(
    split_index: Integers,
    threshold: Floats,
    left_child: Integers,
    node_flags: Integers,
    tree_root: Integers,
    size: Integers,
    below: Integers,
    place: Integers,
    slot: Integers,
    node: Integers,
    packed_root: Integers,
    out: Integers,
) -> None:
    """Fill place, slot, node and packed_root; out = (slots, bits of a link below the distance), or (-1, 0)."""
    out[:] = -1, 0
    inner = left_child >= 0
    flags = node_flags.astype(np.int64) & 3
    key = 4 * split_index.astype(np.int64) + flags
    places = _layout(left_child.tolist(), tree_root.tolist())
    if (node_flags[inner] & CATEGORICAL).any() or places is None:
        return
    used = np.unique(key[inner])
    slot[:] = -1
    slot[used] = np.arange(used.size)
    shift = int(max(used.size - 1, 0)).bit_length() + LANE_BITS
    kind = {4: np.int32, 8: np.int64}[threshold.itemsize]
    word = threshold.itemsize // 4
    for i, at in places.items():
        words = np.zeros(2 * word, np.int32)
        if not inner[i]:
            leaf = ~int(left_child[i])
            if leaf >= 2**LEAF_BITS:
                return
            words[:word] = np.array([leaf | (0x7FC00000 if word == 1 else 0x7FF80000 << 32)], kind).view(np.int32)
        else:
            link = places[int(left_child[i])] - at << shift | int(slot[key[i]]) << LANE_BITS
            if link >= 2**32 or (not threshold[i] < np.inf and not flags[i] & DEFAULT_LEFT):
                return
            words[:word] = threshold[i : i + 1].view(np.int32)
            words[word] = np.array([link], np.uint32).view(np.int32)[0]
        node[2 * word * at : 2 * word * (at + 1)] = words
    place[:] = [places.get(i, -1) for i in range(len(left_child))]
    packed_root[:] = [places[root] for root in tree_root.tolist()]
    out[:] = used.size, shift


def cut_forest(
    left_child: Integers,
    tree_root: Integers,
    place: Integers,
    most: int,
    height: Integers,
    owner: Integers,
    number: Integers,
    count: Integers,
    kept: Integers,
    top_left_child: Integers,
    top_root: Integers,
    out: Integers,
) -> None:
    """Of each tree the `most` - 1 inner nodes with most levels below them, 63 at most, and of equal ones the first."""
    heights = np.zeros(len(left_child), np.int64)
    for node in reversed(range(len(left_child))):
        child = int(left_child[node])
        if child >= 0:
            heights[node] = min(63, 1 + max(heights[child], heights[child + 1]))
    inner: set[int] = set()
    nodes: set[int] = set()
    for root in tree_root.tolist():
        waiting, found = [root], []
        while waiting:
            node = waiting.pop()
            child = int(left_child[node])
            if child >= 0:
                found.append(node)
                waiting += [child, child + 1]
        chosen = sorted(found, key=lambda node: (-heights[node], node))[: most - 1]
        inner |= set(chosen)
        nodes |= {root, *(int(left_child[node]) + side for node in chosen for side in (0, 1))}
    order = sorted(nodes)
    position = {node: i for i, node in enumerate(order)}
    kept[: len(order)] = order
    top_left_child[: len(order)] = [
        position[int(left_child[node])] if node in inner else ~int(place[node]) for node in order
    ]
    top_root[:] = [position[root] for root in tree_root.tolist()]
    out[:] = len(order), 0
