"""Pipelines as people build them: a data frame of numbers and strings in, labels out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.cluster import DBSCAN
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

import inferir
from inferir.errors import DimensionError, InvalidInputError, UnsupportedModelError
from tests.formats.importers.sklearn.agreement import MULTI, converted, fitted
from tests.parity import assert_bits, assert_labels, assert_relative


@pytest.fixture(scope="module")
def passengers() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "age": rng.normal(35, 12, n).round(1),
            "fare": rng.gamma(2, 15, n),
            "sex": rng.choice(["female", "male"], n),
            "deck": rng.choice(["A", "B", "C", "D"], n),
            "siblings": rng.integers(0, 5, n),
            "alone": rng.random(n) < 0.5,
        }
    )
    frame.loc[rng.random(n) < 0.2, "age"] = np.nan
    frame["deck"] = frame["deck"].astype(object)
    frame.loc[rng.random(n) < 0.3, "deck"] = None
    frame["sex"] = frame["sex"].astype(object)
    score = (frame["sex"] == "female") * 2 + frame["fare"] / 40 - frame["siblings"] * 0.3 + rng.standard_normal(n)
    frame["survived"] = np.where(score > 1.5, "yes", "no")
    return frame


def _prepare(**kinds: Any) -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    texts = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="unknown"), OneHotEncoder(handle_unknown="ignore")
    )
    return ColumnTransformer(
        [("numbers", numbers, ["age", "fare", "siblings"]), ("texts", texts, ["sex", "deck"])], **kinds
    )


PIPELINES = {
    "logistic": lambda: make_pipeline(_prepare(), LogisticRegression(max_iter=500)),
    "passthrough": lambda: make_pipeline(_prepare(remainder="passthrough"), LogisticRegression(max_iter=500)),
    "weights": lambda: make_pipeline(_prepare(transformer_weights={"numbers": 0.5}), LogisticRegression(max_iter=500)),
    "forest": lambda: make_pipeline(_prepare(), RandomForestClassifier(9, random_state=0)),
    "ordinal": lambda: make_pipeline(
        ColumnTransformer(
            [
                (
                    "texts",
                    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
                    make_column_selector(dtype_include=object),
                )
            ],
            remainder="passthrough",
        ),
        HistGradientBoostingClassifier(max_iter=10, categorical_features=[0, 1]),
    ),
    "by number and mask": lambda: make_pipeline(
        make_column_transformer(
            (SimpleImputer(), [0, 1]),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), slice(2, 4)),
            ("drop", [4]),
            ("passthrough", [False, False, False, False, False, True]),
        ),
        PCA(5, random_state=0),
        LogisticRegression(),
    ),
    "union": lambda: make_pipeline(
        _prepare(sparse_threshold=0),
        FeatureUnion([("all", "passthrough"), ("few", PCA(2, random_state=0)), ("none", "drop")]),
        LogisticRegression(max_iter=500),
    ),
}


@pytest.fixture(scope="module", params=PIPELINES)
def trained(request: pytest.FixtureRequest, passengers: pd.DataFrame) -> Any:
    return PIPELINES[request.param]().fit(passengers.drop(columns="survived"), passengers["survived"])


def test_frames_of_every_library(trained: Any, passengers: pd.DataFrame) -> None:
    model = converted(trained)
    asked = passengers.drop(columns="survived")
    expected = trained.predict_proba(asked)
    assert model.classes == ("no", "yes")
    assert [column.name for column in model.columns] == list(asked.columns)
    shuffled = passengers[["survived", "alone", "deck", "sex", "age", "siblings", "fare"]]
    records = [{k: None if v != v else v for k, v in row.items()} for row in asked.to_dict("records")]
    for rows in (asked, shuffled, pl.from_pandas(asked), pa.Table.from_pandas(asked), records, asked.to_numpy()):
        assert_relative(model.predict_proba(rows), expected, 1e-11, 1e-13)
        assert_labels(model.predict(rows), trained.predict(asked))


def test_texts_that_were_never_seen(trained: Any, passengers: pd.DataFrame) -> None:
    asked = passengers.drop(columns="survived")[:20].assign(deck="Z")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert_relative(converted(trained).predict_proba(asked), trained.predict_proba(asked), 1e-11, 1e-13)


def test_one_row_is_the_row_of_the_batch(trained: Any, passengers: pd.DataFrame) -> None:
    model, asked = converted(trained), passengers.drop(columns="survived")[:30]
    batch = model.predict_proba(asked)
    assert_bits(np.concatenate([model.predict_proba(asked[i : i + 1]) for i in range(30)]), batch)


def test_wrong_tables(trained: Any, passengers: pd.DataFrame) -> None:
    model, asked = converted(trained), passengers.drop(columns="survived")
    with pytest.raises(DimensionError, match="fare"):
        model.predict(asked.drop(columns="fare"))
    with pytest.raises(DimensionError, match="expected 6 columns, got 5"):
        model.predict(asked.to_numpy()[:, :5])
    with pytest.raises(InvalidInputError, match="column 'age'"):
        model.predict(asked.astype({"age": object}).assign(age="old"))


def test_a_step_that_cannot_be_converted_says_which_and_where() -> None:
    pipe = Pipeline(
        [("scale", StandardScaler()), ("sample", RBFSampler(n_components=5)), ("model", LogisticRegression())]
    )
    with pytest.raises(UnsupportedModelError) as caught:
        inferir.convert(fitted(pipe, MULTI))
    assert "[E004] cannot convert sklearn.RBFSampler (in step 'sample'); supported: of sklearn: " in str(caught.value)
    nested = make_pipeline(ColumnTransformer([("log", FunctionTransformer(np.log1p), [0])]), LogisticRegression())
    with pytest.raises(
        UnsupportedModelError, match=r"FunctionTransformer\(log1p\), which is code \(in step 'columntra"
    ):
        inferir.convert(nested.fit(np.abs(MULTI.rows), MULTI.target))


def test_a_pipeline_without_an_estimator_transforms() -> None:
    pipe = fitted(make_pipeline(StandardScaler(), "passthrough", PCA(2)), MULTI)
    assert_relative(converted(pipe).transform(MULTI.rows), pipe.transform(MULTI.rows), 1e-10, 1e-12)


def test_what_is_not_fitted_or_not_known() -> None:
    with pytest.raises(UnsupportedModelError, match="is it fitted"):
        inferir.convert(LogisticRegression())
    with pytest.raises(UnsupportedModelError, match=r"sklearn\.DBSCAN"):
        inferir.convert(fitted(DBSCAN(), MULTI))
    with pytest.raises(UnsupportedModelError, match="cannot"):
        inferir.convert(object())
