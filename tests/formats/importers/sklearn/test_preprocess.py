from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import feature_selection as fs
from sklearn import preprocessing as pp
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from tests.formats.importers.sklearn.agreement import MULTI, NUMBERS, Data, agree, compare, converted, fitted
from tests.parity import assert_bits, hard_rows

POSITIVE = Data(np.abs(MULTI.rows) + 0.1, MULTI.target, "positive")


def _with_gaps(marker: float) -> Data:
    rows = MULTI.rows.copy()
    rows[np.random.default_rng(0).random(rows.shape) < 0.3] = marker
    return Data(rows, MULTI.target, f"gaps of {marker}")


GAPS, MINUS_ONES = _with_gaps(np.nan), _with_gaps(-1.0)


@pytest.mark.parametrize(
    "estimator",
    [
        pp.StandardScaler(),
        pp.StandardScaler(with_mean=False),
        pp.StandardScaler(with_std=False),
        pp.MinMaxScaler(),
        pp.MinMaxScaler((-2, 3), clip=True),
        pp.MaxAbsScaler(),
        pp.RobustScaler(),
        pp.RobustScaler(with_centering=False, quantile_range=(10, 90)),
        pp.Normalizer(),
        pp.Normalizer("l1"),
        pp.Normalizer("max"),
        pp.Binarizer(),
        pp.Binarizer(threshold=0.25),
        pp.PolynomialFeatures(2),
        pp.PolynomialFeatures(3, interaction_only=True, include_bias=False),
        pp.PolynomialFeatures((2, 3)),
        pp.PowerTransformer(),
        pp.PowerTransformer(standardize=False),
        pp.QuantileTransformer(n_quantiles=40),
        pp.QuantileTransformer(n_quantiles=40, output_distribution="normal"),
        pp.FunctionTransformer(None),
        fs.SelectKBest(k=3),
        fs.SelectPercentile(percentile=40),
        fs.VarianceThreshold(),
        fs.SelectFpr(),
        fs.GenericUnivariateSelect(mode="k_best", param=2),
        fs.SelectFromModel(LogisticRegression()),
        fs.SequentialFeatureSelector(DecisionTreeClassifier(max_depth=2, random_state=0), n_features_to_select=2, cv=2),
    ],
    ids=str,
)
def test_agrees(estimator: object) -> None:
    agree(estimator, MULTI, integers=False)


@pytest.mark.parametrize("encode", ["ordinal", "onehot", "onehot-dense"])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_bins(encode: str, strategy: str) -> None:
    options = {"quantile_method": "averaged_inverted_cdf"} if strategy == "quantile" else {}
    agree(pp.KBinsDiscretizer(4, encode=encode, strategy=strategy, **options), MULTI, integers=False)


def test_box_cox() -> None:
    estimator = fitted(pp.PowerTransformer("box-cox"), POSITIVE)
    compare(estimator, converted(estimator), POSITIVE.rows, 1e-10)


@pytest.mark.parametrize("data", [GAPS, MINUS_ONES], ids=str)
@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("indicator", [False, True])
def test_imputer(data: Data, strategy: str, indicator: bool) -> None:
    marker = -1.0 if data is MINUS_ONES else np.nan
    estimator = fitted(SimpleImputer(missing_values=marker, strategy=strategy, add_indicator=indicator), data)
    compare(estimator, converted(estimator), data.rows, 0.0)


@pytest.mark.parametrize("keep", [False, True])
def test_imputer_of_an_empty_column(keep: bool) -> None:
    rows = GAPS.rows.copy()
    rows[:, 2] = np.nan
    estimator = SimpleImputer(keep_empty_features=keep)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        estimator.fit(rows)
        assert_bits(converted(estimator).transform(rows), estimator.transform(rows))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
def test_an_imputer_fills_in_what_it_was_fitted_on(strategy: str, dtype: type) -> None:
    """scikit-learn rounds its statistics to the width of the rows of training, whatever comes later."""
    value = 0.1 if strategy == "constant" else None
    estimator = SimpleImputer(strategy=strategy, fill_value=value).fit(GAPS.rows.astype(dtype) / 3)
    assert_bits(converted(estimator).transform(GAPS.rows), estimator.transform(GAPS.rows))


def test_missing_indicator() -> None:
    estimator = fitted(MissingIndicator(), GAPS)
    assert_bits(converted(estimator).transform(GAPS.rows), estimator.transform(GAPS.rows).astype(float))


def test_float32_rows_are_rounded_as_scikit_learn_rounds_them() -> None:
    """A scaler keeps the width of its rows, so a tree behind it meets the same numbers, bit for bit."""
    pipe = make_pipeline(pp.StandardScaler(), pp.MinMaxScaler(), DecisionTreeClassifier(random_state=0))
    model = converted(fitted(pipe, Data(MULTI.rows.astype(np.float32), MULTI.target)))
    rows = hard_rows(MULTI.rows, nan=False, inf=False, width=np.float32, n=2000)
    assert_bits(model.predict_proba(rows), pipe.predict_proba(rows))


@pytest.mark.parametrize(
    "scaler", [pp.StandardScaler(), pp.RobustScaler(), pp.MinMaxScaler(), pp.MaxAbsScaler()], ids=str
)
def test_scalers_keep_the_width_of_their_rows_bit_for_bit(scaler: object) -> None:
    """On columns with a mean and a deviation that float32 cannot hold."""
    data = Data(NUMBERS.rows * np.linspace(0.1, 1000, 10) + np.pi, NUMBERS.target)
    model = converted(fitted(scaler, data))
    for width in (np.float32, np.float64):
        rows = data.rows.astype(width)
        assert model.transform(rows).dtype == width
        assert_bits(model.transform(rows), scaler.transform(rows))


def test_quantiles_with_runs_of_equal_values() -> None:
    data = Data(np.round(NUMBERS.rows * 20), NUMBERS.target)
    for distribution in ("uniform", "normal"):
        estimator = fitted(pp.QuantileTransformer(n_quantiles=30, output_distribution=distribution), data)
        compare(estimator, converted(estimator), data.rows, 1e-12)
        compare(estimator, converted(estimator), data.rows + 0.25, 1e-12)
