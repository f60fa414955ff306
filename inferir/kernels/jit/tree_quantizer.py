"""Tables of quantised forests: which way each category goes, and the order in which `tree_quantized` evaluates nodes.

A tree's nodes are laid out twice. For walks, its steps: siblings side by side behind their parent, the bigger of two
subtrees first, so that a distance is at most 511. For batches, its tiles and ops, children before their parents, and of
two children the one first whose ops take more slots: so a tree of 256 leaves needs no more than 8 of those for ops
(Sethi and Ullman 1970, doi:10.1145/321607.321620).
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._codes import FRACTION, NAN, NEGATIVE_ZERO, OUTSIDE, ZERO
from inferir.kernels.jit._compile import kernel, scalar
from inferir.kernels.jit.tree import ZERO_THRESHOLD, next_node
from inferir.kernels.jit.tree_quantized import WALKED_TREES

#: Slots: 0 holds zeros, 1 to 4 the results of a pass, then those for ops, then one for each tile of a tree.
_FIRST_FREE, _N_FREE, _FIRST_TILE = 5, 16, 21

#: Slots in all: a tile has at least 5 of a tree's 255 inner nodes.
N_SLOTS = _FIRST_TILE + 51

#: An op that is never taken: what a tile has in place of nodes that are not there.
_NEVER = 255


@kernel
def category_answers(node, n_categories, threshold, left_child, node_flags, category_begin, category_words, begin, out):
    """out[0, begin[p] + code] = 1 where a value of that code goes right at node[p]: one plane after the other."""
    for p in range(np.uint64(node.shape[0])):
        asked, count = np.uint32(node[p]), np.int64(n_categories[p])
        for code in range(count + OUTSIDE + 1):
            value = np.float64(code) + 0.5 * (code == 0)  # a value within ZERO_THRESHOLD has a code of its own
            if code == count + NAN:
                value = np.nan
            elif code == count + ZERO:
                value = 0.0
            elif code == count + NEGATIVE_ZERO:
                value = -0.5 * ZERO_THRESHOLD
            elif code == count + FRACTION:
                value = -0.5
            elif code == count + OUTSIDE:
                value = -2.0
            behind = next_node(value, asked, threshold, left_child, node_flags, category_begin, category_words)
            out[0, np.uint64(begin[p]) + np.uint64(code)] = behind - np.uint32(left_child[asked])


@scalar
def _is_tile(node, n_leaves, height):
    """Whether three levels begin here that are full enough to be worth evaluating in full."""
    return height[node] == 3 and n_leaves[node] >= 6


@scalar
def _measure(left_child, n_leaves, height, need):
    """Leaves at and below each node, levels below it, and slots that its ops take. Numbers stop where none matters."""
    for back in range(np.uint64(left_child.shape[0])):
        node = np.uint64(left_child.shape[0]) - np.uint64(1) - back
        child = left_child[node]
        n_leaves[node], height[node], need[node] = 1, 0, 0
        if child >= 0:
            left, right = np.uint32(child), np.uint32(child + 1)
            n_leaves[node] = min(n_leaves[left] + n_leaves[right], np.int32(1 << 20))
            height[node] = min(max(height[left], height[right]) + np.int32(1), np.int32(1 << 20))
            more = max(need[left], need[right])
            need[node] = 1 if _is_tile(node, n_leaves, height) else more + np.int32(need[left] == need[right])


@scalar
def _lay_out(left_child, word, n_leaves, place, below, number, first_leaf, step, step_leaf, leaf_row):
    """Steps of all trees whose roots have a place. False where a node has two parents."""
    for i in range(np.uint64(left_child.shape[0])):
        if place[i] < 0:
            continue
        child, at = left_child[i], np.uint64(place[i])
        if child < 0:
            step[at], step_leaf[at] = _NEVER, first_leaf[i] + number[i]
            leaf_row[np.uint64(step_leaf[at])] = ~child
            continue
        left, right, next_place = np.uint32(child), np.uint32(child + 1), below[i]
        if place[left] >= 0 or place[right] >= 0:
            return False
        place[left], place[right] = next_place, next_place + 1
        below_left, below_right = 2 * n_leaves[left] - 2, 2 * n_leaves[right] - 2  # nodes
        if below_left >= below_right:
            below[left], below[right] = next_place + 2, next_place + 2 + below_left
        else:
            below[left], below[right] = next_place + 2 + below_right, next_place + 2
        number[left], number[right] = number[i], number[i] + n_leaves[left]
        first_leaf[left] = first_leaf[right] = first_leaf[i]
        asked = np.uint32(word[i])
        distance = np.uint32(next_place - place[i])
        step[at] = np.int32(
            (asked >> np.uint32(8)) << np.uint32(17) | distance << np.uint32(8) | asked & np.uint32(255)
        )
        step_leaf[at] = 0
    return True


@scalar
def _word_of(node, left_child, word):
    """What an inner node asks; nothing, for a leaf."""
    return word[node] if left_child[node] >= 0 else np.int32(_NEVER)


@scalar
def _leaves_left(node, left_child, n_leaves):
    """Leaves below the left child; 0 below a leaf."""
    return n_leaves[np.uint32(left_child[node])] if left_child[node] >= 0 else np.int32(0)


@scalar
def _write_tile(node, left_child, word, n_leaves, tile, q, slot):
    """The tile whose top is `node`."""
    left, right = np.uint32(left_child[node]), np.uint32(left_child[node] + 1)
    tile[q, 0], tile[q, 1], tile[q, 2] = word[node], _word_of(left, left_child, word), _word_of(right, left_child, word)
    for side in range(2):
        below = left_child[right if side else left]
        for i in range(2):
            asked = np.int32(_NEVER)
            if below >= 0:
                asked = _word_of(np.uint32(below + i), left_child, word)
            tile[q, np.uint64(3 + 2 * side + i)] = asked
    tile[q, 7] = slot << 8
    numbers = n_leaves[left] | _leaves_left(left, left_child, n_leaves) << 8
    tile[q, 8] = numbers | _leaves_left(right, left_child, n_leaves) << 16


@scalar
def _write_op(node, left_child, word, n_leaves, slot, op, q, out_slot):
    """The op of one node, whose children's slots are known."""
    left, right = np.uint32(left_child[node]), np.uint32(left_child[node] + 1)
    op[q, 0] = word[node]
    op[q, 1] = slot[left] << 8 | slot[right] << 24
    op[q, 2] = out_slot << 8 | n_leaves[left]


@scalar
def _schedule(root, result, left_child, word, n_leaves, height, need, slot, waiting, tile, n_tiles, op, n_ops):
    """Tiles and ops of one tree, children first, and of two children the one that takes more slots. Returns how many
    tiles and ops there are now."""
    free, first_tile = np.uint32((1 << _N_FREE) - 1), n_tiles
    waiting[0], n_waiting = root, 1
    while n_waiting > 0:
        n_waiting -= 1
        entry = waiting[np.uint64(n_waiting)]
        node = np.uint32(entry if entry >= 0 else ~entry)
        child = left_child[node]
        out_slot = np.int32(result) if node == np.uint32(root) else np.int32(0)
        if child < 0:
            slot[node] = 0
        elif _is_tile(node, n_leaves, height):
            slot[node] = out_slot if out_slot else np.int32(_FIRST_TILE + n_tiles - first_tile)
            _write_tile(node, left_child, word, n_leaves, tile, np.uint64(n_tiles), slot[node])
            n_tiles += 1
        elif entry >= 0:
            left, right = np.int32(child), np.int32(child + 1)
            right_last = need[np.uint32(left)] >= need[np.uint32(right)]
            waiting[np.uint64(n_waiting)] = ~entry
            waiting[np.uint64(n_waiting + 1)] = right if right_last else left
            waiting[np.uint64(n_waiting + 2)] = left if right_last else right
            n_waiting += 3
        else:
            left_slot, right_slot = slot[np.uint32(child)], slot[np.uint32(child + 1)]
            if not out_slot:
                out_slot = left_slot if left_slot else right_slot
                if left_slot and _FIRST_FREE <= right_slot < _FIRST_TILE:
                    free |= np.uint32(1) << np.uint32(right_slot - _FIRST_FREE)
            if not out_slot:
                out_slot = np.int32(_FIRST_FREE)
                while not free >> np.uint32(out_slot - _FIRST_FREE) & np.uint32(1):
                    out_slot += np.int32(1)
                free ^= np.uint32(1) << np.uint32(out_slot - _FIRST_FREE)
            slot[node] = out_slot
            _write_op(node, left_child, word, n_leaves, slot, op, np.uint64(n_ops), out_slot)
            n_ops += 1
    return n_tiles, n_ops


@kernel
def quantize_forest(
    left_child, word, tree_root, tree_target, n_leaves, height, need, place, below, number, first_leaf, waiting, tree,
    tile, op, leaf_row, step, step_leaf, out,
):  # fmt: skip
    """Fill `tree` to `step_leaf`, of which leaf_row[i] is the row of `leaf_value` that row i of `leaf` is to be.

    Neighbours of the same target share a pass, if there are four. word[i] is plane << 8 | rank of node i. The last row
    of `tree` has how many tiles, ops and leaves there are. out = (leaves, steps), or -1 first for a forest that has a
    tree of more than 256 leaves, or a node with two parents.
    """
    n_nodes, n_trees = left_child.shape[0], np.int64(tree_root.shape[0])
    out[0], out[1] = -1, 0
    _measure(left_child, n_leaves, height, need)
    for i in range(np.uint64(n_nodes)):
        place[i] = -1
    steps, leaves = np.int64(0), np.int64(0)
    for t in range(np.uint64(n_trees)):
        root = np.uint32(tree_root[t])
        nodes = np.int64(2 * n_leaves[root] - 1)
        if n_leaves[root] > 256 or place[root] >= 0 or steps + nodes > n_nodes:
            return
        place[root], below[root], number[root], first_leaf[root] = steps, steps + 1, 0, leaves
        tree[t, 2], tree[t, 3], tree[t, 6], tree[t, 7] = leaves, tree_target[t], steps, 0
        first = np.uint64(t - t % WALKED_TREES)
        tree[first, 7] = max(tree[first, 7], height[root])
        steps += nodes
        leaves += n_leaves[root]
    if not _lay_out(left_child, word, n_leaves, place, below, number, first_leaf, step, step_leaf, leaf_row):
        return
    n_tiles, n_ops, t = np.int64(0), np.int64(0), np.int64(0)
    while t < n_trees:
        together = np.int64(1)
        while (
            together < min(np.int64(4), n_trees - t)
            and tree_target[np.uint64(t + together)] == tree_target[np.uint64(t)]
        ):
            together += 1
        together = together if together == 4 else np.int64(1)
        for i in range(together):
            q, root = np.uint64(t + i), np.uint32(tree_root[np.uint64(t + i)])
            result = np.int32(1 + i) if left_child[root] >= 0 else np.int32(0)
            tree[q, 0], tree[q, 1], tree[q, 4], tree[q, 5] = n_tiles, n_ops, result << 8, together
            n_tiles, n_ops = _schedule(
                np.int32(root), result, left_child, word, n_leaves, height, need, below, waiting, tile, n_tiles, op,
                n_ops,
            )  # fmt: skip
        t += together
    for i in range(8):
        tree[np.uint64(n_trees), np.uint64(i)] = 0
    tree[np.uint64(n_trees), 0], tree[np.uint64(n_trees), 1], tree[np.uint64(n_trees), 2] = n_tiles, n_ops, leaves
    out[0], out[1] = leaves, steps
