"""`inferir predict`: a data file -> a file of answers, batch by batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import numpy as np

import inferir
from inferir.cli._options import EXISTING, backend, data_format, threads, trusted_keys
from inferir.datafiles import RowReader, open_rows, open_writer
from inferir.datafiles.files import STANDARD
from inferir.errors import InferirError, TaskError
from inferir.model import Model

_BATCH_ROWS = 16384


@click.command
@click.argument("model", type=EXISTING)
@click.argument("data", type=EXISTING)
@click.option(
    "-o", "--output", default=STANDARD, metavar="FILE", help="Where answers go.  [default: -, standard output, as CSV]"
)
@click.option("--proba", is_flag=True, help="Also the probability of each class.")
@click.option("--raw", is_flag=True, help="Also the margin or decision function: what precedes any link.")
@click.option("--transform", is_flag=True, help="Also the transformed rows.")
@click.option("--format", "output_format", metavar="FORMAT", help="Of the answers.  [default: by the file's suffix]")
@data_format
@click.option("--no-header", is_flag=True, help="DATA is CSV whose first line is a row; columns are taken in order.")
@click.option(
    "--batch-rows",
    type=click.IntRange(min=1),
    default=_BATCH_ROWS,
    show_default=True,
    help="Rows read, answered and written at a time; memory grows with it.",
)
@threads
@backend
@trusted_keys
def predict(
    model: str,
    data: str,
    output: str,
    proba: bool,
    raw: bool,
    transform: bool,
    output_format: str | None,
    data_format: str | None,
    no_header: bool,
    batch_rows: int,
    threads: int | None,
    backend: str,
    trusted_keys: tuple[str, ...],
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
    answers = _answers(loaded, [face for face, on in wanted.items() if on])
    reader = open_rows(
        data,
        loaded.columns,
        batch_rows,
        named=loaded.named_columns,
        header=not no_header,
        file_format=_format(data, data_format),
    )
    with reader, _progress(reader, data, output) as advance:
        writer = None
        try:
            for batch in reader:
                table = _table(reader, batch, answers, data)
                if writer is None:
                    writer = open_writer(output, list(table), file_format=_format(output, output_format))
                writer.write(table)
                advance()
        except BaseException:
            if writer is not None:
                writer.abandon()
            raise
        if writer is None:  # a file of column names and no rows
            empty = {name: column[:0] for answer in answers for name, column in answer(_no_rows(loaded)).items()}
            writer = open_writer(output, list(empty), file_format=_format(output, output_format))
        writer.close()


def _format(path: str, said: str | None) -> str | None:
    return "csv" if said is None and path == STANDARD else said


Answer = Callable[[Any], dict[str, Any]]


def _answers(model: Model, wanted: list[str]) -> list[Answer]:
    """What is asked of each batch: functions from rows to named columns."""
    makers: dict[str, Answer] = {
        "prediction": lambda rows: _columns("prediction", model.predict(rows)),
        "probabilities": lambda rows: _probability_columns(model, rows),
        "raw": lambda rows: _columns("raw", model.raw(rows)),
        "transformed": lambda rows: _columns("transformed", model.transform(rows)),
    }
    missing = [face for face in wanted if face not in model.faces]
    if missing:
        raise TaskError(f"a {model.task} model {model.name!r} has no {missing[0]}; it has {', '.join(model.faces)}")
    first = [face for face in ("prediction", "transformed") if face in model.faces][:1]
    return [makers[face] for face in dict.fromkeys(first + wanted)]


def _columns(name: str, answer: np.ndarray[Any, Any]) -> dict[str, Any]:
    """`raw`, or `raw_0`, `raw_1`, ... where there are several."""
    if answer.ndim == 1:
        return {name: answer}
    return {f"{name}_{k}": answer[:, k] for k in range(answer.shape[1])}


def _probability_columns(model: Model, rows: Any) -> dict[str, Any]:
    """`probability_setosa`, ..., with the number of the output before the class where there are several."""
    found = model.predict_proba(rows)
    if isinstance(found, list):
        return {
            f"probability_{k}_{label}": matrix[:, j]
            for k, (matrix, labels) in enumerate(zip(found, model.classes, strict=True))
            for j, label in enumerate(labels)  # type: ignore[arg-type]  # several outputs: a tuple of labels each
        }
    return {f"probability_{label}": found[:, j] for j, label in enumerate(model.classes)}


def _table(reader: RowReader, batch: Any, answers: list[Answer], data: str) -> dict[str, Any]:
    try:
        return {name: column for answer in answers for name, column in answer(batch).items()}
    except InferirError as error:
        reader.check(batch)  # says so with the row's number in the file, if it is about a value
        raise type(error)(f"{data}, in the rows from {reader.first_row} on: {error.message}") from error


def _no_rows(model: Model) -> np.ndarray[Any, Any]:
    return np.empty((0, len(model.columns)))


@contextmanager
def _progress(reader: RowReader, data: str, output: str) -> Iterator[Callable[[], None]]:
    """A bar by bytes read, on standard error: for someone who watches, and not where it would mix with the answers."""
    if not sys.stderr.isatty() or (output == STANDARD and sys.stdout.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(data, total=reader.bytes_total)
        yield lambda: progress.update(task, completed=reader.bytes_done)
