"""Distances and neighbours against their NumPy twins and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.spatial.distance
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics.pairwise import cosine_distances
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors

from inferir.operators._packing import as_bytes, byte_scores, packed, scores
from tests.kernels.twins import COMPILED, Array, assert_close, call, check, examples, matrices, same_bits

METRICS = ["euclidean", "manhattan", "chebyshev", "minkowski", "cosine"]
SCIPY = {"manhattan": "cityblock"}
POWERS = st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.5, 70.0])


def cdist(x: Array, points: Array, metric: str, p: float) -> Array:
    """SciPy's distances; scikit-learn's for cosine, where SciPy has NaN for a vector of zeros."""
    if metric == "cosine":
        return cosine_distances(x, points)
    options = {"p": p} if metric == "minkowski" else {}
    return scipy.spatial.distance.cdist(x, points, SCIPY.get(metric, metric), **options)


def stored(
    points: Array, metric: str, p: float = 2.0, n: int = 1, *, by_bytes_too: bool = True
) -> tuple[dict[str, Any], dict[str, int]]:
    """Arguments of `nearest` but the rows, and lengths of its scratch: a block of rows is the batch, or 256."""
    screened = points if metric == "euclidean" else points[:0]
    center, reach, scored = scores(screened)
    by_bytes = as_bytes(screened if by_bytes_too else points[:0], center)
    given = {"points": points, "metric": METRICS.index(metric), "p": p, "center": center, "reach": reach}
    given |= {"packed": scored, "step": by_bytes.step, "residual": by_bytes.residual}
    given |= {"offsets": by_bytes.offsets, "byte_points": by_bytes.points}
    given |= {"cell_offsets": by_bytes.cell_offsets, "cell_points": by_bytes.cell_points}
    codes, cells, candidates = by_bytes.sizes.values()
    return given, {"b": min(256, max(1, n)), "z": codes, "c": cells, "r": candidates}


@pytest.mark.parametrize("metric", METRICS)
@given(m=st.integers(1, 9) | st.sampled_from([33, 40]), p=POWERS, data=st.data())
@examples(25)
def test_distances(metric: str, m: int, p: float, data: Any) -> None:
    limit = 1e3 if metric == "minkowski" else 1e100
    x = data.draw(matrices(columns=(1, 11), limit=limit))
    points = data.draw(matrices(rows=m, columns=x.shape[1], finite=True, limit=limit))
    lanes = packed(points if metric == "euclidean" else points[:0])
    given = {"x": x, "points": points, "packed": lanes, "metric": METRICS.index(metric), "p": p}
    size = 1.0 if metric == "cosine" else 1e-200  # squares below that are gone
    out = check("distances", given, relative=1e-10, size=size)["out"]
    plain = (np.abs(x) < 1e50).all(axis=1)
    if plain.any() and p < 5:
        assert_close(out[plain], cdist(x[plain], points, metric, p), relative=1e-10, size=size + 1e-60)


@pytest.mark.parametrize("metric", METRICS)
@given(m=st.integers(1, 40), p=POWERS, data=st.data())
@examples(25)
def test_nearest_of_tied_points(metric: str, m: int, p: float, data: Any) -> None:
    """On a grid, distances tie; a whole power keeps them exact."""
    grid = st.integers(-3, 3)
    d = data.draw(st.integers(1, 3))
    x = data.draw(hnp.arrays(np.float64, (data.draw(st.sampled_from([0, 1, 2, 5])), d), elements=grid))
    points = data.draw(hnp.arrays(np.float64, (m, d), elements=grid))
    p = np.floor(min(p, 8))
    given, sizes = stored(points, metric, p, data.draw(st.sampled_from([1, 3, 256])))
    given, sizes = given | {"x": x}, sizes | {"k": data.draw(st.integers(1, m))}
    check("nearest", given, sizes, **({"relative": 1e-10} if metric == "minkowski" else {}))


@pytest.mark.parametrize("metric", METRICS)
@given(m=st.integers(1, 60), data=st.data())
@examples(15)
def test_nearest_of_any_points(metric: str, m: int, data: Any) -> None:
    x = data.draw(matrices(columns=(1, 5), limit=1e100))
    points = data.draw(matrices(rows=m, columns=x.shape[1], finite=True, limit=1e100))
    k = data.draw(st.integers(1, m))
    given, sizes = stored(points, metric, 2.0, len(x))
    given, sizes = given | {"x": x}, sizes | {"k": k}
    right = call("reference", "nearest", given, sizes)
    distances = call("reference", "distances", given | {"packed": packed(points)})["out"]
    size = 1.0 if metric == "cosine" else 1e-200
    for backend in COMPILED:
        found = call(backend, "nearest", given, sizes)
        assert_close(np.sort(found["out"], axis=1), np.sort(right["out"], axis=1), relative=1e-10, size=size)
        chosen = np.take_along_axis(distances, found["index"], axis=1)
        there = np.isfinite(found["out"])  # a distance that is infinite or NaN finds no place in the heap
        assert_close(found["out"][there], chosen[there], relative=1e-10, size=size)


@pytest.mark.parametrize("width", ["f32", "f64"])
@given(m=st.integers(1, 9) | st.sampled_from([33, 64, 65, 130]), data=st.data())
@examples(40)
def test_closest(width: str, m: int, data: Any) -> None:
    limit = data.draw(st.sampled_from([1e100, 1e19, 10.0]))
    limit = min(limit, 1e38) if width == "f32" else limit
    columns = data.draw(st.sampled_from([(1, 5), (15, 18), (31, 33)]))  # around those that are turned in squares
    x = data.draw(matrices(width, columns=columns, limit=limit))
    points = data.draw(matrices(rows=m, columns=x.shape[1], finite=True, limit=limit))
    given, sizes = stored(points, "euclidean", 2.0, len(x))
    wanted = {key: given[key] for key in ("points", "center", "reach", "packed")}
    found = call("reference", f"closest_{width}", wanted | {"x": x}, sizes)["out"]
    with np.errstate(all="ignore"):
        reduced = np.sum((x[:, None, :].astype(np.float64) - points) ** 2, axis=2)
    least = np.min(np.where(np.isnan(reduced), np.inf, reduced), axis=1, keepdims=True)
    for backend in COMPILED:
        found = call(backend, f"closest_{width}", wanted | {"x": x}, sizes)["out"]
        chosen = np.take_along_axis(reduced, found, axis=1)  # sums in another order may tell apart what is equal here
        assert_close(chosen[np.isfinite(least)], least[np.isfinite(least)], relative=1e-13)
        assert (found[~np.isfinite(least)] == 0).all()


@pytest.mark.parametrize("width", ["f32", "f64"])
@given(m=st.integers(1, 40), data=st.data())
@examples(30)
def test_closest_of_tied_points(width: str, m: int, data: Any) -> None:
    """On a grid, distances are exact: the first of equals."""
    grid, d = st.integers(-3, 3), data.draw(st.integers(1, 3))
    x = data.draw(hnp.arrays(np.float64, (data.draw(st.sampled_from([0, 1, 2, 9, 300])), d), elements=grid))
    points = data.draw(hnp.arrays(np.float64, (m, d), elements=grid))
    given, sizes = stored(points, "euclidean", 2.0, data.draw(st.sampled_from([1, 3, 256])))
    check(f"closest_{width}", {key: given[key] for key in ("points", "center", "reach", "packed")} | {"x": x}, sizes)


@pytest.mark.parametrize("offset", [0.0, 1e8, 1e17, 1e30, 1e200])
@pytest.mark.parametrize("spread", [1.0, 1e-12, 1e-25, 1e18])
def test_points_are_left_out_only_where_they_are_farther(offset: float, spread: float) -> None:
    """Many points, some twice, far from 0 or near to it, beyond float32 on both ends: all as if measured one by one."""
    random = np.random.default_rng(7)
    points, x = (offset + spread * random.normal(size=(n, 5)) for n in (1500, 20))
    points[700:900], x[:3] = points[100:300], points[:3]
    given, sizes = stored(points, "euclidean", n=len(x))
    distances = call("jit", "distances", given | {"x": x, "packed": packed(points)})["out"]
    found = check("nearest", given | {"x": x}, sizes | {"k": 6}, relative=1e-10, size=1e-300)
    assert_close(np.sort(found["out"], axis=1), np.sort(distances, axis=1)[:, :6], relative=1e-10)
    closest = {key: given[key] for key in ("points", "center", "reach", "packed")}
    nearest_point = check("closest_f64", closest | {"x": x}, sizes)["out"]
    chosen = np.take_along_axis(distances, nearest_point, axis=1)
    assert_close(chosen, distances.min(axis=1, keepdims=True), relative=1e-14)


def clouds(random: np.random.Generator, n: int, columns: int) -> Array:
    """Points around nine centers, so near to them that a step of bytes is wider than a cloud."""
    return 100 * random.normal(size=(9, columns))[random.integers(0, 9, n)] + 0.1 * random.normal(size=(n, columns))


POINTS = {
    "normal": lambda random, n, columns: random.normal(size=(n, columns)),
    "uniform": lambda random, n, columns: random.random((n, columns)),
    "grid": lambda random, n, columns: random.integers(0, 3, (n, columns)).astype(float),
    "clouds": clouds,
    "heavy tails": lambda random, n, columns: random.standard_cauchy((n, columns)),
}


@pytest.mark.parametrize("columns", [1, 4, 7, 32])
@pytest.mark.parametrize("kind", list(POINTS))
def test_bytes_change_nothing(kind: str, columns: int) -> None:
    """Neighbours, their order and distances are the same bits with scores of bytes as without."""
    random = np.random.default_rng(columns)
    made = POINTS[kind](random, 1111, columns)
    points, x = made[:1030], made[1000:]  # some rows are points
    x[-20:-10] *= 1e3
    x[-10:] += 1e9
    for k in (1, 5, 16, 40):
        given, sizes = stored(points, "euclidean", n=len(x))
        plain, none = stored(points, "euclidean", n=len(x), by_bytes_too=False)
        assert len(given["byte_points"])
        assert not len(plain["byte_points"])
        for backend in COMPILED:
            found = call(backend, "nearest", given | {"x": x}, sizes | {"k": k})
            right = call(backend, "nearest", plain | {"x": x}, none | {"k": k})
            for name in ("index", "out"):
                assert same_bits(found[name], right[name]), (kind, backend, k)
            assert (np.diff(found["out"], axis=1) >= 0).all()


def nearest_without_bytes(backend: str, points: Array, x: Array, k: int) -> dict[str, Array]:
    given, sizes = stored(points, "euclidean", n=len(x), by_bytes_too=False)
    return call(backend, "nearest", given | {"x": x}, sizes | {"k": k})


def one_row_of_each_kind(random: np.random.Generator, points: Array) -> Array:
    """Rows among the points, equal to one, beside them, far and farther, and with what is no number."""
    x = random.normal(size=(40, points.shape[1]))
    x[1], x[3], x[7] = points[5], points[700], points[5] + 1e-9
    x[8, 0], x[9], x[10], x[11, -1] = 30.0, 1e3, 1e30, 1e200
    x[13, 0], x[17, -1], x[19] = np.nan, np.inf, -np.inf
    return x


@pytest.mark.parametrize("columns", [1, 3, 16, 33])
def test_rows_alone_and_in_batches_by_bytes(columns: int) -> None:
    """Wherever a row stands in a batch, and whoever stands beside it, it gets the bits that it gets without bytes."""
    random = np.random.default_rng(columns)
    points = random.normal(size=(1500, columns))
    points[600:620] = points[5]  # more equals than neighbours
    x = one_row_of_each_kind(random, points)
    given, sizes = stored(points, "euclidean", n=len(x))
    for backend in COMPILED:
        right = nearest_without_bytes(backend, points, x, 5)
        for batch in (1, 2, 3, 5, 6, 7, 12, 13, 40):
            for first in range(0, len(x), batch):
                rows = slice(first, first + batch)
                found = call(backend, "nearest", given | {"x": x[rows]}, sizes | {"k": 5})
                for name in ("index", "out"):
                    assert same_bits(found[name], right[name][rows]), (backend, batch, first)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 64, 65, 1030])
def test_few_points_and_all_of_them(n: int) -> None:
    random = np.random.default_rng(n)
    points, x = random.normal(size=(n, 5)), random.normal(size=(15, 5))
    given, sizes = stored(points, "euclidean", n=len(x))
    for k in sorted({1, min(n, 3), n}):
        for backend in COMPILED:
            found = call(backend, "nearest", given | {"x": x}, sizes | {"k": k})
            right = nearest_without_bytes(backend, points, x, k)
            for name in ("index", "out"):
                assert same_bits(found[name], right[name]), (backend, k)


def test_clouds_of_no_width_by_bytes() -> None:
    """Three places for all points but one: everything ties."""
    points = np.eye(3, 6)[np.arange(1100) % 3]
    points[-1] = 0.5
    x = np.vstack([points[:4], points[-2:], np.full((1, 6), 7.0)])
    given, sizes = stored(points, "euclidean", n=len(x))
    for k in (1, 4, 400):
        check("nearest", given | {"x": x}, sizes | {"k": k})


def test_bytes_are_made_where_they_tell_points_apart() -> None:
    random = np.random.default_rng(3)
    center = np.zeros(8)
    near, clustered = random.normal(size=(2000, 8)), clouds(random, 2000, 8)
    assert len(byte_scores(near, center, 5).points)
    assert not len(byte_scores(clustered, center, 5).points)
    assert not len(byte_scores(near[:1000], center, 5).points)
    assert not len(byte_scores(near, center, 17).points)
    for size in (0.0, 1e-120, 1e120, 1e307):
        assert not len(byte_scores(near * size, center, 5).points)


def test_bytes_of_points_begin_at_cache_lines() -> None:
    points = np.random.default_rng(0).normal(size=(2_000, 32))
    made = as_bytes(points, points.mean(axis=0))
    for array in (made.offsets, made.points, made.cell_offsets, made.cell_points):
        assert array.ctypes.data % 64 == 0


@given(data=st.data())
@examples(40)
def test_points_as_bytes(data: Any) -> None:
    points = data.draw(matrices(rows=data.draw(st.integers(1, 40)), columns=(1, 9), finite=True, limit=1e50))
    center = points.mean(axis=0)
    made = as_bytes(points, center)
    step, residual, offsets, lanes = made.step, made.residual, made.offsets, made.points
    if not len(lanes):
        assert np.abs(points - center).max() <= 1e-100
        return
    codes, cells, _ = made.sizes.values()
    assert (codes, cells) == (-(-points.shape[1] // 16) * 16, len(lanes) / 4)
    stored = -lanes.view(np.int8).reshape(len(lanes), -1, 16, 4).transpose(0, 2, 1, 3).reshape(16 * len(lanes), -1)
    whole = stored.astype(float)
    away = np.sqrt(np.sum((whole[: len(points), : points.shape[1]] * step - (points - center)) ** 2, axis=1))
    assert (away <= residual * (1 + 1e-12)).all()
    assert residual <= 0.5 * step * np.sqrt(points.shape[1]) * (1 + 1e-6)
    assert (whole[:, points.shape[1] :] == 0).all()
    halves = np.floor(np.square(whole).sum(axis=1) / 2) + 128 * whole.sum(axis=1)
    np.testing.assert_array_equal(offsets.reshape(-1)[: len(points)], halves[: len(points)])
    assert (offsets.reshape(-1)[len(points) :] == 1 << 30).all()
    by_cell = made.cell_points.view(np.int8).reshape(cells, 16, codes // 4, 4, 4).transpose(0, 3, 1, 2, 4)
    again = -by_cell.reshape(16 * len(lanes), codes)
    np.testing.assert_array_equal(again[:, : stored.shape[1]], stored)
    assert (again[:, stored.shape[1] :] == 0).all()
    np.testing.assert_array_equal(made.cell_offsets.transpose(0, 2, 1).reshape(offsets.shape), offsets)


@pytest.mark.parametrize("metric", METRICS)
def test_scikit_learns_neighbours(metric: str) -> None:
    random = np.random.default_rng(1)
    metrics = {"metric": "minkowski", "p": 3} if metric == "minkowski" else {"metric": metric}
    on_grid = random.integers(-2, 3, (200, 3)).astype(float), random.integers(-2, 3, (90, 3)).astype(float)
    anywhere = random.normal(size=(250, 6)), random.normal(size=(70, 6))
    for points, x in [anywhere] if metric == "cosine" else [on_grid, anywhere]:  # cosine ties are decided by rounding
        for k in (1, 5, 16):
            model = NearestNeighbors(n_neighbors=k, algorithm="brute", **metrics).fit(points)
            distance, index = model.kneighbors(x)
            given, sizes = stored(points, metric, 3.0, len(x))
            ours = call("jit", "nearest", given | {"x": x}, sizes | {"k": k})
            np.testing.assert_array_equal(np.sort(ours["index"], axis=1), np.sort(index, axis=1))
            assert_close(ours["out"], distance, relative=1e-10, size=1e-3)


@st.composite
def neighbours(draw: Any, m: int) -> dict[str, Any]:
    """Indices into m points with distances: zeros, ones so small that their inverse is infinite, and infinite ones."""
    shape = (draw(st.sampled_from([0, 1, 2, 7])), draw(st.integers(1, 5)))
    distances = st.sampled_from([0.0, 5e-324, 1e-310, 1e300, np.inf]) | st.floats(0, 10)
    return {
        "index": draw(hnp.arrays(np.int64, shape, elements=st.integers(0, m - 1))),
        "distance": draw(hnp.arrays(np.float64, shape, elements=distances)),
        "by_distance": draw(st.integers(0, 1)),
    }


@given(m=st.integers(1, 6), classes=st.integers(1, 4), data=st.data())
@examples(60)
def test_vote(m: int, classes: int, data: Any) -> None:
    label = data.draw(hnp.arrays(np.int64, m, elements=st.integers(0, classes - 1)))
    out = check("vote_neighbors", {**data.draw(neighbours(m)), "label": label}, {"c": classes}, relative=1e-12)["out"]
    total = out.sum(axis=1)
    assert ((np.abs(total - 1) < 1e-12) | (total == 0)).all()


@given(m=st.integers(1, 6), v=st.integers(1, 3), data=st.data())
@examples(60)
def test_average(m: int, v: int, data: Any) -> None:
    target = data.draw(hnp.arrays(np.float64, (m, v), elements=st.floats(-100, 100)))
    check("average_neighbors", {**data.draw(neighbours(m)), "target": target}, relative=1e-12, size=100.0)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_scikit_learns_answers(weights: str) -> None:
    random = np.random.default_rng(2)
    points, x = random.normal(size=(120, 3)), random.normal(size=(40, 3))
    x[:5] = points[:5]
    y = random.integers(0, 4, 120)
    # By brute force, a point's distance to itself is 0 or 1e-8, as this machine's BLAS rounds.
    classifier = KNeighborsClassifier(7, weights=weights, algorithm="kd_tree").fit(points, y)
    regressor = KNeighborsRegressor(7, weights=weights, algorithm="kd_tree").fit(points, np.column_stack([y, y**2]))
    given, sizes = stored(points, "euclidean", n=len(x))
    found = call("jit", "nearest", given | {"x": x}, sizes | {"k": 7})
    neighbours = {"index": found["index"], "distance": found["out"], "by_distance": weights == "distance"}
    votes = call("jit", "vote_neighbors", {**neighbours, "label": y}, {"c": 4})["out"]
    assert_close(votes, classifier.predict_proba(x), relative=1e-10)
    means = call("jit", "average_neighbors", {**neighbours, "target": np.column_stack([y, y**2])})["out"]
    assert_close(means, regressor.predict(x), relative=1e-10)
