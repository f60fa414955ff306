"""What happens to a row before a model sees it: 28 columns, half of them scaled or filled, 20 categories a column."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.common import COLUMNS, Array, Case, KernelBenchmark, below, positive, rising, runs

_CATEGORIES, _QUANTILES, _EDGES = 20, 1000, 9
_L2, _YEO_JOHNSON, _BOX_COX = 1, 0, 1

_ENCODED: dict[str, Any] = {
    "x": below(_CATEGORIES),
    "begin": runs(COLUMNS, _CATEGORIES),
    "category": np.tile(np.arange(_CATEGORIES), COLUMNS),
}
_N_ENCODED = COLUMNS * _CATEGORIES
_N_PAIRS = COLUMNS * (COLUMNS + 1) // 2


def _some_missing(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    x = generator.standard_normal(shape)
    x[generator.random(shape) < 0.1] = np.nan
    return x


class Preprocess(
    KernelBenchmark,
    cases={
        "cast_f32": Case(),
        "cast_f64": Case(),
        "check_finite": Case({"allow_nan": 0}),
        "check_finite_by": Case(),
        "check_within": Case({"low": np.full(COLUMNS, -np.inf), "high": np.full(COLUMNS, np.inf)}),
        "select": Case({"columns": np.arange(0, COLUMNS, 2)}),
        "place": Case({"start": COLUMNS // 2}, {"k": 2 * COLUMNS}),
        "scale": Case({"scale": positive}),
        "min_max": Case({"low": 0.0, "high": 1.0}),
        "normalize": Case({"norm": _L2}),
        "binarize": Case({"threshold": 0.0}),
        "impute": Case(
            {"x": _some_missing, "missing": np.nan, "columns": np.arange(COLUMNS), "indicators": np.arange(COLUMNS)},
            {"k": 2 * COLUMNS},
        ),
        "encode": Case({**_ENCODED, "unknown": -1.0}, reference_rows=100),
        "one_hot": Case(
            {**_ENCODED, "column": np.arange(_N_ENCODED), "unknown": np.full(COLUMNS, -1)},
            {"k": _N_ENCODED},
            reference_rows=100,
        ),
        "polynomial/degree_2": Case(
            {"begin": runs(_N_PAIRS, 2), "column": np.stack(np.triu_indices(COLUMNS), axis=1).ravel()}, {"k": _N_PAIRS}
        ),
        "power/yeo_johnson": Case({"method": _YEO_JOHNSON}),
        "power/box_cox": Case({"x": positive, "method": _BOX_COX}),
        "quantile/normal": Case(
            {
                "quantiles": rising(COLUMNS, _QUANTILES).reshape(COLUMNS, _QUANTILES),
                "references": np.linspace(0, 1, _QUANTILES),
                "normal": 1,
            },
            reference_rows=100,
        ),
        "bins/10": Case({"begin": runs(COLUMNS, _EDGES), "edge": rising(COLUMNS, _EDGES)}),
    },
):
    """Kernels of `kernels.preprocess`."""
