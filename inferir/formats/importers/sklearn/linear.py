"""Linear models of scikit-learn: rows times coefficients, and what is made of that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers.sklearn.checks import finite

#: Inverse links of generalised linear models.
_LINKS = {"IdentityLink": None, "LogLink": "exp"}


def product(b: Builder, x: Rows, coef: Any, intercept: Any) -> str:
    """x @ coef.T + intercept of the rows, once they are found to be finite."""
    return linear(b, finite(b, x).value, coef, intercept)


def linear(b: Builder, value: str, coef: Any, intercept: Any) -> str:
    """value @ coef.T + intercept, in the wider of the widths of rows and coefficients, as NumPy promotes: a model that
    was trained on float32 answers float32 rows in float32."""
    coef = np.atleast_2d(np.asarray(coef.toarray() if hasattr(coef, "toarray") else coef))
    offset = np.broadcast_to(np.asarray(intercept).reshape(-1), (len(coef),))
    if coef.dtype == offset.dtype == np.float32:
        return b.op("linear", value, tensors={"coef": coef, "intercept": offset}, width="wider")
    tensors = {"coef": coef.astype(np.float64), "intercept": offset.astype(np.float64)}
    return b.op("linear", value, tensors=tensors)


def regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    value = product(b, x, estimator.coef_, estimator.intercept_)
    return Answers("regression", "LinearRegression", prediction=value)


def generalized(estimator: Any, b: Builder, x: Rows) -> Answers:
    """PoissonRegressor, GammaRegressor, TweedieRegressor."""
    link = type(estimator._base_loss.link).__name__
    if link not in _LINKS:
        raise b.unsupported(f"link {link}", ", ".join(_LINKS))
    raw = product(b, x, estimator.coef_, estimator.intercept_)
    name = _LINKS[link]
    return Answers("regression", "LinearRegression", prediction=b.op(name, raw) if name else raw, raw=raw)


def classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    """The class of the largest decision; of two, the second where the decision is above 0."""
    raw = product(b, x, estimator.coef_, estimator.intercept_)
    if getattr(getattr(estimator, "_label_binarizer", None), "y_type_", "").startswith("multilabel"):
        raise b.unsupported(f"{type(estimator).__name__} with several labels a row", "one label a row")
    return _decided(estimator, b, raw, None)


def _decided(estimator: Any, b: Builder, raw: str, probabilities: str | None) -> Answers:
    binary = len(estimator.classes_) == 2
    prediction = b.op("above", raw, threshold=0.0) if binary else b.op("argmax", raw)
    classes = class_labels(estimator.classes_)
    return Answers("classification", "LogisticRegression", prediction, probabilities, raw, classes=classes)


def _one_vs_rest(b: Builder, raw: str, binary: bool) -> str:
    """Probabilities of one logistic model per class, over their sum."""
    sigmoid = b.op("sigmoid", raw, scale=1.0)
    return b.op("complement", sigmoid) if binary else b.op("normalize_sum", sigmoid, uniform=True)


def logistic_regression(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Softmax over classes, or one model per class (multi_class="ovr", and liblinear, before scikit-learn 1.8)."""
    raw = product(b, x, estimator.coef_, estimator.intercept_)
    binary, scheme = len(estimator.classes_) == 2, getattr(estimator, "multi_class", "auto")
    one_vs_rest = scheme in ("ovr", "warn") or (scheme != "multinomial" and (binary or estimator.solver == "liblinear"))
    if one_vs_rest:
        probabilities = _one_vs_rest(b, raw, binary)
    elif binary:  # softmax of (-raw, raw)
        probabilities = b.op("complement", b.op("sigmoid", raw, scale=2.0))
    else:
        probabilities = b.op("softmax", raw)
    return _decided(estimator, b, raw, probabilities)


def discriminant(estimator: Any, b: Builder, x: Rows) -> Answers:
    """LinearDiscriminantAnalysis."""
    raw = product(b, x, estimator.coef_, estimator.intercept_)
    if len(estimator.classes_) == 2:
        probabilities = b.op("complement", b.op("sigmoid", raw, scale=1.0))
    else:
        probabilities = b.op("softmax", raw)
    answers = _decided(estimator, b, raw, probabilities)
    if estimator.solver == "lsqr":
        return answers
    scalings = np.asarray(estimator.scalings_, np.float64)[:, : estimator._max_components]
    tensors = {
        "mean": estimator.xbar_ if estimator.solver == "svd" else np.zeros(x.width),
        "components": np.ascontiguousarray(scalings.T),
        "scale": np.ones(scalings.shape[1]),
    }
    projected = b.op("project", finite(b, x).value, tensors=tensors)
    return replace(answers, transformed=projected, origins=(None,) * scalings.shape[1])


def sgd_classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    """Probabilities where the loss has them: log_loss, and modified_huber (Zhang 2002, JMLR 2, 527-550, appendix B)."""
    raw = product(b, x, estimator.coef_, estimator.intercept_)
    n = 1 if len(estimator.classes_) == 2 else len(estimator.classes_)
    probabilities = None
    if estimator.loss == "log_loss":
        probabilities = _one_vs_rest(b, raw, n == 1)
    elif estimator.loss == "modified_huber":
        clipped = b.op("min_max", raw, tensors={"scale": np.ones(n), "offset": np.zeros(n)}, low=-1.0, high=1.0)
        shifted = b.op("affine", clipped, tensors={"factor": np.ones(n), "offset": np.ones(n)})
        half = b.op("divide", shifted, tensors={"divisor": np.full(n, 2.0)})
        probabilities = b.op("complement", half) if n == 1 else b.op("normalize_sum", half, uniform=True)
    return _decided(estimator, b, raw, probabilities)
