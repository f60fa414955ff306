"""Tables of quantised forests: answers by asking for a value of each category; a schedule of ops without tiles."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, Integers
from inferir.kernels.reference.tree import ZERO_THRESHOLD, _goes_right
from inferir.kernels.reference.tree_quantized import WALKED_TREES

#: A value of each code behind those of categories.
_EXAMPLES = (np.nan, 0.0, -ZERO_THRESHOLD / 2, -0.5, -2.0)

_NEVER = 255


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


def _levels(node: int, left_child: list[int]) -> int:
    """Levels below `node`."""
    child = left_child[node]
    return 0 if child < 0 else 1 + max(_levels(child, left_child), _levels(child + 1, left_child))


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
    step_leaf: Integers,
    out: Integers,
) -> None:
    """Fill tree, op, leaf_row, step and step_leaf, without tiles and one tree in a pass; out = (leaves, steps)."""
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
            step[places[node]], step_leaf[places[node]] = _NEVER, n_rows + i
            leaf_row[n_rows + i] = ~children[node]
        tree[t] = 0, n_ops, n_rows, target, 256 * (leaves[root] > 1), 1, n_steps, 0
        tree[t - t % WALKED_TREES, 7] = max(tree[t - t % WALKED_TREES, 7], _levels(root, children))
        slots = dict.fromkeys(reached, 0)
        for node, slot in _post_order(root, children, leaves, 1):
            left = children[node]
            slots[node] = slot
            op[n_ops] = words[node], slots[left] << 8 | slots[left + 1] << 24, slot << 8 | leaves[left]
            n_ops += 1
            asked = np.array([words[node] >> 8 << 17 | places[left] - places[node] << 8 | words[node] & 255], np.uint32)
            step[places[node]] = asked.view(np.int32)[0]
            step_leaf[places[node]] = 0
        n_rows, n_steps = n_rows + len(reached), n_steps + len(order)
    tree[len(tree_root), 1:3] = n_ops, n_rows
    out[:] = n_rows, n_steps
