"""Linear models against their NumPy twin and a matrix product in extended precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inferir.operators._packing import packed
from tests.kernels.twins import assert_close, check, examples, matrices, same_bits, widths

#: The contract: of the sum of the terms' magnitudes.
RELATIVE = {"f32": 1e-5, "f64": 1e-10}


@given(width=widths, k=st.integers(1, 4) | st.sampled_from([7, 8, 9, 16, 17, 33, 65, 70]), data=st.data())
@examples(80)
def test_matmul(width: str, k: int, data: Any) -> None:
    x = data.draw(matrices(width, columns=(1, 20), limit=1e9))
    coef = data.draw(matrices(width, rows=k, columns=x.shape[1], finite=True, limit=1e9))
    intercept = data.draw(matrices(width, rows=1, columns=k, finite=True, limit=1e9))[0]
    with np.errstate(all="ignore"):
        size = np.abs(x).astype(float) @ np.abs(coef).T.astype(float) + np.abs(intercept)
        product = x.astype(np.longdouble) @ coef.T.astype(np.longdouble) + intercept
    size = np.where(np.isfinite(size), size, 0)
    given = {"x": x, "coef": packed(coef), "intercept": intercept, "relu": 0}
    out = check(f"matmul_{width}", given, relative=RELATIVE[width], size=size)["out"]
    assert_close(out, product.astype(x.dtype), relative=RELATIVE[width], size=size)
    rectified = check(f"matmul_{width}", given | {"relu": 1}, relative=RELATIVE[width], size=size)["out"]
    assert same_bits(rectified, np.where(out <= 0, 0, out).astype(x.dtype))


def test_nan_passes_a_coefficient_of_zero() -> None:
    given = {"x": [[np.nan, 1], [np.inf, 1], [2, 1]], "intercept": [0, 5], "relu": 0}
    out = check("matmul_f64", given | {"coef": packed(np.array([[0.0, 1.0], [1.0, 0.0]]))})["out"]
    np.testing.assert_array_equal(out, [[np.nan, np.nan], [np.nan, np.inf], [1, 7]])
