"""`inferir predict`: a data file -> a file of answers, batch by batch."""

from __future__ import annotations

from typing import Any

import click

import inferir
from inferir.cli._batches import Answer, answer_file, file_options, named_columns, output
from inferir.cli._options import EXISTING
from inferir.errors import TaskError
from inferir.model import Model


@click.command
@click.argument("model", type=EXISTING)
@click.argument("data", type=EXISTING)
@output
@click.option("--proba", is_flag=True, help="Also the probability of each class.")
@click.option("--raw", is_flag=True, help="Also the margin or decision function: what precedes any link.")
@click.option("--transform", is_flag=True, help="Also the transformed rows.")
@file_options
def predict(
    model: str,
    data: str,
    output: str,
    proba: bool,
    raw: bool,
    transform: bool,
    threads: int | None,
    backend: str,
    trusted_keys: tuple[str, ...],
    **options: Any,
) -> None:
    """Answer the rows of a data file of any size.

    DATA is CSV, JSON, JSON lines, Parquet or Arrow (the last two with `pip install inferir[data]`), or - for standard
    input. Columns are found by name, others are left alone. The answers have one line per row, in order, and appear
    under their name when they are complete.

    \b
    Examples:
      inferir predict model.apr rows.csv -o answers.csv
      inferir predict model.apr rows.parquet -o answers.parquet --proba
      zcat rows.csv.gz | inferir predict model.apr - | head
    """
    loaded = inferir.load(model, backend=backend, threads=threads, trusted_keys=trusted_keys or None)
    wanted = {"probabilities": proba, "raw": raw, "transformed": transform}
    answer_file(loaded, _answers(loaded, [face for face, on in wanted.items() if on]), data, output, **options)


def _answers(model: Model, wanted: list[str]) -> list[Answer]:
    """What is asked of each batch, all in one run: functions from rows to named columns."""
    missing = [face for face in wanted if face not in model.faces]
    if missing:
        raise TaskError(f"a {model.task} model {model.name!r} has no {missing[0]}; it has {', '.join(model.faces)}")
    first = [face for face in ("prediction", "transformed") if face in model.faces][:1]
    faces = tuple(dict.fromkeys(first + wanted))

    def answer(rows: Any) -> dict[str, Any]:
        named: dict[str, Any] = {}
        found: Any  # an array, or of several outputs' probabilities a list of them
        for face, found in model.answers(rows, faces).items():
            named |= _probability_columns(model, found) if face == "probabilities" else named_columns(face, found)
        return named

    return [answer]


def _probability_columns(model: Model, found: Any) -> dict[str, Any]:
    """`probability_setosa`, ..., with the number of the output before the class where there are several."""
    if isinstance(found, list):
        return {
            f"probability_{k}_{label}": matrix[:, j]
            for k, (matrix, labels) in enumerate(zip(found, model.classes, strict=True))
            for j, label in enumerate(labels)  # type: ignore[arg-type]  # several outputs: a tuple of labels each
        }
    return {f"probability_{label}": found[:, j] for j, label in enumerate(model.classes)}
