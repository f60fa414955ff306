"""Preprocessing against the NumPy twins and scikit-learn's transformers, in both widths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import preprocessing
from sklearn.impute import SimpleImputer

from tests.kernels.twins import DTYPES, Array, assert_close, begins, call, check, examples, matrices, numbers, widths

#: The contract for what is not exact.
TOLERANCE: dict[str, dict[str, float]] = {"f32": {"ulp": 2}, "f64": {"relative": 1e-12}}


def rows(width: str, d: int = 4, n: int = 300) -> Array:
    return (np.random.default_rng(5).normal(size=(n, d)) * [0.1, 1, 10, 1000][:d] + 3).astype(DTYPES[width])


@given(x=matrices("f64"), y=matrices("f32"))
@examples(30)
def test_casts(x: Array, y: Array) -> None:
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(check("cast_f32", {"x": x})["out"], x.astype(np.float32))
    np.testing.assert_array_equal(check("cast_f64", {"x": y})["out"], y.astype(np.float64))


@given(width=widths, allow_nan=st.integers(0, 1), data=st.data())
@examples(60)
def test_check_finite(width: str, allow_nan: int, data: Any) -> None:
    x = data.draw(matrices(width))
    out = check(f"check_finite_{width}", {"x": x, "allow_nan": allow_nan})["out"]
    wrong = [i for i, v in enumerate(x.ravel().tolist()) if v in (np.inf, -np.inf) or (v != v and not allow_nan)]
    assert out == [wrong[0] if wrong else -1]


@given(width=widths, data=st.data())
@examples(40)
def test_check_finite_by(width: str, data: Any) -> None:
    """Sums of a row with a value that is not finite are not finite either, and may be so without one."""
    x = data.draw(matrices(width))
    with np.errstate(all="ignore"):
        y = x @ np.zeros((x.shape[1], 2), x.dtype)
    assert (
        check(f"check_finite_by_{width}", {"x": x, "y": y})["out"]
        == check(f"check_finite_{width}", {"x": x, "allow_nan": 0})["out"]
    )
    y[:] = np.inf
    overflown = check(f"check_finite_by_{width}", {"x": np.nan_to_num(x), "y": y})["out"]
    assert overflown == [-1]


@given(width=widths, data=st.data())
@examples(60)
def test_check_within(width: str, data: Any) -> None:
    x = data.draw(matrices(width))
    low, high, missing = (data.draw(matrices(width, rows=1, columns=x.shape[1]))[0] for _ in range(3))
    out = check(f"check_within_{width}", {"x": x, "low": low, "high": high, "missing": missing})["out"]
    d = x.shape[1]
    values = [missing[i % d] if v != v else v for i, v in enumerate(x.ravel())]
    wrong = [i for i, v in enumerate(values) if not low[i % d] <= v <= high[i % d]]
    assert out == [wrong[0] if wrong else -1]


@given(width=widths, data=st.data())
@examples(30)
def test_select_and_place(width: str, data: Any) -> None:
    x = data.draw(matrices(width))
    columns = data.draw(st.lists(st.integers(0, x.shape[1] - 1), min_size=1, max_size=6))
    np.testing.assert_array_equal(check(f"select_{width}", {"x": x, "columns": columns})["out"], x[:, columns])
    start, after = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
    before = np.full((len(x), start + x.shape[1] + after), 9, x.dtype)
    out = check(f"place_{width}", {"x": x, "start": start, "out": before})["out"]
    assert (out[:, :start] == 9).all()
    assert (out[:, start + x.shape[1] :] == 9).all()
    np.testing.assert_array_equal(out[:, start : start + x.shape[1]], x)


@given(width=widths, data=st.data())
@examples(40)
def test_scale_and_min_max(width: str, data: Any) -> None:
    x = data.draw(matrices(width))
    a, b = data.draw(matrices(rows=2, columns=x.shape[1], finite=True))
    check(f"scale_{width}", {"x": x, "mean": a, "scale": b})
    low = data.draw(st.sampled_from([-np.inf, -1.0, 0.0, 0.1]))
    high = data.draw(st.sampled_from([0.1, 0.3, 1.0, np.inf]))
    check(f"min_max_{width}", {"x": x, "scale": a, "offset": b, "low": low, "high": high})


@pytest.mark.parametrize("width", ["f32", "f64"])
def test_scikit_learns_scalers_bit_for_bit(width: str) -> None:
    """Fitted in double, so that only the rows' width decides."""
    x, train = rows(width), rows("f64")
    robust = preprocessing.RobustScaler().fit(train)
    given = {"x": x, "mean": robust.center_, "scale": robust.scale_}
    np.testing.assert_array_equal(call("jit", f"scale_{width}", given)["out"], robust.transform(x))
    standard = preprocessing.StandardScaler().fit(train)
    given = {"x": x, "mean": standard.mean_.astype(x.dtype), "scale": standard.scale_.astype(x.dtype)}
    np.testing.assert_array_equal(call("jit", f"scale_{width}", given)["out"], standard.transform(x))
    for low, high, clip in ((0, 1, True), (0.1, 0.7, True), (-3, 3, False)):
        ranged = preprocessing.MinMaxScaler((low, high), clip=clip).fit(train[:50])
        given = {"x": x, "scale": ranged.scale_, "offset": ranged.min_, "low": -np.inf, "high": np.inf}
        given |= {"low": low, "high": high} if clip else {}
        np.testing.assert_array_equal(call("jit", f"min_max_{width}", given)["out"], ranged.transform(x))


NORMS = ["l1", "l2", "max"]


@pytest.mark.parametrize("norm", NORMS)
@given(width=widths, data=st.data())
@examples(30)
def test_normalize(norm: str, width: str, data: Any) -> None:
    x = data.draw(matrices(width))
    check(f"normalize_{width}", {"x": x, "norm": NORMS.index(norm)})
    x = x[np.isfinite(x).all(axis=1) & (np.abs(x) < 1e15).all(axis=1)]
    if len(x):
        out = call("jit", f"normalize_{width}", {"x": x, "norm": NORMS.index(norm)})["out"]
        size = np.abs(x.astype(float)).sum(axis=1) if norm == "l1" else np.sqrt((x.astype(float) ** 2).sum(axis=1))
        edge = 10 * np.finfo(x.dtype).eps  # there scikit-learn's own rounding decides whether it divides
        plain = np.abs(size - edge) > 1e-3 * edge
        right = preprocessing.normalize(x, norm)
        assert_close(out[plain], right[plain], relative=1e-12 if width == "f64" else 1e-5)


def test_a_row_of_almost_nothing_stays() -> None:
    for name, tiny in (("normalize_f64", 2e-15), ("normalize_f32", 1e-6)):
        x = np.array([[0, 0], [tiny, 0], [tiny * 2, 0]], DTYPES[name[-3:]])
        for norm in range(3):
            out = check(name, {"x": x, "norm": norm})["out"]
            np.testing.assert_array_equal(out, [[0, 0], x[1], [1, 0]])


@given(width=widths, data=st.data())
@examples(40)
def test_binarize(width: str, data: Any) -> None:
    x = data.draw(matrices(width))
    on = st.sampled_from(x.ravel().tolist()) if x.size else st.just(0.1)
    threshold = float(data.draw(on | st.sampled_from([0.0, 0.1])))
    out = check(f"binarize_{width}", {"x": x, "threshold": threshold})["out"]
    if len(x) and np.isfinite(x).all():
        np.testing.assert_array_equal(out, preprocessing.binarize(x, threshold=threshold))


def test_threshold_and_missing_are_of_the_rows_width() -> None:
    x = np.array([[0.1], [0.2]], np.float32)
    assert check("binarize_f32", {"x": x, "threshold": 0.1})["out"].tolist() == [[0], [1]]
    given = {"x": x, "missing": 0.1, "columns": [0], "fill": [7], "indicators": [0]}
    assert check("impute_f32", given, {"k": 2})["out"].tolist() == [[7, 1], [x[1, 0], 0]]


@given(width=widths, data=st.data())
@examples(40)
def test_impute(width: str, data: Any) -> None:
    x = data.draw(matrices(width))
    any_column = st.integers(0, x.shape[1] - 1)
    columns, indicators = (data.draw(st.lists(any_column, max_size=4, unique=True)) for _ in range(2))
    given = {
        "x": x,
        "missing": data.draw(st.sampled_from([np.nan, 0.0, -0.0, 1.0, 0.1, np.inf])),
        "columns": columns,
        "fill": data.draw(hnp.arrays(np.float64, len(columns), elements=numbers("f64", finite=True))),
        "indicators": indicators,
    }
    check(f"impute_{width}", given, {"k": len(columns) + len(indicators)})


@pytest.mark.parametrize("width", ["f32", "f64"])
@pytest.mark.parametrize("missing", [np.nan, -1.0, 0.1])
def test_simple_imputer(width: str, missing: float) -> None:
    x = rows(width)
    x[::3, 0] = x[::5, 2] = missing
    model = SimpleImputer(missing_values=missing, add_indicator=True).fit(x)
    given = {
        "x": x,
        "missing": missing,
        "columns": range(4),
        "fill": model.statistics_,
        "indicators": model.indicator_.features_,
    }
    np.testing.assert_array_equal(call("jit", f"impute_{width}", given, {"k": 6})["out"], model.transform(x))


@st.composite
def categories(draw: Any, columns: int, width: str) -> dict[str, Array]:
    """Rising categories of each column, NaN last where there is one; a column may have none."""
    known = []
    for _ in range(columns):
        values = draw(st.lists(numbers(width), max_size=6, unique=True))
        known.append(np.unique(np.array([*values, -0.0] if draw(st.booleans()) else values)))
    return {"begin": begins([len(values) for values in known]), "category": np.concatenate(known)}


@given(width=widths, d=st.integers(1, 3), data=st.data())
@examples(50)
def test_encode_and_one_hot(width: str, d: int, data: Any) -> None:
    table = data.draw(categories(d, width))
    q = len(table["category"])
    value = numbers(width) | st.sampled_from(table["category"].tolist() or [0.0])
    x = data.draw(hnp.arrays(DTYPES[width], (data.draw(st.integers(0, 6)), d), elements=value))
    code = data.draw(hnp.arrays(np.float64, q, elements=st.integers(-3, 9)))
    check(f"encode_{width}", {"x": x, **table, "code": code, "unknown": data.draw(st.sampled_from([np.nan, -1.0]))})
    column = data.draw(hnp.arrays(np.int64, q, elements=st.integers(-1, 4)))
    unknown = data.draw(hnp.arrays(np.int64, d, elements=st.integers(-2, 4)))
    check(f"one_hot_{width}", {"x": x, **table, "column": column, "unknown": unknown}, {"k": 5})


def test_scikit_learns_encoders() -> None:
    random = np.random.default_rng(0)
    x = random.choice([1.0, 2.5, -3.0, np.nan, 7.0], (80, 3))
    new = random.choice([1.0, 2.5, np.nan, 9.0], (40, 3))
    ordinal = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-5).fit(x)
    table = {
        "begin": begins([len(c) for c in ordinal.categories_]),
        "category": np.concatenate(ordinal.categories_),
    }
    code = np.concatenate([np.where(np.isnan(c), np.nan, np.arange(len(c))) for c in ordinal.categories_])
    ours = call("jit", "encode_f64", {"x": new, **table, "code": code, "unknown": -5})
    np.testing.assert_array_equal(ours["out"], ordinal.transform(new))
    assert ours["problem"] == [np.flatnonzero(new.ravel() == 9)[0]]

    one_hot = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(x)
    given = {"x": new, **table, "column": range(len(code)), "unknown": [-1] * 3}
    ours = call("jit", "one_hot_f64", given, {"k": len(code)})
    np.testing.assert_array_equal(ours["out"], one_hot.transform(new))
    assert ours["problem"] == [-1]
    ours = call("jit", "one_hot_f64", given | {"unknown": [-2] * 3}, {"k": len(code)})
    assert ours["problem"] == [np.flatnonzero(new.ravel() == 9)[0]]


@given(width=widths, k=st.integers(0, 5), data=st.data())
@examples(40)
def test_polynomial(width: str, k: int, data: Any) -> None:
    x = data.draw(matrices(width))
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=k, max_size=k))
    column = data.draw(hnp.arrays(np.int64, sum(lengths), elements=st.integers(0, x.shape[1] - 1)))
    check(f"polynomial_{width}", {"x": x, "begin": begins(lengths), "column": column}, {"k": k})


@pytest.mark.parametrize("width", ["f32", "f64"])
def test_polynomial_features_bit_for_bit(width: str) -> None:
    """scikit-learn multiplies from the last column to the first."""
    x = rows(width)
    model = preprocessing.PolynomialFeatures(3).fit(x)
    columns = [np.repeat(np.arange(4), powers)[::-1] for powers in model.powers_]
    given = {"x": x, "begin": begins([len(c) for c in columns]), "column": np.concatenate(columns)}
    out = call("jit", f"polynomial_{width}", given, {"k": len(columns)})["out"]
    np.testing.assert_array_equal(out, model.transform(x))


METHODS = ["yeo-johnson", "box-cox"]


@pytest.mark.parametrize("method", METHODS)
@given(width=widths, data=st.data())
@examples(50)
def test_power(method: str, width: str, data: Any) -> None:
    x = data.draw(matrices(width, limit=data.draw(st.sampled_from([1e-3, 10.0, None]))))
    exponent = st.floats(-5, 5) | st.sampled_from([0.0, 2.0, 1.0, 1e-17, 2 - 1e-16, 1e-300])
    lambdas = data.draw(hnp.arrays(np.float64, x.shape[1], elements=exponent))
    given = {"x": x, "lambdas": lambdas, "method": METHODS.index(method)}
    check(f"power_{width}", given, **(TOLERANCE[width] if width == "f32" else {"relative": 3e-12}))


@pytest.mark.parametrize("width", ["f32", "f64"])
@pytest.mark.parametrize("method", METHODS)
def test_power_transformer(method: str, width: str) -> None:
    x = np.abs(rows(width)) if method == "box-cox" else rows(width)
    model = preprocessing.PowerTransformer(method=method, standardize=False).fit(x)
    given = {"x": x, "lambdas": model.lambdas_, "method": METHODS.index(method)}
    relative = 1e-12 if width == "f64" else 3e-5  # SciPy's powers of float32 are of float32
    assert_close(call("jit", f"power_{width}", given)["out"], model.transform(x), relative=relative, size=1e-3)


def test_box_cox_at_its_ends() -> None:
    x = [[0.0] * 4, [1e308] * 4, [-1.0] * 4, [np.inf] * 4, [np.nan] * 4, [1.0] * 4]
    out = check("power_f64", {"x": x, "lambdas": [0, 1, -1, 2.5], "method": 1}, relative=1e-12)["out"]
    assert out[0].tolist() == [-np.inf, -1, -np.inf, -0.4]
    assert out[1, 3] == np.inf
    assert np.isnan(out[[2, 4]]).all()
    assert out[3].tolist() == [np.inf, np.inf, 1, np.inf]
    assert out[5].tolist() == [0, 0, 0, 0]


@given(width=widths, normal=st.integers(0, 1), data=st.data())
@examples(60)
def test_quantile(width: str, normal: int, data: Any) -> None:
    d, q = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 7))
    grid = st.integers(-3, 3) | st.floats(-3, 3, width=32)
    quantiles = np.sort(data.draw(hnp.arrays(np.float64, (d, q), elements=grid)), axis=1)
    near = st.sampled_from([*quantiles.ravel().tolist(), np.nan, np.inf, -np.inf, 3 - 5e-8, -3 + 5e-8])
    x = data.draw(hnp.arrays(DTYPES[width], (data.draw(st.integers(0, 8)), d), elements=near | grid))
    given = {"x": x, "quantiles": quantiles, "references": np.linspace(0, 1, q), "normal": normal}
    check(f"quantile_{width}", given, **TOLERANCE[width], size=1e-3)


@pytest.mark.parametrize("width", ["f32", "f64"])
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_quantile_transformer(distribution: str, width: str) -> None:
    x = np.round(rows(width), 1)
    model = preprocessing.QuantileTransformer(n_quantiles=50, output_distribution=distribution).fit(x)
    high, low = model.quantiles_[-1], model.quantiles_[0]
    new = np.vstack([x, high, low, high - 1e-8, low + 1e-8, high - 1e-3, low + 1e-3, high + 9, low - 9]).astype(x.dtype)
    new[5, 0] = np.nan
    given = {"x": new, "quantiles": model.quantiles_.T, "references": model.references_}
    out = call("jit", f"quantile_{width}", {**given, "normal": distribution == "normal"})["out"]
    assert_close(out, model.transform(new), **TOLERANCE[width], size=1e-3)


@given(width=widths, d=st.integers(1, 3), data=st.data())
@examples(40)
def test_bins(width: str, d: int, data: Any) -> None:
    lengths = data.draw(st.lists(st.integers(0, 5), min_size=d, max_size=d))
    edge = np.concatenate([np.sort(data.draw(hnp.arrays(np.float64, n, elements=st.floats(-3, 3)))) for n in lengths])
    on = st.sampled_from([*edge.astype(DTYPES[width]).tolist(), 0.0])
    x = data.draw(hnp.arrays(DTYPES[width], (data.draw(st.integers(0, 9)), d), elements=on | numbers(width)))
    check(f"bins_{width}", {"x": x, "begin": begins(lengths), "edge": edge})


@pytest.mark.parametrize("width", ["f32", "f64"])
def test_k_bins_discretizer(width: str) -> None:
    x = rows(width)
    model = preprocessing.KBinsDiscretizer(
        5, encode="ordinal", strategy="quantile", quantile_method="averaged_inverted_cdf"
    ).fit(x)
    inner = [edges[1:-1] for edges in model.bin_edges_]
    new = np.vstack([x, *(np.resize(edges, (4,)) for edges in model.bin_edges_)]).astype(x.dtype)
    given = {"x": new, "begin": begins([len(edges) for edges in inner]), "edge": np.concatenate(inner)}
    np.testing.assert_array_equal(call("jit", f"bins_{width}", given)["out"], model.transform(new))
