"""Quantised forests: codes by counting thresholds, leaves by walking steps; a schedule of ops without tiles."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers
from inferir.kernels.reference.tree import ZERO_THRESHOLD, _goes_right

BLOCK, LAST_CODE = 256, 254

#: Codes of a value that is no category, behind those of the categories.
NAN, ZERO, NEGATIVE_ZERO, FRACTION, OUTSIDE = 0, 1, 2, 3, 4

#: A value of each of those codes.
_EXAMPLES = (np.nan, 0.0, -ZERO_THRESHOLD / 2, -0.5, -2.0)

_NEVER = 255


def _codes(x: Floats, group: Integers, cuts: Floats, plane: Integers, sets: Integers, answer: Integers) -> Integers:
    """A code for each row and plane. Thresholds are those of a group's last level, without the padding."""
    codes = np.zeros((len(x), int(sets[-1, 2])), np.int64)
    with np.errstate(invalid="ignore"):
        zero = np.abs(x.astype(np.float64)) <= ZERO_THRESHOLD
    for g, (column, zero_missing, levels, first, *begins) in enumerate(group[:-1].tolist()):
        later = [row[4] for row in group[g + 1 : -1].tolist()]
        thresholds = cuts[begins[levels - 1] : later[0] if later else None].reshape(-1)
        value = x[:, column]
        missing = np.isnan(value) | (zero[:, column] & bool(zero_missing))
        rank = (thresholds[None, :] < value[:, None]).sum(axis=1)
        for p in range(first, int(group[g + 1, 3])):
            codes[:, p] = np.where(missing, plane[p, 1], np.clip(rank - plane[p, 0], 0, LAST_CODE))
    for h, (column, count, first, begin) in enumerate(sets[:-1].tolist()):
        value = x[:, column]
        code = np.full(len(x), count + OUTSIDE)
        known = (value >= 0) & (value < count)
        code[known] = value[known].astype(np.int64)
        code[(value > -1) & (value < 0)] = count + FRACTION
        code[zero[:, column]] = count + ZERO
        code[zero[:, column] & (value < 0)] = count + NEGATIVE_ZERO
        code[np.isnan(value)] = count + NAN
        for i, p in enumerate(range(first, int(sets[h + 1, 2]))):
            codes[:, p] = answer[begin + i * (count + len(_EXAMPLES)) + code]
    return codes


def forest_quantized(
    x: Floats,
    group: Integers,
    cuts: Floats,
    plane: Integers,
    sets: Integers,
    answer: Integers,
    tree: Integers,
    tile: Integers,
    op: Integers,
    leaf: Floats,
    step: Integers,
    leaf_number: Integers,
    base: Floats,
    few: int,
    rank: Integers,
    codes: Integers,
    slots: Integers,
    sums: Floats,
    position: Integers,
    lane: Integers,
    reached: Integers,
    out: Floats,
) -> None:
    """out = base + sum over trees of the leaf's row, in tree order, at the tree's target."""
    of_rows = _codes(x, group, cuts, plane, sets, answer)
    word = step.view(np.uint32).astype(np.int64)
    asked, distance, needed = word >> 17, word >> 8 & 511, word & 255
    out[:] = base
    rows = np.arange(len(x))
    for _, _, first_leaf, target, _, _, first_step in tree[:-1].tolist():
        at = np.full(len(x), first_step)
        while distance[at].any():
            at += np.where(distance[at], distance[at] + (of_rows[rows, asked[at]] >= needed[at]), 0)
        out[:, target : target + leaf.shape[1]] += leaf[first_leaf + leaf_number[at].astype(np.int64)]


def category_answers(
    node: Integers,
    n_categories: Integers,
    threshold: Floats,
    left_child: Integers,
    node_flags: Integers,
    category_begin: Integers,
    category_words: Integers,
    begin: Integers,
    out: Integers,
) -> None:
    """out[0, begin[p] + code] = 1 where a value of that code goes right at node[p]."""
    for at, count, first in zip(node.tolist(), n_categories.tolist(), begin.tolist(), strict=True):
        value = np.array([c + 0.5 for c in range(count)] + list(_EXAMPLES))
        same = np.full(len(value), at)
        right = _goes_right(value, node_flags[same], threshold[same], category_begin, category_words)
        out[0, first : first + len(value)] = right


def _post_order(node: int, left_child: list[int], leaves: dict[int, int], depth: int) -> list[tuple[int, int]]:
    """Inner nodes at and below `node`, children first, each with the slot of its result: `depth` deep in a stack."""
    child = left_child[node]
    if child < 0:
        return []
    bigger, other = (child, child + 1) if leaves[child] >= leaves[child + 1] else (child + 1, child)
    first = _post_order(bigger, left_child, leaves, depth)
    return [*first, *_post_order(other, left_child, leaves, depth + 1), (node, depth)]


def _leaf_counts(left_child: list[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for node in reversed(range(len(left_child))):
        child = left_child[node]
        counts[node] = 1 if child < 0 else min(counts[child] + counts[child + 1], 2**20)
    return counts


def quantize_forest(
    left_child: Integers,
    word: Integers,
    tree_root: Integers,
    tree_target: Integers,
    n_leaves: Integers,
    height: Integers,
    need: Integers,
    place: Integers,
    below: Integers,
    number: Integers,
    first_leaf: Integers,
    waiting: Integers,
    tree: Integers,
    tile: Integers,
    op: Integers,
    leaf_row: Integers,
    step: Integers,
    leaf_number: Integers,
    out: Integers,
) -> None:
    """Fill tree, op, leaf_row, step and leaf_number, without tiles and one tree in a pass; out = (leaves, steps)."""
    out[:] = -1, 0
    children, words = left_child.tolist(), word.tolist()
    leaves = _leaf_counts(children)
    met: set[int] = set()
    n_ops = n_rows = n_steps = 0
    tree[:] = 0
    for t, (root, target) in enumerate(zip(tree_root.tolist(), tree_target.tolist(), strict=True)):
        if leaves[root] > 256:
            return
        order, reached = [root], []
        for node in order:
            if node in met:
                return
            met.add(node)
            if children[node] >= 0:
                order += [children[node], children[node] + 1]
        places = {node: n_steps + i for i, node in enumerate(order)}
        from_left = [root]
        while from_left:
            node = from_left.pop()
            if children[node] >= 0:
                from_left += [children[node] + 1, children[node]]
            else:
                reached.append(node)
        for i, node in enumerate(reached):
            step[places[node]], leaf_number[places[node]] = _NEVER, i
            leaf_row[n_rows + i] = ~children[node]
        tree[t] = 0, n_ops, n_rows, target, 256 * (leaves[root] > 1), 1, n_steps
        slots = dict.fromkeys(reached, 0)
        for node, slot in _post_order(root, children, leaves, 1):
            left = children[node]
            slots[node] = slot
            op[n_ops] = words[node], slots[left] << 8 | slots[left + 1] << 24, slot << 8 | leaves[left]
            n_ops += 1
            asked = np.array([words[node] >> 8 << 17 | places[left] - places[node] << 8 | words[node] & 255], np.uint32)
            step[places[node]] = asked.view(np.int32)[0]
            leaf_number[places[node]] = 0
        n_rows, n_steps = n_rows + len(reached), n_steps + len(order)
    tree[len(tree_root), 1] = n_ops
    out[:] = n_rows, n_steps
