"""Encoders of scikit-learn: categories to codes or to columns of 0 and 1.

A category is text or a number. Text can only come straight from an input column, which then is a category column: the
row holds its code there, and the encoder's own categories are codes too. Kernels search categories that rise, so they
are stored sorted, each with what it becomes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inferir.formats.importers._builder import Builder, Rows

__all__ = ["codes_of", "is_missing", "ordinal_columns"]


def is_missing(value: Any) -> bool:
    """None, NaN or pandas.NA: what stands for a missing category."""
    return value is None or (isinstance(value, float) and value != value) or type(value).__name__ == "NAType"


def codes_of(b: Builder, column: int | None, categories: Any) -> Any:
    """The numbers that `categories` are in the rows: themselves, or their codes if one is text. Missing is NaN."""
    present = [value for value in categories if not is_missing(value)]
    if any(isinstance(value, str) for value in present) or b.is_category(column):
        codes = iter(b.category_codes(column, present))
        return np.array([np.nan if is_missing(value) else next(codes) for value in categories], np.float64)
    return np.array([np.nan if is_missing(value) else float(value) for value in categories], np.float64)


def sorted_columns(b: Builder, x: Rows, categories: Any) -> tuple[Any, Any, list[Any]]:
    """begin and category of all columns, each sorted, and for each column the order that sorted it."""
    begin, parts, orders = [0], [], []
    for origin, known in zip(x.origins, categories):
        codes = codes_of(b, origin, known)
        order = np.argsort(codes, kind="stable")  # NaN last
        begin.append(begin[-1] + len(codes))
        parts.append(codes[order])
        orders.append(order)
    return np.array(begin, np.int64), np.concatenate(parts or [np.zeros(0)]), orders


def ordinal_columns(encoder: Any, b: Builder, x: Rows) -> Rows:
    """OrdinalEncoder: a category's position, `encoded_missing_value` for a missing one."""
    begin, category, orders = sorted_columns(b, x, encoder.categories_)
    codes = []
    for column, (known, order) in enumerate(zip(encoder.categories_, orders)):
        code = np.arange(len(known), dtype=np.float64)
        groups = getattr(encoder, "_default_to_infrequent_mappings", None)
        if groups is not None and groups[column] is not None:
            code = np.asarray(groups[column], np.float64)
        code[[is_missing(value) for value in known]] = encoder.encoded_missing_value
        codes.append(code[order])
    tensors = {"begin": begin, "category": category, "code": np.concatenate(codes or [np.zeros(0)])}
    if encoder.handle_unknown == "use_encoded_value":
        attributes = {"unknown": "value", "unknown_value": float(encoder.unknown_value)}
    else:
        attributes = {"unknown": "refuse"}
    return Rows(b.op("encode", x.value, tensors=tensors, **attributes), (None,) * x.width)
