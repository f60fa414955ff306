"""Floats by number, and the search for the last one below a bound, against looking at all of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.operators._floats import ends, floats, last, numbers
from tests.kernels.twins import examples

DTYPES = {"f32": np.float32, "f64": np.float64}

any_float = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, math.inf, -math.inf, 5e-324, -5e-324, 1.8e308])


@pytest.mark.parametrize("width", DTYPES)
def test_the_next_float_has_the_next_number(width: str) -> None:
    dtype = DTYPES[width]
    values = np.array([-np.inf, -1.0, -0.0, 0.0, 1e-40, 1.0, 3.0e38], dtype)
    above = np.nextafter(values, dtype(np.inf))
    np.testing.assert_array_equal(numbers(above), numbers(values) + 1)
    np.testing.assert_array_equal(floats(numbers(values), dtype), values)
    first, end = ends(dtype)
    assert np.isnan(floats(np.array([first - 1, end + 1]), dtype)).all()
    assert (first, end) == (-end, -first)


@given(
    width=st.sampled_from(list(DTYPES)),
    bound=any_float,
    about=any_float,
    y=any_float,
    kind=st.sampled_from(["identity", "step", "square root", "constant"]),
)
@examples(300)
def test_last(width: str, bound: float, about: float, y: float, kind: str) -> None:
    dtype = DTYPES[width]
    with np.errstate(all="ignore"):
        edge = dtype(bound)
        functions: dict[str, Any] = {
            "identity": lambda x: x,
            "step": lambda x: np.where(x <= edge, dtype(-1), dtype(1)),
            "square root": lambda x: np.sign(x) * np.sqrt(np.abs(x)),
            "constant": lambda x: np.full_like(x, edge),
        }
        function, limit = functions[kind], np.array([y], dtype)
        (found,) = last(function, limit, np.array([about], dtype))
        first, end = ends(dtype)
        assert first - 1 <= found <= end
        assert found == first - 1 or function(floats(np.array([found]), dtype))[0] <= limit[0]
        assert found == end or function(floats(np.array([found + 1]), dtype))[0] > limit[0]


def test_many_at_once_and_none() -> None:
    y = np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250)
    np.testing.assert_array_equal(floats(last(lambda x: x, y, np.zeros(500)), np.float64), y)
    assert last(lambda x: x, y[:0], y[:0]).shape == (0,)
