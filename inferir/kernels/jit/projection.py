"""Projections onto fewer columns: PCA, incremental PCA, truncated SVD."""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel
from inferir.kernels.jit._tiles import GROUPS, TILE_ROWS, product_tiles_before
from inferir.kernels.jit._totals import divide_lanes


@kernel
def project(x, mean, components, scale, centered, totals, out):
    """out = (x - mean) @ components.T / scale.

    `scale` is 1, or sqrt(explained_variance_) for whitening. (Jolliffe, Principal Component Analysis, section 1.1.)
    """
    n, k, depth = np.uint64(x.shape[0]), np.uint64(out.shape[1]), np.uint64(x.shape[1])
    lanes, n_groups, zero = np.uint64(components.shape[2]), np.uint64(components.shape[0]), np.uint64(0)
    for i in range(zero, n, np.uint64(TILE_ROWS)):
        rows = min(np.uint64(TILE_ROWS), n - i)
        for r in range(rows):
            for f in range(depth):
                centered[r, f] = x[i + r, f] - mean[f]
        for group in range(np.uint64(0), n_groups, np.uint64(GROUPS)):
            groups, first = min(np.uint64(GROUPS), n_groups - group), group * lanes
            product_tiles_before(
                centered, zero, depth, rows, components, group, groups, depth, zero, depth, totals,
                x, (i + np.uint64(TILE_ROWS)) * depth,
            )  # fmt: skip
            for q in range(groups):
                column = first + q * lanes
                divide_lanes(totals, q * lanes, rows, scale, column, k - column, out, i * k + column, k)
