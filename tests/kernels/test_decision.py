"""Labels, votes, averages and calibration against their NumPy twins, scikit-learn and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.isotonic import IsotonicRegression

from tests.kernels.twins import DTYPES, assert_close, begins, call, check, examples, matrices, numbers, widths


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@given(width=widths, data=st.data())
@examples(30)
def test_arg(name: str, width: str, data: Any) -> None:
    x = data.draw(matrices(width))
    out = check(f"{name}_{width}", {"x": x})["out"]
    assert out[:, 0].tolist() == getattr(np, name)(x, axis=1).tolist()


@given(width=widths, data=st.data(), lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3))
@examples(30)
def test_argmax_groups(width: str, data: Any, lengths: list[int]) -> None:
    x = data.draw(matrices(width, columns=sum(lengths)))
    begin = begins(lengths)
    out = check(f"argmax_groups_{width}", {"x": x, "begin": begin}, {"g": len(lengths)})["out"]
    for group, labels in zip(np.split(x, begin[1:-1], axis=1), out.T, strict=True):
        assert labels.tolist() == np.argmax(group, axis=1).tolist()


@pytest.mark.parametrize("name", ["above", "at_least"])
@given(width=widths, data=st.data())
@examples(30)
def test_thresholds(name: str, width: str, data: Any) -> None:
    x = data.draw(matrices(width))
    on = st.sampled_from(x.ravel().tolist()) if x.size else st.just(0.5)
    threshold = data.draw(on | st.sampled_from([0.0, 0.1, 0.5]) | numbers("f64"))
    out = check(f"{name}_{width}", {"x": x, "threshold": threshold})["out"]
    right = [[(v > threshold if name == "above" else v >= threshold) for v in row] for row in x.astype(float).tolist()]
    assert out.tolist() == right


@given(width=widths, data=st.data())
@examples(30)
def test_complement(width: str, data: Any) -> None:
    x = data.draw(matrices(width, columns=1))
    out = check(f"complement_{width}", {"x": x})["out"]
    np.testing.assert_array_equal(out, np.hstack([x.dtype.type(1) - x, x]))


@given(width=widths, uniform=st.integers(0, 1), data=st.data())
@examples(40)
def test_normalize_sum(width: str, uniform: int, data: Any) -> None:
    check(f"normalize_sum_{width}", {"x": data.draw(matrices(width)), "uniform": uniform})


def test_normalize_sum_of_nothing() -> None:
    x = [[0, 0], [1, -1], [1, 3], [-0.0, 0]]
    assert call("jit", "normalize_sum_f64", {"x": x, "uniform": 1})["out"].tolist() == [[0.5] * 2] * 2 + [
        [0.25, 0.75],
        [0.5, 0.5],
    ]
    assert call("jit", "normalize_sum_f64", {"x": x, "uniform": 0})["out"].tolist() == [*x[:2], [0.25, 0.75], x[3]]


@given(m=st.integers(1, 6), k=st.integers(1, 4), data=st.data())
@examples(40)
def test_lookup(m: int, k: int, data: Any) -> None:
    shape = (data.draw(st.sampled_from([0, 1, 2, 300])), data.draw(st.integers(1, 5)))
    x = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, m, shape)
    table = data.draw(matrices(rows=m, columns=k))
    out = check("lookup", {"x": x, "table": table})["out"]
    with np.errstate(all="ignore"):
        size = np.abs(table)[x].sum(axis=1)
        right = table[x].sum(axis=1)
    if np.isfinite(size).all():
        assert_close(out, right, relative=1e-12, size=size)


@given(data=st.data())
@examples(60)
def test_weighted_median(data: Any) -> None:
    d = data.draw(st.integers(1, 9))
    x = data.draw(matrices(columns=d, finite=True, limit=1e3))
    weight = data.draw(hnp.arrays(np.float64, d, elements=st.floats(0, 5) | st.sampled_from([0.0, 1.0, 2.0])))
    out = check("weighted_median", {"x": np.round(x), "weight": weight})["out"]
    for row, value in zip(np.round(x), out[:, 0], strict=True):  # half of the weight lies at or below, half at or above
        half = weight.sum() / 2
        assert weight[row <= value].sum() >= half - 1e-9
        assert weight[row >= value].sum() >= half - 1e-9


@given(data=st.data())
@examples(30)
def test_calibrate(data: Any) -> None:
    x = data.draw(matrices(limit=1e4))
    slope, offset = data.draw(matrices(rows=2, columns=x.shape[1], finite=True, limit=20))
    out = check("calibrate", {"x": x, "slope": slope, "offset": offset}, relative=1e-12)["out"]
    with np.errstate(all="ignore"):
        assert_close(out, scipy.special.expit(slope * x + offset), relative=1e-12, size=1e-290)


@st.composite
def piecewise(draw: Any, columns: int) -> dict[str, Any]:
    """Rising knots with heights for each column; some knots repeat."""
    lengths = draw(st.lists(st.integers(1, 5), min_size=columns, max_size=columns))
    knots = [np.sort(draw(hnp.arrays(np.float64, n, elements=st.integers(-4, 4) | st.floats(-4, 4)))) for n in lengths]
    value = draw(hnp.arrays(np.float64, sum(lengths), elements=st.floats(-9, 9)))
    return {"begin": begins(lengths), "knot": np.concatenate(knots), "value": value}


@given(data=st.data())
@examples(60)
def test_interpolate(data: Any) -> None:
    d = data.draw(st.integers(1, 3))
    functions = data.draw(piecewise(d))
    on = st.sampled_from([*functions["knot"].tolist(), np.inf, -np.inf, np.nan]) | st.floats(-5, 5)
    x = data.draw(hnp.arrays(np.float64, (data.draw(st.integers(0, 8)), d), elements=on))
    check("interpolate", {"x": x, **functions}, relative=1e-12, size=1.0)


def test_isotonic_regression() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=200)
    model = IsotonicRegression(out_of_bounds="clip").fit(x, x + random.normal(size=200))
    knot, value = model.X_thresholds_, model.y_thresholds_
    rows = np.concatenate([knot, random.normal(size=300) * 3])
    given = {"x": rows[:, None], "begin": [0, len(knot)], "knot": knot, "value": value}
    assert_close(call("jit", "interpolate", given)["out"][:, 0], model.predict(rows), relative=1e-12, size=1.0)


@given(width=widths, data=st.data())
@examples(40)
def test_column_arithmetic(width: str, data: Any) -> None:
    x = data.draw(matrices(width))
    n, d = x.shape
    y = data.draw(matrices(width, rows=n, columns=d))
    factor, offset = data.draw(matrices(rows=2, columns=d))
    with np.errstate(all="ignore"):
        total, quotient = x + y, (x / factor).astype(DTYPES[width])
        line = ((x * factor).astype(DTYPES[width]) + offset).astype(DTYPES[width])
    np.testing.assert_array_equal(check(f"add_{width}", {"x": x, "y": y})["out"], total)
    np.testing.assert_array_equal(check(f"affine_{width}", {"x": x, "factor": factor, "offset": offset})["out"], line)
    np.testing.assert_array_equal(check(f"divide_{width}", {"x": x, "divisor": factor})["out"], quotient)


@pytest.mark.parametrize(
    ("name", "given", "columns"),
    [
        ("argmax_f64", {}, 1),
        ("above_f32", {"threshold": 0.5}, 3),
        ("complement_f32", {}, 2),
        ("normalize_sum_f64", {"uniform": 1}, 3),
        ("weighted_median", {"weight": np.ones(3)}, 1),
        ("divide_f32", {"divisor": np.ones(3)}, 3),
    ],
)
def test_no_rows(name: str, given: dict[str, Any], columns: int) -> None:
    x = np.zeros((0, 1 if name.startswith("complement") else 3))
    assert check(name, {"x": x, **given}, {"k": 3} if "argmax" in name else None)["out"].shape == (0, columns)
