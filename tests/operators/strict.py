"""`forest_quantized` and `oblivious_quantized` as the compiled kernels go, index by index, each of them looked at.

Compiled kernels index without looking. What tables may make them do is seen here: an index that is outside its array,
a slot that is not aligned, or a walk that does not end is an AssertionError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inferir.operators._quantizer import N_SLOTS, WALKED_TREES

BLOCK, ZERO = 256, 1e-35


def at(array: Any, *index: int) -> Any:
    for i, length in zip(index, array.shape, strict=False):
        assert 0 <= i < length, (index, array.shape)
    return array[index]


def _searched(value: float, group: Any, cuts: Any, g: int) -> int:
    """How many thresholds of a group are below the value."""
    rank = int((at(cuts, int(group[g, 4])) < value).sum())
    for level in range(1, int(group[g, 2])):
        row = int(at(group, g, 4 + level)) + rank
        rank = 16 * rank + int((at(cuts, row) < value).sum())
    assert rank < 2**31
    return rank


def _category(value: float, count: int) -> int:
    if np.isnan(value):
        return count
    if abs(value) <= ZERO:
        return count + (1 if value >= 0 else 2)
    if value >= 0:
        return int(value) if value < count else count + 4
    return count + (3 if value > -1 else 4)


def row_codes(row: Any, group: Any, cuts: Any, plane: Any, sets: Any, answer: Any) -> list[int]:
    """A code for each plane; there is one for all of them."""
    codes: dict[int, int] = {}
    for g in range(len(group) - 1):
        value = at(row, int(group[g, 0]))
        missing = np.isnan(value) or (group[g, 1] and abs(float(value)) <= ZERO)
        rank = -1 if missing else _searched(value, group, cuts, g)
        for p in range(group[g, 3], group[g + 1, 3]):
            base, code = at(plane, p)
            codes[p] = int(code) if rank < 0 else min(max(rank - int(base), 0), 254)
    for h in range(len(sets) - 1):
        count, begin = int(sets[h, 1]), int(sets[h, 3])
        asked = _category(float(at(row, int(sets[h, 0]))), count)
        for p in range(sets[h, 2], sets[h + 1, 2]):
            codes[p] = int(at(answer, begin + asked))
            begin += count + 5
    assert sorted(codes) == list(range(sets[-1, 2]))
    assert all(0 <= code <= 254 for code in codes.values())
    return [codes[p] for p in sorted(codes)]


def _walked(t: Mapping[str, Any], codes: list[int], out: Any) -> None:
    """Adds the leaves that a row walks to."""
    tree, leaf, n_trees = t["tree"], t["leaf"], len(t["tree"]) - 1
    step = t["step"].view(np.uint32)
    for first in range(0, n_trees, WALKED_TREES):
        levels = int(tree[first, 7])
        for q in range(first, min(first + WALKED_TREES, n_trees)):
            position, turn = int(tree[q, 6]), 0
            while turn < min(levels, 8) or (levels > 8 and int(at(step, position)) > 255):
                word = int(at(step, position))
                position += (word >> 8 & 511) + (at(np.array(codes), word >> 17) >= word & 255)
                turn += 1
                assert turn <= 8 + len(step)
            row = int(at(t["step_leaf"], position))
            for j in range(leaf.shape[1]):
                at(out, int(tree[q, 3]) + j)
                out[int(tree[q, 3]) + j] += at(leaf, row, j)


def _slot(slots: Any, begin: int, *, written: bool = False) -> Any:
    assert begin % 64 == 0
    assert (256 if written else 0) <= begin <= BLOCK * (N_SLOTS - 1)
    return slots[begin : begin + BLOCK]


def _evaluated(t: Mapping[str, Any], codes: Any, out: Any) -> None:
    """Adds the leaves of all trees, for rows whose codes are the columns of `codes`."""
    tree, leaf, n_trees = t["tree"], t["leaf"], len(t["tree"]) - 1
    n_rows = codes.shape[1]
    slots = np.zeros(BLOCK * N_SLOTS, np.uint8)

    def reaches(word: int) -> Any:
        return at(codes, (word & 0xFFFFFFFF) >> 8) >= word & 255

    first = 0
    while first < n_trees:
        together = int(tree[first, 5])
        assert 1 <= together <= n_trees - first
        for q in range(first, first + together):
            for i in range(tree[q, 0], tree[q + 1, 0]):
                row = [int(v) for v in at(t["tile"], i)]
                goes = [reaches(word) for word in row[:7]]
                half, left, right = (row[8] >> shift & 255 for shift in (0, 8, 16))
                below_left = np.where(goes[1], goes[4] + left, goes[3])
                below_right = np.where(goes[2], goes[6] + right, goes[5])
                _slot(slots, row[7], written=True)[:n_rows] = np.where(goes[0], below_right + half, below_left) & 255
            for i in range(tree[q, 1], tree[q + 1, 1]):
                word, children, last = (int(v) & 0xFFFFFFFF for v in at(t["op"], i))
                left, right = _slot(slots, children & 0xFFFF)[:n_rows], _slot(slots, children >> 16)[:n_rows]
                chosen = np.where(reaches(word), right + np.uint8(last & 255), left)
                _slot(slots, last & 0xFF00, written=True)[:n_rows] = chosen
        for q in range(first, first + together):
            target = int(tree[q, 3] if leaf.shape[1] > 1 or together != 4 else tree[first, 3])
            begin, number = int(tree[q, 2]), _slot(slots, int(tree[q, 4]))
            at(leaf, begin + 255)  # any byte may be a number
            assert begin >= 0
            assert 0 <= target <= out.shape[1] - leaf.shape[1]
            out[:, target : target + leaf.shape[1]] += leaf[begin + number[:n_rows].astype(int)]
        first += together


def forest(t: Mapping[str, Any], x: Any) -> tuple[Any, Any]:
    """What up to 256 rows walk to, and what they get evaluated."""
    codes = [row_codes(row, *(t[name] for name in ("group", "cuts", "plane", "sets", "answer"))) for row in x]
    walked, evaluated = (np.repeat(t["base"][None], len(x), axis=0) for _ in range(2))
    for row, out in zip(codes, walked, strict=True):
        _walked(t, row, out)
    _evaluated(t, np.array(codes).T, evaluated)
    return walked, evaluated


def symmetric(t: Mapping[str, Any], x: Any) -> Any:
    """Sums of the leaves of symmetric trees, before scale and base."""
    out = np.zeros((len(x), t["leaf_value"].shape[1]))
    for r, row in enumerate(x):
        codes = np.array(row_codes(row, *(t[name] for name in ("group", "cuts", "plane", "sets", "answer"))))
        for i in range(len(t["split_begin"]) - 1):
            number = 0
            for bit, q in enumerate(range(t["split_begin"][i], t["split_begin"][i + 1])):
                word = int(at(t["level"], q)) & 0xFFFFFFFF
                number |= int(at(codes, word >> 8) >= word & 255) << bit
            out[r] += at(t["leaf_value"], int(t["leaf_begin"][i]) + number)
    return out
