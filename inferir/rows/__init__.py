"""Rows of any kind -> one matrix: what a caller passes becomes a C-contiguous float32 or float64 array.

    arrays, lists, dicts    values.py, sequences.py     by position, or by name where rows are dicts
    pandas                  dataframes.py               by name, straight from its columns
    anything Arrow          arrow.py                    polars, pyarrow, DuckDB, ...: through nanoarrow
    other data frames       interchange.py              the DataFrame interchange protocol
                            categories.py               text -> code
                            names.py                    which of the table's columns are the model's
    decoded JSON            plain.py                    a row or a few, without NumPy

NumPy is imported with `Columns`, nanoarrow when an Arrow table comes in, pandas, polars and pyarrow never.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from inferir.rows.columns import Columns

__all__ = ["Columns"]


def __getattr__(name: str) -> Any:
    if name != "Columns":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from inferir.rows.columns import Columns

    globals()[name] = Columns
    return Columns
