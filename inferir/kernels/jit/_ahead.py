"""Nodes and leaves of the next trees, asked for while rows go through a tree.

What a walk or a row's leaf finds in no near cache it asks for too late, and rows beside it wait as well. Trees follow
each other, so it is known what comes next: each few rows have a share of it come, in the order in which it lies.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import scalar
from inferir.kernels.jit._simd import prefetch

__all__ = ["ask_for_share", "share_of_turn"]


@scalar
def share_of_turn(begin, end, rows, turns, line):
    """How much of what lies from `begin` to `end` is asked for in each turn; nothing where there is more than a cache
    line for each row, of which they would leave many unused."""
    if end - begin > rows * line:
        return np.uint64(0)
    return (end - begin) // turns + line


@scalar
def ask_for_share(array, wanted, end, share, line):
    """Have the next `share` elements of a flat array come, from `wanted` on but none behind `end`, of which `line` are
    a cache line. Returns where the next share begins."""
    share_end = min(wanted + share, end)
    while wanted < share_end:
        prefetch(array, wanted)
        wanted += line
    return wanted
