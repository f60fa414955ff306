"""Data files, for the command line: read as a stream of batches of rows, written batch by batch.

    csv       .csv .tsv                 delimited.py      also .gz
    json      .json                     json_values.py    an array of objects or of arrays; also .gz
    jsonl     .jsonl .ndjson            json_values.py    one object or array a line; also .gz
    parquet   .parquet .pq              columnar.py       needs pyarrow
    arrow     .arrow .feather .ipc      columnar.py       needs pyarrow

Files may be larger than memory: no more than a batch is held (a row group of Parquet, a record batch of Arrow). Output
goes to a temporary file beside the real one, which takes its place when everything is written. A path of "-" is
standard input or output, and then the format has to be said.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

from inferir.datafiles.base import RowReader, TableWriter
from inferir.datafiles.files import STANDARD, Source, Target
from inferir.errors import FileAccessError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns

__all__ = ["FORMATS", "RowReader", "TableWriter", "format_of", "open_rows", "open_writer"]

#: Format -> its suffixes, and the reader and the writer as "module:class".
FORMATS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "csv": ((".csv", ".tsv"), "delimited:CsvReader", "delimited:CsvWriter"),
    "json": ((".json",), "json_values:JsonReader", "json_values:JsonWriter"),
    "jsonl": ((".jsonl", ".ndjson"), "json_values:JsonLinesReader", "json_values:JsonLinesWriter"),
    "parquet": ((".parquet", ".pq"), "columnar:ParquetReader", "columnar:ParquetWriter"),
    "arrow": ((".arrow", ".feather", ".ipc"), "columnar:ArrowReader", "columnar:ArrowWriter"),
}

#: Formats whose files may be compressed as a whole; the others compress what they hold.
_GZIPPED = ("csv", "json", "jsonl")


def open_rows(
    path: str | os.PathLike[str],
    columns: Sequence[ColumnSpec],
    batch_rows: int = 8192,
    *,
    named: bool = True,
    header: bool = True,
    file_format: str | None = None,
) -> RowReader:
    """A reader that yields batches of at most `batch_rows` rows, each as `rows.Columns.encode` takes it.

    columns      the model's. Columns of the file that are not among them are not converted.
    named        False: the model has no column names; the file's columns are taken by position.
    header       False: a CSV file without a line of names; its columns are taken by position.
    file_format  a key of FORMATS; None: by the suffix.

    Raises FileAccessError (E010) for a file that cannot be opened, InvalidInputError (E006) for one that is empty,
    damaged or of an unknown kind, DimensionError (E003) for missing columns, BackendError (E009) without pyarrow; then,
    while it is read, the same for what comes later in the file.
    """
    name = os.fspath(path)
    reader = _load(FORMATS[format_of(name, file_format)][1])
    prepared = Columns(columns, named)
    source = Source(name)
    try:
        return cast(RowReader, reader(source, prepared, batch_rows, header))
    except BaseException:
        source.close()
        raise


def open_writer(path: str | os.PathLike[str], names: Sequence[str], *, file_format: str | None = None) -> TableWriter:
    """A writer of a table with the columns `names`. The file appears when the writer is closed, or when its `with`
    block ends without an error; after an error nothing is left.

    Raises FileAccessError (E010), InvalidInputError (E006) for an unknown kind of file, BackendError (E009) without
    pyarrow.
    """
    name = os.fspath(path)
    writer = _load(FORMATS[format_of(name, file_format)][2])
    target = Target(name)
    try:
        return cast(TableWriter, writer(target, list(names)))
    except BaseException:
        target.abandon()
        raise


def format_of(path: str, file_format: str | None = None) -> str:
    """The key of FORMATS for a path. Raises InvalidInputError with the suffixes that are known."""
    if file_format is not None:
        if file_format not in FORMATS:
            raise InvalidInputError(f"expected a format among {', '.join(FORMATS)}, got {file_format!r}")
        return file_format
    if path == STANDARD:
        raise InvalidInputError(f"standard input and output have no suffix: expected a format ({', '.join(FORMATS)})")
    if os.path.isdir(path):
        raise FileAccessError(f"{path}: expected a file, got a directory")
    lowered = path.lower()
    gzipped = lowered.endswith(".gz")
    suffix = os.path.splitext(lowered.removesuffix(".gz"))[1]
    for name, (suffixes, _, _) in FORMATS.items():
        if suffix in suffixes and (not gzipped or name in _GZIPPED):
            return name
    known = ", ".join(suffix for suffixes, _, _ in FORMATS.values() for suffix in suffixes)
    gzips = ", ".join(f"{suffix}.gz" for name in _GZIPPED for suffix in FORMATS[name][0])
    raise InvalidInputError(f"{path}: expected a file that ends in {known}, {gzips}")


def _load(place: str) -> Callable[..., Any]:
    """A reader or writer. Loaded when asked for: one format needs nothing of the others."""
    module, name = place.split(":")
    return cast("Callable[..., Any]", getattr(import_module(f"inferir.datafiles.{module}"), name))
