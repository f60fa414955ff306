"""Forests of every kind. Tensors are those of `kernels.jit.tree`, under the same names."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.kernels.signatures import BLOCK_ROWS, KERNELS
from inferir.operators import _prepared
from inferir.operators._binder import Array, Binder, Value
from inferir.operators._fuse import fused
from inferir.operators._packer import FEW_PACKED_ROWS, Packed, pack
from inferir.operators._quantizer import (
    NUMBERS_NBYTES,
    SLOTS_NBYTES,
    WALKED_TREES,
    Codes,
    Quantized,
    Symmetric,
    room_for_leaves,
)
from inferir.program import BLOCK, ROWS

_DEFAULT_LEFT = 1

#: The leaf's number is a byte.
_MOST_QUANTIZED_LEVELS = 8

_RULES = (
    "",
    "expected split_index within the columns",
    "expected left_child to lie behind its node, with a sibling",
    "expected a leaf number within leaf_value",
    "expected tree_root within the nodes",
)


def nodes_of(b: Binder, x: Value, n_leaves: int) -> tuple[list[Array], Array, int]:
    """split_index ... category_words, tree_root, and whether nodes have other flags than DEFAULT_LEFT."""
    split_index = b.tensor("split_index", "i32", None)
    n_nodes = len(split_index)
    threshold, left_child = b.tensor("threshold", x.dtype, n_nodes), b.tensor("left_child", "i32", n_nodes)
    node_flags, tree_root = b.tensor("node_flags", "u8", n_nodes), b.tensor("tree_root", "i32", None)
    special = bool(b.attribute("special", bool, False))
    category_begin, category_words = np.zeros(1, np.int32), np.zeros(0, np.uint32)
    if b.has("category_begin"):
        category_words = b.tensor("category_words", "u32", None)
        category_begin = b.begins("category_begin", None, len(category_words), dtype="i32")
    nodes = [split_index, threshold, left_child, node_flags, category_begin, category_words]
    if b.first_time():
        _prove(b, nodes, tree_root, x.width, n_leaves, special)
    return nodes, tree_root, int(special)


def _prove(b: Binder, nodes: list[Array], tree_root: Array, width: int, n_leaves: int, special: bool) -> None:
    """That no walk leaves the arrays or runs in a circle: one pass over the nodes."""
    split_index, threshold, left_child, node_flags, category_begin, _ = nodes
    found = np.empty(2, np.int64)
    b.kernel("check_forest")(split_index, left_child, tree_root, width, n_leaves, found)
    if found[0] >= 0:
        raise b.fail(f"{_RULES[int(found[1])]}; node or tree {found[0]} breaks this")
    if not special and int(node_flags.max(initial=0)) > _DEFAULT_LEFT:
        raise b.fail("expected node_flags of 0 and 1 where the attribute 'special' is false")
    if special:
        chosen = threshold[(node_flags & 4) != 0]
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < len(category_begin) - 1):
            raise b.fail("expected the threshold of a categorical node to be the number of a set of categories")


def targets_of(b: Binder, n_trees: int, width: int, outputs: int) -> Array:
    if not b.has("tree_target"):
        return np.zeros(n_trees, np.int32)
    return b.positions("tree_target", n_trees, outputs - width + 1, dtype="i32")


def _check_cover(b: Binder, n_nodes: int) -> None:
    """`node_cover`, the training rows that passed each node, is for explanations (`inferir.explain`)."""
    if b.has("node_cover"):
        b.floats("node_cover", n_nodes)


def _ranks(b: Binder, x: Value) -> list[Any]:
    """Scratch for making codes: ranks of a block of rows, and four of its columns."""
    return [b.scratch("i32", BLOCK_ROWS), b.scratch(x.dtype, 4, BLOCK_ROWS)]


def _quantized(b: Binder, x: Value, tables: Quantized, base: Array, leaf: str) -> Value:
    codes, slots = b.scratch("u8", tables.codes_nbytes), b.scratch("u8", SLOTS_NBYTES)
    sums = b.scratch(leaf, len(base), BLOCK_ROWS)
    return b.call(
        f"forest_quantized_{x.dtype}_{leaf}", x, *tables, base, tables.few_rows, *_ranks(b, x), codes, slots,
        sums, b.scratch("u32", WALKED_TREES), width=len(base), dtype=leaf,
    )  # fmt: skip


def _packed(b: Binder, x: Value, packed: Packed, leaf_value: Array, target: Array, base: Array, leaf: str) -> Value:
    slots, node, packed_root, tops, shift = packed
    rows = packed.n_blocks * BLOCK_ROWS
    lanes = [b.scratch("u32", BLOCK_ROWS) for _ in range(3)]
    values = b.scratch(x.dtype, rows * len(slots))
    codes, numbers = b.scratch("u8", packed.n_blocks * tops.codes_nbytes), b.scratch("u8", SLOTS_NBYTES)
    return b.call(
        f"forest_packed_{x.dtype}_{leaf}", x, slots // 4, (slots % 4).astype(np.uint8), node, packed_root,
        *tops.codes[:3], tops.tree, tops.tile, tops.op, tops.leaf_row[:, None], leaf_value, target,
        base, shift, FEW_PACKED_ROWS, values, *lanes, *_ranks(b, x), codes, numbers,
        b.scratch(leaf, len(base), rows), width=len(base), dtype=leaf,
    )  # fmt: skip


def forest(b: Binder) -> Value:
    """Sum of leaves. Attributes: special; compare "f32" or "f64", the width in which rows meet thresholds."""
    x = b.input(("f32", "f64")[b.choice("compare", ("f32", "f64"))])
    leaf = ("f32", "f64")[b.choice("accumulate", ("f32", "f64"))]
    if (x.dtype, leaf) == ("f64", "f32"):
        raise b.fail("expected accumulate f64 with compare f64, got f32")
    base = b.tensor("base", leaf, None)
    leaf_value = b.tensor("leaf_value", leaf, None, None)
    if leaf_value.shape[1] > len(base):
        raise b.fail(f"expected at most {len(base)} values a leaf, got {leaf_value.shape[1]}")
    nodes, tree_root, special = nodes_of(b, x, len(leaf_value))
    _check_cover(b, len(nodes[0]))
    depth = b.positions("tree_depth", len(tree_root), 2**16, dtype="i32")
    target = targets_of(b, len(tree_root), leaf_value.shape[1], len(base))
    tables = _prepared.quantized(b, nodes, tree_root, target, leaf_value, x.width)
    if tables is not None:
        widths = [width for width in ("f32", "f64") if f"forest_quantized_{width}_{leaf}" in KERNELS]
        source, codes = fused(b, x, tables.codes, widths)
        return _quantized(b, source, tables._replace(codes=codes).over(leaf_value), base, leaf)
    packed = pack(b, nodes, tree_root, x.width)
    if packed is not None:
        return _packed(b, x, packed, leaf_value, target, base, leaf)
    return b.call(
        f"forest_{x.dtype}_{leaf}", x, *nodes, leaf_value, tree_root, depth, target, base, special,
        b.scratch("i32", BLOCK_ROWS), width=len(base), dtype=leaf,
    )  # fmt: skip


def linear_forest(b: Binder) -> Value:
    """Forest whose leaves are linear models (LightGBM's linear_tree)."""
    x = b.input("f64")
    base, leaf_value = b.tensor("base", "f64", None), b.tensor("leaf_value", "f64", None)
    n_leaves = len(leaf_value)
    nodes, tree_root, _ = nodes_of(b, x, n_leaves)
    coef = b.tensor("coef", "f64", None)
    constants = [
        leaf_value,
        b.tensor("leaf_const", "f64", n_leaves),
        b.begins("coef_begin", n_leaves, len(coef)),
        b.positions("coef_index", len(coef), x.width, dtype="i32"),
        coef,
        targets_of(b, len(tree_root), 1, len(base)),
        base,
    ]
    out, leaf = b.value(len(base), "f64"), b.scratch("i32", ROWS, len(tree_root))
    b.step("forest_leaves_f64", x, *nodes, tree_root, leaf, into=out)
    b.step("linear_leaves", x, leaf, *constants, out, into=out)
    return out


def oblivious(b: Binder) -> Value:
    """Symmetric trees (CatBoost)."""
    x = b.input("f32")
    split_index = b.positions("split_index", None, x.width, dtype="i32")
    n_splits = len(split_index)
    leaf_value, base = b.tensor("leaf_value", "f64", None, None), b.tensor("base", "f64", None)
    split_begin = b.begins("split_begin", None, n_splits)
    leaf_begin = b.begins("leaf_begin", len(split_begin) - 1, len(leaf_value))
    depth = np.diff(split_begin)
    if len(base) != leaf_value.shape[1] or (depth > 24).any() or (np.diff(leaf_begin) != 2**depth).any():
        raise b.fail("expected 2**depth leaves a tree, depth at most 24, and a base for each column of leaf_value")
    if b.has("leaf_cover"):  # as `node_cover` of a forest
        b.floats("leaf_cover", len(leaf_value))
    threshold, nan_right = b.tensor("threshold", "f32", n_splits), b.tensor("nan_right", "u8", n_splits)
    equal, scale = b.tensor("equal", "u8", n_splits), b.attribute("scale", float, 1.0)
    small = depth.max(initial=0) <= _MOST_QUANTIZED_LEVELS and not equal.any()
    tables = _prepared.symmetric(b, split_index, threshold, nan_right, x.width) if small else None
    trees = split_begin, leaf_begin, leaf_value, base, scale
    if tables is not None:
        source, codes = fused(b, x, Codes(*tables[:5]), ["f32"])
        return _symmetric(b, source, tables._replace(**codes._asdict()), *trees)
    constants = split_begin, split_index, threshold, nan_right, equal, *trees[1:]
    block = b.scratch("f32", x.width, BLOCK), b.scratch("i32", BLOCK)
    return b.call("oblivious", x, *constants, *block, width=len(base), dtype="f64")


def _symmetric(
    b: Binder,
    x: Value,
    tables: Symmetric,
    split_begin: Array,
    leaf_begin: Array,
    leaf_value: Array,
    *base_and_scale: Any,
) -> Value:
    n_outputs, leaf = leaf_value.shape[1], room_for_leaves(len(leaf_value), leaf_value)
    leaf[: len(leaf_value)] = leaf_value
    codes, numbers = b.scratch("u8", tables.n_blocks * tables.codes_nbytes), b.scratch("u8", NUMBERS_NBYTES)
    sums = b.scratch("f64", n_outputs, tables.n_blocks * BLOCK_ROWS)
    return b.call(
        "oblivious_quantized", x, *tables, split_begin, leaf_begin, leaf, *base_and_scale,
        tables.few_rows(len(split_begin) - 1), *_ranks(b, x), codes, numbers, sums, width=n_outputs, dtype="f64",
    )  # fmt: skip


OPERATORS = {"forest": forest, "linear_forest": linear_forest, "oblivious": oblivious}
