"""Linear models against their NumPy twin and a matrix product in extended precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.operators._packing import by_columns, packed
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


@given(width=widths, k=st.integers(1, 3), d=st.integers(1, 70) | st.sampled_from([1024, 1040, 2100]), data=st.data())
@examples(60)
def test_dot(width: str, k: int, d: int, data: Any) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = data.draw(st.sampled_from([0, 1, 2, 7, 8, 9, 17]))
    dtype = np.float32 if width == "f32" else np.float64
    x = (random.normal(size=(n, d)) * 10.0 ** random.integers(-9, 9, (n, d))).astype(dtype)
    x[random.random(x.shape) < data.draw(st.sampled_from([0.0, 0.02]))] = data.draw(
        st.sampled_from([np.nan, np.inf, -np.inf])
    )
    coef, intercept = random.normal(size=(k, d)).astype(dtype), random.normal(size=k).astype(dtype)
    with np.errstate(all="ignore"):
        size = np.abs(x).astype(float) @ np.abs(coef).T.astype(float) + np.abs(intercept)
        product = x.astype(np.longdouble) @ coef.T.astype(np.longdouble) + intercept
    size = np.where(np.isfinite(size), size, 0)
    given = {"x": x, "coef": by_columns(coef), "intercept": intercept}
    out = check(f"dot_{width}", given, relative=RELATIVE[width], size=size)["out"]
    assert_close(out, product.astype(dtype), relative=RELATIVE[width], size=size)


@pytest.mark.parametrize("width", ["f32", "f64"])
@pytest.mark.parametrize("d", [1000, 1030, 5000])
def test_many_columns_lose_no_digits(width: str, d: int) -> None:
    """All terms positive, so that nothing cancels: sums of float32 alone would be off by more than the contract."""
    random = np.random.default_rng(d)
    x, coef = (random.random((m, d)).astype(np.float32 if width == "f32" else np.float64) for m in (3, 5))
    given = {"x": x, "coef": packed(coef), "intercept": np.zeros(5), "relu": 0}
    out = check(f"matmul_{width}", given, relative=1e-6 if width == "f32" else 1e-14)["out"]
    assert_close(out, x.astype(float) @ coef.T.astype(float), relative=1e-6 if width == "f32" else 1e-14)


def test_nan_passes_a_coefficient_of_zero() -> None:
    given = {"x": [[np.nan, 1], [np.inf, 1], [2, 1]], "intercept": [0, 5], "relu": 0}
    out = check("matmul_f64", given | {"coef": packed(np.array([[0.0, 1.0], [1.0, 0.0]]))})["out"]
    np.testing.assert_array_equal(out, [[np.nan, np.nan], [np.nan, np.inf], [1, 7]])
