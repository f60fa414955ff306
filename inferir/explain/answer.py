"""From an answer back to the forests and linear models whose weighted sum it is.

An explanation of a sum is the sum of the explanations, so only what is linear may lie between: a mean over trees, a
weight per part, a difference of two scores. Going back from the answer, each value gets the matrix that it is
multiplied by; each forest and each linear model is a `Term` with the matrix that it has then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from inferir.errors import TaskError
from inferir.formats.spec import ModelSpec, OperatorSpec
from inferir.operators import Value
from inferir.program.arrays import NUMPY, Array

__all__ = ["LINEAR_MODELS", "Term", "explained_face", "tensor_of", "terms"]

FORESTS = ("forest", "oblivious")
LINEAR_MODELS = ("linear", "linear_in_order")


class Term(NamedTuple):
    """An operator whose values, times `factor` (outputs, its columns), are part of the answer."""

    operator: OperatorSpec
    factor: Array


def tensor_of(spec: ModelSpec, operator: OperatorSpec, role: str) -> Array:
    """A tensor of an operator that has been bound, and so is known to be as it should."""
    tensor = spec.tensors[operator.tensors[role]]
    return np.frombuffer(tensor.data, NUMPY[tensor.dtype]).reshape(tensor.shape)


def explained_face(values: Mapping[str, Value]) -> str:
    """raw, prediction if that is a number, or probabilities. Raises TaskError where a model has none of them."""
    for face in ("raw", "prediction", "probabilities"):
        if face in values and values[face].dtype != "i64":
            return face
    raise TaskError("explain: expected a model with scores or probabilities, got one that answers with neither")


def terms(spec: ModelSpec, values: Mapping[str, Value]) -> tuple[list[Term], Array]:
    """Forests and linear models in the answer, and what is added to their weighted sum, (outputs,).

    Raises TaskError where something else makes the answer, or something that is not linear comes behind.
    """
    face = explained_face(values)
    scored = _scored(spec)
    factors = {face: np.eye(values[face].width)}
    constant = np.zeros(values[face].width)
    found: list[Term] = []
    for operator in reversed(spec.operators):
        factor = factors.pop(operator.output, None)
        if factor is None:
            continue
        if operator.op in FORESTS or (operator.op in LINEAR_MODELS and scored.isdisjoint(operator.inputs)):
            found.append(Term(operator, factor))
            continue
        if operator.op not in _BACK or scored.isdisjoint(operator.inputs):
            raise TaskError(
                f"explain: expected {face} to be a weighted sum of forests and linear models, got operator "
                f"{operator.op!r} in it"
            )
        widths = [values[name].width for name in operator.inputs]
        back, added = _BACK[operator.op](spec, operator, factor, widths)
        constant += added
        for name, part in zip(operator.inputs, back, strict=True):
            factors[name] = factors[name] + part if name in factors else part
    return found[::-1], constant


def _scored(spec: ModelSpec) -> set[str]:
    """Values in which a forest or a linear model has had a part."""
    scored: set[str] = set()
    for operator in spec.operators:
        if operator.op in FORESTS + LINEAR_MODELS + ("linear_forest",) or not scored.isdisjoint(operator.inputs):
            scored.add(operator.output)
    return scored


# -- what an operator does to a factor: one for each of its inputs, and what it adds to the answer

_Back = Callable[[ModelSpec, OperatorSpec, Array, list[int]], tuple[list[Array], Array | float]]


def _same(spec: ModelSpec, operator: OperatorSpec, factor: Array, widths: list[int]) -> tuple[list[Array], float]:
    return [factor] * len(widths), 0.0


def _divide(spec: ModelSpec, operator: OperatorSpec, factor: Array, widths: list[int]) -> tuple[list[Array], float]:
    return [factor / tensor_of(spec, operator, "divisor")], 0.0


def _affine(spec: ModelSpec, operator: OperatorSpec, factor: Array, widths: list[int]) -> tuple[list[Array], Array]:
    return [factor * tensor_of(spec, operator, "factor")], factor @ tensor_of(spec, operator, "offset")


def _linear(spec: ModelSpec, operator: OperatorSpec, factor: Array, widths: list[int]) -> tuple[list[Array], Array]:
    return [factor @ tensor_of(spec, operator, "coef")], factor @ tensor_of(spec, operator, "intercept")


def _complement(spec: ModelSpec, operator: OperatorSpec, factor: Array, widths: list[int]) -> tuple[list[Array], Array]:
    return [factor[:, 1:] - factor[:, :1]], factor[:, 0]


def _select(spec: ModelSpec, operator: OperatorSpec, factor: Array, widths: list[int]) -> tuple[list[Array], float]:
    back = np.zeros((len(factor), widths[0]))
    np.add.at(back.T, tensor_of(spec, operator, "columns"), factor.T)
    return [back], 0.0


def _concat(spec: ModelSpec, operator: OperatorSpec, factor: Array, widths: list[int]) -> tuple[list[Array], float]:
    return list(_split(factor, widths)), 0.0


def _split(factor: Array, widths: list[int]) -> Iterator[Array]:
    start = 0
    for width in widths:
        yield factor[:, start : start + width]
        start += width


_BACK: Mapping[str, _Back] = {
    "identity": _same,
    "cast": _same,
    "check_finite": _same,
    "add": _same,
    "divide": _divide,
    "affine": _affine,
    "linear": _linear,
    "complement": _complement,
    "select": _select,
    "concat": _concat,
}
