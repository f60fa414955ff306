"""Parquet and Arrow files, through pyarrow (the extra `data`). Batches are pyarrow record batches.

A Parquet file is decoded row group by row group and only in the columns that the model has; an Arrow file (Feather is
one) batch by batch, as a file or as a stream, whichever it is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from inferir.datafiles.base import RowReader, TableWriter
from inferir.datafiles.files import Source, Target
from inferir.errors import BackendError, InvalidInputError
from inferir.rows import Columns

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise BackendError('Parquet and Arrow files need pyarrow: pip install "inferir[data]"') from error

__all__ = ["ArrowReader", "ArrowWriter", "ParquetReader", "ParquetWriter"]

#: First bytes of an Arrow file; a stream has none.
_ARROW_FILE = b"ARROW1"


class _Reader(RowReader):
    """Turns pyarrow's errors into ours."""

    _kind = ""

    def __init__(self, source: Source, columns: Columns, batch_rows: int, header: bool) -> None:
        super().__init__(source, columns)
        self._batch_rows = batch_rows
        self._finished = False
        with source.reading(), self._decoding():
            self._open()

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _parts(self) -> Iterator[Any]: ...

    def _batches(self) -> Iterator[tuple[Any, int]]:
        with self._decoding():
            for part in self._parts():
                for start in range(0, part.num_rows, self._batch_rows):
                    batch = part.slice(start, self._batch_rows)
                    yield batch, batch.num_rows
        self._finished = True

    @property
    def bytes_done(self) -> int:
        return self.bytes_total if self._finished and self.bytes_total is not None else self._progress()

    def _progress(self) -> int:
        return self._source.done

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InvalidInputError(f"{self._source.name}: expected {self._kind}: {error}") from error

    def _seekable(self) -> Any:
        if not self._source.file.seekable():
            raise InvalidInputError(f"{self._source.name}: expected a file for {self._kind}, got a stream")
        return self._source.file


class ParquetReader(_Reader):
    """Progress is counted in rows, since a row group is read at once."""

    _kind = "a Parquet file"

    def _open(self) -> None:
        # pre_buffer would hold all row groups that are wanted, that is, the file.
        self._file = pq.ParquetFile(self._seekable(), pre_buffer=False)
        came = self._file.schema_arrow.names
        self._rows = 0
        self._columns.match(came)  # says what is missing before anything is read
        self._names = [name for name in self._columns.names if name in came] if self._columns.named else None

    def _parts(self) -> Iterator[Any]:
        for batch in self._file.iter_batches(self._batch_rows, columns=self._names):
            self._rows += batch.num_rows
            yield batch

    def _progress(self) -> int:
        return int(self._rows / max(1, self._file.metadata.num_rows) * (self.bytes_total or 0))


class ArrowReader(_Reader):
    """Reads the file format, the older Feather excepted, and the stream format."""

    _kind = "an Arrow file or stream"

    def _open(self) -> None:
        file = self._source.file
        is_file = file.seekable() and file.read(len(_ARROW_FILE)) == _ARROW_FILE
        if file.seekable():
            file.seek(0)
        self._reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
        self._is_file = is_file
        self._columns.match(self._reader.schema.names)

    def _parts(self) -> Iterator[Any]:
        if not self._is_file:
            yield from self._reader
            return
        for number in range(self._reader.num_record_batches):
            yield self._reader.get_batch(number)


class _Writer(TableWriter):
    """The first batch says what the types of the columns are; later ones are cast to them."""

    def __init__(self, target: Target, names: Sequence[str]) -> None:
        super().__init__(target, names)
        self._writer: Any = None
        self._schema: Any = None

    @abstractmethod
    def _open(self, schema: Any) -> Any: ...

    def _write(self, columns: list[Any], rows: int) -> None:
        try:
            if self._schema is None:
                arrays = [pa.array(column) for column in columns]
                self._schema = pa.schema(
                    [pa.field(name, array.type) for name, array in zip(self.names, arrays, strict=True)]
                )
                self._writer = self._open(self._schema)
            else:
                arrays = [
                    pa.array(column).cast(field.type) for column, field in zip(columns, self._schema, strict=True)
                ]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))
        except pa.ArrowException as error:
            raise InvalidInputError(f"{self._target.name}: expected columns of one type each: {error}") from error

    def _finish(self) -> None:
        if self._writer is None:  # not a single batch: no types either
            self._writer = self._open(pa.schema([pa.field(name, pa.null()) for name in self.names]))
        self._writer.close()

    def abandon(self) -> None:
        if self._writer is not None:
            with suppress(pa.ArrowException, OSError):  # or pyarrow would write the end later, to a file that is closed
                self._writer.close()
        super().abandon()


class ParquetWriter(_Writer):
    """A row group for each batch."""

    def _open(self, schema: Any) -> Any:
        return pq.ParquetWriter(self._target.stream, schema)


class ArrowWriter(_Writer):
    """The file format, which is Feather's too."""

    def _open(self, schema: Any) -> Any:
        return pa.ipc.new_file(self._target.stream, schema)
