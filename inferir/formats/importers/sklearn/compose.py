"""Pipelines and what puts columns together: Pipeline, ColumnTransformer, FeatureUnion, FunctionTransformer(None)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows


def transformed(rows: Rows) -> Answers:
    """Answers of a transformer."""
    return Answers("transform", "Transformer", transformed=rows.value, origins=rows.origins)


def side_by_side(b: Builder, parts: Sequence[Rows]) -> Rows:
    """Several values as one."""
    if len(parts) == 1:
        return parts[0]
    return Rows(b.op("concat", *[part.value for part in parts]), tuple(o for part in parts for o in part.origins))


def weighted(b: Builder, rows: Rows, weight: float | None) -> Rows:
    """The rows times a transformer's weight."""
    if weight is None:
        return rows
    tensors = {"factor": np.full(rows.width, float(weight)), "offset": np.zeros(rows.width)}
    return Rows(b.op("affine", rows.value, tensors=tensors), (None,) * rows.width)


def _passes(transformer: Any) -> bool:
    return transformer is None or (isinstance(transformer, str) and transformer == "passthrough")


def pipeline(estimator: Any, b: Builder, x: Rows) -> Answers:
    answers = transformed(x)
    steps = [(name, step) for name, step in estimator.steps if not _passes(step)]
    for (name, step), (_, following) in zip(steps, [*steps[1:], ("", None)], strict=True):
        with b.at(f"step {name!r}"):
            if answers.transformed is None:
                raise b.unsupported("a step behind one that does not transform", "transformers, then one estimator")
            _note_none(following, b, answers.origins)
            answers = b.estimator(step, answers.rows())
    return answers


def _note_none(following: Any, b: Builder, origins: Sequence[int | None]) -> None:
    """Columns in which the encoder that follows has None for a category: an imputer of NaN has left it alone."""
    categories = getattr(following, "categories_", ())
    if len(categories) == len(origins):
        b.none_is_text.update(
            origin for origin, known in zip(origins, categories, strict=True) if any(value is None for value in known)
        )


def column_transformer(estimator: Any, b: Builder, x: Rows) -> Answers:
    parts, weights = [], estimator.transformer_weights or {}
    for name, transformer, _ in estimator.transformers_:
        columns = estimator._transformer_to_input_indices[name]
        if len(columns) == 0 or (isinstance(transformer, str) and transformer == "drop"):
            continue
        with b.at(f"transformer {name!r}"):
            part = b.select(x, columns)
            if not _passes(transformer):
                part = b.estimator(transformer, part).rows()
            parts.append(weighted(b, part, weights.get(name)))
    if not parts:
        raise b.unsupported("a ColumnTransformer that keeps no column", "at least one column")
    return transformed(side_by_side(b, parts))


def feature_union(estimator: Any, b: Builder, x: Rows) -> Answers:
    parts, weights = [], estimator.transformer_weights or {}
    for name, transformer in estimator.transformer_list:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        with b.at(f"transformer {name!r}"):
            part = x if _passes(transformer) else b.estimator(transformer, x).rows()
            parts.append(weighted(b, part, weights.get(name)))
    if not parts:
        raise b.unsupported("a FeatureUnion that keeps no column", "at least one transformer")
    return transformed(side_by_side(b, parts))


def function_transformer(estimator: Any, b: Builder, x: Rows) -> Answers:
    if estimator.func is not None:
        name = getattr(estimator.func, "__name__", repr(estimator.func))
        raise b.unsupported(f"FunctionTransformer({name}), which is code", "FunctionTransformer(None)")
    return transformed(x)
