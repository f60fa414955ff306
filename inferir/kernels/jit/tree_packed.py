"""Forests of large trees, packed: a node is one place in memory, and what a row asks of it is one comparison.

`pack_forest` makes two arrays of a forest's (`tree.py`), when a model is bound. A row is spread over slots first, one
for each column and way to treat a missing value: there -inf stands for a missing value that goes left, +inf for one
that goes right. So every node asks `value > threshold` of one slot, whatever its flags.

A node is words of 32 bits, 2 of them for float32 thresholds, 4 for float64:

    threshold   one word or two. In a leaf it is a NaN, above which nothing is, with the leaf's number in its low bits
    link        slot, in the low bits, and above them how far behind the node its left child is; in a leaf 0
    (unused)

The right child follows the left one. Behind the two lies all that is below the one with more nodes, then the rest: a
walk that takes the likely turn finds its next node in the same cache line more often than not.

Many walks go on in lockstep, of one row through all trees or of many rows through one, and each asks for its next node
ahead of time: a walk alone would wait for memory at every level. Walks that have arrived are taken out every few steps.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel, scalar
from inferir.kernels.jit._simd import prefetch, read, words_of, write
from inferir.kernels.jit.tree import CATEGORICAL, DEFAULT_LEFT, ZERO_MISSING, ZERO_THRESHOLD

#: Leaves are numbered in the bits that a float32 NaN has to spare.
LEAF_BITS = 22

#: Steps between two looks at which walks have arrived.
_STEPS = 3

#: Fewer rows than this are walked one by one, through all trees at once: forests of benchmarks/parity_speed.py say so.
_FEW_ROWS = 48


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
    """Fill `node` and `packed_root` from a forest's arrays. out = (number of slots, bits of a link that are the slot).

    slot[4 * column + flags] is the slot of that column and of DEFAULT_LEFT and ZERO_MISSING, or -1. out[0] is -1 for a
    forest that cannot be packed: it has sets of categories, nodes with two parents, a node of threshold +inf whose
    missing values go right, or too many leaves or too long links.
    """
    out[0], out[1] = -1, 0
    n_nodes, n_trees = left_child.shape[0], tree_root.shape[0]
    link_at = words_of(threshold)
    n_slots = _number_slots(split_index, left_child, node_flags, slot)
    if n_slots < 0:
        return
    shift = _bits(max(n_slots - 1, 0))
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
        node[at + link_at] = np.int32(np.uint32((distance << shift) | np.int64(column_slot)))
    out[0], out[1] = n_slots, shift


@scalar
def _spread(x, row, slot_column, slot_flags, values, lane):
    """Row `row` over the slots: values[lane, :]."""
    for s in range(np.uint64(slot_column.shape[0])):
        value, flags = x[row, np.uint64(slot_column[s])], slot_flags[s]
        missing = value != value or (flags & ZERO_MISSING and -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD)
        values[lane, s] = (-np.inf if flags & DEFAULT_LEFT else np.inf) if missing else value


@scalar
def _next(values, lane, node, position, shift):
    """The node behind `position` for the row in `lane`; the same in a leaf. Its cache line is asked for."""
    words = words_of(values)
    at = np.uint64(position) * np.uint64(2) * words
    link = np.uint32(node[at + words])
    value = values[lane, link & ((np.uint32(1) << shift) - np.uint32(1))]
    behind = np.uint32(position + (link >> shift) + np.uint32(value > read(node, at, values)))
    prefetch(node, np.uint64(behind) * np.uint64(2) * words)
    return behind


@scalar
def _walk(values, by_row, node, shift, walking, position, lane, reached):
    """Walk on from each position[q] until all are in a leaf; reached[lane[q]] is that node's number.

    Lane l is row l of `values` where `by_row`, else the one row there is.
    """
    for q in range(walking):
        reached[q] = position[q]
    while walking > np.uint64(0):
        for _ in range(_STEPS):
            for q in range(walking):
                row = np.uint64(lane[q]) if by_row else np.uint64(0)
                position[q] = _next(values, row, node, position[q], shift)
        left = np.uint64(0)
        for q in range(walking):
            here, chosen = position[q], lane[q]
            behind = _next(values, np.uint64(chosen) if by_row else np.uint64(0), node, here, shift)
            reached[chosen] = behind
            position[left], lane[left] = behind, chosen
            left += np.uint64(behind != here)
        walking = left


@scalar
def _leaf(node, position, values):
    """The number of the leaf at `position`."""
    return np.uint32(node[np.uint64(position) * np.uint64(2) * words_of(values)]) & np.uint32((1 << LEAF_BITS) - 1)


@kernel
def forest_packed(
    x,
    slot_column,
    slot_flags,
    node,
    packed_root,
    leaf_value,
    tree_target,
    base,
    shift,
    values,
    position,
    lane,
    reached,
    out,
):
    """out[i, tree_target[t] + j] = base + sum over trees t of leaf_value[leaf of row i in tree t, j], in tree order.

    As `tree.forest`, over what `pack_forest` made.
    """
    n_trees, width, block = np.uint64(packed_root.shape[0]), np.uint64(leaf_value.shape[1]), np.uint64(lane.shape[0])
    n_rows, shift = np.uint64(x.shape[0]), np.uint32(shift)
    alone = n_rows < np.uint64(_FEW_ROWS)
    first = np.uint64(0)
    while first < n_rows:
        rows = np.uint64(1) if alone else min(block, n_rows - first)
        for r in range(rows):
            _spread(x, first + r, slot_column, slot_flags, values, r)
            for j in range(np.uint64(base.shape[0])):
                out[first + r, j] = base[j]
        tree = np.uint64(0)
        while tree < n_trees:
            lanes = min(block, n_trees - tree) if alone else rows
            for q in range(lanes):
                position[q], lane[q] = packed_root[tree + q if alone else tree], q
            if alone:
                _walk(values, False, node, shift, lanes, position, lane, reached)
                for q in range(lanes):
                    leaf, target = _leaf(node, reached[q], values), np.uint64(tree_target[tree + q])
                    for j in range(width):
                        out[first, target + j] += leaf_value[leaf, j]
            else:
                _walk(values, True, node, shift, lanes, position, lane, reached)
                target = np.uint64(tree_target[tree])
                for j in range(width):
                    for q in range(lanes):
                        out[first + q, target + j] += leaf_value[_leaf(node, reached[q], values), j]
            tree += lanes if alone else np.uint64(1)
        first += rows
