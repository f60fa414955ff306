"""`inferir bench`: the time a model takes per row."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
import numpy as np

import inferir
from inferir import kernels
from inferir.cli._options import EXISTING, as_json, data_format, threads, trusted_keys
from inferir.cli._output import print_json, seconds_text, show, table
from inferir.cli._timing import measure
from inferir.datafiles import open_rows
from inferir.errors import InvalidInputError
from inferir.model import Model
from inferir.rows import Columns

_BATCHES = (1, 100, 10_000)
_SECONDS = 0.5
_SEED = 0


@click.command
@click.argument("model", type=EXISTING)
@click.argument("data", type=EXISTING, required=False)
@data_format
@click.option(
    "--batch", "batches", type=click.IntRange(min=1), multiple=True, help="Rows in a call; may be given again."
)
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="Kernels to time; may be given again.")
@threads
@trusted_keys
@as_json
def bench(
    model: str,
    data: str | None,
    data_format: str | None,
    batches: tuple[int, ...],
    backends: tuple[str, ...],
    threads: int | None,
    trusted_keys: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure the time a model takes per row.

    Calls `predict` (or `transform`) from Python on batches of 1, 100 and 10,000 rows of DATA, or of random rows if
    there is no DATA, for half a second each after a first call that does not count, and gives the median and the
    fastest call. Random numbers take other ways through a forest than real rows do: give DATA when figures matter.

    \b
    Examples:
      inferir bench model.apr rows.csv
      inferir bench model.apr --batch 1 --backend jit --threads 1 --json
    """
    results = []
    for name in backends or kernels.available():
        loaded = inferir.load(model, backend=name, threads=threads, trusted_keys=trusted_keys or None)
        rows = _matrix(loaded, data, data_format, max(batches or _BATCHES))
        call = loaded.predict if "prediction" in loaded.faces else loaded.transform
        for size in batches or _BATCHES:
            timing = measure(call, _batch(loaded, rows, size), _SECONDS)
            results.append({"backend": name, "rows": size, **asdict(timing)})
    if as_json:
        print_json({"model": model, "data": data, "results": results})
        return
    show(
        table(
            ("backend", "rows in a call", "a call, median", "a row, median", "a row, fastest", "calls"),
            [
                (
                    r["backend"],
                    f"{r['rows']:,}",
                    seconds_text(r["median_s"]),
                    seconds_text(r["median_s"] / r["rows"]),
                    seconds_text(r["fastest_s"] / r["rows"]),
                    f"{r['calls']:,}",
                )
                for r in results
            ],
            right=("rows in a call", "a call, median", "a row, median", "a row, fastest", "calls"),
        )
    )


def _matrix(model: Model, data: str | None, data_format: str | None, n_rows: int) -> np.ndarray[Any, Any]:
    """(n_rows, columns), categories as codes: rows of the file, again from its start where it has too few."""
    if data is None:
        return _random_rows(model, n_rows)
    encode = Columns(model.columns, model.named_columns).encode
    parts, found = [], 0
    with open_rows(data, model.columns, named=model.named_columns, file_format=data_format) as reader:
        for batch in reader:
            parts.append(encode(batch, first_row=reader.first_row))
            found += len(parts[-1])
            if found >= n_rows:
                break
    if not found:
        raise InvalidInputError(f"{data}: expected at least one row, got none")
    return np.resize(np.concatenate(parts), (n_rows, len(model.columns)))


def _random_rows(model: Model, n_rows: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(_SEED)
    rows = rng.standard_normal((n_rows, len(model.columns)))
    for position, column in enumerate(model.columns):
        if column.categories:
            rows[:, position] = rng.integers(len(column.categories), size=n_rows)
    return rows


def _batch(model: Model, rows: np.ndarray[Any, Any], size: int) -> Any:
    """As a caller would pass it: an array, or a dict of columns if some of them are text."""
    rows = np.ascontiguousarray(rows[:size])
    if not any(column.categories for column in model.columns):
        return rows
    return {
        column.name: [
            column.categories[int(code)] if code >= 0 else None if np.isnan(code) else "" for code in rows[:, position]
        ]
        if column.categories
        else np.ascontiguousarray(rows[:, position])
        for position, column in enumerate(model.columns)
    }
