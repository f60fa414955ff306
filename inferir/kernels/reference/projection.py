"""Projections onto fewer columns."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats, unpacked


def project(
    x: Floats, mean: Floats, components: Floats, scale: Floats, centered: Floats, totals: Floats, out: Floats
) -> None:
    """out = (x - mean) @ components.T / scale."""
    total = np.zeros(out.shape)
    for f, column in enumerate(unpacked(components, out.shape[1]).T):
        total += np.outer(x[:, f] - mean[f], column)
    out[:] = total / scale
