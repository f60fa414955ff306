"""Shapley values of forests, ours beside the `shap` package's and the libraries' own; Markdown on standard output.

    python -m benchmarks.explain_speed [--rounds 5] [--rows 1000] [--backend auto] [--only NAME]

Needs scikit-learn, XGBoost, LightGBM and shap. Models of 100 trees and 28 columns are trained here on made-up rows. All
explain the same rows in one process on one thread and take turns; the fastest of each counts, so a busy machine slows
all alike. Their values must agree with ours to the float width in which the library adds up. What each needs beforehand
is not counted: shap's `TreeExplainer`, XGBoost's DMatrix, and the model's first explanation here.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import inferir
import inferir.kernels
from benchmarks.parity_speed import TRAINING_ROWS, Array, data, environment, take_turns

Call = Callable[[], Any]


class Subject(NamedTuple):
    """A model to explain: how to fit it, and what else explains it, by name."""

    fit: Callable[[Array, Array], Any]
    rivals: tuple[str, ...]


def _xgboost(depth: int) -> Callable[[Array, Array], Any]:
    def fit(x: Array, y: Array) -> Any:
        import xgboost

        return xgboost.XGBClassifier(n_estimators=100, max_depth=depth, n_jobs=1).fit(x, y)

    return fit


def _lightgbm(x: Array, y: Array) -> Any:
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1).fit(x, y)


def _forest(x: Array, y: Array) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(n_estimators=100, max_depth=8, n_jobs=1, random_state=0).fit(x, y)


SUBJECTS: Mapping[str, Subject] = {
    "XGBoost, depth 6": Subject(_xgboost(6), ("shap", "xgboost")),
    "XGBoost, depth 8": Subject(_xgboost(8), ("shap", "xgboost")),
    "LightGBM, 31 leaves": Subject(_lightgbm, ("shap", "lightgbm")),
    "RandomForest, depth 8": Subject(_forest, ("shap",)),
}


def _rival(name: str, model: Any, rows: Array) -> tuple[Call, Callable[[Any], Array]]:
    """The call that explains `rows`, and what makes (rows, columns) of its answer."""
    if name == "shap":
        import shap

        explainer = shap.TreeExplainer(model)
        explainer.model.model_type = "internal"  # its own C++: it would ask XGBoost and LightGBM otherwise
        return lambda: explainer.shap_values(rows, check_additivity=False), np.asarray
    if name == "xgboost":
        import xgboost

        booster, matrix = model.get_booster(), xgboost.DMatrix(rows, nthread=1)
        booster.set_param({"nthread": 1})
        return lambda: booster.predict(matrix, pred_contribs=True), lambda answer: answer[:, :-1]
    booster = model.booster_
    return lambda: booster.predict(rows, pred_contrib=True, num_threads=1), lambda answer: answer[:, :-1]


def compare(label: str, x: Array, y: Array, rows: Array, backend: str, rounds: int) -> list[str]:
    """Lines of the table, one for each rival."""
    subject = SUBJECTS[label]
    theirs = subject.fit(x, y)
    model = inferir.convert(theirs, threads=1, backend=backend)
    values, _ = model.explain(rows)
    calls: list[Call] = [lambda: model.explain(rows), lambda: model.explain(rows[:1])]
    for name in subject.rivals:
        call, columns = _rival(name, theirs, rows)
        np.testing.assert_allclose(columns(call()), values, rtol=0, atol=1e-5 * np.abs(values).max())
        calls.append(call)
    ours, one, *others = take_turns(calls, rounds)
    return [
        f"| {label} | {name} | {ours * 1e3:.1f} | {other * 1e3:.1f} | {other / ours:.1f} | {one * 1e6:.0f} |"
        for name, other in zip(subject.rivals, others, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--rows", type=int, default=1000, help="rows explained by a call (default 1000)")
    parser.add_argument("--backend", default="auto", help="kernels of ours (default auto)")
    parser.add_argument("--only", default="", help="models whose name contains this")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries are imported, which start their pools then
    for line in (
        *(f"- {line}" for line in environment()),
        f"- {arguments.rows} rows a call, backend {inferir.kernels.select(arguments.backend).name}",
        "",
        "| model | explained by | ours, ms | theirs, ms | theirs / ours | ours, one row, us |",
        "|---|---|---:|---:|---:|---:|",
    ):
        sys.stdout.write(line + "\n")
    (x, y), (rows, _) = data(TRAINING_ROWS, 0), data(arguments.rows, 1)
    for label in SUBJECTS:
        if arguments.only in label:
            sys.stdout.write("\n".join(compare(label, x, y, rows, arguments.backend, arguments.rounds)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
