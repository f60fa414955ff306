"""Tables of a quantised forest, made when a model is bound: what they mean is in `kernels.jit.tree_quantized`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from inferir.kernels.signatures import BLOCK_ROWS
from inferir.operators._binder import Array, Binder

__all__ = [
    "LAST_CODE", "MORE_CODES", "MOST_ANSWERS", "MOST_LEVELS", "MOST_PLANES", "NEVER", "NUMBERS_NBYTES", "N_SLOTS",
    "PIVOTS", "SLOTS_NBYTES", "WALKED_TREES", "WIDTHS", "Codes", "Quantized", "Symmetric", "Tables", "evaluated",
    "from_line", "quantize", "quantize_symmetric", "room_for_leaves",
]  # fmt: skip

_DEFAULT_LEFT, _ZERO_MISSING, _CATEGORICAL = 1, 2, 4

#: As in the kernels: thresholds of a plane, pivots of a comparison, levels of pivots, codes behind those of categories.
LAST_CODE, PIVOTS, MOST_LEVELS, MORE_CODES = 254, 16, 5, 5

#: A rank that no code has: what is asked in a leaf.
NEVER = 255

#: Trees that one row walks through at once.
WALKED_TREES = 8

#: More planes and answers than this would not stay in the cache while trees are evaluated.
MOST_PLANES, MOST_ANSWERS = 2048, 1 << 20

#: Leaves of a tree, whose numbers are bytes.
_MOST_LEAVES = 256

_LINE_NBYTES = 64
_STACK = 1024

#: The cost model: to evaluate 64 rows, and to walk with one: its codes, its trees, and every level that is walked.
#: Fitted to forest_quantized of benchmarks/tree_quantized.py, 1 to 64 rows, on a Xeon with AVX-512 (Cascade Lake). On
#: another CPU the ratio is another; it decides where the one way takes over from the other, and no answer.
_OP_NS, _TILE_NS, _TREE_NS = 3.5, 8.0, 15.0
_PLANE_NS, _WALK_NS, _LEVEL_NS = 10.0, 2.5, 0.85

#: Results of trees, nodes and tiles that are kept at once.
N_SLOTS = 72

#: Scratch of `forest_quantized`: the slots, and room to begin at a cache line.
SLOTS_NBYTES = _LINE_NBYTES + BLOCK_ROWS * N_SLOTS

#: Scratch of `oblivious_quantized`: the leaves' numbers in four trees.
NUMBERS_NBYTES = _LINE_NBYTES + BLOCK_ROWS * 4

#: Of codes and sums, while their rows go through trees together: half of a usual second-level cache.
_CACHED_NBYTES = 1 << 19

#: Blocks of rows that go through a tree together, at most: 2 kB of leaves are then one byte a row from far away.
_MOST_BLOCKS = 8

#: As above, of symmetric trees: to evaluate 64 rows, and to answer one.
_MARK_NS, _PASS_NS, _ANSWER_NS = 1.5, 10.0, 1.2


class Quantized(NamedTuple):
    """Arguments of `forest_quantized`, from `group` to `step_leaf`."""

    group: Array
    cuts: Array
    plane: Array
    sets: Array
    answer: Array
    tree: Array
    tile: Array
    op: Array
    leaf: Array
    step: Array
    step_leaf: Array

    @property
    def n_planes(self) -> int:
        return int(self.sets[-1, 2])

    @property
    def codes_nbytes(self) -> int:
        return _codes_nbytes(self.n_planes)

    @property
    def few_rows(self) -> int:
        """Up to how many rows of a block walk: then it costs less than to evaluate 64 rows, of which most are none."""
        n_trees = len(self.tree) - 1
        evaluated_ns = _OP_NS * len(self.op) + _TILE_NS * len(self.tile) + _TREE_NS * n_trees
        levels = WALKED_TREES * int(self.tree[:-1:WALKED_TREES, 7].sum())
        walked_ns = _PLANE_NS * self.n_planes + _WALK_NS * n_trees + _LEVEL_NS * levels
        return int(evaluated_ns / walked_ns)


class Codes(NamedTuple):
    """Tables by which rows become codes."""

    group: Array
    cuts: Array
    plane: Array
    sets: Array
    answer: Array

    @property
    def n_planes(self) -> int:
        return int(self.sets[-1, 2])


class Tables(NamedTuple):
    """As `Quantized`, but what row i of its `leaf` is to be is row leaf_row[i] of the model's leaves."""

    codes: Codes
    tree: Array
    tile: Array
    op: Array
    leaf_row: Array
    step: Array
    step_leaf: Array

    @property
    def codes_nbytes(self) -> int:
        return _codes_nbytes(self.codes.n_planes)

    def over(self, leaf_value: Array) -> Quantized:
        """With the leaves' values, for which any byte is the number of a leaf."""
        n_leaves = len(self.leaf_row)
        leaf = room_for_leaves(n_leaves, leaf_value)
        leaf_value.take(self.leaf_row, axis=0, out=leaf[:n_leaves], mode="clip")  # else NumPy copies it twice
        return Quantized(*self.codes, self.tree, self.tile, self.op, leaf, self.step, self.step_leaf)


class Symmetric(NamedTuple):
    """Arguments of `oblivious_quantized`, from `group` to `level`."""

    group: Array
    cuts: Array
    plane: Array
    sets: Array
    answer: Array
    level: Array

    @property
    def codes_nbytes(self) -> int:
        return _codes_nbytes(len(self.plane))

    @property
    def n_blocks(self) -> int:
        """How many blocks of rows go through a tree together: as many as stay in the cache."""
        return max(1, min(_MOST_BLOCKS, _CACHED_NBYTES // self.codes_nbytes))

    def few_rows(self, n_trees: int) -> int:
        """As `Quantized.few_rows`."""
        evaluated_ns = _MARK_NS * len(self.level) + _PASS_NS * n_trees
        return int(evaluated_ns / (_PLANE_NS * len(self.plane) + _WALK_NS * n_trees + _ANSWER_NS * len(self.level)))


def _codes_nbytes(n_planes: int) -> int:
    """Scratch for the codes of a block of rows."""
    return _LINE_NBYTES + BLOCK_ROWS * n_planes


def from_line(shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros from the beginning of a cache line on."""
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(nbytes + _LINE_NBYTES, np.uint8)
    first = -memory.ctypes.data % _LINE_NBYTES
    aligned: Array = memory[first : first + nbytes].view(dtype).reshape(shape)
    return aligned


def room_for_leaves(n_leaves: int, leaf_value: Array) -> Array:
    """Zeros for so many leaves like these, and for 255 behind them: 256 can be read from the first of any tree on."""
    return from_line((n_leaves + _MOST_LEAVES - 1, leaf_value.shape[1]), leaf_value.dtype)


def evaluated(tree_target: Array, n_values: int) -> Array:
    """The order in which trees are evaluated: those that share no output may change places."""
    return np.argsort(tree_target, kind="stable") if n_values == 1 else np.arange(len(tree_target))


def quantize(b: Binder, nodes: Sequence[Array], tree_root: Array, tree_target: Array, n_values: int) -> Tables | None:
    """The tables of a forest whose leaves hold `n_values` numbers. None for one that has a tree of more than 256
    leaves, asks too much, or nothing."""
    split_index, threshold, left_child, node_flags, category_begin, _ = nodes
    if len(left_child) > (2 * _MOST_LEAVES - 1) * len(tree_root):
        return None
    inner, in_set = left_child >= 0, (node_flags & _CATEGORICAL) != 0
    word = np.zeros(len(left_child), np.int64)
    group, cuts, plane = _numbers(split_index, threshold, node_flags, np.flatnonzero(inner & ~in_set), word)
    chosen = np.flatnonzero(inner & in_set)
    sets, asked, counts, begins = _sets(split_index, threshold, node_flags, category_begin, chosen, len(plane), word)
    n_answers = int(np.sum(counts + MORE_CODES))
    if not 0 < len(plane) + len(asked) <= MOST_PLANES or n_answers > MOST_ANSWERS or group.shape[1] > 4 + MOST_LEVELS:
        return None
    answer = np.zeros((1, n_answers), np.uint8)
    b.kernel(f"category_answers_{WIDTHS[threshold.itemsize]}")(
        _i32(asked), _i32(counts), threshold, left_child, *nodes[3:], _i32(begins), answer
    )
    order = evaluated(tree_target, n_values)
    given = left_child, _i32(word), tree_root[order], tree_target[order]
    scheduled = _schedule(b, *given)
    if scheduled is None:
        return None
    return Tables(Codes(group, cuts, plane, sets, answer[0]), *scheduled)


def quantize_symmetric(split_index: Array, threshold: Array, nan_right: Array) -> Symmetric | None:
    """Tables of symmetric trees whose levels ask for numbers alone. None for trees that ask nothing, or too much."""
    flags = np.where(nan_right != 0, 0, _DEFAULT_LEFT)
    level = np.zeros(len(split_index), np.int64)
    group, cuts, plane = _numbers(split_index, threshold, flags, np.arange(len(split_index)), level)
    if not 0 < len(plane) <= MOST_PLANES or group.shape[1] > 4 + MOST_LEVELS:
        return None
    no_sets = np.array([[0, 0, len(plane), 0]], np.int32)
    return Symmetric(group, cuts, plane, no_sets, np.zeros(0, np.uint8), _i32(level))


WIDTHS = {4: "f32", 8: "f64"}


def _i32(values: Any) -> Array:
    return np.ascontiguousarray(values, np.int32)


def _numbers(
    split_index: Array, threshold: Array, node_flags: Array, asking: Array, word: Array
) -> tuple[Array, Array, Array]:
    """Groups, cuts and planes of the nodes `asking` for numbers, and their words."""
    key = 2 * split_index[asking].astype(np.int64) + ((node_flags[asking] & _ZERO_MISSING) != 0)
    keys, own_nodes = _gathered(key, asking)
    groups: list[list[int]] = []
    blocks: list[Array] = []
    planes: list[Array] = [np.zeros((0, 2), np.int64)]
    n_blocks = n_planes = 0
    for asked, own in zip(keys.tolist(), own_nodes, strict=True):
        values = np.where(np.isnan(threshold[own]), np.inf, threshold[own]).astype(threshold.dtype)
        distinct, position = np.unique(values, return_inverse=True)
        goes_right = (node_flags[own] & _DEFAULT_LEFT) == 0
        code = position // LAST_CODE * 2 + goes_right
        is_used = np.bincount(code) > 0
        used, chosen = np.flatnonzero(is_used), (np.cumsum(is_used) - 1)[code]
        planes.append(np.stack([used // 2 * LAST_CODE, used % 2 * LAST_CODE], axis=1))
        word[own] = (n_planes + chosen) << 8 | (position % LAST_CODE + 1)
        levels = list(_levels(distinct))
        begins = n_blocks + np.cumsum([0, *map(len, levels)])
        groups.append([asked // 2, asked % 2, len(levels), n_planes, *begins[:-1].tolist()])
        blocks += levels
        n_blocks, n_planes = int(begins[-1]), n_planes + len(used)
    most = max([MOST_LEVELS, *(row[2] for row in groups)])
    table = np.zeros((len(groups) + 1, 4 + most), np.int32)
    for row, numbers in zip(table, groups, strict=False):
        row[: len(numbers)] = numbers
    table[-1, 3] = n_planes
    cuts = from_line((n_blocks, PIVOTS), threshold.dtype)
    if blocks:
        np.concatenate(blocks, out=cuts)
    return table, cuts, _i32(np.concatenate(planes))


def _gathered(key: Array, values: Array) -> tuple[Array, list[Array]]:
    """The distinct keys, and the values of each, in their order. NumPy sorts 16 bits by radix, ten times as fast."""
    small = key.astype(np.uint16) if key.max(initial=0) < 1 << 16 else key
    order = np.argsort(small, kind="stable")
    ordered = key[order]
    firsts = np.flatnonzero(np.diff(ordered, prepend=-1))
    return ordered[firsts], np.split(values[order], firsts[1:]) if len(firsts) else []


def _levels(cuts: Array) -> Iterator[Array]:
    """Sorted thresholds as blocks of 16, and above them blocks of the last ones of 16 blocks each, from the top on.

    Nothing is behind +inf, which stands where there is none, and for the last block of a level: so no search goes past.
    """
    span = 1
    while span * PIVOTS < len(cuts):
        span *= PIVOTS
    while span:
        n_blocks = -(-len(cuts) // (span * PIVOTS))
        ends = (np.arange(n_blocks * PIVOTS) + 1) * span
        inside = ends < len(cuts) if span > 1 else ends <= len(cuts)
        pivots = np.where(inside, cuts[np.minimum(ends, len(cuts)) - 1], np.inf).astype(cuts.dtype)
        yield pivots.reshape(n_blocks, PIVOTS)
        span //= PIVOTS


def _sets(
    split_index: Array,
    threshold: Array,
    node_flags: Array,
    category_begin: Array,
    asking: Array,
    n_planes: int,
    word: Array,
) -> tuple[Array, Array, Array, Array]:
    """Columns with categories; and of each plane a node that asks, how many categories, and where its answers begin."""
    chosen = threshold[asking].astype(np.int64)
    key = (split_index[asking].astype(np.int64) * len(category_begin) + chosen) * 256 + node_flags[asking]
    _, example, plane = np.unique(key, return_index=True, return_inverse=True)
    word[asking] = (n_planes + plane) << 8 | 1
    asked = asking[example]
    n_words = np.diff(category_begin)[threshold[asked].astype(np.int64)]
    columns, firsts = np.unique(split_index[asked], return_index=True)
    most = np.maximum.reduceat(n_words, firsts) if len(firsts) else np.zeros(0, np.int64)
    counts = 32 * np.repeat(most, np.diff([*firsts, len(asked)])).astype(np.int64)
    begins = np.cumsum([0, *(counts + MORE_CODES)])[:-1]
    sets = np.zeros((len(columns) + 1, 4), np.int32)
    sets[:-1] = np.stack([columns, 32 * most, n_planes + firsts, begins[firsts]], axis=1)
    sets[-1, 2] = n_planes + len(asked)
    return sets, asked, counts, begins


def _schedule(b: Binder, left_child: Array, word: Array, tree_root: Array, tree_target: Array) -> list[Array] | None:
    n_nodes, n_trees = len(left_child), len(tree_root)
    scratch = [np.empty(n_nodes, np.int32) for _ in range(7)]
    tree, tile = np.zeros((n_trees + 1, 8), np.int32), np.zeros((n_nodes // 11 + 1, 9), np.int32)
    op, leaf_row = np.zeros((n_nodes, 3), np.int32), np.zeros(n_nodes, np.int32)
    step, step_leaf, found = np.zeros(n_nodes, np.int32), np.zeros(n_nodes, np.int32), np.empty(2, np.int64)
    b.kernel("quantize_forest")(
        left_child, word, tree_root, tree_target, *scratch, np.empty(_STACK, np.int32),
        tree, tile, op, leaf_row, step, step_leaf, found,
    )  # fmt: skip
    n_leaves, n_steps = found.tolist()
    if n_leaves < 0:
        return None
    kept = tile[: tree[-1, 0]], op[: tree[-1, 1]], leaf_row[:n_leaves], step[:n_steps], step_leaf[:n_steps]
    return [tree, *(np.copy(array) for array in kept)]
