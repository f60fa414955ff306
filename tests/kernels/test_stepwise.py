"""Kernels that round after every step, as XGBoost does: bits of NumPy's float32, one operation at a time."""

from __future__ import annotations

import ctypes
import platform

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.twins import Array, assert_close, call, check, examples, matrices


@given(k=st.integers(1, 4), data=st.data())
@examples(60)
def test_linear_in_order(k: int, data: st.DataObject) -> None:
    x = data.draw(matrices("f32", columns=(1, 20), limit=1e9))
    coef = data.draw(matrices("f32", rows=k, columns=x.shape[1], finite=True, limit=1e9))
    intercept = data.draw(matrices("f32", rows=1, columns=k, finite=True, limit=1e9))[0]
    check("linear_in_order", {"x": x, "coef": coef, "intercept": intercept})


def test_linear_in_order_is_not_the_rounded_sum() -> None:
    given = {"x": [[1e8, 1.0, -1e8], [np.nan, 1.0, 0.0]], "coef": [[1.0, 1.0, 1.0]], "intercept": [0.5]}
    assert check("linear_in_order", given)["out"].tolist() == [[0.0], [1.5]]  # 1e8 + 1 is 1e8 in float32


@given(x=matrices("f32", limit=200.0))
@examples(80)
def test_sigmoid_stepwise(x: Array) -> None:
    out = check("sigmoid_stepwise", {"x": x}, ulp=2)["out"]
    exact = scipy.special.expit(np.maximum(x, np.float32(-88.7)).astype(np.float64))
    assert_close(out, exact.astype(np.float32), ulp=2)


def test_sigmoid_stepwise_at_its_ends() -> None:
    x = [[-np.inf, -1e9, -88.7, 100.0, np.inf, np.nan, 0.0, 2.0**-24]]
    out = check("sigmoid_stepwise", {"x": x}, ulp=1)["out"][0]
    assert out[0] == out[1] == out[2] > 0
    assert out[3:].tolist()[:2] == [1.0, 1.0]
    assert np.isnan(out[5])
    assert out[6] == out[7] == 0.5


def test_exponential_is_that_of_the_c_library() -> None:
    """1 / (1 + e**-x) in float32 is one to one in e**-x where that is large: equal bits, equal exponentials."""
    if platform.libc_ver()[0] != "glibc" or tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 27):
        pytest.skip("the bits of glibc's expf since 2.27")
    expf = ctypes.CDLL("libm.so.6").expf
    expf.restype, expf.argtypes = ctypes.c_float, [ctypes.c_float]
    x = np.random.default_rng(0).uniform(-88.0, -17.0, 20_000).astype(np.float32)
    power = np.array([expf(float(-value)) for value in x], np.float32)
    right = np.float32(1) / (power + np.float32(1))
    np.testing.assert_array_equal(call("jit", "sigmoid_stepwise", {"x": x[:, None]})["out"][:, 0], right)
    rounded_once = np.exp(-x.astype(np.float64)).astype(np.float32)
    assert (power != rounded_once).any()  # which would not do


@given(x=matrices("f32", columns=(1, 12), limit=1e4, finite=True))
@examples(80)
def test_softmax_stepwise(x: Array) -> None:
    out = check("softmax_stepwise", {"x": x}, ulp=2)["out"]
    assert_close(out.sum(axis=1, dtype=np.float64), np.ones(len(x)), relative=1e-6)


def test_softmax_stepwise_rounds_differences() -> None:
    margins = np.array([[16.000001, 0.0000005]], np.float32)  # whose difference is not a float32
    out = check("softmax_stepwise", {"x": margins}, ulp=1)["out"]
    exact = np.float64(margins[0, 1]) - np.float64(margins[0, 0])
    rounded, once = (np.float32(np.exp(np.float64(d))) for d in (margins[0, 1] - margins[0, 0], exact))
    assert out[0, 1] == rounded / np.float32(1 + np.float64(rounded))
    assert abs(rounded - once) > 2 * np.spacing(once)  # so the plain softmax is too exact for the contract


def test_softmax_stepwise_cannot_tell_close_margins_apart() -> None:
    out = check("softmax_stepwise", {"x": [[0.0, 2.0**-26]]}, ulp=0)["out"]
    assert out[0, 0] == out[0, 1] == 0.5
