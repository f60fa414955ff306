"""One question for all of scikit-learn: does the converted model answer as the estimator does?"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.preprocessing import StandardScaler

import inferir
from inferir.errors import InvalidInputError
from tests.parity import assert_labels, assert_relative, hard_rows, layouts, thresholds


@dataclass(frozen=True, repr=False)
class Data:
    """Rows and targets. `rows` are standardised unless a model wants otherwise."""

    rows: Any
    target: Any
    name: str = "rows"

    def __str__(self) -> str:
        return self.name


def _standard(load: Any, columns: int, name: str) -> Data:
    rows, target = load(return_X_y=True)
    return Data(StandardScaler().fit_transform(rows[:, :columns]), target, name)


MULTI = _standard(load_wine, 6, "multi")
BINARY = _standard(load_breast_cancer, 6, "binary")
NUMBERS = Data(*load_diabetes(return_X_y=True), "numbers")
TWO_NUMBERS = Data(NUMBERS.rows, np.c_[NUMBERS.target, np.sqrt(NUMBERS.target)], "two numbers")
TWO_LABELS = Data(MULTI.rows, np.c_[MULTI.target, MULTI.target > 0], "two labels")
TEXT_LABELS = Data(MULTI.rows, np.array(["red", "green", "blue"])[MULTI.target], "text labels")


def fitted(estimator: Any, data: Data) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(data.rows, data.target)


def converted(estimator: Any, **options: Any) -> inferir.Model:
    """Through the file and back."""
    return inferir.load(inferir.convert(estimator).to_bytes(), **options)


def agree(
    estimator: Any,
    data: Data,
    *,
    relative: float = 1e-10,
    integers: bool = True,
    routed: bool = False,
    n: int = 250,
    widths: tuple[type, ...] = (np.float64, np.float32),
) -> inferir.Model:
    """Fit, convert, and compare every answer that both have, on hard rows of every layout and width.

    relative  of the column's size, for numbers; labels must be equal. `routed`: bits, for models whose every number is
              a sum of leaves in the library's own order.
    """
    fitted(estimator, data)
    model = converted(estimator)
    on = thresholds(model.spec) if "input" in _forest_inputs(model) else None
    nan = takes_nan(estimator, data)
    for width in widths:
        rows = hard_rows(data.rows, on, n=n, width=width, nan=nan, inf=False)
        tolerance = 0.0 if routed else relative if width is np.float64 else max(relative, 2e-5)
        for name, layout in layouts(rows) if width is np.float64 else [("float32", rows)]:
            if len(layout):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    compare(estimator, model, layout, tolerance)
            else:
                assert empty_shapes(model, layout), name
    if integers:
        compare(estimator, model, np.round(hard_rows(data.rows, nan=False, inf=False) * 3).astype(np.int64), relative)
    if not nan:
        spoiled = np.array(data.rows[:5], np.float64)
        spoiled[3, 1] = np.nan
        with pytest.raises(InvalidInputError, match=r"row 3, column 'x1': expected a finite number, got nan"):
            answers(model, spoiled)
    return model


def takes_nan(estimator: Any, data: Data) -> bool:
    """Whether the estimator itself answers for a row with a missing value."""
    spoiled = np.array(data.rows[:5], np.float64)
    spoiled[3, 1] = np.nan
    try:
        getattr(estimator, "predict" if hasattr(estimator, "predict") else "transform")(spoiled)
    except ValueError:
        return False
    return True


def _forest_inputs(model: inferir.Model) -> set[str]:
    """Values that forests read, looked at through casts and checks, which change no threshold's meaning."""
    origin = {"input": "input"}
    for operator in model.spec.operators:
        if operator.op in ("cast", "check_finite"):
            origin[operator.output] = origin.get(operator.inputs[0], operator.inputs[0])
    return {origin.get(o.inputs[0], "") for o in model.spec.operators if o.op in ("forest", "oblivious")}


def answers(model: inferir.Model, rows: Any) -> None:
    """Ask for everything that the model has."""
    for face, ask in {
        "prediction": model.predict,
        "probabilities": model.predict_proba,
        "raw": model.raw,
        "transformed": model.transform,
    }.items():
        if face in model.faces:
            ask(rows)


def empty_shapes(model: inferir.Model, rows: Any) -> bool:
    if "prediction" in model.faces and len(model.predict(rows)) != 0:
        return False
    return "transformed" not in model.faces or len(model.transform(rows)) == 0


def compare(estimator: Any, model: inferir.Model, rows: Any, relative: float) -> None:
    """Labels equal; numbers within `relative` of the largest of their column."""
    if hasattr(estimator, "predict"):
        theirs = estimator.predict(rows)
        if model.task in ("classification", "clustering", "anomaly"):
            assert_labels(model.predict(rows), theirs)
        else:
            _close(model.predict(rows), np.asarray(theirs), relative)
    for face, ask, method in (
        ("probabilities", model.predict_proba, "predict_proba"),
        ("raw", model.raw, "decision_function"),
        ("transformed", model.transform, "transform"),
    ):
        if not hasattr(estimator, method) or (face == "transformed" and "transformed" not in model.faces):
            continue
        theirs, ours = getattr(estimator, method)(rows), ask(rows)
        for a, b in zip(ours, theirs, strict=True) if isinstance(theirs, list) else [(ours, theirs)]:
            _close(a, b.toarray() if hasattr(b, "toarray") else np.asarray(b), relative)


def _close(ours: Any, theirs: Any, relative: float) -> None:
    theirs = theirs.reshape(ours.shape) if theirs.size == ours.size and theirs.ndim != ours.ndim else theirs
    size = float(np.nanmax(np.abs(theirs), initial=0.0)) if theirs.dtype.kind == "f" else 0.0
    assert_relative(ours, theirs, relative, relative * size)
