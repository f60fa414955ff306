"""Projections against their NumPy twin and scikit-learn's PCA."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from inferir.operators._packing import packed
from tests.kernels.twins import assert_close, call, check, examples, matrices, widths

#: The contract: of the sum of the terms' magnitudes.
RELATIVE = {"f32": 1e-5, "f64": 1e-10}


@given(width=widths, k=st.integers(1, 4) | st.sampled_from([8, 9, 35]), data=st.data())
@examples(60)
def test_project(width: str, k: int, data: Any) -> None:
    x = data.draw(matrices(width, columns=(1, 12), limit=1e9))
    d = x.shape[1]
    mean = data.draw(matrices(width, rows=1, columns=d, finite=True, limit=1e9))[0]
    components = data.draw(matrices(width, rows=k, columns=d, finite=True, limit=1e9))
    scale = np.exp(data.draw(matrices(width, rows=1, columns=k, finite=True, limit=5))[0])
    with np.errstate(all="ignore"):
        size = (np.abs(x) + np.abs(mean)).astype(float) @ np.abs(components).T.astype(float) / scale
    given = {"x": x, "mean": mean, "components": packed(components), "scale": scale}
    check(f"project_{width}", given, relative=RELATIVE[width], size=np.where(np.isfinite(size), size, 0))


def test_pca() -> None:
    x = np.random.default_rng(0).normal(size=(60, 7)) * 3 + 5
    for whiten in (False, True):
        pca = PCA(3, whiten=whiten).fit(x)
        given = {"mean": pca.mean_, "components": packed(pca.components_)}
        scale = np.sqrt(pca.explained_variance_) if whiten else np.ones(3)
        out = call("jit", "project_f64", {"x": x, **given, "scale": scale})["out"]
        assert_close(out, pca.transform(x), relative=1e-10, size=1.0)
