"""A data file -> a file of answers, batch by batch: what `predict` and `explain` share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import numpy as np

from inferir.cli._options import backend, data_format, threads, trusted_keys
from inferir.datafiles import RowReader, open_rows, open_writer
from inferir.datafiles.files import STANDARD
from inferir.errors import InferirError
from inferir.model import Model

__all__ = ["Answer", "answer_file", "file_options", "named_columns", "output"]

_BATCH_ROWS = 16384

#: What is asked of a batch: from its rows to named columns.
Answer = Callable[[Any], dict[str, Any]]

F = TypeVar("F", bound=Callable[..., Any])

output = click.option(
    "-o", "--output", default=STANDARD, metavar="FILE", help="Where answers go.  [default: -, standard output, as CSV]"
)


def file_options(command: F) -> F:
    """Options about the data, the answers' file and how it is done."""
    for option in reversed(
        (
            click.option(
                "--format", "output_format", metavar="FORMAT", help="Of the answers.  [default: by the file's suffix]"
            ),
            data_format,
            click.option(
                "--no-header", is_flag=True, help="DATA is CSV whose first line is a row; columns are taken in order."
            ),
            click.option(
                "--batch-rows",
                type=click.IntRange(min=1),
                default=_BATCH_ROWS,
                show_default=True,
                help="Rows read, answered and written at a time; memory grows with it.",
            ),
            threads,
            backend,
            trusted_keys,
        )
    ):
        command = option(command)
    return command


def answer_file(
    model: Model,
    answers: list[Answer],
    data: str,
    output: str,
    *,
    output_format: str | None,
    data_format: str | None,
    no_header: bool,
    batch_rows: int,
) -> None:
    """Write what `answers` make of each batch of `data` to `output`, all of it or nothing."""
    reader = open_rows(
        data,
        model.columns,
        batch_rows,
        named=model.named_columns,
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
            empty = {name: column[:0] for answer in answers for name, column in answer(_no_rows(model)).items()}
            writer = open_writer(output, list(empty), file_format=_format(output, output_format))
        writer.close()


def _format(path: str, said: str | None) -> str | None:
    return "csv" if said is None and path == STANDARD else said


def named_columns(name: str, answer: np.ndarray[Any, Any]) -> dict[str, Any]:
    """`raw`, or `raw_0`, `raw_1`, ... where there are several."""
    if answer.ndim == 1:
        return {name: answer}
    return {f"{name}_{k}": answer[:, k] for k in range(answer.shape[1])}


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
