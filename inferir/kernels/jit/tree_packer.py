"""Arrays of packed forests: nodes laid out for walks, and the tops of trees as a forest of their own.

What they mean is in `tree_packed`. Both kernels run once, when a model is bound.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel, scalar
from inferir.kernels.jit._simd import words_of, write
from inferir.kernels.jit.tree import CATEGORICAL, DEFAULT_LEFT

#: Leaves are numbered in the bits that a float32 NaN has to spare.
LEAF_BITS = 22

#: Bits of a link below those of the slot: a row's values lie side by side with those of seven others.
LANE_BITS = 3

#: Heights that `cut_forest` tells apart.
_HEIGHTS = 64


@scalar
def _subtree_sizes(left_child, size):
    """Number of nodes at and below each node, at most 2**30: nodes can be shared in a forest that is not one."""
    for back in range(np.uint64(left_child.shape[0])):
        node = np.uint64(left_child.shape[0]) - np.uint64(1) - back
        child = left_child[node]
        total = np.int64(1)
        if child >= 0:
            total += np.int64(size[np.uint32(child)]) + np.int64(size[np.uint32(child + 1)])
        size[node] = min(total, np.int64(1 << 30))


@scalar
def _bits(number):
    """How many bits `number` takes."""
    bits = np.int64(0)
    while number >> bits:
        bits += 1
    return bits


@scalar
def _number_slots(split_index, left_child, node_flags, slot):
    """Slot of each column and flags, in order; -1 where no node asks. Returns how many, or -1 for a node of sets."""
    for i in range(np.uint64(slot.shape[0])):
        slot[i] = -1
    for node in range(np.uint64(left_child.shape[0])):
        if left_child[node] >= 0:
            flags = np.uint32(node_flags[node])
            if flags & CATEGORICAL:
                return np.int64(-1)
            slot[4 * np.uint64(split_index[node]) + np.uint64(flags & 3)] = 0
    n_slots = np.int64(0)
    for i in range(np.uint64(slot.shape[0])):
        if slot[i] == 0:
            slot[i] = n_slots
            n_slots += 1
    return n_slots


@kernel
def pack_forest(
    split_index, threshold, left_child, node_flags, tree_root, size, below, place, slot, node, packed_root, out
):
    """Fill `place`, `node` and `packed_root` from a forest's arrays. out = (number of slots, bits of a link that are
    below the distance).

    place[i] is where node i is, or -1 if no tree has it. slot[4 * column + flags] is the slot of that column and of
    DEFAULT_LEFT and ZERO_MISSING, or -1. out[0] is -1 for a forest that cannot be packed: it has sets of categories,
    nodes with two parents, a node of threshold +inf whose missing values go right, or too many leaves or too long
    links.
    """
    out[0], out[1] = -1, 0
    n_nodes, n_trees = left_child.shape[0], tree_root.shape[0]
    link_at = words_of(threshold)
    n_slots = _number_slots(split_index, left_child, node_flags, slot)
    if n_slots < 0:
        return
    shift = _bits(max(n_slots - 1, 0)) + LANE_BITS
    _subtree_sizes(left_child, size)
    free = np.int64(0)
    for i in range(np.uint64(n_nodes)):
        place[i] = -1
    for t in range(np.uint64(n_trees)):
        root = np.uint32(tree_root[t])
        if place[root] >= 0 or free + size[root] + 1 > n_nodes + n_trees:
            return
        place[root], below[root], packed_root[t] = free, free + 2, free
        free += size[root] + 1
    for i in range(np.uint64(n_nodes)):
        if place[i] < 0:
            continue
        child, at = left_child[i], np.uint64(place[i]) * np.uint64(2) * link_at
        if child < 0:
            leaf = ~child
            node[at + np.uint64(2) * link_at - np.uint64(1)] = 0
            if leaf >> LEAF_BITS:
                return
            node[at], node[at + np.uint64(1)] = leaf, np.int32(0x7FF80000)
            if link_at == np.uint64(1):
                node[at] = np.int32(0x7FC00000) | leaf
            node[at + link_at] = 0
            continue
        left, right, next_place = np.uint32(child), np.uint32(child + 1), below[i]
        value, flags = threshold[i], np.uint32(node_flags[i])
        if place[left] >= 0 or place[right] >= 0 or not (value < np.inf or flags & DEFAULT_LEFT):
            return
        place[left], place[right] = next_place, next_place + 1
        if size[left] >= size[right]:
            below[left], below[right] = next_place + 2, next_place + 1 + size[left]
        else:
            below[left], below[right] = next_place + 1 + size[right], next_place + 2
        distance = np.int64(next_place) - np.int64(place[i])
        if distance >> (32 - shift):
            return
        column_slot = slot[4 * np.uint64(split_index[i]) + np.uint64(flags & 3)]
        write(node, at, value)
        node[at + np.uint64(2) * link_at - np.uint64(1)] = 0
        node[at + link_at] = np.int32(np.uint32((distance << shift) | np.int64(column_slot) << LANE_BITS))
    out[0], out[1] = n_slots, shift


@scalar
def _measure_heights(left_child, tree_root, place, height, owner, count):
    """Levels below each node, at most _HEIGHTS - 1; the tree of each node that has a place; and of each tree, how many
    inner nodes there are of each height."""
    for back in range(np.uint64(left_child.shape[0])):
        node = np.uint64(left_child.shape[0]) - np.uint64(1) - back
        child = left_child[node]
        height[node] = 0
        if child >= 0:
            below = max(height[np.uint32(child)], height[np.uint32(child + 1)])
            height[node] = min(below + np.int32(1), np.int32(_HEIGHTS - 1))
    for t in range(np.uint64(tree_root.shape[0])):
        owner[np.uint32(tree_root[t])] = t
        for h in range(np.uint64(_HEIGHTS)):
            count[t, h] = 0
    for node in range(np.uint64(left_child.shape[0])):
        child = left_child[node]
        if place[node] >= 0 and child >= 0:
            tree = owner[node]
            owner[np.uint32(child)] = owner[np.uint32(child + 1)] = tree
            count[np.uint32(tree), np.uint32(height[node])] += 1


@kernel
def cut_forest(left_child, tree_root, place, most, height, owner, number, count, kept, top_left_child, top_root, out):
    """Cut each tree of a packed forest below the `most` - 1 inner nodes that have most levels below them.

    kept[i] is the forest's node that is node i of the tops, for i < out[0]; top_left_child is as `left_child`, with the
    place of the packed node where a leaf's number is; top_root is as `tree_root`. Of nodes as high the first are inner:
    a parent lies before its children, and so is inner where they are.
    """
    n_nodes, n_trees = np.uint64(left_child.shape[0]), np.uint64(tree_root.shape[0])
    _measure_heights(left_child, tree_root, place, height, owner, count)
    for t in range(n_trees):
        room, lowest = np.int32(most - 1), np.int32(_HEIGHTS - 1)
        while lowest > 0 and count[t, np.uint32(lowest)] <= room:
            room -= count[t, np.uint32(lowest)]
            lowest -= np.int32(1)
        count[t, np.uint32(lowest)] = room
        count[t, 0] = lowest  # no inner node is of height 0
    for node in range(n_nodes):
        number[node] = -1
    for t in range(n_trees):
        number[np.uint32(tree_root[t])] = 0
    n_kept = np.int32(0)
    for node in range(n_nodes):
        if number[node] < 0:
            continue
        tree, h, child = np.uint32(owner[node]), height[node], left_child[node]
        lowest = count[tree, 0]
        is_inner = child >= 0 and h >= lowest
        if is_inner and h == lowest:
            is_inner = count[tree, np.uint32(h)] > 0
            count[tree, np.uint32(h)] -= np.int32(is_inner)
        if is_inner:
            number[np.uint32(child)] = number[np.uint32(child + 1)] = 0
        number[node], kept[np.uint32(n_kept)] = n_kept, node
        top_left_child[np.uint32(n_kept)] = child if is_inner else ~place[node]
        n_kept += np.int32(1)
    for i in range(np.uint64(n_kept)):
        if top_left_child[i] >= 0:
            top_left_child[i] = number[np.uint32(top_left_child[i])]
    for t in range(n_trees):
        top_root[t] = number[np.uint32(tree_root[t])]
    out[0], out[1] = n_kept, 0
