"""Multi-layer perceptrons of scikit-learn: products and activations in turn."""

from __future__ import annotations

from typing import Any

from inferir.formats.importers._builder import Answers, Builder, Rows, class_labels
from inferir.formats.importers.sklearn.linear import linear, product

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]] | None] = {
    "identity": None,
    "logistic": ("sigmoid", {"scale": 1.0}),
    "tanh": ("tanh", {}),
    "relu": ("relu", {}),
    "softmax": ("softmax", {}),
    "exp": ("exp", {}),
}


def _forward(estimator: Any, b: Builder, x: Rows) -> str:
    value, last = x, len(estimator.coefs_) - 1
    for layer, (coef, intercept) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        output = product(b, value, coef.T, intercept) if layer == 0 else linear(b, value.value, coef.T, intercept)
        name = estimator.out_activation_ if layer == last else estimator.activation
        if name not in _ACTIVATIONS:
            raise b.unsupported(f"activation {name!r}", ", ".join(_ACTIVATIONS))
        if activation := _ACTIVATIONS[name]:
            output = b.op(activation[0], output, **activation[1])
        value = Rows(output, (None,) * coef.shape[1])
    return value.value


def mlp_regressor(estimator: Any, b: Builder, x: Rows) -> Answers:
    return Answers("regression", "NeuralNetwork", prediction=_forward(estimator, b, x))


def mlp_classifier(estimator: Any, b: Builder, x: Rows) -> Answers:
    """One output for two classes: the second above 0.5. With several labels a row, each output on its own."""
    output, kind = _forward(estimator, b, x), estimator._label_binarizer.y_type_
    if kind.startswith("multilabel"):
        classes = tuple((0, 1) for _ in range(estimator.n_outputs_))
        return Answers(
            "classification", "NeuralNetwork", b.op("above", output, threshold=0.5), raw=output, classes=classes
        )
    labels = class_labels(estimator.classes_)
    if estimator.n_outputs_ == 1:
        prediction, probabilities = b.op("above", output, threshold=0.5), b.op("complement", output)
    else:
        prediction, probabilities = b.op("argmax", output), output
    return Answers("classification", "NeuralNetwork", prediction, probabilities, classes=labels)
