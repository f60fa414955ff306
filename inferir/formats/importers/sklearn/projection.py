"""Projections of scikit-learn: PCA, incremental PCA, truncated SVD."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows
from inferir.formats.importers.sklearn.checks import finite


def _project(b: Builder, x: Rows, mean: Any, components: Any, scale: Any) -> Answers:
    """Models that were trained on float32 keep that width, for rows of that width."""
    narrow = all(tensor is None or np.asarray(tensor).dtype == np.float32 for tensor in (mean, components, scale))
    dtype = np.float32 if narrow else np.float64
    components = np.asarray(components, dtype)
    tensors = {
        "mean": np.zeros(x.width, dtype) if mean is None else np.asarray(mean, dtype),
        "components": components,
        "scale": np.ones(len(components), dtype) if scale is None else np.asarray(scale, dtype),
    }
    attributes = {"width": "wider"} if narrow else {}
    value = b.op("project", finite(b, x).value, tensors=tensors, **attributes)
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
