"""Projections onto fewer columns."""

from __future__ import annotations

import numpy as np

from inferir.kernels.reference._types import Floats


def project(x: Floats, mean: Floats, components: Floats, scale: Floats, out: Floats) -> None:
    """out = (x - mean) @ components.T / scale."""
    total = np.zeros(out.shape)
    for f in range(x.shape[1]):
        total += np.outer(x[:, f] - mean[f], components[:, f])
    out[:] = total / scale
