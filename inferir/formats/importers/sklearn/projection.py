"""Projections of scikit-learn: PCA, incremental PCA, truncated SVD."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows
from inferir.formats.importers.sklearn.checks import finite


def _project(b: Builder, x: Rows, mean: Any, components: Any, scale: Any) -> Answers:
    components = np.asarray(components, np.float64)
    tensors = {
        "mean": np.zeros(x.width) if mean is None else np.asarray(mean, np.float64),
        "components": components,
        "scale": np.ones(len(components)) if scale is None else np.asarray(scale, np.float64),
    }
    value = b.op("project", finite(b, x).value, tensors=tensors)
    return Answers("transform", "PCA", transformed=value, origins=(None,) * len(components))


def pca(estimator: Any, b: Builder, x: Rows) -> Answers:
    """With whitening, components are over their standard deviation, at least one epsilon of its width."""
    scale = None
    if estimator.whiten:
        scale = np.sqrt(estimator.explained_variance_)
        scale = np.maximum(scale, np.finfo(scale.dtype).eps)
    return _project(b, x, estimator.mean_, estimator.components_, scale)


def truncated_svd(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _project(b, x, None, estimator.components_, None)
