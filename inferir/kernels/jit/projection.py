"""Projections onto fewer columns: PCA, incremental PCA, truncated SVD."""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import kernel_reassociated


@kernel_reassociated
def project(x, mean, components, scale, out):
    """out = (x - mean) @ components.T / scale.

    `scale` is 1, or sqrt(explained_variance_) for whitening. (Jolliffe, Principal Component Analysis, section 1.1.)
    """
    for i in range(np.uint64(x.shape[0])):
        for k in range(np.uint64(components.shape[0])):
            total = 0.0
            for f in range(np.uint64(components.shape[1])):
                total += components[k, f] * (x[i, f] - mean[f])
            out[i, k] = total / scale[k]
