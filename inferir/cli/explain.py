"""`inferir explain`: a data file -> a file of contributions, batch by batch."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

import inferir
from inferir.cli._batches import answer_file, file_options, named_columns, output
from inferir.cli._options import EXISTING
from inferir.model import Model


@click.command
@click.argument("model", type=EXISTING)
@click.argument("data", type=EXISTING)
@output
@file_options
def explain(
    model: str,
    data: str,
    output: str,
    threads: int | None,
    backend: str,
    trusted_keys: tuple[str, ...],
    **options: Any,
) -> None:
    """Say what each column added to each row's score.

    Forests of all kinds and linear models: exact Shapley values. The answers have one line per row of DATA, in order,
    and one column for each column of the model, then `base`: a line adds up to the row's raw score. Where there are
    several scores, such as one per class, columns end with their number.

    \b
    Examples:
      inferir explain model.apr rows.csv -o contributions.csv
      inferir explain model.apr rows.parquet -o contributions.parquet
    """
    loaded = inferir.load(model, backend=backend, threads=threads, trusted_keys=trusted_keys or None)
    answer_file(loaded, [lambda rows: _contributions(loaded, rows)], data, output, **options)


def _contributions(model: Model, rows: Any) -> dict[str, Any]:
    values, base = model.explain(rows)
    table: dict[str, Any] = {}
    for column, spec in enumerate(model.columns):
        table |= named_columns(spec.name, values[:, column])
    bases = np.broadcast_to(base, (len(values), len(base)))
    name = "base" if "base" not in table else "base_score"
    return table | named_columns(name, bases[:, 0] if len(base) == 1 else bases)
