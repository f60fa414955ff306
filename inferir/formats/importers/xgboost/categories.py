"""Categories that a model stores (since 3.1, for category columns of a data frame): values -> the codes of training.

Such a column becomes a category column, found by text: "a", or "7" for a category that is a number. XGBoost asks the
frame's dictionary and fails where it holds a value that training did not; here a row that holds one is refused (E006).
XGBoost 3.1 and 3.2 themselves take some unknown values for the next known one in order (#12189), which nobody wants.

Columns of codes (`feature_types` "c" of an array, and all older files) stay numbers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from inferir.formats.importers._builder import Builder, Rows
from inferir.formats.importers.xgboost.document import Fields

__all__ = ["encode", "stored_categories"]

#: Up to here, names from pandas with letters outside ASCII were cut in the wrong places (#12371), and a file does not
#: say whether its names came from pandas.
FIRST_RIGHT_UTF8 = (3, 4)


def stored_categories(model: Fields, n_columns: int, version: tuple[int, ...], b: Builder) -> dict[int, list[Any]]:
    """Column -> its categories, in the order of their codes."""
    if "cats" not in model:
        return {}
    columns = model.object("cats").objects("enc")
    if len(columns) not in (0, n_columns):
        raise model.object("cats").error("enc", f"{n_columns} columns")
    found: dict[int, list[Any]] = {}
    for column, fields in enumerate(columns):
        values = _texts(fields, version, b) if "offsets" in fields else fields.array("values", np.int64).tolist()
        if values:
            found[column] = values
    return found


def _texts(fields: Fields, version: tuple[int, ...], b: Builder) -> list[str]:
    """Names as Arrow keeps them: all bytes in one run, and where each name begins and ends."""
    end, letters = fields.array("offsets", np.int64), fields.array("values", np.int64)
    if not len(end):
        return []
    if end[0] != 0 or (np.diff(end) < 0).any() or end[-1] > len(letters):
        raise fields.error("offsets", f"positions that rise from 0 to at most {len(letters)}")
    raw = (letters & 0xFF).astype(np.uint8).tobytes()
    if not raw.isascii() and version < FIRST_RIGHT_UTF8:
        raise b.unsupported(
            f"category names outside ASCII from XGBoost {'.'.join(map(str, version))}, which may have cut them wrong",
            "names in ASCII, or a model trained with XGBoost 3.4",
        )
    try:
        return [raw[first:last].decode() for first, last in pairwise(end)]
    except UnicodeDecodeError:
        raise fields.error("values", "names in UTF-8") from None


def encode(known: dict[int, list[Any]], b: Builder, x: Rows) -> tuple[str, npt.NDArray[Any]]:
    """Rows with codes in the columns of `known`, which come first; where each column of `x` now stands."""
    columns = list(known)
    rest = [column for column in range(x.width) if column not in known]
    begin, category, code = [0], [], []
    for column in columns:
        codes = np.array(b.category_codes(x.origins[column], known[column]), np.float64)
        if len(set(codes.tolist())) != len(codes):
            raise b.unsupported(f"two categories of one text in column {column}", "categories of different texts")
        order = np.argsort(codes)
        category.append(np.append(codes[order], np.nan))  # what is missing stays missing
        code.append(np.append(order, np.nan))
        begin.append(begin[-1] + len(codes) + 1)
    tensors = {"begin": np.array(begin, np.int64), "category": np.concatenate(category), "code": np.concatenate(code)}
    rows = b.op("encode", b.select(x, columns).value, tensors=tensors, unknown="refuse")
    if rest:
        rows = b.op("concat", rows, b.select(x, rest).value)
    position = np.empty(x.width, np.int64)
    position[columns + rest] = np.arange(x.width)
    return rows, position
