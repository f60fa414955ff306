"""Forests of trees of up to 256 leaves: rows become bytes first, and whole trees are evaluated without a branch.

Codes. What a node asks of a row is turned into `code >= rank`, where the code is a byte of the row, one for each plane:

    numbers      the code is how many of the column's thresholds are below the value, so a node's rank is one more than
                 the position of its own among them. A plane holds 254 of them; a column with more has several planes.
                 A missing value has code 0 where it goes left and 254 where it goes right: two planes, if both occur.
    categories   a plane for each set: the code is 1 where the value goes right. It is looked up by category.

So comparisons are exact in any width, and all the rules of `tree.py` are those of making codes.

Batches. A block of 256 rows is made into codes, plane by plane. Then every node of a tree is evaluated, from the bottom
up, for 64 rows at a time: out = right + n_left where code >= rank, else left. What moves up is a leaf's number within
the subtree, in the order from left to right; a leaf is number 0. It is a byte because a tree has at most 256 leaves.
Nothing waits for memory and no branch depends on a row; the cost is that of nodes that exist, not of a tree's depth.

    op     (plane << 8 | rank, left | right << 16, out | n_left)    slots are 256 bytes; 0 holds zeros
    tile   seven (plane << 8 | rank), out, half | left << 8 | right << 16    three levels at the bottom, at once

Four trees that add to the same output share one pass over the leaves. Each output gets its sums in tree order.

Few rows walk instead, through all trees in lockstep, over nodes of one word: plane << 17 | distance << 8 | rank, where
`distance` is how far behind the node its left child is. In a leaf it is 0, and the rank one that no code has.

(Lucchese et al. 2015, QuickScorer, evaluates all nodes too, by masks; Prokhorenkova et al. 2018, arXiv:1706.09516, has
bytes for values.)
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel, scalar
from inferir.kernels.jit._simd import choose, choose_of_eight, count_below, skip_to_line
from inferir.kernels.jit.tree import ZERO_THRESHOLD, next_node

#: Rows of a block, and bytes of a plane and of a slot.
BLOCK = 256

#: Thresholds of a plane, and the code of a missing value that goes right.
LAST_CODE = 254

#: Codes of a value that is no category, behind those of the categories.
NAN, ZERO, NEGATIVE_ZERO, FRACTION, OUTSIDE = 0, 1, 2, 3, 4

_STEPS = 3


@scalar
def _rank(cuts, group, g, value):
    """How many thresholds of group `g` are below `value`: 16 pivots at a time, from level to level."""
    rank = np.uint64(0)
    for level in range(np.uint64(group[g, 2])):
        begin = np.uint64(group[g, np.uint64(4) + level])
        rank = rank * np.uint64(16) + count_below(cuts, (begin + rank) * np.uint64(16), value)
    return rank


@scalar
def _number_codes(x, top, rows, group, g, cuts, plane, rank, codes, codes_at):
    """Codes of the planes of group `g` of thresholds."""
    column, zero_missing, levels = np.uint64(group[g, 0]), group[g, 1], group[g, 2]
    first, second = np.uint64(group[g, 4]), np.uint64(group[g, 5])
    sixteen = np.uint64(16)
    if levels == 2:  # the usual one, without the loop over levels
        for r in range(rows):
            value = x[top + r, column]
            chunk = second + count_below(cuts, first * sixteen, value)
            found = (chunk - second) * sixteen + count_below(cuts, chunk * sixteen, value)
            rank[r] = np.int32(found) if value == value else np.int32(-1)
    else:
        for r in range(rows):
            value = x[top + r, column]
            rank[r] = np.int32(_rank(cuts, group, g, value)) if value == value else np.int32(-1)
    if zero_missing:
        for r in range(rows):
            value = x[top + r, column]
            rank[r] = np.int32(-1) if -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD else rank[r]
    for p in range(np.uint64(group[g, 3]), np.uint64(group[g + np.uint64(1), 3])):
        base, missing, at = plane[p, 0], plane[p, 1], codes_at + p * np.uint64(BLOCK)
        for r in range(rows):
            here = rank[r]  # in 32 bits: Numba subtracts in 64, in half the lanes
            code = min(max(np.int32(here - base), np.int32(0)), np.int32(LAST_CODE))
            codes[at + r] = np.uint8(missing if here < 0 else code)


@scalar
def category_code(value, n_categories):
    """Which of a set's answers is for `value`: its category's, or one behind the categories'."""
    if value != value:
        return np.int32(n_categories + NAN)
    if -ZERO_THRESHOLD <= value <= ZERO_THRESHOLD:
        return np.int32(n_categories + (ZERO if value >= 0.0 else NEGATIVE_ZERO))
    if value >= 0.0:
        return np.int32(value) if value < n_categories else np.int32(n_categories + OUTSIDE)
    return np.int32(n_categories + (FRACTION if value > -1.0 else OUTSIDE))


@scalar
def _category_codes(x, top, rows, sets, h, answer, rank, codes, codes_at):
    """Codes of the planes of column `h` of those with categories."""
    column, n_categories, begin = np.uint64(sets[h, 0]), sets[h, 1], np.uint64(sets[h, 3])
    for r in range(rows):
        rank[r] = category_code(x[top + r, column], n_categories)
    for p in range(np.uint64(sets[h, 2]), np.uint64(sets[h + np.uint64(1), 2])):
        at = codes_at + p * np.uint64(BLOCK)
        for r in range(rows):
            codes[at + r] = answer[begin + np.uint64(rank[r])]
        begin += np.uint64(n_categories + OUTSIDE + 1)


@scalar
def _encode(x, top, rows, group, cuts, plane, sets, answer, rank, codes, codes_at):
    """Codes of a block of rows."""
    for g in range(np.uint64(group.shape[0] - 1)):
        _number_codes(x, top, rows, group, g, cuts, plane, rank, codes, codes_at)
    for h in range(np.uint64(sets.shape[0] - 1)):
        _category_codes(x, top, rows, sets, h, answer, rank, codes, codes_at)


@scalar
def _at(word):
    """Where the plane of an op begins."""
    return np.uint64(word) & np.uint64(0xFFFFFF00)


@scalar
def _tiles(begin, end, tile, chunks, codes, codes_at, slots, slots_at):
    """Evaluate tiles."""
    for q in range(begin, end):
        w0, w1, w2, w3 = tile[q, 0], tile[q, 1], tile[q, 2], tile[q, 3]
        w4, w5, w6, numbers = tile[q, 4], tile[q, 5], tile[q, 6], tile[q, 8]
        out = slots_at + np.uint64(tile[q, 7])
        half, left, right = np.uint8(numbers), np.uint8(numbers >> 8), np.uint8(numbers >> 16)
        for chunk in range(chunks):
            at = codes_at + chunk * np.uint64(64)
            choose_of_eight(
                codes, at + _at(w0), at + _at(w1), at + _at(w2), at + _at(w3), at + _at(w4), at + _at(w5), at + _at(w6),
                np.uint8(w0), np.uint8(w1), np.uint8(w2), np.uint8(w3), np.uint8(w4), np.uint8(w5), np.uint8(w6),
                half, left, right, slots, out + chunk * np.uint64(64),
            )  # fmt: skip


@scalar
def _ops(begin, end, op, chunks, codes, codes_at, slots, slots_at):
    """Evaluate nodes, children before their parents."""
    for q in range(begin, end):
        word, children, last = op[q, 0], np.uint64(op[q, 1]), np.uint64(op[q, 2])
        at, rank, n_left = codes_at + _at(word), np.uint8(word), np.uint8(last)
        left, right = (
            slots_at + (children & np.uint64(0xFFFF)),
            slots_at + (children >> np.uint64(16) & np.uint64(0xFFFF)),
        )
        out = slots_at + (last & np.uint64(0xFF00))
        for chunk in range(chunks):
            skip = chunk * np.uint64(64)
            choose(codes, at + skip, rank, slots, left + skip, right + skip, n_left, out + skip)


@scalar
def _add_leaf(leaf, begin, number, at, rows, sums, target):
    """sums[target + j, r] += leaf[begin + number of row r, j]."""
    width = np.uint64(leaf.shape[1])
    if width == np.uint64(1):
        for r in range(rows):
            sums[target, r] += leaf[begin + np.uint64(number[at + r]), 0]
    else:
        for r in range(rows):
            row = begin + np.uint64(number[at + r])
            for j in range(width):
                sums[target + j, r] += leaf[row, j]


@scalar
def _add_four_leaves(leaf, tree, t, number, slots_at, rows, sums, target):
    """As `_add_leaf` for trees t to t + 3, in their order."""
    t1, t2, t3 = t + np.uint64(1), t + np.uint64(2), t + np.uint64(3)
    begin0, begin1 = np.uint64(tree[t, 2]), np.uint64(tree[t1, 2])
    begin2, begin3 = np.uint64(tree[t2, 2]), np.uint64(tree[t3, 2])
    at0, at1 = slots_at + np.uint64(tree[t, 4]), slots_at + np.uint64(tree[t1, 4])
    at2, at3 = slots_at + np.uint64(tree[t2, 4]), slots_at + np.uint64(tree[t3, 4])
    for r in range(rows):
        total = sums[target, r]
        total += leaf[begin0 + np.uint64(number[at0 + r]), 0]
        total += leaf[begin1 + np.uint64(number[at1 + r]), 0]
        total += leaf[begin2 + np.uint64(number[at2 + r]), 0]
        total += leaf[begin3 + np.uint64(number[at3 + r]), 0]
        sums[target, r] = total


@scalar
def _evaluate(tree, tile, op, leaf, rows, codes, codes_at, slots, slots_at, sums):
    """Add the leaves of all trees to the sums of a block of rows."""
    n_trees, chunks = np.uint64(tree.shape[0] - 1), (rows + np.uint64(63)) // np.uint64(64)
    one, four = np.uint64(1), np.uint64(4)
    t = np.uint64(0)
    while t < n_trees:
        together = np.uint64(tree[t, 5])
        for q in range(t, t + together):
            behind = q + one
            _tiles(np.uint64(tree[q, 0]), np.uint64(tree[behind, 0]), tile, chunks, codes, codes_at, slots, slots_at)
            _ops(np.uint64(tree[q, 1]), np.uint64(tree[behind, 1]), op, chunks, codes, codes_at, slots, slots_at)
        if together == four and leaf.shape[1] == 1:
            _add_four_leaves(leaf, tree, t, slots, slots_at, rows, sums, np.uint64(tree[t, 3]))
        else:
            for q in range(t, t + together):
                at = slots_at + np.uint64(tree[q, 4])
                _add_leaf(leaf, np.uint64(tree[q, 2]), slots, at, rows, sums, np.uint64(tree[q, 3]))
        t += together


@scalar
def _next(step, codes, row_at, position):
    """The node behind `position` for the row whose codes are BLOCK apart from `row_at` on; the same in a leaf."""
    word = np.uint32(step[position])
    code = codes[row_at + np.uint64(word >> np.uint32(17)) * np.uint64(BLOCK)]
    distance = (word >> np.uint32(8)) & np.uint32(511)
    return np.uint32(position + distance + np.uint32(code >= (word & np.uint32(255))))


@scalar
def _walk(step, codes, row_at, walking, position, lane, reached):
    """Walk on from each position[q] until all are in a leaf; reached[lane[q]] is that node's number."""
    while walking > np.uint64(0):
        for _ in range(_STEPS):
            for q in range(walking):
                position[q] = _next(step, codes, row_at, position[q])
        left = np.uint64(0)
        for q in range(walking):
            here, chosen = position[q], lane[q]
            behind = _next(step, codes, row_at, here)
            reached[chosen] = behind
            position[left], lane[left] = behind, chosen
            left += np.uint64(behind != here)
        walking = left


@scalar
def _add_alone(tree, leaf, step, leaf_number, codes, row_at, position, lane, reached, sums, r):
    """Add the leaves that one row reaches in all trees."""
    n_trees, width, lanes = np.uint64(tree.shape[0] - 1), np.uint64(leaf.shape[1]), np.uint64(lane.shape[0])
    first = np.uint64(0)
    while first < n_trees:
        trees = min(lanes, n_trees - first)
        for q in range(trees):
            position[q], lane[q] = tree[first + q, 6], q
        _walk(step, codes, row_at, trees, position, lane, reached)
        for q in range(trees):
            row = np.uint64(tree[first + q, 2]) + np.uint64(leaf_number[reached[q]])
            target = np.uint64(tree[first + q, 3])
            for j in range(width):
                sums[target + j, r] += leaf[row, j]
        first += trees


@kernel
def forest_quantized(
    x,
    group,
    cuts,
    plane,
    sets,
    answer,
    tree,
    tile,
    op,
    leaf,
    step,
    leaf_number,
    base,
    few,
    rank,
    codes,
    slots,
    sums,
    position,
    lane,
    reached,
    out,
):
    """out[i, target of t + j] = base + sum over trees t of leaf[leaf of row i in t, j], in tree order for each output.

    As `tree.forest`, over what `quantize_forest` and the operator made; a block of at most `few` rows walks.

        group  column, whether zero is missing, levels of search, first plane, first row of `cuts` of each level
        plane  thresholds before its first, code of a missing value
        sets   column, categories, first plane, first answer
        tree   first tile, first op, first leaf, target, slot of its result, trees in its pass, first step
    """
    n_rows, block = np.uint64(x.shape[0]), np.uint64(BLOCK)
    codes_at, slots_at = skip_to_line(codes), skip_to_line(slots)
    for r in range(block):
        slots[slots_at + r] = 0
    top = np.uint64(0)
    while top < n_rows:
        rows = min(block, n_rows - top)
        _encode(x, top, rows, group, cuts, plane, sets, answer, rank, codes, codes_at)
        for j in range(np.uint64(base.shape[0])):
            for r in range(rows):
                sums[j, r] = base[j]
        if rows <= np.uint64(few):
            for r in range(rows):
                _add_alone(tree, leaf, step, leaf_number, codes, codes_at + r, position, lane, reached, sums, r)
        else:
            _evaluate(tree, tile, op, leaf, rows, codes, codes_at, slots, slots_at, sums)
        for r in range(rows):
            for j in range(np.uint64(base.shape[0])):
                out[top + r, j] = sums[j, r]
        top += rows


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


#: Slots: 0 holds zeros, 1 to 4 the results of a pass, then those for ops, then one for each tile of a tree.
_FIRST_FREE, _N_FREE, _FIRST_TILE = 5, 16, 21

#: Slots in all: a tile has at least 5 of a tree's 255 inner nodes.
N_SLOTS = _FIRST_TILE + 51

#: An op that is never taken: what a tile has in place of nodes that are not there.
_NEVER = 255


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
def _lay_out(left_child, word, n_leaves, place, below, number, first_leaf, step, leaf_number, leaf_row):
    """Steps of all trees whose roots have a place. False where a node has two parents."""
    for i in range(np.uint64(left_child.shape[0])):
        if place[i] < 0:
            continue
        child, at = left_child[i], np.uint64(place[i])
        if child < 0:
            step[at], leaf_number[at] = _NEVER, number[i]
            leaf_row[np.uint64(first_leaf[i]) + np.uint64(number[i])] = ~child
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
        leaf_number[at] = 0
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
    left_child,
    word,
    tree_root,
    tree_target,
    n_leaves,
    height,
    need,
    place,
    below,
    number,
    first_leaf,
    waiting,
    tree,
    tile,
    op,
    leaf_row,
    step,
    leaf_number,
    out,
):
    """Fill `tree` to `leaf_number`, of which leaf_row[i] is the row of `leaf_value` that row i of `leaf` is to be.

    Neighbours of the same target share a pass, if there are four. word[i] is plane << 8 | rank of node i. The last row
    of `tree` has how many tiles and ops there are. out = (leaves, steps), or -1 first for a forest that has a tree of
    more than 256 leaves, or a node with two parents.
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
        tree[t, 2], tree[t, 3], tree[t, 6] = leaves, tree_target[t], steps
        steps += nodes
        leaves += n_leaves[root]
    if not _lay_out(left_child, word, n_leaves, place, below, number, first_leaf, step, leaf_number, leaf_row):
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
                np.int32(root),
                result,
                left_child,
                word,
                n_leaves,
                height,
                need,
                below,
                waiting,
                tile,
                n_tiles,
                op,
                n_ops,
            )
        t += together
    for i in range(7):
        tree[np.uint64(n_trees), np.uint64(i)] = 0
    tree[np.uint64(n_trees), 0], tree[np.uint64(n_trees), 1] = n_tiles, n_ops
    out[0], out[1] = leaves, steps
