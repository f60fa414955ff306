"""Arithmetic of graphs against its NumPy twin and NumPy itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from inferir.operators.arithmetic import FUNCTIONS, OPERATIONS, RELATIONS
from tests.kernels.twins import BACKENDS, Array, assert_close, call, check, examples, matrices, widths

#: Equal but for the sign of zero: NumPy leaves open which of two zeros is the smaller one.
EQUAL: dict[str, float] = {"relative": 0.0}
TOLERANCE: dict[str, dict[str, float]] = {"f32": {"ulp": 1}, "f64": {"relative": 1e-12}}


@pytest.mark.parametrize("operation", OPERATIONS)
@given(width=widths, data=st.data())
@examples(40)
def test_combine(operation: str, width: str, data: Any) -> None:
    limit = 6.0 if "power" in operation else None
    x = data.draw(matrices(width, columns=3, limit=limit))
    y = data.draw(matrices(width, rows=1, columns=3, limit=limit))
    tolerance = TOLERANCE[width] if "power" in operation else EQUAL
    check(f"combine_{width}", {"x": x, "y": y, "operation": OPERATIONS.index(operation)}, **tolerance)


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide"])
@given(data=st.data())
@examples(40)
def test_float32_arithmetic_rounds_once(operation: str, data: Any) -> None:
    x = data.draw(matrices("f32", columns=4))
    y = x[::-1, ::-1].copy()
    arguments = {"x": x, "y": y, "operation": OPERATIONS.index(operation)}
    with np.errstate(all="ignore"):
        right = getattr(np, operation)(x, y)
    for backend in BACKENDS:
        assert_close(call(backend, "combine_f32", arguments)["out"], right)


@pytest.mark.parametrize("y", [2.0, 0.5, 3.0, -1.0, 0.0, 1.0, -3.0, 2.5])
def test_powers_of_negative_numbers_and_zeros(y: float) -> None:
    x = np.array([[-2.0, -1.0, -0.0, 0.0, 1.0, 2.0, np.inf, np.nan]])
    out = call("jit", "combine_f64", {"x": x, "y": np.full_like(x, y), "operation": OPERATIONS.index("power")})["out"]
    with np.errstate(all="ignore"):
        assert_close(out, np.power(x, y), relative=1e-14)


@pytest.mark.parametrize("relation", RELATIONS)
@given(width=widths, data=st.data())
@examples(30)
def test_compare(relation: str, width: str, data: Any) -> None:
    x = data.draw(matrices(width, columns=3))
    y = x[:1] if len(x) else np.zeros((1, 3))
    check(f"compare_{width}", {"x": x, "y": y, "relation": RELATIONS.index(relation)})


@given(width=widths, data=st.data())
@examples(30)
def test_choose(width: str, data: Any) -> None:
    condition = data.draw(matrices(width, columns=3))
    x, y = (data.draw(matrices(width, rows=1, columns=3)) for _ in range(2))
    check(f"choose_{width}", {"condition": condition, "x": x, "y": y})
    out = call("jit", f"choose_{width}", {"condition": condition, "x": -condition, "y": y})["out"]
    np.testing.assert_array_equal(out, np.where(condition != 0, -condition, y.astype(condition.dtype)))


@pytest.mark.parametrize("function", FUNCTIONS)
@given(width=widths, data=st.data())
@examples(30)
def test_apply(function: str, width: str, data: Any) -> None:
    x = data.draw(matrices(width, limit=data.draw(st.sampled_from([3.0, None]))))
    tolerance = TOLERANCE[width] if function == "erf" else EQUAL
    out = check(f"apply_{width}", {"x": x, "function": FUNCTIONS.index(function)}, **tolerance)["out"]
    if function == "erf":
        assert_close(out, scipy.special.erf(x), **TOLERANCE[width])


def test_halves_round_to_even() -> None:
    x = [[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994, 4503599627370497.5]]
    out = call("jit", "apply_f64", {"x": x, "function": FUNCTIONS.index("round")})["out"]
    assert out.tolist() == [[0.0, 2.0, 2.0, 0.0, -2.0, -2.0, 0.0, 4503599627370498.0]]


@pytest.mark.parametrize("operation", range(4))
@given(width=widths, data=st.data(), length=st.integers(1, 4))
@examples(30)
def test_reduce(operation: int, width: str, data: Any, length: int) -> None:
    x = data.draw(matrices(width, columns=2 * length, limit=1e30))
    check(f"reduce_{width}", {"x": x, "operation": operation, "length": length}, {"k": 2}, **EQUAL)


@given(x=st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=20))
@examples(30)
def test_take(x: list[tuple[int, ...]]) -> None:
    table = np.array([1.5, np.nan, -np.inf, 0.0, 7.0])
    index = np.array(x, np.int64).reshape(-1, 3)
    np.testing.assert_array_equal(check("take", {"x": index, "table": table})["out"], table[index])


@given(width=widths, data=st.data(), largest=st.booleans(), count=st.integers(1, 5))
@examples(60)
def test_rank_and_pick(width: str, data: Any, largest: bool, count: int) -> None:
    x = data.draw(matrices(width, columns=5))
    order = check(f"rank_{width}", {"x": x, "largest": int(largest)}, {"k": count})["out"]
    picked = check(f"pick_{width}", {"x": x, "index": order})["out"]
    sign = -1 if largest else 1
    right: Array = sign * np.sort(sign * x, axis=1)[:, :count]
    np.testing.assert_array_equal(picked, right)


def test_rank_keeps_the_first_of_equals() -> None:
    x = [[2.0, 1.0, 2.0, 1.0, np.nan, 1.0]]
    assert call("jit", "rank_f64", {"x": x, "largest": 0}, {"k": 4})["out"].tolist() == [[1, 3, 5, 0]]
    assert call("jit", "rank_f64", {"x": x, "largest": 1}, {"k": 6})["out"].tolist() == [[0, 2, 1, 3, 5, 4]]
