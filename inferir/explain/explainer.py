"""Rows -> Shapley values, for one model and rows of one width."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inferir.errors import InvalidInputError, TaskError
from inferir.explain.answer import LINEAR_MODELS, Term, tensor_of, terms
from inferir.explain.columns import origins
from inferir.explain.forests import Nodes, expected_values, from_symmetric, schedule, shares
from inferir.formats.spec import ModelSpec
from inferir.kernels import Kernels
from inferir.operators import Binder, Draft, Value
from inferir.operators.tree import nodes_of, targets_of
from inferir.plan import ProgramRunner, bind, program_for
from inferir.program import ROWS
from inferir.program.arrays import Array
from inferir.threads import Threads

__all__ = ["Explainer"]


#: With infinite differences, contributions would be NaN, or not, by the form of the vectors.
_LARGEST_LEAF = 1e300


class _Part(NamedTuple):
    """One term of the score. `runner` gives (n, columns, its outputs); `place` is the input column of each of its
    columns, None where they are the input columns; `base` what it gives where no column is known."""

    runner: ProgramRunner
    place: Array | None
    factor: Array
    base: Array


class Explainer:
    """Explains a model's score for rows of `dtype` ("f32" or "f64").

    background  rows of that width whose mean linear models compare with; None: where their columns are 0.

    Raises TaskError (E008) for a model that cannot be explained, and says why.
    """

    def __init__(
        self, spec: ModelSpec, kernels: Kernels, dtype: str, proved: set[str], background: Array | None = None
    ) -> None:
        self._spec, self._kernels, self._proved = spec, kernels, proved
        self._n_columns = len(spec.columns)
        draft, self._values = bind(spec, kernels, dtype, proved)
        found, constant = terms(spec, self._values)
        if background is not None and not any(term.operator.op in LINEAR_MODELS for term in found):
            raise TaskError("explain: expected no background for a forest, whose covers stand for its training rows")
        self._parts = [self._part(term, draft, background) for term in found]
        self.base: Array = constant + sum((part.factor @ part.base for part in self._parts), np.zeros(len(constant)))

    def __call__(self, rows: Array, threads: Threads | None = None) -> Array:
        """Shapley values of `rows`, (n, input columns, outputs), float64."""
        total: Array | None = None
        for part in self._parts:
            values = part.runner.run(rows, threads)
            if not _is_identity(part.factor):
                values = values @ part.factor.T
            if part.place is not None:
                values = _gathered(values, part.place, self._n_columns)
            total = values if total is None else total + values
        if total is None:
            return np.zeros((len(rows), self._n_columns, len(self.base)))
        return total

    def _part(self, term: Term, draft: Draft, background: Array | None) -> _Part:
        operator = term.operator
        inputs = [self._values[name] for name in operator.inputs]
        b = Binder(operator, self._spec.tensors, inputs, draft, self._proved, self._kernels)
        if operator.op in LINEAR_MODELS:
            value, base, used = self._linear(b, term, draft, background)
        else:
            value, base, used = _forest(b, operator.op)
        place = self._places(operator.inputs[0], used)
        runner = ProgramRunner(program_for(draft, value), draft.arrays, self._kernels)
        return _Part(runner, place, term.factor, base)

    def _places(self, name: str, used: Array) -> Array | None:
        """The input column of each column of a value; `used` are those that matter."""
        found = origins(self._spec, self._values, name)
        for column in np.flatnonzero(used):
            origin = found[column]
            if isinstance(origin, str):
                raise TaskError(
                    "explain: expected each column that the model sees to come from one input column, got one that "
                    f"operator {origin!r} makes of several"
                )
        if found == tuple(range(self._n_columns)):
            return None
        return np.array([0 if isinstance(origin, str) else origin for origin in found], np.intp)

    def _linear(self, b: Binder, term: Term, draft: Draft, background: Array | None) -> tuple[Value, Array, Array]:
        operator = term.operator
        in_order = operator.op == "linear_in_order"
        coef, intercept = (tensor_of(self._spec, operator, role).astype(np.float64) for role in ("coef", "intercept"))
        width = "f32" if in_order else operator.attributes.get("width", "f64")
        x = b.input(width if width in ("f32", "f64") else None)
        mean = np.zeros(x.width)
        if background is not None:
            if not len(background):
                raise InvalidInputError("explain: expected at least one background row, got none")
            seen = ProgramRunner(program_for(draft, x), draft.arrays, self._kernels).run(background)
            mean = np.asarray(np.nan_to_num(seen) if in_order else seen, np.float64).mean(axis=0)
        value = _result(b, x.width, len(coef))
        b.step(f"linear_shap_{x.dtype}", x, coef, mean, int(in_order), value, into=value)
        return value, intercept + coef @ mean, np.abs(coef).max(axis=0, initial=0.0) > 0


def _result(b: Binder, width: int, outputs: int) -> Value:
    """A value whose buffer is (rows, width, outputs)."""
    return b.value(width, "f64", buffer=b.buffer("f64", ROWS, width, outputs))


def _is_identity(factor: Array) -> bool:
    return factor.shape[0] == factor.shape[1] and bool((factor == np.eye(len(factor))).all())


def _gathered(values: Array, place: Array, n_columns: int) -> Array:
    """Values (n, columns, outputs) added up by input column."""
    gathered = np.zeros((len(values), n_columns, values.shape[2]))
    for column, at in enumerate(place):
        gathered[:, at] += values[:, column]
    return gathered


def _forest(b: Binder, op: str) -> tuple[Value, Array, Array]:
    """Its Shapley values, its base, and which columns it asks."""
    x, nodes, tree_target, scale, base = (_asymmetric if op == "forest" else _symmetric)(b)
    if not np.isfinite(nodes.cover).all() or (nodes.cover < 0).any():
        raise b.fail("expected covers to be finite and not negative")
    derived = shares(nodes)
    nodes = nodes._replace(leaf_value=np.ascontiguousarray(nodes.leaf_value * scale, np.float64))
    if not (np.abs(nodes.leaf_value) < _LARGEST_LEAF).all():
        raise b.fail(f"expected values of leaves below {_LARGEST_LEAF:g}, whose differences are finite")
    base = base.astype(np.float64)
    np.add.at(base, tree_target[:, None] + np.arange(nodes.leaf_value.shape[1]), expected_values(nodes, derived))
    value, steps = _result(b, x.width, len(base)), schedule(nodes, derived, tree_target)
    *lengths, sums = steps.scratch.values()
    b.step(
        f"tree_shap_{x.dtype}", x, *steps, b.scratch(x.dtype, x.width, 8), b.scratch("f64", 8),
        *(b.scratch("f64", length) for length in lengths), b.scratch("f64", x.width, len(base), sums, 8), value,
        into=value,
    )  # fmt: skip
    used = np.zeros(x.width, bool)
    used[nodes.split_index[nodes.left_child >= 0]] = True
    return value, base, used


_Forest = tuple[Value, Nodes, Array, float, Array]


def _covers(b: Binder, role: str, length: int) -> Array:
    if not b.has(role):
        raise TaskError(
            f"explain: expected the forest's covers (tensor {role!r}), which this file does not have; convert the "
            "model again, from a source that has them (ONNX files have none)"
        )
    return b.floats(role, length)


def _asymmetric(b: Binder) -> _Forest:
    x = b.input(("f32", "f64")[b.choice("compare", ("f32", "f64"))])
    leaf_value, base = b.floats("leaf_value", None, None), b.floats("base", None)
    arrays, tree_root, _ = nodes_of(b, x, len(leaf_value))
    cover = _covers(b, "node_cover", len(arrays[0]))
    nodes = Nodes(
        split_index=arrays[0],
        threshold=arrays[1],
        left_child=arrays[2],
        node_flags=arrays[3],
        category_begin=arrays[4],
        category_words=arrays[5],
        leaf_value=leaf_value,
        tree_root=tree_root,
        cover=cover,
    )
    return x, nodes, targets_of(b, len(tree_root), leaf_value.shape[1], len(base)), 1.0, base


def _symmetric(b: Binder) -> _Forest:
    x, leaf_value = b.input("f32"), b.tensor("leaf_value", "f64", None, None)
    splits = b.tensor("split_index", "i32", None)
    nodes = from_symmetric(
        b.tensor("split_begin", "i64", None), splits, b.tensor("threshold", "f32", len(splits)),
        b.tensor("nan_right", "u8", len(splits)), b.tensor("equal", "u8", len(splits)),
        b.tensor("leaf_begin", "i64", None), leaf_value, _covers(b, "leaf_cover", len(leaf_value)),
    )  # fmt: skip
    target = np.zeros(len(nodes.tree_root), np.int32)
    return x, nodes, target, b.attribute("scale", float, 1.0), b.tensor("base", "f64", None)
