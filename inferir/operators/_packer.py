"""Arrays of packed forests, made when a model is bound: what they mean is in `kernels.jit.tree_packed`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inferir.kernels.signatures import BLOCK_ROWS
from inferir.operators._binder import Array, Binder
from inferir.operators._quantizer import WIDTHS, Tables, from_line, quantize

__all__ = ["FEW_PACKED_ROWS", "Packed", "pack"]

#: Nodes of a tree, on average, from which on its walk is long enough for packing to pay.
_FEWEST_PACKED_NODES = 511

#: Packing takes about 20 ns a node: of more nodes than this, a model would be long in loading.
_MOST_PACKED_NODES = 1 << 22

#: Rows of a block that walk all the way: measured with benchmarks/tree_packed.py, 1 to 64 rows.
FEW_PACKED_ROWS = 64

#: Of rows and their codes, while they go through trees: half of a usual second-level cache.
_CACHED_NBYTES = 1 << 19

#: Leaves of a top: their numbers are bytes.
_TOP_LEAVES = 256

#: Inner nodes are counted by their height, of which `cut_forest` tells so many apart.
_HEIGHTS = 64


class Packed(NamedTuple):
    """`slots` are 4 * column + flags; `shift` is how many bits of a link are below the distance."""

    slots: Array
    node: Array
    packed_root: Array
    tops: Tables
    shift: int

    @property
    def n_blocks(self) -> int:
        """How many blocks of rows go through a tree together: as many as stay in the cache."""
        block_nbytes = self.tops.codes_nbytes + BLOCK_ROWS * len(self.slots) * self.tops.codes.cuts.itemsize
        return 4 if 4 * block_nbytes <= _CACHED_NBYTES else 1


def pack(b: Binder, nodes: list[Array], tree_root: Array, n_columns: int) -> Packed | None:
    """What `kernels.jit.tree_packer` makes of a forest, or None where it cannot, or where it would take long."""
    split_index, threshold, left_child, node_flags, *_ = nodes
    n_nodes, n_trees = len(left_child), len(tree_root)
    if not _FEWEST_PACKED_NODES * n_trees < n_nodes <= _MOST_PACKED_NODES:
        return None
    words = 2 * threshold.itemsize // 4
    size, below, place = (np.empty(n_nodes, np.int32) for _ in range(3))
    slot, node = np.empty(4 * n_columns, np.int32), from_line((words * (n_nodes + n_trees),), np.int32)
    packed_root, found = np.empty(n_trees, np.int32), np.empty(2, np.int64)
    given = split_index, threshold, left_child, node_flags, tree_root
    b.kernel(f"pack_forest_{WIDTHS[threshold.itemsize]}")(*given, size, below, place, slot, node, packed_root, found)
    if found[0] <= 0:
        return None
    tops = _tops(b, nodes, tree_root, place)
    return Packed(np.flatnonzero(slot >= 0).astype(np.int32), node, packed_root, tops, int(found[1])) if tops else None


def _tops(b: Binder, nodes: list[Array], tree_root: Array, place: Array) -> Tables | None:
    """Tables of the tops of packed trees, whose leaves are places of nodes; of a smaller top where a column would have
    too many thresholds."""
    split_index, threshold, left_child, node_flags, *no_sets = nodes
    n_nodes, n_trees = len(left_child), len(tree_root)
    scratch = [np.empty(n_nodes, np.int32) for _ in range(3)]
    kept, top_left_child, count = (
        np.empty(n_nodes, np.int32),
        np.empty(n_nodes, np.int32),
        np.empty((n_trees, _HEIGHTS), np.int32),
    )
    top_root, found = np.empty(n_trees, np.int32), np.empty(2, np.int64)
    for most in (_TOP_LEAVES, _TOP_LEAVES // 8, 2):
        b.kernel("cut_forest")(
            left_child, tree_root, place, most, *scratch, count, kept, top_left_child, top_root, found
        )
        own = kept[: found[0]]
        top = [split_index[own], threshold[own], top_left_child[: found[0]].copy(), node_flags[own], *no_sets]
        tables = quantize(b, top, top_root, np.zeros(n_trees, np.int32), 1)
        if tables is not None:
            return tables
    return None
