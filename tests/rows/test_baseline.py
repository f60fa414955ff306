"""Bins of the reference: against counting one by one, and whatever a file says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inferir.errors import InferirError, InvalidInputError
from inferir.formats.apr._msgpack import decode, encode
from inferir.formats.spec import ColumnSpec
from inferir.rows.baseline import CATEGORY_LIMIT, LEAST_ROWS, MOST_ROWS, ColumnBins, Sample, read, record

NUMBER = ColumnSpec("x")
CATEGORY = ColumnSpec("c", "category", tuple(map(str, range(30))))

VALUES = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, 2.0, 1e-300, math.inf, -math.inf, math.nan]))


def bins(values: npt.NDArray[Any], column: ColumnSpec = NUMBER) -> ColumnBins:
    return read(record([column], values.reshape(-1, 1)), [column])[0]


def many(values: list[float]) -> npt.NDArray[np.float64]:
    """At least as many as a reference needs, each as often as any other."""
    return np.resize(np.array(values, np.float64), LEAST_ROWS + len(values))


class TestNumbers:
    def test_deciles(self) -> None:
        values = np.random.default_rng(0).normal(size=2000)
        made = bins(values)
        assert made.reference.tolist() == [200] * 10 + [0]
        assert made.edges is not None
        np.testing.assert_allclose(made.edges, np.quantile(values, np.arange(0.1, 1, 0.1)), atol=0.01)

    @given(st.lists(VALUES, min_size=1, max_size=60), st.lists(VALUES, max_size=20))
    def test_counts_one_by_one(self, reference: list[float], later: list[float]) -> None:
        made = bins(many(reference))
        assert made.edges is not None
        edges = [-math.inf, *made.edges, math.inf]
        expected = [0] * len(made.reference)
        for value in later:
            if math.isnan(value):
                expected[-1] += 1
            elif value == -math.inf:
                expected[0] += 1
            else:
                (k,) = [k for k in range(len(edges) - 1) if edges[k] < value <= edges[k + 1]]
                expected[k] += 1
        assert made.count(np.array(later, np.float64)).tolist() == expected
        assert made.reference.sum() == len(many(reference))

    @given(st.lists(VALUES, min_size=1, max_size=60))
    def test_no_bin_holds_much_beside_a_value_that_fills_it(self, reference: list[float]) -> None:
        values = many(reference)
        made = bins(values)
        assert made.edges is not None
        places = np.searchsorted(made.edges, values)
        for place, count in enumerate(made.reference[:-1]):
            distinct = np.unique(values[(places == place) & ~np.isnan(values)])
            assert len(distinct) <= 1 or count <= 0.2 * len(values), "two tenths, unless one value alone has more"
        assert len(made.reference) <= 24

    @pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95, 1.0])
    def test_few_values_are_told_apart(self, share: float) -> None:
        """A flag that is seldom or always set: other shares of it and values that never came fall elsewhere."""
        made = bins(np.repeat([0.0, 1.0], [round(1000 * (1 - share)), round(1000 * share)]))
        places = [int(np.argmax(made.count(np.array([value])))) for value in (0.0, 1.0)]
        assert len(set(places)) == 2
        if share == 1.0:
            assert int(np.argmax(made.count(np.array([2.0])))) not in places[1:]

    @given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6, width=32)))
    def test_float32_rows_fall_where_float64_rows_do(self, values: npt.NDArray[np.float64]) -> None:
        tenths = np.round(values) / 10  # not float32
        made = bins(np.resize(tenths, LEAST_ROWS))
        np.testing.assert_array_equal(made.count(tenths), made.count(tenths.astype(np.float32).astype(np.float64)))

    def test_nothing_but_missing(self) -> None:
        made = bins(np.full(LEAST_ROWS, np.nan))
        assert made.reference.tolist() == [0, LEAST_ROWS]


class TestCategories:
    def test_each_others_unknown_missing(self) -> None:
        values = np.repeat([3.0, 7.0, 9.0, -1.0, np.nan], [500, 480, 3, 10, 7])
        made = bins(values, CATEGORY)
        assert made.codes is not None
        assert made.codes.tolist() == [3.0, 7.0]
        assert made.reference.tolist() == [500, 480, 3, 10, 7]
        assert made.count(np.array([7.0, 7.0, 0.0, 29.0, 3.5, -1.0, np.nan])).tolist() == [0, 2, 3, 1, 1]

    def test_they_are_bounded(self) -> None:
        made = bins(np.resize(np.arange(30.0), 3000), CATEGORY)
        assert len(made.reference) == CATEGORY_LIMIT + 3

    def test_none_at_all(self) -> None:
        made = bins(np.full(LEAST_ROWS, np.nan), CATEGORY)
        assert made.reference.tolist() == [0, 0, LEAST_ROWS]
        assert made.count(np.array([1.0, -1.0])).tolist() == [1, 1, 0]


GOOD: dict[str, Any] = {"name": "x", "edges": [1.0, 2.0], "counts": [1, 2, 3, 4]}


class TestFile:
    @given(st.lists(VALUES, min_size=1, max_size=30))
    def test_survives_a_file(self, values: list[float]) -> None:
        made = record([NUMBER], many(values).reshape(-1, 1))
        again = read(decode(encode(made)), [NUMBER])[0]  # type: ignore[arg-type]
        assert again.reference.tolist() == made["columns"][0]["counts"]

    def test_too_few_rows(self) -> None:
        with pytest.raises(InvalidInputError, match="at least 500 rows, to tell drift from chance, got 499"):
            record([NUMBER], np.zeros((499, 1)))

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["name", "edges", "codes", "counts", "x"]), inner, max_size=4)
        ),
        max_leaves=12,
    )

    @given(st.dictionaries(st.sampled_from(["columns", "rows"]), JSON, max_size=2))
    def test_whatever_a_file_says(self, baseline: dict[str, Any]) -> None:
        try:
            made = read(baseline, [NUMBER])
        except InferirError:
            return
        assert made[0].count(np.array([0.0, math.nan, math.inf])).sum() == 3

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            ({"name": "y"}, "expected a map with this name"),
            ({"edges": [2.0, 1.0]}, "expected edges that ascend"),
            ({"edges": [1.0, 1.0]}, "expected edges that ascend"),
            ({"edges": [math.nan, 1.0]}, "expected edges that ascend"),
            ({"edges": [True, 2.0]}, "expected edges that ascend"),
            ({"edges": ["1", 2.0]}, "expected edges that ascend"),
            ({"edges": None}, "expected lists edges and counts"),
            ({"counts": [1, 2, 3]}, "expected 2 counts more than edges, got 2 and 3"),
            ({"counts": [1, 2, 3, -4]}, "expected counts of rows"),
            ({"counts": [1, 2, 3, 4.0]}, "expected counts of rows"),
            ({"counts": [1, 2, 3, 2**64 - 1]}, "expected counts of rows"),
            ({"edges": list(range(100)), "counts": [1] * 102}, "got 100 and 102"),
        ],
    )
    def test_what_is_wrong_is_said(self, more: dict[str, Any], says: str) -> None:
        assert read({"columns": [GOOD]}, [NUMBER])[0].reference.tolist() == [1, 2, 3, 4]
        with pytest.raises(InferirError, match=says):
            read({"columns": [GOOD | more]}, [NUMBER])

    def test_another_number_of_columns(self) -> None:
        with pytest.raises(InferirError, match=r"expected 1 of them, got 0"):
            read({"columns": []}, [NUMBER])


class TestSample:
    def test_all_of_few(self) -> None:
        sample = Sample(100)
        rows = np.arange(60.0).reshape(30, 2)
        sample.add(rows[:10])
        sample.add(rows[10:])
        np.testing.assert_array_equal(sample.rows(2), rows)
        assert Sample().rows(3).shape == (0, 3)

    def test_of_many_each_is_as_likely(self) -> None:
        sample = Sample(2000)
        for start in range(0, 20_000, 500):
            sample.add(np.arange(start, start + 500.0).reshape(-1, 1))
        kept = sample.rows(1)[:, 0]
        assert len(kept) == 2000
        assert (np.diff(kept) > 0).all()
        by_tenth = np.bincount((kept // 2000).astype(int), minlength=10)
        assert ((by_tenth - 200) ** 2 / 200).sum() < 30  # chi-squared, 9 degrees: 4e-4 of all seeds

    def test_the_same_twice(self) -> None:
        rows = np.random.default_rng(1).normal(size=(300, 1))
        made = []
        for _ in range(2):
            sample = Sample(50)
            sample.add(rows)
            made.append(sample.rows(1).tolist())
        assert made[0] == made[1]
        assert MOST_ROWS >= 10_000
