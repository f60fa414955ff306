"""Forests of large trees: the top of a tree is evaluated in bytes, and walks go on from there over packed nodes.

`tree_packer` makes the arrays of a forest's (`tree.py`), when a model is bound. A row is spread over slots first, one
for each column and way to treat a missing value: there -inf stands for a missing value that goes left, +inf for one
that goes right. So every node asks `value > threshold` of one slot, whatever its flags.

A node is words of 32 bits, 2 of them for float32 thresholds, 4 for float64:

    threshold   one word or two. In a leaf it is a NaN, above which nothing is, with the leaf's number in its low bits
    link        8 * slot, in the low bits, and above them how far behind the node its left child is; in a leaf 0
    (unused)

The right child follows the left one. Behind the two lies all that is below the one with more nodes, then the rest: a
walk that takes the likely turn finds its next node in the same cache line more often than not.

Batches. The highest 255 nodes of each tree, the top, are a quantised tree (`tree_quantized.py`), whose leaves are
numbers of packed nodes. It is evaluated for 64 rows at a time, at the cost of two or three levels of a walk, and saves
eight to ten. From there eight rows walk in lockstep (`_walks`), until all are in a leaf. Meanwhile the next tree's
nodes come from memory, line by line: asked for by the walks they would come too late, and keep eight rows waiting.

Few rows walk all the way, one by one, through all trees at once: so many walks go on in lockstep, and each asks for its
next node ahead of time, where a walk alone would wait for memory at every level. Walks that have arrived are taken out
every few steps.

Values of eight rows lie side by side, slot after slot, so that a walk finds its own without a multiplication.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._ahead import ask_for_share, share_of_turn
from inferir.kernels.jit._codes import BLOCK, encode_numbers
from inferir.kernels.jit._compile import apart, kernel, scalar
from inferir.kernels.jit._simd import LINE, prefetch, read, skip_to_line, words_of
from inferir.kernels.jit._walks import LANES, walk_together
from inferir.kernels.jit.tree import DEFAULT_LEFT, ZERO_MISSING, ZERO_THRESHOLD
from inferir.kernels.jit.tree_packer import LANE_BITS, LEAF_BITS
from inferir.kernels.jit.tree_quantized import evaluate_tree

#: Steps between two looks at which walks of one row have arrived.
_STEPS = 3


@scalar
def _spread(x, row, slot_column, slot_flags, values, at, apart_by):
    """Row `row` over the slots: values[at], values[at + apart_by], ..."""
    for s in range(np.uint64(slot_column.shape[0])):
        value, flags = x[row, np.uint64(slot_column[s])], slot_flags[s]
        missing = value != value or (flags & ZERO_MISSING and -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD)
        values[at + s * apart_by] = (-np.inf if flags & DEFAULT_LEFT else np.inf) if missing else value


@scalar
def _next(values, node, position, shift):
    """The node behind `position` for the row whose values lie side by side. In a leaf, the same node."""
    at = position * np.uint64(2) * words_of(values)
    link = np.uint32(node[at + words_of(values)])
    slot = (link & ((np.uint32(1) << shift) - np.uint32(1))) >> np.uint32(LANE_BITS)
    return position + np.uint64(link >> shift) + np.uint64(values[np.uint64(slot)] > read(node, at, values))


@scalar
def _ask_for(values, node, position):
    """Have the node's cache line come."""
    prefetch(node, position * np.uint64(2) * words_of(values))


@scalar
def _leaf(values, node, position):
    """The number of the leaf at `position`."""
    return np.uint32(node[position * np.uint64(2) * words_of(values)]) & np.uint32((1 << LEAF_BITS) - 1)


@scalar
def _walk_alone(values, node, shift, walking, position, lane, reached):
    """Walk on from each position[q] until all are in a leaf; reached[lane[q]] is the number of that leaf."""
    for q in range(walking):
        reached[q] = position[q]
    left_to_walk = walking
    while left_to_walk > np.uint64(0):
        for _ in range(_STEPS):
            for q in range(left_to_walk):
                behind = _next(values, node, np.uint64(position[q]), shift)
                _ask_for(values, node, behind)
                position[q] = behind
        left = np.uint64(0)
        for q in range(left_to_walk):
            here, chosen = np.uint64(position[q]), lane[q]
            behind = _next(values, node, here, shift)
            _ask_for(values, node, behind)
            reached[chosen] = behind
            position[left], lane[left] = behind, chosen
            left += np.uint64(behind != here)
        left_to_walk = left
    for q in range(walking):
        reached[q] = _leaf(values, node, np.uint64(reached[q]))


@scalar
def _walk_eight(values, b, node, shift, entry, begin, slots, at, leaf_value, reached, q):
    """reached[q + i] is the number of the leaf of row i, for eight rows in lockstep, whose values are asked for."""
    lanes = np.uint64(LANES)
    for i in range(lanes):
        reached[q + i] = entry[begin + np.uint64(slots[at + i]), 0]
    walk_together(node, shift, values, b, reached, q)
    for i in range(lanes):
        leaf = _leaf(values, node, np.uint64(reached[q + i]))
        prefetch(leaf_value, np.uint64(leaf) * np.uint64(leaf_value.shape[1]))
        reached[q + i] = leaf


@scalar
def _add_leaves(leaf_value, reached, first, rows, sums, target):
    """sums[target + j, first + r] += leaf_value[leaf that row r reached, j]."""
    width = np.uint64(leaf_value.shape[1])
    if width == np.uint64(2):  # classes of two: without a loop
        second = target + np.uint64(1)
        for r in range(rows):
            leaf = np.uint64(reached[r])
            sums[target, first + r] += leaf_value[leaf, 0]
            sums[second, first + r] += leaf_value[leaf, 1]
    else:
        for r in range(rows):
            leaf = np.uint64(reached[r])
            for j in range(width):
                sums[target + j, first + r] += leaf_value[leaf, j]


@scalar
def _add_alone(node, packed_root, leaf_value, tree_target, shift, values, position, lane, reached, sums, r):
    """Add the leaves that one row reaches in all trees."""
    n_trees, width, block = np.uint64(packed_root.shape[0]), np.uint64(leaf_value.shape[1]), np.uint64(lane.shape[0])
    for tree in range(np.uint64(0), n_trees, block):
        lanes = min(block, n_trees - tree)
        for q in range(lanes):
            position[q], lane[q] = packed_root[tree + q], q
        _walk_alone(values, node, shift, lanes, position, lane, reached)
        for q in range(lanes):
            leaf, target = np.uint64(reached[q]), np.uint64(tree_target[tree + q])
            for j in range(width):
                sums[target + j, r] += leaf_value[leaf, j]


@scalar
def _first_word(values, node, packed_root, t):
    """Where the nodes of tree t begin; behind the last tree, where they end."""
    if t < np.uint64(packed_root.shape[0]):
        return np.uint64(packed_root[t]) * np.uint64(2) * words_of(values)
    return np.uint64(node.shape[0])


@apart
def _add_together(
    x, top, rows, slot_column, slot_flags, node, packed_root, group, cuts, plane, tree, tile, op, entry, leaf_value,
    tree_target, shift, values, reached, rank, columns, codes, slots, sums,
):  # fmt: skip
    """Add the leaves that rows of several blocks reach in all trees: tree after tree, as nodes and leaves come
    from farther away than rows. Eight rows have a share of the next tree's nodes come, if a row has a line or less."""
    block, lanes, one, two, line = np.uint64(BLOCK), np.uint64(LANES), np.uint64(1), np.uint64(2), np.uint64(LINE // 4)
    codes_at, slots_at = skip_to_line(codes), skip_to_line(slots)
    of_eight, of_block = lanes * np.uint64(slot_column.shape[0]), block * np.uint64(plane.shape[0])
    for r in range(block):
        slots[slots_at + r] = 0
    for r in range(rows):
        _spread(x, top + r, slot_column, slot_flags, values, r // lanes * of_eight + r % lanes, lanes)
    for first in range(np.uint64(0), rows, block):
        own_codes = codes_at + first // block * of_block
        encode_numbers(x, top + first, min(block, rows - first), group, cuts, plane, rank, columns, codes, own_codes)
    for t in range(np.uint64(tree.shape[0] - 1)):
        begin, at = np.uint64(tree[t, 2]), slots_at + np.uint64(tree[t, 4])
        wanted = _first_word(values, node, packed_root, t + one)
        wanted_end = _first_word(values, node, packed_root, t + two)
        share = share_of_turn(wanted, wanted_end, rows, rows // lanes + one, line)
        for first in range(np.uint64(0), rows, block):
            count, own_codes = min(block, rows - first), codes_at + first // block * of_block
            evaluate_tree(tree, t, tile, op, count, codes, own_codes, slots, slots_at)
            for q in range(count, (count + lanes - np.uint64(1)) // lanes * lanes):
                slots[at + q] = 0  # a leaf that there is: behind the last row codes are rubbish
            for q in range(np.uint64(0), count, lanes):  # what is behind the last row walks along, and is not added
                wanted = ask_for_share(node, wanted, wanted_end, share, line)
                own_values = (first + q) // lanes * of_eight
                _walk_eight(values, own_values, node, shift, entry, begin, slots, at + q, leaf_value, reached, q)
            _add_leaves(leaf_value, reached, first, count, sums, np.uint64(tree_target[t]))


@kernel
def forest_packed(
    x, slot_column, slot_flags, node, packed_root, group, cuts, plane, tree, tile, op, entry, leaf_value, tree_target,
    base, shift, few, values, position, lane, reached, rank, columns, codes, slots, sums, out,
):  # fmt: skip
    """out[i, tree_target[t] + j] = base + sum over trees t of leaf_value[leaf of row i in tree t, j], in tree order.

    As `tree.forest`, over what `pack_forest` made, and from `group` to `entry` what the operator made of its tops, as
    `tree_quantized.forest_quantized` has them. At most `few` rows walk all the way.
    So many rows go through a tree together as `sums` has room for.
    """
    n_rows, together, shift = np.uint64(x.shape[0]), np.uint64(sums.shape[1]), np.uint32(shift)
    top = np.uint64(0)
    while top < n_rows:
        rows = min(together, n_rows - top)
        for j in range(np.uint64(base.shape[0])):
            for r in range(rows):
                sums[j, r] = base[j]
        if rows <= np.uint64(few):
            for r in range(rows):
                _spread(x, top + r, slot_column, slot_flags, values, np.uint64(0), np.uint64(1))
                _add_alone(node, packed_root, leaf_value, tree_target, shift, values, position, lane, reached, sums, r)
        else:
            _add_together(
                x, top, rows, slot_column, slot_flags, node, packed_root, group, cuts, plane, tree, tile, op, entry,
                leaf_value, tree_target, shift, values, reached, rank, columns, codes, slots, sums,
            )  # fmt: skip
        for r in range(rows):
            for j in range(np.uint64(base.shape[0])):
                out[top + r, j] = sums[j, r]
        top += rows
