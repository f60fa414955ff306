"""Make the models and the answers of `inferir demo`: python tools/make_demo.py

    penguins        scikit-learn: categories in one-hot columns, missing measures imputed, logistic regression.
                    Eleven penguins were not sexed; the model is trained on the others and answers for all.
    breast_cancer   XGBoost: 60 trees, on all rows.

Where the rows are from is said in inferir/demo/__init__.py. Each .csv holds them and, in the columns that `inferir
predict --proba --raw` would write, what the library answered. The penguins' rows are read from their own file. Same
versions, same files: the versions are in the models.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

import inferir
from inferir.demo import FOLDER

_TEXT = ["species", "island"]
_NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
_CREATED = "1795219200"  # 2026-11-21


def penguins() -> tuple[Any, pd.DataFrame, pd.DataFrame, Any]:
    """Fitted pipeline, the table, its columns for the model, and the raw answers."""
    table = pd.read_csv(FOLDER / "penguins.csv")[[*_TEXT, *_NUMBERS, "sex"]]
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), _TEXT),
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), _NUMBERS),
    )
    pipeline = make_pipeline(columns, LogisticRegression(C=10))
    known = table[table.sex.notna()]
    rows = table[[*_TEXT, *_NUMBERS]]
    pipeline.fit(known[rows.columns], known.sex)
    return pipeline, table, rows, pipeline.decision_function(rows)


def breast_cancer() -> tuple[Any, pd.DataFrame, pd.DataFrame, Any]:
    """Fitted booster, the table, its columns for the model, and the raw answers."""
    rows, target = load_breast_cancer(return_X_y=True, as_frame=True)
    booster = XGBClassifier(n_estimators=60, max_depth=3, learning_rate=0.2, n_jobs=1, random_state=0)
    booster.fit(rows, target)
    return booster, rows, rows, booster.predict(rows, output_margin=True)


def make(name: str, folder: Path) -> None:
    """Write NAME.apr and NAME.csv to `folder`."""
    estimator, table, rows, raw = {"penguins": penguins, "breast_cancer": breast_cancer}[name]()
    answers = {"prediction": estimator.predict(rows)}
    for label, column in zip(estimator.classes_, estimator.predict_proba(rows).T, strict=True):
        answers[f"probability_{label}"] = column
    answers["raw"] = raw
    table.assign(**answers).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    inferir.convert(estimator, name=name, version="1", backend="reference").save(folder / f"{name}.apr")


if __name__ == "__main__":
    os.environ["SOURCE_DATE_EPOCH"] = _CREATED
    for chosen in sys.argv[1:] or ("penguins", "breast_cancer"):
        make(chosen, FOLDER)
