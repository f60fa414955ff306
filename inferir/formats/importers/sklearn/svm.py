"""Support vector machines of scikit-learn, which are libsvm's.

The public coefficients of a two-class model have libsvm's sign turned; the private ones do not, and are taken here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers.sklearn.checks import finite

_KERNELS = ("linear", "poly", "rbf", "sigmoid")


def _decisions(estimator: Any, b: Builder, x: Rows, counts: Any) -> str:
    if estimator.kernel not in _KERNELS:
        kernel = estimator.kernel if isinstance(estimator.kernel, str) else "a function"
        raise b.unsupported(f"kernel={kernel}", ", ".join(_KERNELS))
    support, dual_coef = (
        np.asarray(a.toarray() if hasattr(a, "toarray") else a, np.float64)
        for a in (estimator.support_vectors_, estimator._dual_coef_)
    )
    tensors = {
        "support": support.reshape(-1, x.width),
        "dual_coef": dual_coef,
        "intercept": np.asarray(estimator._intercept_, np.float64),
        "class_begin": np.cumsum([0, *counts]).astype(np.int64),
    }
    gamma = float(estimator._gamma) if estimator.kernel != "linear" else 1.0
    return b.op(
        "svm_decision", finite(b, x).value, tensors=tensors, kernel=estimator.kernel, gamma=gamma,
        coef0=float(estimator.coef0), degree=int(estimator.degree),
    )  # fmt: skip


def svm_classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    """SVC, NuSVC. Labels by votes of pairs, probabilities by pairwise coupling: they need not agree, as in libsvm."""
    pairs = _decisions(estimator, b, x, estimator.n_support_)
    binary = len(estimator.classes_) == 2
    if binary:
        raw = b.op("affine", pairs, tensors={"factor": np.array([-1.0]), "offset": np.zeros(1)})
    else:
        raw = b.op("svm_ovr", pairs) if estimator.decision_function_shape == "ovr" else pairs
    breaks_ties = estimator.break_ties and estimator.decision_function_shape == "ovr" and not binary
    prediction = b.op("argmax", raw if breaks_ties else b.op("svm_vote", pairs))
    probabilities = None
    if estimator.probability is True:
        tensors = {"prob_a": np.asarray(estimator.probA_, float), "prob_b": np.asarray(estimator.probB_, float)}
        probabilities = b.op("svm_couple", pairs, tensors=tensors)
    classes = class_labels(estimator.classes_)
    return Answers("classification", "SVM", prediction, probabilities, raw, classes=classes)


def svm_regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    """SVR, NuSVR."""
    return Answers("regression", "SVM", prediction=_decisions(estimator, b, x, [len(estimator.support_)]))


def one_class_svm(estimator: Any, b: Builder, x: Rows) -> Answers:
    """1 where the decision is above 0, else -1, as libsvm's predict says."""
    raw = _decisions(estimator, b, x, [len(estimator.support_)])
    return Answers("anomaly", "SVM", b.op("above", raw, threshold=0.0), raw=raw, classes=(-1, 1))
