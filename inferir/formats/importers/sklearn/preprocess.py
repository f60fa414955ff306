"""Scalers, imputers and transforms of numbers. Constants are float64; rows keep their width, as in scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows
from inferir.formats.importers.sklearn.checks import allows_nan, finite
from inferir.formats.importers.sklearn.compose import side_by_side, transformed
from inferir.formats.importers.sklearn.encoders import codes_of, is_missing


def _result(b: Builder, x: Rows, value: str, width: int | None = None) -> Answers:
    return transformed(Rows(value, (None,) * (x.width if width is None else width)))


def _scale(b: Builder, x: Rows, mean: Any, scale: Any, **attributes: Any) -> str:
    tensors = {
        "mean": np.zeros(x.width) if mean is None else np.asarray(mean, np.float64),
        "scale": np.ones(x.width) if scale is None else np.asarray(scale, np.float64),
    }
    return b.op("scale", x.value, tensors=tensors, **attributes)


def standard_scaler(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Since scikit-learn 1.8, mean and scale take the width of the rows before they are used."""
    import sklearn

    x = finite(b, x, allow_nan=True)
    mean, scale = estimator.mean_ if estimator.with_mean else None, estimator.scale_ if estimator.with_std else None
    narrow = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 8)
    return _result(b, x, _scale(b, x, mean, scale, narrow=narrow))


def robust_scaler(estimator: Any, b: Builder, x: Rows) -> Answers:
    x = finite(b, x, allow_nan=True)
    center = estimator.center_ if estimator.with_centering else None
    return _result(b, x, _scale(b, x, center, estimator.scale_ if estimator.with_scaling else None))


def max_abs_scaler(estimator: Any, b: Builder, x: Rows) -> Answers:
    x = finite(b, x, allow_nan=True)
    value = _scale(b, x, None, estimator.scale_)
    if getattr(estimator, "clip", False):
        value = b.op("min_max", value, tensors=_unit(x.width), low=-1.0, high=1.0)
    return _result(b, x, value)


def _unit(width: int) -> dict[str, Any]:
    return {"scale": np.ones(width), "offset": np.zeros(width)}


def min_max_scaler(estimator: Any, b: Builder, x: Rows) -> Answers:
    x = finite(b, x, allow_nan=True)
    tensors = {"scale": np.asarray(estimator.scale_, np.float64), "offset": np.asarray(estimator.min_, np.float64)}
    low, high = estimator.feature_range if estimator.clip else (-np.inf, np.inf)
    return _result(b, x, b.op("min_max", x.value, tensors=tensors, low=float(low), high=float(high)))


def normalizer(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _result(b, x, b.op("normalize", finite(b, x).value, norm=estimator.norm))


def binarizer(estimator: Any, b: Builder, x: Rows) -> Answers:
    return _result(b, x, b.op("binarize", finite(b, x).value, threshold=float(estimator.threshold)))


def _fill(b: Builder, x: Rows, columns: Any, statistics: Any, marker: Any) -> Any:
    """What each column's missing values become. None is no missing value to an imputer of NaN: it stays."""
    fills = []
    for c in columns:
        origin = x.origins[c]
        stays = origin in b.none_is_text and marker is not None
        fills.append(np.nan if stays else codes_of(b, origin, [statistics[c]])[0])
        if b.is_category(origin) and not stays:
            b.imputed.add(origin)
    return np.array(fills, np.float64)


def simple_imputer(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Columns whose statistic is NaN were empty in training and are dropped, as scikit-learn does."""
    filled = getattr(estimator, "_fill_dtype", None)  # what it was fitted on, and rounds to, since scikit-learn 1.5
    is_float = filled is not None and filled.kind == "f"
    statistics = list(estimator.statistics_.astype(filled) if is_float else estimator.statistics_)
    kept = [c for c, value in enumerate(statistics) if not is_missing(value)]
    if estimator.strategy == "constant" or estimator.keep_empty_features:
        kept = list(range(x.width))
    indicators = list(estimator.indicator_.features_) if estimator.add_indicator else []
    marker = estimator.missing_values
    if is_missing(marker):
        parts = [_impute(b, x, kept, _fill(b, x, kept, statistics, marker), indicators, float("nan"))]
    elif isinstance(marker, str):  # a text is another code in each column
        fills = _fill(b, x, kept, statistics, marker)
        marks = {c: codes_of(b, x.origins[c], [marker])[0] for c in {*kept, *indicators}}
        parts = [_impute(b, x, [c], [fill], [], marks[c]) for c, fill in zip(kept, fills, strict=True)]
        parts += [_impute(b, x, [], [], [c], marks[c]) for c in indicators]
    else:
        parts = [_impute(b, finite(b, x), kept, _fill(b, x, kept, statistics, marker), indicators, float(marker))]
    return transformed(side_by_side(b, parts))


def _impute(b: Builder, x: Rows, columns: list[int], fill: Any, indicators: list[int], missing: float) -> Rows:
    tensors = {
        "columns": np.array(columns, np.int64),
        "fill": np.array(fill, np.float64),
        "indicators": np.array(indicators, np.int64),
    }
    value = b.op("impute", x.value, tensors=tensors, missing=missing)
    return Rows(value, (*[x.origins[c] for c in columns], *[None] * len(indicators)))


def missing_indicator(estimator: Any, b: Builder, x: Rows) -> Answers:
    if not is_missing(estimator.missing_values):
        raise b.unsupported(f"MissingIndicator(missing_values={estimator.missing_values!r})", "missing_values of NaN")
    return transformed(_impute(b, x, [], [], list(estimator.features_), float("nan")))


def polynomial_features(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Products in scikit-learn's order of multiplication: from the last column to the first."""
    factors: list[Any] = [np.repeat(np.arange(x.width), powers)[::-1] for powers in estimator.powers_]
    tensors = {
        "begin": np.cumsum([0, *map(len, factors)]).astype(np.int64),
        "column": np.concatenate(factors or [np.zeros(0)]).astype(np.int64),
    }
    return _result(b, x, b.op("polynomial", finite(b, x).value, tensors=tensors), len(factors))


def power_transformer(estimator: Any, b: Builder, x: Rows) -> Answers:
    tensors = {"lambdas": np.asarray(estimator.lambdas_, np.float64)}
    x = finite(b, x, allow_nan=True)
    answers = _result(b, x, b.op("power", x.value, tensors=tensors, method=estimator.method))
    return standard_scaler(estimator._scaler, b, answers.rows()) if estimator.standardize else answers


def quantile_transformer(estimator: Any, b: Builder, x: Rows) -> Answers:
    tensors = {
        "quantiles": np.ascontiguousarray(estimator.quantiles_.T, np.float64),
        "references": np.asarray(estimator.references_, np.float64),
    }
    normal = estimator.output_distribution == "normal"
    x = finite(b, x, allow_nan=True)
    return _result(b, x, b.op("quantile", x.value, tensors=tensors, normal=normal))


def k_bins(estimator: Any, b: Builder, x: Rows) -> Answers:
    inner = [np.asarray(edges, np.float64)[1:-1] for edges in estimator.bin_edges_]
    tensors = {"begin": np.cumsum([0, *map(len, inner)]).astype(np.int64), "edge": np.concatenate(inner)}
    answers = _result(b, x, b.op("bins", finite(b, x).value, tensors=tensors))
    return answers if estimator.encode == "ordinal" else b.estimator(estimator._encoder, answers.rows())


def checked_selector(estimator: Any, b: Builder, x: Rows) -> Answers:
    """SelectKBest and its kin: the columns of `get_support`."""
    numbers = not any(b.is_category(origin) for origin in x.origins)
    rows = finite(b, x, allows_nan(estimator)) if numbers else x
    return transformed(b.select(rows, estimator.get_support(indices=True)))
