"""Tables of quantised forests as an `.apr` file keeps them, and the proof that no kernel leaves its arrays with them.

A file keeps less than kernels want: bytes in place of words, the rows of leaves in place of their values. Unpacking
proves, of numbers that anybody may have written, whatever `tree_quantized` and `tree_symmetric` rely on:

    columns        of groups and sets are columns of the rows
    planes         begin at 0, never fall, and end where there is no more: so each has its code made. What steps, ops,
                   tiles and levels ask are planes that there are
    codes          are at most 254: thresholds before a plane are not negative, the code of a missing value is at most
                   254, answers are 0 and 1. So who is in a leaf, whose rank is 255, stays there
    search         runs of cuts lie one after the other, the first of a group is one block, and from no block can the
                   search go on to one behind the next run, as pivots that a value can be above are counted
    sets           have answers for all their planes and codes
    trees          are as many as the model's, with its targets in the same order; their tiles, ops, steps and leaves
                   lie one after the other, from 0 to the end; they pass one by one or in fours of one target
    slots          are whole, so aligned; those that are written are not the one of zeros. There are N_SLOTS
    steps          a tree of n leaves has 2 n - 1 steps, of which n are leaves. A step that is none leads forward, and
                   both where it leads to are steps of the same tree: so every walk ends, in its tree
    leaves         rows are rows of the model's leaves. A leaf's number is a byte, and `Tables.over` puts zeros behind
                   the last leaves: no byte is beyond

Proven is that no harm is done, not that the tables say what the nodes say: who writes a file writes both, and its
checksum and signature cover both. `inferir verify` makes the tables again and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from inferir.kernels.signatures import BLOCK_ROWS
from inferir.operators._binder import Array, Binder, Layout
from inferir.operators._quantizer import (
    LAST_CODE,
    MORE_CODES,
    MOST_ANSWERS,
    MOST_LEVELS,
    MOST_PLANES,
    N_SLOTS,
    NEVER,
    WALKED_TREES,
    Codes,
    Symmetric,
    Tables,
    evaluated,
    from_line,
    quantize,
    quantize_symmetric,
)

__all__ = ["QUANTIZED", "SYMMETRIC", "quantized", "symmetric"]

#: Complains unless something holds.
Expect: TypeAlias = "Callable[[Any, str], None]"


_CODES: Mapping[str, Any] = {
    "group": (("i32",), (None, 4 + MOST_LEVELS)),
    "cuts": (("f32", "f64"), (None, 16)),
    "plane": (("i32",), (None, 2)),
    "sets": (("i32",), (None, 4)),
    "answer": (("u8",), (None,)),
}

QUANTIZED = Layout(
    "quantized",
    1,
    {
        **_CODES,
        "tree": (("i32",), (None, 8)),
        "tile": (("i32",), (None, 9)),
        "op_plane": (("u16",), (None,)),
        "op": (("u8",), (5, None)),  # rank, slots of left, right and itself, leaves on the left
        "leaf_first": (("i32",), (None,)),  # of each tree, the least of its rows of leaves
        "leaf_offset": (("u8", "u16", "u32"), (None,)),  # of each leaf, how far behind that its row is
        "is_leaf": (("u8",), (None,)),  # of each step, a bit, the high one of a byte first
        "step": (("u32",), (None,)),  # those that are no leaf
        "step_leaf": (("u8",), (None,)),  # of those that are, the number in its tree
    },
)

SYMMETRIC = Layout("symmetric", 1, {**_CODES, "level": (("i32",), (None,))})


def quantized(
    b: Binder, nodes: Sequence[Array], tree_root: Array, tree_target: Array, leaf_value: Array, n_columns: int
) -> Tables | None:
    """Tables of a forest: what the file has, proven, or what `quantize` makes."""
    found = b.stored(QUANTIZED)
    if found is None:
        made = quantize(b, nodes, tree_root, tree_target, leaf_value.shape[1])
        if made is not None:
            b.keep(QUANTIZED, len(nodes[0]), lambda: _packed(made))
        return made
    expect = _expectation(b)
    codes = _checked_codes(expect, found, n_columns, nodes[1].dtype)
    n_planes, n_leaves = codes.n_planes, len(found["step_leaf"])
    target = tree_target[evaluated(tree_target, leaf_value.shape[1])]
    tree, leaves = _checked_trees(expect, found, target, n_leaves)
    tile, op = _checked_nodes(expect, found, n_planes)
    rows = np.repeat(found["leaf_first"].astype(np.int64), leaves) + found["leaf_offset"]
    expect(rows.min() >= 0 and rows.max() < len(leaf_value), f"rows of leaves below {len(leaf_value)}")
    step, step_leaf = _checked_steps(expect, found, n_planes, leaves)
    return Tables(codes, tree, tile, op, rows, step, step_leaf)


def symmetric(b: Binder, split_index: Array, threshold: Array, nan_right: Array, n_columns: int) -> Symmetric | None:
    """Tables of symmetric trees, likewise."""
    found = b.stored(SYMMETRIC)
    if found is None:
        made = quantize_symmetric(split_index, threshold, nan_right)
        if made is not None:
            b.keep(SYMMETRIC, len(split_index), made._asdict)
        return made
    expect, level = _expectation(b), found["level"]
    codes = _checked_codes(expect, found, n_columns, threshold.dtype)
    expect(len(level) == len(split_index), f"{len(split_index)} levels")
    expect((level.view(np.uint32) >> 8).max(initial=0) < codes.n_planes, "levels that ask a plane")
    return Symmetric(*codes, level)


def _expectation(b: Binder) -> Expect:
    def expect(holds: Any, what: str) -> None:
        if not holds:
            raise b.fail(f"expected prepared tables with {what}")

    return expect


def _packed(tables: Tables) -> dict[str, Array]:
    """What a file keeps."""
    is_leaf, op = tables.step == NEVER, tables.op.view(np.uint32)
    begins = tables.tree[:-1, 2]
    leaves = np.diff(begins, append=len(tables.leaf_row))
    first = np.minimum.reduceat(tables.leaf_row, begins)
    offset = tables.leaf_row - np.repeat(first, leaves)
    packed_op = (op[:, 0] & 255, op[:, 1] >> 8 & 255, op[:, 1] >> 24, op[:, 2] >> 8, op[:, 2] & 255)
    narrow = next(dtype for dtype in (np.uint8, np.uint16, np.uint32) if offset.max() <= np.iinfo(dtype).max)
    return {
        **tables.codes._asdict(),
        "tree": tables.tree,
        "tile": tables.tile,
        "op_plane": (op[:, 0] >> 8).astype(np.uint16),
        "op": np.stack(packed_op).astype(np.uint8),
        "leaf_first": first,
        "leaf_offset": offset.astype(narrow),
        "is_leaf": np.packbits(is_leaf),
        "step": tables.step[~is_leaf].view(np.uint32),
        "step_leaf": (tables.step_leaf[is_leaf] - np.repeat(begins, leaves)).astype(np.uint8),
    }


def _within(values: Array, below: int) -> bool:
    return bool(values.size == 0 or (values.min() >= 0 and values.max() < below))


def _one_after_the_other(begins: Array, end: int, least: int) -> bool:
    """Whether runs that begin there are next to each other, from 0 to `end`, each of at least `least`."""
    if not begins.size:
        return end == 0
    return bool(begins[0] == 0 and (np.diff(begins, append=end) >= least).all())


def _checked_codes(expect: Expect, found: Mapping[str, Array], n_columns: int, dtype: Any) -> Codes:
    group, sets, plane = (found[name].astype(np.int64) for name in ("group", "sets", "plane"))
    cuts, answer = found["cuts"], found["answer"]
    expect(len(group) and len(sets), "an end of the groups and of the sets")
    expect(_within(np.append(group[:-1, 0], sets[:-1, 0]), n_columns), f"columns below {n_columns}")
    n_planes = int(sets[-1, 2])
    expect(1 <= n_planes <= MOST_PLANES, f"1 to {MOST_PLANES} planes")
    expect(_one_after_the_other(group[:-1, 3], len(plane), 1), "planes of groups one after the other")
    expect(group[-1, 3] == sets[0, 2] == len(plane), f"{len(plane)} planes of groups")
    expect(_one_after_the_other(sets[:-1, 2] - len(plane), n_planes - len(plane), 1), "planes of sets likewise")
    expect(_within(plane[:, 0], 1 << 24) and _within(plane[:, 1], LAST_CODE + 1), f"codes up to {LAST_CODE}")
    expect(answer.max(initial=0) <= 1 and len(answer) <= MOST_ANSWERS, f"at most {MOST_ANSWERS} answers of 0 and 1")
    asked = sets[:-1, 3] + np.diff(sets[:, 2]) * (sets[:-1, 1] + MORE_CODES)
    expect(_within(sets[:, 1], MOST_ANSWERS) and _within(sets[:, 3], len(answer) + 1), "answers of sets")
    expect(asked.max(initial=0) <= len(answer), f"sets that ask {len(answer)} answers")
    expect(cuts.dtype == dtype and cuts.size < 1 << 31, f"cuts of {dtype}")
    _check_search(expect, group[:-1, 2], group[:-1, 4:], cuts)
    aligned = from_line(cuts.shape, cuts.dtype)
    aligned[:] = cuts
    return Codes(found["group"], aligned, found["plane"], found["sets"], answer)


def _check_search(expect: Expect, n_levels: Array, firsts: Array, cuts: Array) -> None:
    """That a search through the levels of a group stays in its cuts."""
    expect(_within(n_levels - 1, MOST_LEVELS), f"1 to {MOST_LEVELS} levels")
    level = np.arange(MOST_LEVELS)
    there = level < n_levels[:, None]
    begins = firsts[there]
    expect(_one_after_the_other(begins, len(cuts), 1), "cuts of levels one after the other")
    sizes = np.diff(begins, append=len(cuts))
    expect((sizes[np.broadcast_to(level == 0, there.shape)[there]] == 1).all(), "one block of cuts to begin with")
    is_last = (level == n_levels[:, None] - 1)[there]
    run = np.repeat(np.arange(len(sizes)), sizes)
    blocks = np.flatnonzero(~is_last[run])
    run = run[blocks]
    furthest = 16 * (blocks - begins[run]) + (cuts[blocks] < np.inf).sum(axis=1)
    expect((furthest < sizes[run + 1]).all(), "searches that stay in their cuts")


def _checked_trees(expect: Expect, found: Mapping[str, Array], target: Array, n_leaves: int) -> tuple[Array, Array]:
    """`tree`, and how many leaves each has."""
    n_trees, tree = len(target), found["tree"]
    expect(n_trees > 0 and len(tree) == n_trees + 1 and len(found["leaf_first"]) == n_trees, f"{n_trees} trees")
    expect(len(found["leaf_offset"]) == n_leaves, f"rows of {n_leaves} leaves")
    columns = tree.astype(np.int64).T
    for name, begins, end, least in (
        ("tiles", columns[0], len(found["tile"]), 0),
        ("ops", columns[1], found["op"].shape[1], 0),
        ("leaves", columns[2, :-1], n_leaves, 1),
    ):
        expect(_one_after_the_other(begins, end, least), f"{name} of trees one after the other, to {end}")
    expect(columns[0, -1] == len(found["tile"]) and columns[1, -1] == found["op"].shape[1], "no other tiles and ops")
    expect(columns[2, -1] == n_leaves, f"no other leaves than {n_leaves}")
    _, _, begins, targets, slots, together, steps, levels = columns[:, :-1]
    leaves = np.diff(begins, append=n_leaves)
    expect((leaves <= 256).all(), "at most 256 leaves a tree")
    expect((steps == 2 * begins - np.arange(n_trees)).all(), "2 n - 1 steps for a tree of n leaves")
    expect((targets == target).all(), "the targets of the trees")
    expect(_whole_slots(slots, 0), "results in slots")
    expect(_within(levels[::WALKED_TREES], 256), "at most 255 levels")
    in_four = together == 4
    whole = np.append(np.cumsum(in_four)[~in_four], in_four.sum()) % 4 == 0
    expect((in_four | (together == 1)).all() and whole.all(), "trees in passes of one or four")
    of_fours = targets[in_four].reshape(-1, 4)
    expect((of_fours == of_fours[:, :1]).all(), "passes of one target")
    return tree, leaves


def _whole_slots(places: Array, least: int) -> bool:
    """Whether bytes are the beginnings of slots, from number `least` on."""
    number, rest = np.divmod(places, BLOCK_ROWS)
    return bool(not rest.any() and (number >= least).all() and (number < N_SLOTS).all())


def _checked_nodes(expect: Expect, found: Mapping[str, Array], n_planes: int) -> tuple[Array, Array]:
    """Tiles and ops, as kernels take them."""
    tile, plane, packed = found["tile"], found["op_plane"], found["op"]
    asked = tile[:, :7].astype(np.uint32) >> 8
    expect(asked.max(initial=0) < n_planes and _whole_slots(tile[:, 7], 1), "tiles over planes, into slots")
    expect(len(plane) == packed.shape[1], f"planes of {packed.shape[1]} ops")
    expect(plane.max(initial=0) < n_planes, f"ops over {n_planes} planes")
    expect(packed[1:4].max(initial=0) < N_SLOTS and packed[3].min(initial=1) > 0, f"ops over {N_SLOTS} slots")
    rank, left, right, slot, n_left = packed
    op = np.empty((len(plane), 3), np.int32)
    for column, (high, shift, low, by) in enumerate(
        ((plane, 8, rank, 0), (right, 24, left, 8), (slot, 8, n_left, 0)),
    ):
        word = high.astype(np.int32)
        word <<= shift
        word |= low.astype(np.int32) << by
        op[:, column] = word
    return tile, op


def _checked_steps(expect: Expect, found: Mapping[str, Array], n_planes: int, leaves: Array) -> tuple[Array, Array]:
    """Steps and their leaves, as kernels take them."""
    inner, number, bits = found["step"], found["step_leaf"], found["is_leaf"]
    n_steps, ends, leaf_ends = 2 * len(number) - len(leaves), np.cumsum(2 * leaves - 1), np.cumsum(leaves)
    begins, leaf_begins = ends - 2 * leaves + 1, leaf_ends - leaves
    expect(len(bits) == -(-n_steps // 8), f"a bit for each of {n_steps} steps")
    is_leaf = np.unpackbits(bits, count=n_steps).view(np.bool_)
    at = np.flatnonzero(is_leaf)
    expect(len(at) == len(number) and len(inner) == n_steps - len(number), "n leaves in 2 n - 1 steps")
    own = (at[leaf_begins] >= begins) & (at[leaf_ends - 1] < ends)  # the first and the last: so all between them
    expect(own.all(), "n leaves in the 2 n - 1 steps of each tree")
    expect(inner.max(initial=0) < n_planes << 17, f"steps over {n_planes} planes")
    step, step_leaf = np.full(n_steps, NEVER, np.int32), np.zeros(n_steps, np.int32)
    step_leaf[at] = np.repeat(leaf_begins.astype(np.int32), leaves) + number
    at = np.flatnonzero(np.logical_not(is_leaf, out=is_leaf))
    step[at] = inner.view(np.int32)
    ahead = inner >> 8
    ahead &= 511
    expect(ahead.min(initial=1) > 0, "steps that lead forward")
    at += ahead
    asking = leaves > 1
    furthest = np.maximum.reduceat(at, (leaf_begins - np.arange(len(leaves)))[asking]) if len(at) else at
    expect((furthest < ends[asking] - 1).all(), "steps that stay in their trees")
    return step, step_leaf
