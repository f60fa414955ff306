"""Parquet and Arrow files, against the tables they were written from."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferir.datafiles import open_rows, open_writer
from inferir.errors import DimensionError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from inferir.rows import Columns

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
feather = pytest.importorskip("pyarrow.feather")

COLUMNS = (ColumnSpec("a"), ColumnSpec("c", "category", ("red", "green")))
ROWS = 1000
TABLE = pa.table(
    {
        "other": pa.array([b"x"] * ROWS),
        "c": pa.array([["red", "green", None, "blue"][row % 4] for row in range(ROWS)]),
        "a": pa.array([None if row % 7 == 0 else row for row in range(ROWS)], pa.int32()),
    }
)


def write_stream(table: Any, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)


def read_all(path: Path) -> list[Any]:
    with open_rows(path, COLUMNS) as reader:
        return list(reader)


WRITERS = {
    "x.parquet": lambda table, path: pq.write_table(table, path, row_group_size=300),
    "x.pq": lambda table, path: pq.write_table(table, path, compression="zstd", use_dictionary=False),
    "x.arrow": lambda table, path: feather.write_feather(table, path, chunksize=300, compression="uncompressed"),
    "x.feather": lambda table, path: feather.write_feather(table, path, compression="zstd"),
    "x.ipc": write_stream,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("batch_rows", [100, 1_000_000])
def test_reading(tmp_path: Path, name: str, batch_rows: int) -> None:
    path = tmp_path / name
    WRITERS[name](TABLE, path)
    encoder = Columns(COLUMNS)
    matrices, progress = [], []
    with open_rows(path, COLUMNS, batch_rows) as reader:
        for batch in reader:
            assert reader.first_row == sum(map(len, matrices))
            matrices.append(encoder.encode(batch, first_row=reader.first_row))
            progress.append(reader.bytes_done)
        assert reader.bytes_done == reader.bytes_total == path.stat().st_size
    assert max(map(len, matrices)) <= batch_rows
    np.testing.assert_array_equal(np.concatenate(matrices), encoder.encode(TABLE))
    assert progress == sorted(progress)


@pytest.mark.parametrize("name", WRITERS)
def test_columns(tmp_path: Path, name: str) -> None:
    WRITERS[name](TABLE.drop_columns(["c"]), tmp_path / name)
    with pytest.raises(DimensionError, match="missing column 'c'; got 2 columns: 'other', 'a'"):
        open_rows(tmp_path / name, COLUMNS)
    WRITERS[name](TABLE.select(["a", "c"]), tmp_path / name)
    with open_rows(tmp_path / name, COLUMNS, named=False) as reader:
        assert sum(batch.num_rows for batch in reader) == ROWS


@pytest.mark.parametrize("name", WRITERS)
def test_no_rows(tmp_path: Path, name: str) -> None:
    WRITERS[name](TABLE[:0], tmp_path / name)
    with open_rows(tmp_path / name, COLUMNS) as reader:
        assert sum(batch.num_rows for batch in reader) == 0


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("cut", [1, 5, 20, 0.5, 0.9])
def test_truncated(tmp_path: Path, name: str, cut: float) -> None:
    path = tmp_path / name
    WRITERS[name](TABLE, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(cut) if cut >= 1 else int(len(data) * cut)])
    with pytest.raises(InvalidInputError, match=r"expected (a Parquet file|an Arrow file or stream): "):
        read_all(path)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_something_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("a,c\n1,red\n" * 100)
    with pytest.raises(InvalidInputError, match=r"expected (a Parquet file|an Arrow file or stream): "):
        open_rows(path, COLUMNS)


class Pipe:
    """Standard input that cannot be rewound."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BufferedReader(_Unseekable(data))


class _Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stream(TABLE, tmp_path / "x")
    monkeypatch.setattr(sys, "stdin", Pipe((tmp_path / "x").read_bytes()))
    with open_rows("-", COLUMNS, file_format="arrow") as reader:
        assert sum(batch.num_rows for batch in reader) == ROWS
    monkeypatch.setattr(sys, "stdin", Pipe(b"PAR1"))
    with pytest.raises(InvalidInputError, match="standard input: expected a file for a Parquet file, got a stream"):
        open_rows("-", COLUMNS, file_format="parquet")


@pytest.mark.parametrize(("name", "read"), [("x.parquet", pq.read_table), ("x.arrow", feather.read_table)])
def test_writing(tmp_path: Path, name: str, read: Any) -> None:
    columns = {
        "label": ["a", None, "c"],
        "p": np.array([0.1, np.nan, np.inf]),
        "q": np.array([0.1, 0.2, 0.3], np.float32),
        "class": np.array([1, 2, 3]),
    }
    with open_writer(tmp_path / name, list(columns)) as writer:
        writer.write({key: column[:2] for key, column in columns.items()})
        writer.write({key: column[2:] for key, column in columns.items()} | {"class": np.array([3], np.int8)})
    table = read(tmp_path / name)
    assert table.schema.types == [pa.string(), pa.float64(), pa.float32(), pa.int64()]
    for key, column in columns.items():
        if key == "label":
            assert table[key].to_pylist() == column
        else:
            np.testing.assert_array_equal(table[key].to_numpy(), column)


@pytest.mark.parametrize(("name", "read"), [("x.parquet", pq.read_table), ("x.arrow", feather.read_table)])
def test_nothing_written(tmp_path: Path, name: str, read: Any) -> None:
    with open_writer(tmp_path / name, ["a", "b"]):
        pass
    assert read(tmp_path / name).column_names == ["a", "b"]


def test_batches_of_another_type(tmp_path: Path) -> None:
    for second in (["x"], [1.5]):
        writer = open_writer(tmp_path / "x.parquet", ["a"])
        writer.write({"a": np.array([1])})
        with pytest.raises(InvalidInputError, match="expected columns of one type each"):
            writer.write({"a": second})
        writer.abandon()
    assert not list(tmp_path.iterdir())
