"""Links and activations against their NumPy twins and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.twins import Array, assert_close, call, check, examples, matrices, widths

#: Kernel -> SciPy's or NumPy's function of a double.
SCIPY = {
    "sigmoid": scipy.special.expit,
    "softmax": lambda x: scipy.special.softmax(x, axis=1),
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "softplus": lambda x: np.logaddexp(0, x),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "signed_square": lambda x: np.sign(x) * x * x,
    "normal_cdf": scipy.special.ndtr,
    "normal_quantile": scipy.special.ndtri,
}
SCALED = {"sigmoid", "exp2"}
EXACT = {"relu", "signed_square"}

#: The contract: bits where arithmetic is exact, else 2 ulp of float32 or 1e-12 of a double.
TOLERANCE: dict[str, dict[str, float]] = {"f32": {"ulp": 2}, "f64": {"relative": 1e-12}}


def tolerance(name: str, width: str) -> dict[str, float]:
    return {"relative": 0.0} if name in EXACT else TOLERANCE[width]


def bent(name: str, x: Array) -> Array:
    """Half of the quantiles' arguments within [0, 1], where there is something to see."""
    if name == "normal_quantile":
        with np.errstate(invalid="ignore", over="ignore"):
            x = np.where(np.abs(x) > 1, np.abs(np.sin(x)), x).astype(x.dtype)
    return x


@pytest.mark.parametrize("name", SCIPY)
@given(width=widths, data=st.data())
@examples(40)
def test_equals_twin_and_scipy(name: str, width: str, data: Any) -> None:
    x = bent(name, data.draw(matrices(width, limit=data.draw(st.sampled_from([1.0, 50.0, 800.0, None])))))
    arguments: dict[str, Any] = {"x": x}
    if name in SCALED:
        arguments["scale"] = 1.0
    out = check(f"{name}_{width}", arguments, **tolerance(name, width))["out"]
    with np.errstate(all="ignore"):
        right = SCIPY[name](x.astype(np.float64)).astype(x.dtype) if x.size else x
    if name not in EXACT:  # SciPy's expit and ndtr are 0 where the least doubles begin
        assert_close(out, right, **TOLERANCE[width], size=1e-290)
    else:
        assert_close(out, right)


@given(x=matrices("f64", limit=1e3), scale=st.floats(-4, 4))
@examples(30)
def test_scale(x: Array, scale: float) -> None:
    for name in SCALED:
        check(f"{name}_f64", {"x": x, "scale": scale}, relative=1e-12)


@pytest.mark.parametrize("name", SCIPY)
def test_no_rows(name: str, backend: Any) -> None:
    x = np.zeros((0, 3))
    out = np.zeros((0, 3))
    backend[f"{name}_f64"](*([x, 1.0, out] if name in SCALED else [x, out]))


def test_softmax_of_far_apart_margins() -> None:
    x = np.array([[1e308, -1e308, 0], [-1e308, -1e308, -1e308], [0, -746, -800], [np.inf, 0, 0], [-np.inf, 0, 0]])
    out = check("softmax_f64", {"x": x}, relative=1e-12)["out"]
    assert out[0].tolist() == [1, 0, 0]
    np.testing.assert_allclose(out[1], 1 / 3)
    assert np.isnan(out[3]).all()
    assert out[4].tolist() == [0, 0.5, 0.5]


def test_negative_infinity_is_no_activation() -> None:
    assert call("jit", "relu_f32", {"x": [[-np.inf, np.inf, np.nan, -0.0]]})["out"][0, :2].tolist() == [0, np.inf]
