"""Encoders of scikit-learn: categories to codes or to columns of 0 and 1.

A category is text or a number. Text can only come straight from an input column, which then is a category column: the
row holds its code there, and the encoder's own categories are codes too. Kernels search categories that rise, so they
are stored sorted, each with what it becomes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.formats.importers._builder import Answers, Builder, Rows
from inferir.formats.importers.sklearn.compose import transformed

__all__ = ["codes_of", "is_missing", "one_hot_encoder", "ordinal_columns", "ordinal_encoder", "target_encoder"]


def is_missing(value: Any) -> bool:
    """None, NaN or pandas.NA: what stands for a missing category."""
    return value is None or (isinstance(value, float) and value != value) or type(value).__name__ == "NAType"


def codes_of(b: Builder, column: int | None, categories: Any) -> Any:
    """The numbers that `categories` are in the rows: themselves, or their codes if one is text. Missing is NaN."""
    present = [value for value in categories if not is_missing(value)]
    if column in b.imputed and any(value is None for value in categories):
        raise b.unsupported("None as a category behind an imputer of NaN", "the imputer as the step before the encoder")
    if any(isinstance(value, str) for value in present) or b.is_category(column):
        codes = iter(b.category_codes(column, present))
        return np.array([np.nan if is_missing(value) else next(codes) for value in categories], np.float64)
    return np.array([np.nan if is_missing(value) else float(value) for value in categories], np.float64)


def sorted_columns(b: Builder, x: Rows, categories: Any) -> tuple[Any, Any, list[Any]]:
    """begin and category of all columns, each sorted, and for each column the order that sorted it."""
    begin, parts, orders = [0], [], []
    for origin, known in zip(x.origins, categories, strict=True):
        codes = codes_of(b, origin, known)
        order = np.argsort(codes, kind="stable")  # NaN last
        begin.append(begin[-1] + len(codes))
        parts.append(codes[order])
        orders.append(order)
    return np.array(begin, np.int64), np.concatenate(parts or [np.zeros(0)]), orders


def ordinal_columns(encoder: Any, b: Builder, x: Rows) -> Rows:
    """OrdinalEncoder: a category's position; `encoded_missing_value` for NaN, which None is not to scikit-learn."""
    begin, category, orders = sorted_columns(b, x, encoder.categories_)
    codes = []
    for column, (known, order) in enumerate(zip(encoder.categories_, orders, strict=True)):
        code = np.arange(len(known), dtype=np.float64)
        groups = getattr(encoder, "_default_to_infrequent_mappings", None)
        if groups is not None and groups[column] is not None:
            code = np.asarray(groups[column], np.float64)
        code[[isinstance(value, float) and value != value for value in known]] = encoder.encoded_missing_value
        codes.append(code[order])
    tensors = {"begin": begin, "category": category, "code": np.concatenate(codes or [np.zeros(0)])}
    if encoder.handle_unknown == "use_encoded_value":
        attributes = {"unknown": "value", "unknown_value": float(encoder.unknown_value)}
    else:
        attributes = {"unknown": "refuse"}
    return Rows(b.op("encode", x.value, tensors=tensors, **attributes), (None,) * x.width)


def ordinal_encoder(encoder: Any, b: Builder, x: Rows) -> Answers:
    return transformed(ordinal_columns(encoder, b, x))


def target_encoder(encoder: Any, b: Builder, x: Rows) -> Answers:
    """A category's mean target; the overall mean for a category that was not seen."""
    if encoder.target_type_ == "multiclass":
        raise b.unsupported("TargetEncoder of several classes", "TargetEncoder of a binary or continuous target")
    begin, category, orders = sorted_columns(b, x, encoder.categories_)
    code = np.concatenate(
        [np.asarray(means, np.float64)[order] for means, order in zip(encoder.encodings_, orders, strict=True)]
    )
    tensors = {"begin": begin, "category": category, "code": code}
    value = b.op("encode", x.value, tensors=tensors, unknown="value", unknown_value=float(encoder.target_mean_))
    return transformed(Rows(value, (None,) * x.width))


def one_hot_encoder(encoder: Any, b: Builder, x: Rows) -> Answers:
    """Each category to its column: a shared one if it is infrequent, none if it is dropped.

    An unknown category has no column, or the infrequent one; with handle_unknown="error" it is refused.
    """
    begin, category, orders = sorted_columns(b, x, encoder.categories_)
    groups = getattr(encoder, "_default_to_infrequent_mappings", None) or [None] * x.width
    dropped = getattr(encoder, "_drop_idx_after_grouping", encoder.drop_idx_)
    columns, unknown, width = [], [], 0
    for known, order, group, drop in zip(
        encoder.categories_, orders, groups, [None] * x.width if dropped is None else dropped, strict=True
    ):
        if sum(is_missing(value) for value in known) > 1:
            raise b.unsupported("None and NaN as two categories of one column", "one of them")
        place = np.arange(len(known)) if group is None else np.asarray(group)
        infrequent = -1 if group is None else int(place.max())
        n_places = int(place.max()) + 1
        position = np.arange(n_places)
        if drop is not None:
            position = np.where(position == drop, -1, position - (position > drop))
        position = np.where(position >= 0, position + width, -1)
        columns.append(position[place][order])
        if encoder.handle_unknown == "error":
            unknown.append(-2)
        else:
            spare = encoder.handle_unknown in ("infrequent_if_exist", "warn") and infrequent >= 0
            unknown.append(int(position[infrequent]) if spare else -1)
        width += n_places - (drop is not None)
    tensors = {
        "begin": begin,
        "category": category,
        "column": np.concatenate(columns).astype(np.int64),
        "unknown": np.array(unknown, np.int64),
    }
    return transformed(Rows(b.op("one_hot", x.value, tensors=tensors, width=width), (None,) * width))
